"""What handlers call: templates, query parameters, files found safely. Read next: main.py."""
import html
import mimetypes
import os
import re
import string
import sys
from http.server import BaseHTTPRequestHandler
from typing import Dict, Optional
from urllib.parse import parse_qs, quote

import config

# Fixed here, because pages depend on them and mimetypes differs between computers.
TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript",
         ".json": "application/json", ".svg": "image/svg+xml", ".gz": "application/gzip"}


def render_template(filename: str, **values: object) -> str:
    """Return a template's text, each $name in it replaced by the value called name, HTML-escaped."""
    path = find_file(config.TEMPLATE_DIR, filename)
    if path is None:
        print(f"template not found: {os.path.join(config.TEMPLATE_DIR, filename)!a}", file=sys.stderr)
        return "<h1>Template Not Found</h1>"
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    safe = {name: html.escape(str(value)) for name, value in values.items()}
    return string.Template(text).safe_substitute(safe) if values else text


def query_params(request: BaseHTTPRequestHandler) -> Dict[str, str]:
    """Return the query's parameters, the first of each name: "/?x=1&y=" gives {"x": "1", "y": ""}."""
    params = parse_qs(request.path.partition("?")[2], keep_blank_values=True)
    return {name: values[0] for name, values in params.items()}


def find_file(folder: str, name: str) -> Optional[str]:
    """Return the real path of a readable file in folder or below that is not hidden, else None."""
    root = os.path.realpath(folder)
    try:  # links and ".." are resolved here: after that, a way out of folder begins with ".."
        path = os.path.realpath(os.path.join(root, name))
        parts = os.path.relpath(path, root).split(os.sep)
    except ValueError:  # a NUL in the name, or another drive on Windows
        return None
    dotted = any(part.startswith(".") for part in parts)  # "..", or a hidden name
    return path if not dotted and os.path.isfile(path) and os.access(path, os.R_OK) else None


def find_download(name: str) -> Optional[str]:
    """Return the real path of the file that /files/<name> serves, else None."""
    plain = name == os.path.basename(name) and not name.startswith(".")
    unfit = "[\ud800-\udfff]" if os.name == "posix" else "[\ud800-\udfff:]"  # no text; a.txt:hidden
    return find_file(config.FILE_DIR, name) if plain and not re.search(unfit, name) else None


def download_headers(name: str) -> Dict[str, str]:
    """Return the headers that make a browser save a file under its name (RFC 6266, RFC 8187)."""
    ending = os.path.splitext(name)[1].lower()
    guess, compression = mimetypes.guess_type("file" + ending)
    known = TYPES.get(ending) or (not compression and guess)
    plain = re.sub(r"[^\w .-]", "_", name, flags=re.ASCII)  # for clients that know no filename*
    return {"Content-Type": known or "application/octet-stream",
            "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}",
            "X-Content-Type-Options": "nosniff"}
