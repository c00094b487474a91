"""Work that needs no connection, in three parts: for handlers; files; the bytes of a request.

The third part reads requests by the grammar of HTTP: on a first reading, stop after read_line().
Read next: main.py, which puts all of it to use.
"""
from __future__ import annotations  # Python 3.9 needs this for "str | None"

import html
import ipaddress
import mimetypes
import os
import re
import string
import sys
from collections.abc import Iterator
from contextlib import suppress
from email.message import Message
from threading import Event, RLock
from typing import BinaryIO, TypeVar
from urllib.parse import parse_qs, quote, unquote

import config
from router import Request

# ---- For handlers ----


class Html(str):
    """Text that is HTML already, so that render_template() puts it in as it is.

    It is for HTML of your own: Html("<b>new</b>"), or rows that render_template() made. Never
    put it around what a visitor sent: with Html(name), a link such as /greet?name=<script>...
    runs a stranger's script in the browser of whoever follows it (cross-site scripting).
    """
    def __html__(self) -> str:
        """Return the text itself. MarkupSafe, Jinja2 and Django look for a method of this name."""
        return self


def to_html(value: object) -> str:
    """Return a value as HTML: as it is if it has __html__(), otherwise as text, escaped."""
    if hasattr(value, "__html__"):
        return value.__html__()
    return html.escape(str(value))


def render_template(filename: str, /, **values: object) -> Html:
    """Return a template's text, each $name in it replaced by the value called name, as HTML.

    A value is escaped, unless it is Html: so a template can be a value in another one. "$$" is
    a "$", and a $word without a value stays. Without any values nothing is replaced, not even
    "$$". If the template is missing, the page says so, and the console; the status stays the
    handler's. ValueError if the file is not UTF-8. (Thanks to the "/" in the first line, a
    value may be called filename, too.)
    """
    file_path = find_file(config.TEMPLATE_DIR, filename)
    if file_path is None:
        say(f"template not found: {os.path.join(config.TEMPLATE_DIR, filename)!a}")
        return Html("<h1>Template Not Found</h1>")
    try:
        # "-sig" leaves out the mark (BOM) that some editors write in front of the text.
        with open(file_path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        reason = f"template {file_path!a} is not UTF-8: {error.reason} at byte {error.start}"
        raise ValueError(reason) from None
    if values:
        as_html = {name: to_html(value) for name, value in values.items()}
        text = string.Template(text).safe_substitute(as_html)
    return Html(text)


def query_params(request: Request) -> dict[str, str]:
    """Return the parameters of the query, the first of each name.

    "x=1&y=&x=2" gives {"x": "1", "y": ""}.
    """
    params = parse_qs(request.query, keep_blank_values=True)
    return {name: values[0] for name, values in params.items()}


CONSOLE_LOCK = RLock()  # say() holds it while it writes, so that two texts never mix. (Not a
# Lock: a stream that a handler made may call say() itself, and would wait for itself.)
CONSOLE_CLOSED = Event()  # say() sets it with the last text; what threads say later is dropped

# Control characters could colour a terminal, clear it or worse: ESC is shown as \x1b.
CONTROLS = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)]}
del CONTROLS[ord("\n")]


def say(text: str, stream_name: str = "stderr", last: bool = False) -> None:
    """Write a text and a line break to the console, whole; if nobody can read it, do nothing.

    All that a running server says is said here, on sys.stderr, or on sys.stdout if it is named.
    While a console takes nothing (a paused terminal), every thread that calls say() waits.
    """
    with CONSOLE_LOCK:
        if CONSOLE_CLOSED.is_set():
            return
        if last:
            CONSOLE_CLOSED.set()
        stream = getattr(sys, stream_name)
        if stream is None:  # the program was started without it
            return
        try:
            stream.write(text.translate(CONTROLS) + "\n")
            stream.flush()
        except OSError:  # the terminal, or the reader of a pipe, is gone
            silence(stream)
        except BaseException:  # noqa: BLE001 (a handler has closed it, or put anything there)
            return


def silence(stream) -> None:
    """Point a stream at nothing, so that what is left in it can be written without an error."""
    with suppress(Exception):  # a stream of a handler's own may have no fileno(), or a false one
        nowhere = os.open(os.devnull, os.O_WRONLY)
        if nowhere != stream.fileno():  # (they are the same if it had been closed)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


# ---- Files ----


def find_file(folder: str, name: str) -> str | None:
    """Return the real path of a readable file inside folder, None if there is none.

    Links are followed first; then neither the file nor a folder on the way to it may be hidden.
    """
    root = os.path.realpath(folder)
    try:
        file_path = os.path.realpath(os.path.join(root, name))  # follows links and ".."
        parts = os.path.relpath(file_path, root).split(os.sep)
    except ValueError:  # a NUL in the name, or another drive on Windows
        return None
    if any(part.startswith(".") for part in parts):  # ".." leads out, ".git" is hidden
        return None
    if os.path.isfile(file_path) and os.access(file_path, os.R_OK):
        return file_path
    return None


def find_download(name: str) -> str | None:
    """Return the real path of the file that /files/<name> serves, None if there is none."""
    if name != os.path.basename(name):  # it leads through folders
        return None
    if name.startswith("."):  # hidden, even if it is a link to a file that is not
        return None
    if re.search("[\ud800-\udfff]", name):  # not UTF-8 on the disk: no address can hold it
        return None
    if os.name == "nt" and ":" in name:  # "a.txt:b" is a stream hidden in a.txt
        return None
    return find_file(config.FILE_DIR, name)


def open_download(name: str) -> BinaryIO | None:
    """Return the file that /files/<name> serves, open; None if there is none.

    OSError if there is one that cannot be opened now, such as when too many files are open.
    """
    file_path = find_download(name)
    if file_path is None:
        return None
    try:
        return open(file_path, "rb")
    except (FileNotFoundError, PermissionError):  # deleted meanwhile, or locked by a program
        return None


# Fixed here, because pages depend on them and mimetypes differs between computers.
CONTENT_TYPES = {".css": "text/css", ".html": "text/html", ".js": "text/javascript",
                 ".json": "application/json", ".svg": "image/svg+xml", ".gz": "application/gzip"}


def download_headers(name: str) -> dict[str, str]:
    """Return the headers that make a browser save a file under its name (RFC 6266, RFC 8187)."""
    ending = os.path.splitext(name)[1].lower()  # ".txt"
    guess, compression = mimetypes.guess_type("file" + ending)  # a name like "data:x" misleads it
    if compression:  # ".svgz" is not "image/svg+xml", but a compressed form of it
        guess = None
    content_type = CONTENT_TYPES.get(ending) or guess or "application/octet-stream"
    ascii_name = re.sub(r"[^\w .-]", "_", name, flags=re.ASCII)  # for clients without filename*
    return {"Content-Type": content_type,
            "Content-Disposition": f'attachment; filename="{ascii_name}"; '
                                   f"filename*=UTF-8''{quote(name)}",
            "X-Content-Type-Options": "nosniff"}


# ---- The bytes of a request (on a first reading, stop after read_line) ----
#
# A server must know exactly where a request ends. Where two programs on the way disagree, what
# one takes for a body is a second request for the other, and a stranger can hide requests in
# it. So whatever leaves room for doubt about that is refused here.
#
# A stream is anything that is read like a file opened with "rb", such as io.BytesIO. The functions
# raise Refusal for a bad request, mostly with require().

T = TypeVar("T")


class Refusal(Exception):
    """Says why a request reaches no handler: with which status, and for what reason."""

    def __init__(self, status: int, reason: str):
        """Keep both: 400 and "Bad Header", for example."""
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


def require(value: T | None, status: int, reason: str) -> T:
    """Return the value if it is true; otherwise refuse the request."""
    if not value:
        raise Refusal(status, reason)
    return value


def read_line(stream: BinaryIO, limit: int) -> str:
    """Return the next line with its line break, a character for each byte; "" at the end.

    A longer line is cut to limit + 1 bytes: the caller sees that it is too long, and the rest
    is never read.
    """
    return stream.readline(limit + 1).decode("latin-1")


# token = 1*tchar (RFC 9110 5.6.2): the form of a method and of a header's name
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

# request-line = method SP request-target SP HTTP-version CRLF: "GET /home?x=1 HTTP/1.1\r\n"
REQUEST_LINE = re.compile(rf"({TOKEN}) ([!-~]+) (HTTP/[1-9]\.[0-9])\r\n")


def parse_request_line(line: str) -> tuple[str, str, str]:
    """Return the method, the target and the version, such as "HTTP/1.1" (RFC 9112 3)."""
    require(len(line) <= config.MAX_HEAD, 414, "Target Too Long")
    match = require(REQUEST_LINE.fullmatch(line), 400, "Bad Request Line")
    method, target, version = match.groups()
    require(version.startswith("HTTP/1."), 505, "HTTP Version Not Supported")
    return method, target, version


# absolute-form, as it is sent to proxies: "http://127.0.0.1:9999/home?x=1", or "https://..."
ABSOLUTE_FORM = re.compile(r"https?://([^/?]*)(.*)", re.IGNORECASE)

# origin-form = absolute-path [ "?" query ]: "/home?x=1". Any visible character but "#", and
# "%" only before two hexadecimal digits: more than the RFC has, because browsers send it
ORIGIN_FORM = re.compile(r'/(?:[!"$&-~]|%[0-9A-Fa-f]{2})*')


def parse_target(method: str, target: str) -> tuple[str, str]:
    """Return the path of a target, decoded, and its query as it was sent.

    "/a%20b?x=%20" gives ("/a b", "x=%20") (RFC 9112 3.2).
    """
    if method == "OPTIONS" and target == "*":  # it asks about the server as a whole
        return "*", ""
    absolute = ABSOLUTE_FORM.fullmatch(target)
    if absolute:
        check_host(absolute[1])
        target = absolute[2]
        if not target.startswith("/"):  # "http://host?x=1"
            target = "/" + target
    require(ORIGIN_FORM.fullmatch(target), 400, "Bad Target")
    path, _, query = target.partition("?")
    try:
        unquote(query, errors="strict")  # only to see whether it is UTF-8
        return unquote(path, errors="strict"), query
    except UnicodeDecodeError:
        raise Refusal(400, "Target Is Not UTF-8") from None


# field-line = field-name ":" OWS field-value OWS CRLF: "Host: 127.0.0.1:9999\r\n"
FIELD_LINE = re.compile(rf"({TOKEN}):([\t -~\x80-\xff]*)\r\n")
MAX_LINES = 100  # in a header section, with the empty line that ends it


def read_fields(stream: BinaryIO, limit: int) -> Iterator[tuple[str, str]]:
    """Yield the names and values up to the empty line, limit bytes at the most (RFC 9112 5)."""
    for _ in range(MAX_LINES):
        line = read_line(stream, limit)
        require(len(line) <= limit, 431, "Headers Too Long")
        limit -= len(line)
        if line == "\r\n":
            return
        match = require(FIELD_LINE.fullmatch(line), 400, "Bad Header")
        yield match[1], match[2].strip(" \t")
    raise Refusal(431, "Too Many Headers")


def read_headers(stream: BinaryIO, limit: int) -> Message:
    """Return the headers up to the empty line, limit bytes at the most."""
    headers = Message()
    for name, value in read_fields(stream, limit):
        headers[name] = value
    return headers


def list_members(headers: Message, name: str) -> list[str]:
    """Return the members of a header that is a list: "Close, TE" gives ["close", "te"]."""
    members = []
    for value in headers.get_all(name, []):  # two lines mean the same as one with a comma
        members += [member.strip(" \t").lower() for member in value.split(",")]
    return members


# uri-host [ ":" port ], with a name or an IPv4 address: "localhost", "127.0.0.1:9999"
NAME_AND_PORT = re.compile(r"(?:[\w.~!$&'()*+;=-]|%[0-9A-Fa-f]{2})+(?::[0-9]*)?", re.ASCII)

# the same with an IPv6 address: "[::1]:9999"
IPV6_AND_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::[0-9]*)?")


def check_host(host: str) -> None:
    """Refuse what is neither a host nor a host and a port (RFC 9110 7.2)."""
    if NAME_AND_PORT.fullmatch(host):
        return
    match = require(IPV6_AND_PORT.fullmatch(host), 400, "Bad Host")
    try:
        ipaddress.IPv6Address(match[1])
    except ValueError:
        raise Refusal(400, "Bad Host") from None


def check_host_header(headers: Message, version: str) -> None:
    """Refuse a request without one valid Host header; HTTP/1.0 may leave it out (RFC 9112 3.2)."""
    hosts = headers.get_all("Host", [])
    if not hosts and version == "HTTP/1.0":
        return
    require(len(hosts) == 1, 400, "Bad Host")
    check_host(hosts[0])


IN_CHUNKS = None  # instead of a length: the body marks its own end


def body_length(headers: Message, version: str) -> int | None:
    """Return how many bytes the body has, or IN_CHUNKS (RFC 9112 6.3)."""
    codings = list_members(headers, "Transfer-Encoding")
    lengths = headers.get_all("Content-Length", [])
    if codings:
        ends_in_chunks = codings[-1] == "chunked" and codings.count("chunked") == 1
        is_in_doubt = bool(lengths) or version == "HTTP/1.0" or "" in codings
        require(ends_in_chunks and not is_in_doubt, 400, "Body Length In Doubt")
        require(codings == ["chunked"], 501, "Unknown Transfer-Encoding")
        return IN_CHUNKS
    if not lengths:
        return 0
    require(len(lengths) == 1 and re.fullmatch("[0-9]+", lengths[0]), 400, "Bad Content-Length")
    digits = lengths[0]
    require(len(digits) < 19, 413, "Body Too Large")  # to convert thousands of them takes long
    require(int(digits) <= config.MAX_BODY, 413, "Body Too Large")
    return int(digits)


def read_body(stream: BinaryIO, length: int | None) -> bytes:
    """Return the body, which has this many bytes or is IN_CHUNKS."""
    if length is IN_CHUNKS:
        return read_chunks(stream)
    body = stream.read(length)
    require(len(body) == length, 400, "Body Cut Short")
    return body


# chunk-size [ chunk-ext ] CRLF: "1f\r\n" or "1f;note=x\r\n"; the extension is for nobody here
CHUNK_LINE = re.compile(r"([0-9A-Fa-f]{1,16})([ \t]*;[ \t]*[!-~][\t -~\x80-\xff]*)?\r\n")


def read_chunks(stream: BinaryIO) -> bytes:
    """Return what the chunks of a body add up to (RFC 9112 7.1)."""
    body = bytearray()
    skipped = 0  # bytes of extensions
    while True:
        line = read_line(stream, config.MAX_HEAD)
        match = require(CHUNK_LINE.fullmatch(line), 400, "Bad Chunk")
        size = int(match[1], 16)
        skipped += len(match[2] or "")
        require(len(body) + size <= config.MAX_BODY, 413, "Body Too Large")
        require(skipped <= config.MAX_HEAD, 413, "Body Too Large")
        if size == 0:
            break
        data = stream.read(size + 2)
        require(data[size:] == b"\r\n", 400, "Bad Chunk")
        body += data[:size]
    for _ in read_fields(stream, config.MAX_HEAD):  # the trailer, which nobody needs
        pass
    return bytes(body)
