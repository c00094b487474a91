"""Work that needs no socket, in four parts: for handlers, the console, files, requests.

The last part reads requests by the grammar of HTTP. A comment says where to stop on a first
reading. Read next: main.py.
"""
from __future__ import annotations  # Python 3.9 needs this for "str | None"

import html
import ipaddress
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
    """Text that is HTML already, so that render_template() puts it in as it is.

    It is for HTML of your own: Html("<b>new</b>"), or rows that render_template() made. Never
    put it around what a visitor sent: with Html(name), a link such as /greet?name=<script>...
    runs a stranger's script in the browser of whoever follows it (cross-site scripting).
    """
    def __html__(self) -> str:
        """Return the text itself."""
        return self


def to_html(value: object) -> str:
    """Return a value as HTML: as it is if it has __html__(), otherwise as text, escaped.

    (HTML of other libraries, such as MarkupSafe and Django, has a method of this name, too.)
    """
    if hasattr(value, "__html__"):
        return value.__html__()
    return html.escape(str(value))


TEMPLATE_NOT_FOUND = Html("<h1>Template Not Found</h1>")


def render_template(filename: str, /, **values: object) -> Html:
    """Return the text of a template, with each $word in it replaced by the value of that name.

    A value is escaped, unless it is Html: so a template can be a value in another one. "$$" is
    a "$", and a $word without a value stays. Without any values, the text is left as it is. If
    the template is missing, the page and the console say so; the status is still what the
    handler returns. ValueError if the file is not UTF-8.

    (The "/" among the parameters says that filename is never given by its name. So a value may
    have this name, too.)
    """
    file_path = find_file(config.TEMPLATE_DIR, filename)
    if file_path is None:
        say(f"template not found: {os.path.join(config.TEMPLATE_DIR, filename)!r}")
        return TEMPLATE_NOT_FOUND
    try:
        # "-sig" leaves out the mark (BOM) that some editors write in front of the text; newline=""
        # keeps each line break as it is in the file.
        with open(file_path, encoding="utf-8-sig", newline="") as file:
            text = file.read()
    except UnicodeDecodeError as error:
        reason = f"template {file_path!r} is not UTF-8: {error.reason} at byte {error.start}"
        raise ValueError(reason) from None
    if values:
        as_html = {name: to_html(value) for name, value in values.items()}
        text = string.Template(text).safe_substitute(as_html)
    return Html(text)


def render_error(title: str, text: str) -> str:
    """Return the page of an error: error.html or, if that cannot be used, the two texts alone."""
    try:
        page = render_template("error.html", title=title, text=text)
        if page != TEMPLATE_NOT_FOUND:
            return page
    except (OSError, ValueError) as error:  # it cannot be opened now, or it is not UTF-8
        say(f"error.html cannot be used: {error}")
    return f"<h1>{to_html(title)}</h1>\n<p>{to_html(text)}</p>\n"


def query_params(request: Request) -> dict[str, str]:
    """Return the parameters of the query, the first of each name.

    "x=1&y=&x=2" gives {"x": "1", "y": ""}.
    """
    params = parse_qs(request.query, keep_blank_values=True)
    return {name: values[0] for name, values in params.items()}


# ---- The console ----

# Each connection has a thread of its own: a part of the program that runs beside the others. say()
# holds this lock while it writes, so that the texts of two threads never mix.
CONSOLE_LOCK = Lock()

# Strangers can send control characters, which could colour a terminal, clear it or worse. So ESC
# is shown as \x1b, and all others likewise, but for the line break. str.translate() takes a
# dictionary such as {27: "\\x1b"}.
CONTROLS = {code: f"\\x{code:02x}" for code in [*range(0x20), *range(0x7F, 0xA0)]}
del CONTROLS[ord("\n")]


def say(text: str, stream_name: str = "stderr") -> None:
    """Write a text and a line break to sys.stderr or sys.stdout; drop it if nobody can read it."""
    with CONSOLE_LOCK:
        stream = getattr(sys, stream_name)  # each time anew, for it may be another one by now
        if stream is None:  # the program was started without it, or is about to end
            return
        try:
            stream.write(text.translate(CONTROLS) + "\n")
            stream.flush()
        except BrokenPipeError:
            # Whoever read it has gone (python main.py | head -1). So that nothing that is printed
            # there fails from now on, it is led to devnull, which swallows all: this is the way
            # of Python's documentation (signal, "Note on SIGPIPE").
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        except OSError:  # the disk is full, or the terminal has gone
            pass


# ---- Files ----


def find_file(folder: str, name: str) -> str | None:
    """Return the real path of a readable file inside folder, None if there is none.

    None, too, for a name that leads out of it: "../secret.txt", "/etc/passwd", or a link to such
    a file.
    """
    try:
        # First of all: where are folder and file really? realpath() follows each ".." and link.
        root = os.path.realpath(folder)
        file_path = os.path.realpath(os.path.join(root, name))
        # Then: how does one get from the one to the other? relpath() says "sub/a.txt"; for a file
        # that is outside, it always begins with "..".
        parts = os.path.relpath(file_path, root).split(os.sep)
    except ValueError:  # a NUL in the name, or another drive on Windows
        return None
    if any(part.startswith(".") for part in parts):  # "..", or hidden, such as .git
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
    try:
        name.encode()
    except UnicodeEncodeError:  # some bytes of it are not UTF-8, which no address can hold
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


# The types that Python itself knows, the same on every computer, and two that it lacks
MIME_TYPES = mimetypes.MimeTypes()
MIME_TYPES.add_type("text/javascript", ".js")  # (older Pythons know an older name)
MIME_TYPES.add_type("application/gzip", ".gz")
CONTENT_TYPES = MIME_TYPES.types_map[1]  # {".txt": "text/plain", ...}; [0] is unofficial ones


def download_headers(name: str) -> dict[str, str]:
    """Return the headers that make a browser save a file under its name.

    Any character may be in the name. The form that is safe in a header is called "filename*"
    (RFC 8187): filename*=UTF-8''caf%C3%A9.txt. Old clients take the simple one: "caf_.txt".
    "nosniff" forbids a browser to guess another content type, such as that of a script.
    """
    ending = os.path.splitext(name)[1].lower()  # ".txt"
    content_type = CONTENT_TYPES.get(ending, "application/octet-stream")  # bytes of any kind
    ascii_name = re.sub(r"[^\w .-]", "_", name, flags=re.ASCII)
    return {"Content-Type": content_type,
            "Content-Disposition": f'attachment; filename="{ascii_name}"; '
                                   f"filename*=UTF-8''{quote(name)}",
            "X-Content-Type-Options": "nosniff"}


# ---- Reading requests ----
#
# These bytes are a request. Each line of it but the body ends with \r\n:
#
#     POST /home HTTP/1.1        the first line: method, target and version
#     Host: 127.0.0.1:9999       the headers
#     Content-Length: 5
#                                an empty line: here the headers end
#     hello                      the body: 5 bytes, as a header said; most requests have none
#
# On the same connection, the next request comes right behind it, so a server must know exactly
# where this one ends. Strangers may try to make that unclear. Often a proxy stands in front of a
# server: a program that lets requests pass, but none for /admin, say. Now a stranger sends a body
# of 40 bytes that looks like a request, "GET /admin HTTP/1.1...", and two headers,
# "Content-Length: 40" and "Content-Length: 0". The proxy goes by the first one, and lets the body
# pass. The server goes by the second one: it takes the same 40 bytes for the next request, and
# answers it. This is called request smuggling. So a request whose end is in doubt is refused here.
#
# The functions read from a stream: anything that is read like a file opened with "rb".


class Refusal(Exception):
    """Says why a request reaches no handler: with which status, and for what reason."""

    def __init__(self, status: int, reason: str):
        """Keep the status, such as 400, and the reason, such as "Bad Header"."""
        super().__init__(status, reason)
        self.status = status
        self.reason = reason


def require(condition: object, status: int, reason: str) -> None:
    """Refuse the request, with a Refusal, unless the condition is true."""
    if not condition:
        raise Refusal(status, reason)


def read_line(stream: BinaryIO, limit: int) -> str:
    """Return the next line with its line break; "" if the client sends no more.

    Of a line that is too long, only limit + 1 bytes are read. So it comes back longer than the
    limit, and the function that looks at it next, such as parse_request_line(), refuses it.
    Latin-1 has a character for each byte, so decoding never fails.
    """
    return stream.readline(limit + 1).decode("latin-1")


# ON A FIRST READING, STOP HERE and go on with main.py. What follows takes a request apart, in the
# order in which its parts arrive: the first line, the headers, the body. Above each pattern
# stands what it is in the standard's grammar, and an example.

# token = 1*tchar (RFC 9110 5.6.2): the form of a method and of a header's name
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

# request-line = method SP request-target SP HTTP-version CRLF: "GET /home?x=1 HTTP/1.1\r\n"
REQUEST_LINE = re.compile(rf"({TOKEN}) ([!-~]+) (HTTP/[1-9]\.[0-9])\r\n")


def parse_request_line(line: str) -> tuple[str, str, str]:
    """Return the method, the target and the version, such as "HTTP/1.1" (RFC 9112 3)."""
    require(len(line) <= config.MAX_HEAD, 414, "Target Too Long")
    match = REQUEST_LINE.fullmatch(line)
    require(match, 400, "Bad Request Line")
    method, target, version = match.groups()
    require(version.startswith("HTTP/1."), 505, "HTTP Version Not Supported")
    return method, target, version


# absolute-form, which is sent to proxies: "http://127.0.0.1:9999/home?x=1". (Never
# "https://...", for this connection is not encrypted: RFC 9110 7.4.)
ABSOLUTE_FORM = re.compile(r"http://([^/?]*)(.*)", re.IGNORECASE)

# origin-form = absolute-path [ "?" query ]: "/home?x=1". "!" to "~" are the visible characters of
# ASCII; this is all of them but "#". The RFC has fewer, but browsers send some of the others.
ORIGIN_FORM = re.compile(r'/[!"$-~]*')

# a "%" without the two hexadecimal digits that make an escape of it
BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


def parse_target(method: str, target: str) -> tuple[str, str, str]:
    """Return the host of a target, its path, decoded, and its query as it was sent (RFC 9112 3.2).

    "http://127.0.0.1/a%20b?x=%20" gives ("127.0.0.1", "/a b", "x=%20"). But mostly the host is
    only in the header Host: "/home" gives ("", "/home", "").
    """
    if method == "OPTIONS" and target == "*":  # it asks about the server as a whole
        return "", "*", ""
    host = ""
    absolute = ABSOLUTE_FORM.fullmatch(target)
    if absolute:
        host, target = absolute.groups()
        check_host(host)
        if not target.startswith("/"):  # "http://host?x=1"
            target = "/" + target
    require(ORIGIN_FORM.fullmatch(target) and not BAD_ESCAPE.search(target), 400, "Bad Target")
    path, _, query = target.partition("?")
    try:
        path = unquote(path, errors="strict")
        unquote(query, errors="strict")  # the result is not kept: it must only be possible
    except UnicodeDecodeError:
        raise Refusal(400, "Target Is Not UTF-8") from None
    return host, path, query


# field-line = field-name ":" OWS field-value OWS CRLF: "Host: 127.0.0.1:9999\r\n"
FIELD_LINE = re.compile(rf"({TOKEN}):([\t -~\x80-\xff]*)\r\n")
MAX_LINES = 100  # in a header section, with the empty line that ends it


def read_headers(stream: BinaryIO, limit: int) -> Message:
    """Return the headers up to the empty line, limit bytes at the most (RFC 9112 5).

    E-mails have headers of the same form, hence a Message. It is like a dictionary, but upper and
    lower case are the same to it, and it can hold several headers of one name, which get_all()
    returns as a list.
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
        # Only these two: strip() alone takes others, too, such as \xa0, which are no space for a
        # proxy. It would see another value than this server.
        headers[match[1]] = match[2].strip(" \t")
    raise Refusal(431, "Too Many Headers")


def list_members(headers: Message, name: str) -> list[str]:
    """Return the members of a header that is a list: "Close, TE" gives ["close", "te"]."""
    members = []
    for value in headers.get_all(name, []):  # two lines mean the same as one with a comma
        members += [member.strip(" \t").lower() for member in value.split(",")]
    return members


# uri-host [ ":" port ], with a name or an IPv4 address: "localhost", "127.0.0.1:9999"
NAME_AND_PORT = re.compile(r"[\w.~!$&'()*+;=%-]+(:[0-9]*)?", re.ASCII)

# the same with an IPv6 address: "[::1]:9999"
IPV6_AND_PORT = re.compile(r"\[([0-9A-Fa-f:.]+)\](:[0-9]*)?")


def check_host(host: str) -> None:
    """Refuse what is neither a host nor a host and a port (RFC 9110 7.2)."""
    if NAME_AND_PORT.fullmatch(host):
        require(not BAD_ESCAPE.search(host), 400, "Bad Host")
        return
    match = IPV6_AND_PORT.fullmatch(host)
    require(match, 400, "Bad Host")
    try:
        ipaddress.IPv6Address(match[1])
    except ValueError:
        raise Refusal(400, "Bad Host") from None


def check_host_header(headers: Message, version: str, host: str) -> None:
    """Refuse a request without one valid Host header, or with another host in its target.

    HTTP/1.0, the older version, may leave the header out (RFC 9112 3.2). Nothing else is done
    with the host: this server has one site, by whatever name it is called.
    """
    hosts = headers.get_all("Host", [])
    if not hosts and version == "HTTP/1.0":
        return
    require(len(hosts) == 1, 400, "Bad Host")
    check_host(hosts[0])
    require(host == "" or host.lower() == hosts[0].lower(), 400, "Bad Host")


# A client that does not know the length when it begins sends the body in chunks, each with its
# size in front, as a hexadecimal number. This is "hello world"; the chunk of size 0 ends it:
#
#     5\r\n
#     hello\r\n
#     6\r\n
#      world\r\n
#     0\r\n
#     \r\n
IN_CHUNKS = "in chunks"  # what body_length() returns then, instead of a number


def body_length(headers: Message, version: str) -> int | str:
    """Return how many bytes the body has, or IN_CHUNKS (RFC 9112 6.3)."""
    codings = list_members(headers, "Transfer-Encoding")
    lengths = headers.get_all("Content-Length", [])
    if codings:
        # Where it ends is clear only if "chunked" is the last word, there are no empty words
        # (", chunked") and no length besides. HTTP/1.0 has no chunks: a proxy that speaks it does
        # not know them.
        is_clear = codings[-1] == "chunked" and codings.count("chunked") == 1 and "" not in codings
        is_alone = not lengths and version != "HTTP/1.0"
        require(is_clear and is_alone, 400, "Body Length In Doubt")
        require(codings == ["chunked"], 501, "Unknown Transfer-Encoding")  # "gzip, chunked"
        return IN_CHUNKS
    if not lengths:
        return 0
    require(len(lengths) == 1 and re.fullmatch("[0-9]+", lengths[0]), 400, "Bad Content-Length")
    digits = lengths[0]
    # (18 digits are enough for any size; with thousands of digits, int() raises an error.)
    require(len(digits) <= 18, 413, "Body Too Large")
    require(int(digits) <= config.MAX_BODY, 413, "Body Too Large")
    return int(digits)


def read_body(stream: BinaryIO, length: int | str) -> bytes:
    """Return the body, which has this many bytes or is IN_CHUNKS."""
    if length == IN_CHUNKS:
        return read_chunks(stream)
    body = stream.read(length)
    require(len(body) == length, 400, "Body Cut Short")
    return body


# quoted-string (RFC 9110 5.6.4): '"any text, \"quotes\" too"'
QUOTED_STRING = r'"([\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'

# chunk-ext = ";" chunk-ext-name [ "=" chunk-ext-val ]: ";note=x". This server ignores it
EXTENSION = rf"[ \t]*;[ \t]*{TOKEN}([ \t]*=[ \t]*({TOKEN}|{QUOTED_STRING}))?"

# chunk-size *( chunk-ext ) CRLF: "1f\r\n" or "1f;note=x\r\n"
CHUNK_LINE = re.compile(rf"([0-9A-Fa-f]{{1,16}})({EXTENSION})*\r\n")
MAX_CHUNK_LINE = 256  # bytes: many times what any client is known to send


def read_chunks(stream: BinaryIO) -> bytes:
    """Return what the chunks of a body add up to (RFC 9112 7.1; the example is above)."""
    body = bytearray()
    while True:
        line = read_line(stream, MAX_CHUNK_LINE)
        match = CHUNK_LINE.fullmatch(line)
        require(match and len(line) <= MAX_CHUNK_LINE, 400, "Bad Chunk")
        size = int(match[1], 16)
        require(len(body) + size <= config.MAX_BODY, 413, "Body Too Large")
        if size == 0:
            break
        body += stream.read(size)
        require(stream.read(2) == b"\r\n", 400, "Bad Chunk")
    read_headers(stream, config.MAX_HEAD)  # up to the empty line; any that come here are ignored
    return bytes(body)
