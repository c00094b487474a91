"""The contract with handlers: their paths, what they get, and what they return.

When a browser opens http://127.0.0.1:9999/greet, it sends a request, which is text: a method
(GET), a path, the version of HTTP, headers (most are left out here), and an empty line:

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
from typing import NamedTuple

ROUTES = {}  # {"/": homepage}, filled when main.py imports routes.py


def route(path: str):
    """Return a decorator that registers a handler for a path.

    The line @route("/greet") above "def greet" means greet = route("/greet")(greet): route()
    returns decorator(), which gets greet, puts it into ROUTES and gives it back.
    Raises ValueError if the path is wrong or taken.
    """
    if not isinstance(path, str) or not re.fullmatch("/[^?#]*", path):
        raise ValueError(f'write a route as @route("/path"), without "?" and "#", not {path!r}')

    def decorator(handler):
        if path in ROUTES:
            first = name_of(ROUTES[path])
            raise ValueError(f"{name_of(handler)}: {path!r} already has the handler {first}")
        ROUTES[path] = handler
        return handler
    return decorator


def name_of(handler) -> str:
    return getattr(handler, "__name__", repr(handler))


class Request(NamedTuple):
    """What a handler gets. It is plain data: only main.py can reach the client."""
    method: str  # "GET", or "HEAD", which asks for the same response without its body
    path: str  # decoded: "/a b" if the browser sent "/a%20b"
    query: str  # what came after the "?", as it was sent: "name=Ada", or ""
    headers: Message  # like a dictionary: headers["User-Agent"] is text, or None if not sent
    body: bytes  # b"" if there was none, which is usual
    client_address: tuple[str, int]  # host and port: ("127.0.0.1", 50312)


class WrongResponse(Exception):
    """Says what is wrong with what a handler returned."""


# "text/html" or "text/html; charset=utf-8" (RFC 9110 8.3.1), but no line break: it would begin
# another header
MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+ *(;[ -~]*)?", re.ASCII)


def check_response(response: object) -> tuple[int, str, bytes]:
    """Return a handler's response ready to send, or raise WrongResponse."""
    if not isinstance(response, tuple):
        raise WrongResponse(f"response is {response!r:.100}, "
                            "not a tuple (status, content type, body)")
    if len(response) != 3:
        raise WrongResponse(f"response has {len(response)} items, "
                            "not the three (status, content type, body)")
    status, content_type, body = response
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise WrongResponse(f"status is {status!r:.100}, not a number from 200 to 599")
    if not isinstance(content_type, str) or not MEDIA_TYPE.fullmatch(content_type):
        raise WrongResponse(f"content type is {content_type!r:.100}, "
                            "not text of the form 'text/html'")
    if isinstance(body, str):
        content_type = with_charset(content_type)
        body = body.encode()  # to UTF-8
    if not isinstance(body, bytes):
        raise WrongResponse(f"body is {body!r:.100}, not text (str) or bytes")
    return int(status), content_type, body  # int() turns HTTPStatus.NOT_FOUND into 404


# "; charset=utf-8" gives "utf-8"
CHARSET = re.compile(r'; *charset *= *"?([^ ;"]*)', re.IGNORECASE)


def with_charset(content_type: str) -> str:
    """Return the content type for UTF-8 text; raise WrongResponse if it names another charset."""
    match = CHARSET.search(content_type)
    if match and match[1].lower() not in ("utf-8", "utf8"):
        raise WrongResponse(f"content type is {content_type!r:.100}, but text is sent as "
                            "UTF-8: for another charset, return bytes")
    if content_type.lower().startswith("text/") and not match:
        content_type += "; charset=utf-8"
    return content_type
