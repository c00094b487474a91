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

# What pages depend on, whatever the tables of the machine say of it.
TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript",
         ".json": "application/json", ".svg": "image/svg+xml", ".gz": "application/gzip"}


def render_template(filename: str, **values: object) -> str:
    """Return a template's text, where each value, HTML-escaped, stands for the $name that it has."""
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
    """Return the real path of a readable regular file in folder or below, else None."""
    root = os.path.realpath(folder)
    try:  # with links and ".." resolved, a way out starts with "..", a hidden file with "."
        path = os.path.realpath(os.path.join(root, name))
        parts = os.path.relpath(path, root).split(os.sep)
    except ValueError:  # a NUL in the name, or another drive on Windows
        return None
    hidden = any(part.startswith(".") for part in parts)
    return path if not hidden and os.path.isfile(path) and os.access(path, os.R_OK) else None


def find_download(name: str) -> Optional[str]:
    """Return the real path of the file that /files/<name> serves, else None."""
    plain = name == os.path.basename(name) and not name.startswith(".")
    unicode = name == name.encode(errors="ignore").decode()  # other names fit in no page
    return find_file(config.FILE_DIR, name) if plain and unicode else None


def download_headers(name: str) -> Dict[str, str]:
    """Return the headers that make a browser save a file under its name (RFC 6266, RFC 8187)."""
    ending = os.path.splitext(name)[1].lower()
    guess, compression = mimetypes.guess_type("file" + ending)
    known = TYPES.get(ending) or (not compression and guess)
    plain = re.sub(r"[^\w .-]", "_", name, flags=re.ASCII)  # for clients that know no filename*
    return {"Content-Type": known or "application/octet-stream",
            "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}",
            "X-Content-Type-Options": "nosniff"}
