"""Helpers for handlers and for the server: templates, files, and the console.

Read next: main.py.
"""
from __future__ import annotations  # Python 3.9 needs this for "str | None"

import atexit
import html
import mimetypes
import os
import re
import socket
import string
import sys
from contextlib import suppress
from threading import Lock
from urllib.parse import parse_qs, quote

import config
from router import ROUTES, Request

# ---- Templates and queries ----


class Html(str):
    """Text that is HTML already, so that render_template() does not escape it: Html("<b>new</b>").

    Never for what a visitor sent: a link such as /greet?name=<script>... would run a stranger's
    script in the browser of whoever follows it (cross-site scripting).
    """


def to_html(value: object) -> str:
    """Return a value as HTML: escaped, unless it is Html."""
    return value if isinstance(value, Html) else html.escape(str(value))


TEMPLATE_NOT_FOUND = Html("<h1>Template Not Found</h1>")


def render_template(template_name: str, **values: object) -> Html:
    """Return a template with each $word in it replaced by the value of that name.

    A value is escaped, unless it is Html. A $word without a value stays, and "$$" becomes "$".
    """
    path = find_file(config.TEMPLATE_DIR, template_name)
    if path is None:
        say(f"template not found: {os.path.join(config.TEMPLATE_DIR, template_name)!r}")
        return TEMPLATE_NOT_FOUND
    with open(path, encoding="utf-8-sig", errors="replace") as file:  # -sig: no byte order mark
        text = file.read()
    if "\ufffd" in text:
        say(f"{path} is not UTF-8: save it as UTF-8")
    html_values = {name: to_html(value) for name, value in values.items()}
    return Html(string.Template(text).safe_substitute(html_values))


def render_error(title: str, text: str) -> str:
    """Return an error page made from error.html or, if that cannot be read, of title and text."""
    try:
        page = render_template("error.html", title=title, text=text)
        if page != TEMPLATE_NOT_FOUND:
            return page
    except OSError as error:
        say(str(error))
    return f"<h1>{to_html(title)}</h1><p>{to_html(text)}</p>"


def query_params(request: Request) -> dict[str, str]:
    """Return the parameters of the query: "x=1&y=&x=2" gives {"x": "1", "y": ""}."""
    params = parse_qs(request.query, keep_blank_values=True)
    return {name: values[0] for name, values in params.items()}


# ---- Files ----


def find_file(folder: str, name: str) -> str | None:
    """Return the path of a readable file inside the folder, None if there is none.

    Also None for a hidden file and for anything outside: "../secret.txt", "/etc/passwd", or a
    link to such a file.
    """
    # Before touching the disk: if asked for "//evil/x", Windows would log in to the server "evil".
    if any(part == "" or part.startswith(".") for part in re.split(r"[/\\]", name)):
        return None  # empty, hidden, or ".."
    path = os.path.join(folder, name)
    if not os.path.isfile(path) or not os.access(path, os.R_OK):
        return None
    try:
        name.encode()  # no URL can have a name that is not UTF-8
        root = os.path.realpath(folder)
        is_inside = os.path.commonpath([root, os.path.realpath(path)]) == root  # follows links
    except (ValueError, OSError):  # it is not UTF-8 or, on Windows, a device or on another drive
        return None
    return path if is_inside else None


# The content types that Python knows by itself, with two corrections
CONTENT_TYPES = {**mimetypes.types_map, ".js": "text/javascript", ".gz": "application/gzip"}


def download_headers(name: str) -> dict[str, str]:
    """Return the headers that make a browser save a file under its name.

    "filename*" can hold any character (RFC 8187); "filename" is for old clients.
    """
    suffix = os.path.splitext(name)[1].lower()  # ".txt"
    ascii_name = re.sub(r"[^\w .-]", "_", name, flags=re.ASCII)
    return {"Content-Type": CONTENT_TYPES.get(suffix, "application/octet-stream"),
            "Content-Disposition": f'attachment; filename="{ascii_name}"; '
                                   f"filename*=UTF-8''{quote(name)}",
            "X-Content-Type-Options": "nosniff"}  # do not guess another type, such as a script's


# ---- The console ----

CONSOLE_LOCK = Lock()  # so that the lines of two threads do not mix

# A stranger's control characters could clear the terminal, or worse: ESC is shown as \x1b.
CONTROLS = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)]
            if code != ord("\n")}


def say(text: str) -> None:
    """Print text to stderr, if that is possible."""
    with CONSOLE_LOCK:
        try:
            print(text.translate(CONTROLS), file=sys.stderr)
        except (OSError, ValueError):  # terminal gone, disk full, or stderr closed
            pass


# The hosts that listen on every network, each with the one to open on this computer
PUBLIC_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def welcome(host, port):
    """Return what the console says at the start: the address of each page, and who can open it."""
    local_host = PUBLIC_HOSTS.get(host, host)
    if ":" in local_host:
        local_host = f"[{local_host}]"
    url = f"http://{local_host}:{port}"
    lines = [f"server running on {url} (Ctrl+C stops it)"]
    lines += [f"  {url}{quote(path)}" for path in ROUTES]
    if host in PUBLIC_HOSTS:
        lines.append("everyone on your network can open these pages, and everything in files/")
    if host == "0.0.0.0" and own_address():
        lines.append(f"  on a phone: http://{own_address()}:{port}")
    return "\n".join(lines)


def own_address():
    """Return the address of this computer on its network, None if it is offline."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # For UDP, this sends nothing; it only chooses the address to send from. 192.0.2.1 is
            # reserved for examples (RFC 5737).
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


CONSOLE = [sys.stdout, sys.stderr]  # kept, because a thread may print until the exit


@atexit.register
def leave_console():
    """Detach the console: Python crashes if a thread prints while it shuts down."""
    with suppress(OSError, ValueError):  # it is gone already
        print(end="", flush=True)
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None
