"""Helpers that need no network: for handlers, the console, files, and reading requests.

Read next: main.py.
"""
from __future__ import annotations  # Python 3.9 needs this for "str | None"

import html
import mimetypes
import os
import re
import string
import sys
from email.message import Message
from threading import Lock
from typing import BinaryIO
from urllib.parse import parse_qs, quote, unquote

import config
from router import Request

# ---- For handlers ----


class Html(str):
    """Text that is HTML already: render_template() does not escape it.

    For HTML of your own: Html("<b>new</b>"). Never for what a visitor sent: with Html(name), a
    link such as /greet?name=<script>... runs a stranger's script in the browser of whoever
    follows it (cross-site scripting).
    """
    def __html__(self) -> str:
        return self


def to_html(value: object) -> str:
    """Return a value as HTML: escaped, unless it has __html__()."""
    if hasattr(value, "__html__"):
        return value.__html__()
    return html.escape(str(value))


TEMPLATE_NOT_FOUND = Html("<h1>Template Not Found</h1>")


# The "/" makes filename positional-only, so that a value may have that name, too.
def render_template(filename: str, /, **values: object) -> Html:
    """Return a template with each $word in it replaced by the value of that name.

    A value is escaped, unless it is Html. A $word without a value stays, and "$$" becomes "$".
    Called without values, it returns the file as it is. A missing template is reported on the
    page and on the console.
    """
    file_path = find_file(config.TEMPLATE_DIR, filename)
    if file_path is None:
        say(f"template not found: {os.path.join(config.TEMPLATE_DIR, filename)!r}")
        return TEMPLATE_NOT_FOUND
    with open(file_path, encoding="utf-8-sig") as file:  # "-sig" leaves out a byte order mark
        text = file.read()
    if values:
        as_html = {name: to_html(value) for name, value in values.items()}
        text = string.Template(text).safe_substitute(as_html)
    return Html(text)


def render_error(title: str, text: str) -> str:
    """Return an error page made from error.html or, if that cannot be read, of title and text."""
    try:
        page = render_template("error.html", title=title, text=text)
        if page != TEMPLATE_NOT_FOUND:
            return page
    except (OSError, ValueError) as error:
        say(f"error.html: {error}")
    return f"<h1>{to_html(title)}</h1><p>{to_html(text)}</p>"


def query_params(request: Request) -> dict[str, str]:
    """Return the parameters of the query: "x=1&y=&x=2" gives {"x": "1", "y": ""}."""
    params = parse_qs(request.query, keep_blank_values=True)
    return {name: values[0] for name, values in params.items()}


# ---- The console ----

CONSOLE_LOCK = Lock()  # so that the lines of two threads do not mix

# A stranger's control characters could clear the terminal, or worse: ESC is shown as \x1b.
CONTROLS = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)]}
del CONTROLS[ord("\n")]  # line breaks stay


def say(text: str) -> None:
    """Print text to stderr, if that is possible."""
    with CONSOLE_LOCK:
        try:
            print(text.translate(CONTROLS), file=sys.stderr)
        except (OSError, ValueError):  # terminal gone, disk full, or stderr closed
            pass


# ---- Files ----


def find_file(folder: str, name: str) -> str | None:
    """Return the path of a readable file inside the folder, None if there is none.

    Also None for a hidden file and for anything outside: "../secret.txt", "/etc/passwd", or a
    link to such a file.
    """
    # Before touching the disk: if asked for "//evil/x", Windows would log in at the server "evil".
    if any(part == "" or part.startswith(".") for part in re.split(r"[/\\]", name)):
        return None  # empty, hidden, or ".."
    root = os.path.realpath(folder)
    try:
        name.encode()  # ValueError if it is not UTF-8: no link can lead to such a file
        file_path = os.path.realpath(os.path.join(root, name))  # follows links
        parts = os.path.relpath(file_path, root).split(os.sep)
    except ValueError:  # also a NUL in the name, or another drive on Windows
        return None
    if any(part.startswith(".") for part in parts):
        return None  # a link to a hidden file, or out of the folder ("..")
    if os.path.isfile(file_path) and os.access(file_path, os.R_OK):
        return file_path
    return None


# Python's own content types, the same on every computer, with two corrections
MIME_TYPES = mimetypes.MimeTypes()
MIME_TYPES.add_type("text/javascript", ".js")
MIME_TYPES.add_type("application/gzip", ".gz")
CONTENT_TYPES = MIME_TYPES.types_map[True]  # True: the registered ones, {".txt": "text/plain"}


def download_headers(name: str) -> dict[str, str]:
    """Return the headers that make a browser save a file under its name.

    "filename*" can hold any character (RFC 8187); "filename" is for old clients. "nosniff" stops
    the browser from guessing another content type, such as that of a script.
    """
    suffix = os.path.splitext(name)[1].lower()  # ".txt"
    ascii_name = re.sub(r"[^\w .-]", "_", name, flags=re.ASCII)
    return {"Content-Type": CONTENT_TYPES.get(suffix, "application/octet-stream"),
            "Content-Disposition": f'attachment; filename="{ascii_name}"; '
                                   f"filename*=UTF-8''{quote(name)}",
            "X-Content-Type-Options": "nosniff"}


# ---- Reading requests ----
#
# These bytes are a request. Every line before the body ends with \r\n:
#
#     POST /home HTTP/1.1        the first line: method, target and version
#     Host: 127.0.0.1:9999       the headers
#     Content-Length: 5
#                                an empty line: here the headers end
#     hello                      the body: 5 bytes, as a header said; most requests have none
#
# The next request follows immediately, so it must be certain where this one ends. If a proxy in
# front of this server saw another end, a stranger could hide a forbidden request in a body:
# request smuggling. So a request whose end is in doubt is refused.
#
# The functions read from a stream: anything that is read like a file opened with "rb".


class Refusal(Exception):
    """Raised to refuse a request, with a status (400) and a reason ("Bad Header")."""

    def __init__(self, status: int, reason: str):
        self.status = status
        self.reason = reason


def require(condition: object, status: int, reason: str) -> None:
    """Refuse the request unless the condition is true."""
    if not condition:
        raise Refusal(status, reason)


def read_line(stream: BinaryIO, limit: int) -> str:
    """Return the next line with its line break; "" if the client sends no more.

    If the line exceeds the limit, it returns limit + 1 characters, and the caller refuses it.
    """
    return stream.readline(limit + 1).decode("latin-1")  # a character for each byte: never fails


# ON A FIRST READING, STOP HERE and go on with main.py. What follows takes a request apart in the
# order in which it arrives. Above each pattern is its rule in the grammar (RFC 9110, RFC 9112).

# token = 1*tchar (RFC 9110 5.6.2): a method, or the name of a header
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

# request-line = method SP request-target SP HTTP-version CRLF: "GET /home?x=1 HTTP/1.1\r\n"
REQUEST_LINE = re.compile(rf"({TOKEN}) ([!-~]+) (HTTP/[1-9]\.[0-9])\r\n")


def parse_request_line(line: str) -> tuple[str, str, str]:
    """Return the method, the target and the version (RFC 9112 3)."""
    match = REQUEST_LINE.fullmatch(line)
    require(match, 400, "Bad Request Line")
    method, target, version = match.groups()
    require(version.startswith("HTTP/1."), 505, "HTTP Version Not Supported")
    return method, target, version


# uri-host [ ":" port ]: "localhost", "127.0.0.1:9999", "[::1]:9999"
URI_HOST = r"(?:[\w.~!$&'()*+;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"

# origin-form "/home?x=1", or absolute-form, which proxies get: "http://127.0.0.1:9999/home?x=1"
TARGET = re.compile(rf"(?:http://{URI_HOST})?(/[^?#]*)?(?:\?([^#]*))?", re.IGNORECASE)


def parse_target(method: str, target: str) -> tuple[str, str]:
    """Return the path of a target, decoded, and its query as it was sent (RFC 9112 3.2).

    "/a%20b?x=%20" gives ("/a b", "x=%20").
    """
    if method == "OPTIONS" and target == "*":  # it asks about the server as a whole
        return "*", ""
    match = TARGET.fullmatch(target)
    require(match and not target.startswith("?"), 400, "Bad Target")
    path, query = match.groups(default="")
    return unquote(path or "/"), query


# field-line = field-name ":" OWS field-value OWS CRLF: "Host: 127.0.0.1:9999\r\n"
FIELD_LINE = re.compile(rf"({TOKEN}):([\t -~\x80-\xff]*)\r\n")
MAX_LINES = 100  # in a header section, counting the empty line at its end


def read_headers(stream: BinaryIO, limit: int) -> Message:
    """Return the headers up to the empty line, at most limit bytes (RFC 9112 5).

    A Message is like a dictionary, but ignores case, and can hold several headers of one name,
    which get_all() returns as a list.
    """
    headers = Message()
    for _ in range(MAX_LINES):
        line = read_line(stream, limit)
        require(len(line) <= limit, 431, "Headers Too Long")
        limit -= len(line)
        if line == "\r\n":
            return headers
        match = FIELD_LINE.fullmatch(line)
        require(match, 400, "Bad Header")
        # strip() alone would also take characters that a proxy keeps, such as \xa0
        headers[match[1]] = match[2].strip(" \t")
    raise Refusal(431, "Too Many Headers")


def list_members(headers: Message, name: str) -> list[str]:
    """Return the members of a header that is a list: "Close, TE" gives ["close", "te"]."""
    members = []
    for value in headers.get_all(name, []):  # two headers mean the same as one with a comma
        members += [member.strip(" \t").lower() for member in value.split(",")]
    return members


def check_host(headers: Message, version: str) -> None:
    """Refuse a request without one valid Host header (RFC 9112 3.2). HTTP/1.0 needs none."""
    hosts = headers.get_all("Host", [])
    if hosts or version != "HTTP/1.0":
        is_one_host = len(hosts) == 1 and re.fullmatch(URI_HOST, hosts[0], re.ASCII)
        require(is_one_host, 400, "Bad Host")


def body_length(headers: Message, version: str) -> int | None:
    """Return how many bytes the body has, None if it comes in chunks (RFC 9112 6.3)."""
    codings = list_members(headers, "Transfer-Encoding")
    lengths = headers.get_all("Content-Length", [])
    if codings:
        # Not together with a length, and not from HTTP/1.0, which has no chunks.
        require(not lengths and version != "HTTP/1.0", 400, "Body Length In Doubt")
        require(codings == ["chunked"], 400, "Unknown Transfer-Encoding")
        return None
    if not lengths:
        return 0
    is_number = len(lengths) == 1 and re.fullmatch("[0-9]{1,18}", lengths[0])
    require(is_number, 400, "Bad Content-Length")
    return int(lengths[0])


def read_body(stream: BinaryIO, length: int | None, limit: int) -> bytes:
    """Return the body of this length or, if that is None, in chunks of at most limit bytes."""
    if length is None:
        return read_chunks(stream, limit)
    body = stream.read(length)
    require(len(body) == length, 400, "Body Cut Short")
    return body


# quoted-string (RFC 9110 5.6.4): '"any text, \"quotes\" too"'
QUOTED_STRING = r'"([\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'

# chunk-ext = ";" chunk-ext-name [ "=" chunk-ext-val ]: ";note=x"
EXTENSION = rf"[ \t]*;[ \t]*{TOKEN}([ \t]*=[ \t]*({TOKEN}|{QUOTED_STRING}))?"

# chunk-size *( chunk-ext ) CRLF: "1f\r\n" or "1f;note=x\r\n"
CHUNK_LINE = re.compile(rf"([0-9A-Fa-f]{{1,16}})({EXTENSION})*\r\n")
MAX_CHUNK_LINE = 256  # bytes


def read_chunks(stream: BinaryIO, limit: int) -> bytes:
    r"""Return a body that comes in chunks, each after a line with its size (RFC 9112 7.1).

    b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n" gives b"hello world".
    """
    body = bytearray()
    while True:
        line = read_line(stream, MAX_CHUNK_LINE)
        match = CHUNK_LINE.fullmatch(line)
        require(match and len(line) <= MAX_CHUNK_LINE, 400, "Bad Chunk")
        size = int(match[1], 16)
        require(len(body) + size <= limit, 413, "Body Too Large")
        if size == 0:
            break
        body += stream.read(size)  # if this is cut short, the next line refuses it
        require(stream.read(2) == b"\r\n", 400, "Bad Chunk")
    read_headers(stream, config.MAX_HEAD)  # headers may follow the body, too; they are ignored
    return bytes(body)
