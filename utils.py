"""What handlers call: templates, query parameters, files found safely. Read next: main.py."""
import html
import mimetypes
import os
import re
import string
import sys
from http.server import BaseHTTPRequestHandler
from typing import Dict, List, Optional
from urllib.parse import parse_qs, quote, unquote

import config

# Browsers depend on these types, and what mimetypes says of them depends on the machine.
TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript",
         ".json": "application/json", ".svg": "image/svg+xml", ".gz": "application/gzip"}


def render_template(filename: str, **values: object) -> str:
    """Return a template's text with $name replaced by the value called name, HTML-escaped.

    A $word that has no value stays, and without values so does the whole file.
    """
    path = find_file(config.TEMPLATE_DIR, filename)
    if path is None:
        print(f"template not found: {os.path.join(config.TEMPLATE_DIR, filename)!a}", file=sys.stderr)
        return "<h1>Template Not Found</h1>"
    with open(path, encoding="utf-8", newline="") as file:
        text = file.read()
    safe = {name: html.escape(str(value)) for name, value in values.items()}
    return string.Template(text).safe_substitute(safe) if values else text


def request_path(request: BaseHTTPRequestHandler) -> str:
    """Return the request's path, decoded, without its query: "/a%20b?x=1" gives "/a b"."""
    return unquote(request.path.partition("?")[0])


def query_params(request: BaseHTTPRequestHandler) -> Dict[str, str]:
    """Return the query's parameters, the first of each name: "/?x=1&y=" gives {"x": "1", "y": ""}."""
    query = request.path.partition("?")[2]
    return {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}


def find_file(folder: str, name: str) -> Optional[str]:
    """Return the real path of a regular file in folder or below it, else None.

    With links and ".." resolved, the way from folder to the file starts with ".." if
    it leads outside, and has a part that starts with "." if the file is hidden.
    """
    root = os.path.realpath(folder)
    try:
        path = os.path.realpath(os.path.join(root, name))
        parts = os.path.relpath(path, root).split(os.sep)
    except ValueError:  # a NUL in the name, or another drive on Windows
        return None
    hidden = any(part.startswith(".") for part in parts)
    return path if not hidden and os.path.isfile(path) else None


def find_download(name: str) -> Optional[str]:
    """Return the real path of the file that /files/<name> serves, else None."""
    plain = name == os.path.basename(name) and not name.startswith(".")
    unicode = name == name.encode(errors="ignore").decode()  # other names fit in no page
    return find_file(config.FILE_DIR, name) if plain and unicode else None


def list_downloads() -> List[str]:
    """Return the names that find_download finds, sorted; OSError if the folder is missing."""
    return sorted(filter(find_download, os.listdir(config.FILE_DIR)))


def download_headers(name: str) -> Dict[str, str]:
    """Return the headers that make a browser save a file under its name (RFC 6266, RFC 8187)."""
    ending = os.path.splitext(name)[1].lower()
    guess, compression = mimetypes.guess_type("file" + ending)
    known = TYPES.get(ending) or (not compression and guess) or "application/octet-stream"
    plain = re.sub(r"[^\w .-]", "_", name, flags=re.ASCII)  # for clients that know no filename*
    return {"Content-Type": known,
            "Content-Disposition": f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}",
            "X-Content-Type-Options": "nosniff"}
