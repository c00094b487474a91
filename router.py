"""Requests and responses: the contract with handlers, and how bytes become a Request.

When a browser opens http://127.0.0.1:9999/greet, it sends a request: a method (GET), a path, the
version of HTTP, headers (most are left out here), and an empty line:

    GET /greet HTTP/1.1
    Host: 127.0.0.1:9999

A handler is the function that answers it:

    @route("/greet")
    def greet(request):
        return 200, "text/plain", "Hello!"

It returns a status (200 is OK), a content type (what the body is) and a body. They become the
response:

    HTTP/1.1 200 OK
    Content-Type: text/plain; charset=utf-8
    Content-Length: 6

    Hello!

Read next: routes.py.
"""
import re
from email.message import Message  # email headers have the same form as those of a request
from reprlib import repr as short_repr  # shortens long values
from typing import BinaryIO, NamedTuple
from urllib.parse import unquote

import config

ROUTES = {}  # {"/": homepage}, filled when main.py imports routes.py


def route(path: str):
    """Return a decorator that registers a handler for a path.

    @route("/greet") above "def greet" means greet = route("/greet")(greet): route() returns
    decorator(), which puts greet into ROUTES and gives it back. Raises ValueError if the path is
    wrong or taken.
    """
    if not isinstance(path, str) or not re.fullmatch("/[^?#<>{}]*", path):
        raise ValueError(f'a route is an exact path such as "/home", not {path!r} '
                         "(exercise 3 adds path parameters)")

    def decorator(handler):
        if path in ROUTES:
            raise ValueError(f"{path!r} already has the handler {ROUTES[path]}")
        ROUTES[path] = handler
        return handler
    return decorator


class Request(NamedTuple):
    """What a handler gets: plain data, without access to the connection."""
    method: str  # "GET", or "HEAD", which asks for the same response without its body
    path: str  # decoded: "/a b" if the browser sent "/a%20b"
    query: str  # what came after the "?", as it was sent: "name=Ada", or ""
    version: str  # "HTTP/1.1"
    headers: Message  # like a dictionary: headers["User-Agent"] is text, or None if not sent
    body: bytes  # b"" if there was none, which is usual
    client_address: tuple[str, int]  # host and port: ("127.0.0.1", 50312)


class WrongResponse(Exception):
    """Says what is wrong with what a handler returned."""


# "text/html" or "text/html; charset=utf-8", but no line break: it would begin another header
MEDIA_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+ *(;[ -~]*)?", re.ASCII)


def check_response(response: object) -> tuple[int, str, bytes]:
    """Return a handler's response with its body as bytes, or raise WrongResponse."""
    if not isinstance(response, tuple) or len(response) != 3:
        raise WrongResponse(f"response is {short_repr(response)}, "
                            "not a tuple of three: (status, content type, body)")
    status, content_type, body = response
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise WrongResponse(f"status is {short_repr(status)}, not a number from 200 to 599")
    if not isinstance(content_type, str) or not MEDIA_TYPE.fullmatch(content_type):
        raise WrongResponse(f"content type is {short_repr(content_type)}, not like 'text/html'")
    if isinstance(body, str):
        body = body.encode()  # to UTF-8
        if content_type.startswith("text/"):
            content_type = content_type.split(";")[0] + "; charset=utf-8"
    if not isinstance(body, bytes):
        raise WrongResponse(f"body is {short_repr(body)}, not text (str) or bytes")
    return int(status), content_type, body  # int() turns HTTPStatus.NOT_FOUND into 404


def response_head(status: int, reason: str, headers: dict[str, object]) -> bytes:
    """Return the status line, the headers, and the empty line that ends them (RFC 9112 4)."""
    head = f"HTTP/1.1 {status} {reason}\r\n"
    for name, value in headers.items():
        head += f"{name}: {value}\r\n"
    return (head + "\r\n").encode("latin-1")


# ON A FIRST READING, STOP HERE and go on with routes.py.

# ---- Reading a request ----
#
#     POST /home HTTP/1.1        the first line: method, target and version
#     Host: 127.0.0.1:9999       the headers
#     Content-Length: 5
#                                an empty line: here the headers end
#     hello                      the body: 5 bytes, as a header said; most requests have none
#
# The next request follows at once, so it must be certain where this one ends. If a proxy in front
# of this server saw another end, a stranger could hide a request in a body: request smuggling.
# So a request whose end is in doubt is refused.
#
# Above each pattern is its rule in the grammar (RFC 9110, RFC 9112).


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
    """Return the next line with its line break, or raise EOFError or Refusal."""
    line = stream.readline(limit + 1)
    if line == b"":
        raise EOFError
    require(len(line) <= limit, 431, "Head Too Long")
    return line.decode("latin-1")  # a character for each byte


# token = 1*tchar (RFC 9110 5.6.2): a method, or the name of a header
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"

# request-line = method SP request-target SP HTTP-version CRLF: "GET /home?x=1 HTTP/1.1\r\n"
REQUEST_LINE = re.compile(rf"({TOKEN}) ([!-~]+) (HTTP/[1-9]\.[0-9])\r\n")


def read_request(first_line: str, rfile: BinaryIO, wfile: BinaryIO,
                 client_address: tuple[str, int]) -> Request:
    """Return the request that begins with this line, reading the rest, or raise Refusal."""
    match = REQUEST_LINE.fullmatch(first_line)
    require(match, 400, "Bad Request Line")
    method, target, version = match.groups()
    require(version.startswith("HTTP/1."), 505, "HTTP Version Not Supported")
    path, query = parse_target(method, target)
    headers = read_headers(rfile, config.MAX_HEAD - len(first_line))
    check_host(headers, version)
    in_chunks = is_chunked(headers, version)
    length = content_length(headers)
    if get_header(headers, "Expect") == "100-continue" and version != "HTTP/1.0":
        wfile.write(response_head(100, "Continue", {}))  # now the client sends the body
        wfile.flush()
    # A GET, too, may have a body: the next request follows it.
    body = read_chunks(rfile) if in_chunks else read_bytes(rfile, length)
    return Request(method, path, query, version, headers, body, client_address)


# uri-host [ ":" port ]: "localhost", "127.0.0.1:9999", "[::1]:9999"
URI_HOST = r"(?:[\w.~!$&'()*+;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]*)?"

# origin-form "/home?x=1", or absolute-form, which proxies get: "http://127.0.0.1:9999/home?x=1"
TARGET = re.compile(rf"(?:http://{URI_HOST})?(/[^?#]*)(?:\?([^#]*))?", re.IGNORECASE)


def parse_target(method: str, target: str) -> tuple[str, str]:
    """Return the path of a target, decoded, and its query as it was sent (RFC 9112 3.2).

    "/a%20b?x=%20" gives ("/a b", "x=%20").
    """
    if method == "OPTIONS" and target == "*":  # it asks about the server as a whole
        return "*", ""
    match = TARGET.fullmatch(target)
    require(match, 400, "Bad Target")
    path, query = match.groups(default="")
    return unquote(path), query


# field-line = field-name ":" OWS field-value OWS CRLF: "Host: 127.0.0.1:9999\r\n"
FIELD_LINE = re.compile(rf"({TOKEN}):([\t -~\x80-\xff]*)\r\n")
MAX_LINES = 100  # in a header section, counting the empty line at its end


def read_headers(stream: BinaryIO, limit: int) -> Message:
    """Return the headers up to the empty line, at most limit bytes (RFC 9112 5)."""
    headers = Message()  # like a dictionary, but it can hold several headers of one name
    for _ in range(MAX_LINES):
        line = read_line(stream, limit)
        limit -= len(line)
        if line == "\r\n":
            return headers
        match = FIELD_LINE.fullmatch(line)
        require(match, 400, "Bad Header")
        headers.add_header(match[1], match[2].strip(" \t"))
    raise Refusal(431, "Too Many Headers")


def get_header(headers: Message, name: str) -> str:
    """Return the value of a header in lower case, "" if there is none.

    Several headers of one name mean the same as one with commas (RFC 9110 5.3).
    """
    return ", ".join(headers.get_all(name, [])).lower()


def check_host(headers: Message, version: str) -> None:
    """Refuse a request without one valid Host header (RFC 9112 3.2). HTTP/1.0 needs none."""
    if "Host" in headers or version != "HTTP/1.0":
        require(re.fullmatch(URI_HOST, get_header(headers, "Host"), re.ASCII), 400, "Bad Host")


def is_chunked(headers: Message, version: str) -> bool:
    """Return whether the body comes in chunks (RFC 9112 6.3)."""
    if "Transfer-Encoding" not in headers:
        return False
    coding = get_header(headers, "Transfer-Encoding")
    require(coding == "chunked", 400, "Unknown Transfer-Encoding")
    # Not together with a length, and not from HTTP/1.0, which has no chunks.
    is_clear = "Content-Length" not in headers and version != "HTTP/1.0"
    require(is_clear, 400, "Body Length In Doubt")
    return True


def content_length(headers: Message) -> int:
    """Return how many bytes the body has, if it does not come in chunks (RFC 9112 6.3)."""
    if "Content-Length" not in headers:
        return 0
    length = get_header(headers, "Content-Length")
    require(re.fullmatch("[0-9]{1,18}", length), 400, "Bad Content-Length")
    require(int(length) <= config.MAX_BODY, 413, "Body Too Large")
    return int(length)


def read_bytes(stream: BinaryIO, length: int) -> bytes:
    """Return this number of bytes."""
    data = stream.read(length)
    require(len(data) == length, 400, "Body Cut Short")
    return data


# chunk-size [ chunk-ext ] CRLF: "1f\r\n" or "1f;name=value\r\n"
CHUNK_LINE = re.compile(r"([0-9A-Fa-f]+)(;[ -~]+)?\r\n")


def read_chunks(stream: BinaryIO) -> bytes:
    r"""Return a body that comes in chunks, each after a line with its size (RFC 9112 7.1).

    b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n" gives b"hello world".
    """
    body = bytearray()
    while True:
        match = CHUNK_LINE.fullmatch(read_line(stream, 256))
        require(match, 400, "Bad Chunk")
        size = int(match[1], 16)
        if size == 0:
            break
        require(len(body) + size <= config.MAX_BODY, 413, "Body Too Large")
        body += read_bytes(stream, size)
        require(stream.read(2) == b"\r\n", 400, "Bad Chunk")
    read_headers(stream, config.MAX_HEAD)  # headers may follow the body, too; they are ignored
    return bytes(body)
