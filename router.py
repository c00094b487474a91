"""The agreement with handlers: what they get, what they return, which path belongs to which.

    @route("/greet")
    def greet(request):
        return 200, "text/plain", "Hello!"

`@route("/greet")` puts greet into ROUTES; main.py finds it there, calls it with a Request and
sends the Response that it returns. Read next: routes.py.
"""
import re
from collections.abc import Callable
from email.message import Message
from typing import NamedTuple


class Request(NamedTuple):
    """What a handler gets: what the client asked for, and nothing that answers the client.

    The connection stays with main.py. So a handler cannot send anything itself, read on or
    close; it has one way to answer, which is to return a Response.
    """
    method: str  # "GET" or "HEAD"
    path: str  # decoded, exactly as in @route: "/greet"
    query: str  # what came after the "?", as it was sent: "name=Ada", or ""
    headers: Message  # headers["User-Agent"], or headers["user-agent"]; None if not sent
    body: bytes  # b"" if there was none, which is usual
    client_address: tuple[str, int]  # host and port: ("127.0.0.1", 50312)


# Status, content type, body. (The quotes: Python 3.9 cannot evaluate str | bytes.)
Response = tuple[int, str, "str | bytes"]
Handler = Callable[[Request], Response]

ROUTES: dict[str, Handler] = {}  # {"/greet": greet}

# A path ends at "?" or "#"; \ud800-\udfff are surrogates, which UTF-8 cannot encode
ROUTE_PATH = re.compile("/[^?#\ud800-\udfff]*")


def route(path: str) -> Callable[[Handler], Handler]:
    """Return a decorator that registers a handler; ValueError if the path is wrong or taken."""
    if not isinstance(path, str) or not ROUTE_PATH.fullmatch(path):
        raise ValueError(f'a route starts with "/" and has no "?" or "#" in it, unlike {path!r}')

    def decorator(handler: Handler) -> Handler:
        """Put the handler into ROUTES and give it back as it was."""
        if path in ROUTES:
            first = name_of(ROUTES[path])
            raise ValueError(f"{name_of(handler)}: {path!r} has the handler {first} already")
        ROUTES[path] = handler
        return handler
    return decorator


def name_of(handler: Handler) -> str:
    """Return what to call a handler in a message: not every callable has a name of its own."""
    return getattr(handler, "__name__", None) or repr(handler)


class WrongResponse(Exception):
    """Says what is wrong with what a handler returned."""


def shown(value: object) -> str:
    """Return a value as it would stand in code, cut to 100 characters, for a message."""
    return f"{value!r:.100}"


# media-type = type "/" subtype, then parameters (RFC 9110 8.3.1): "text/html; charset=utf-8".
# A line break is in none of its characters: it would begin a new header.
MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+ *(;[ -~]*)?", re.ASCII)


def check_response(response: object) -> tuple[int, str, bytes]:
    """Return a response ready to send, its text as UTF-8; WrongResponse if it cannot be sent."""
    if not isinstance(response, tuple):
        raise WrongResponse(f"response is {shown(response)}, "
                            "not a tuple (status, content type, body)")
    if len(response) != 3:
        raise WrongResponse(f"response has {len(response)} items, "
                            "not the three (status, content type, body)")
    status, content_type, body = response
    # int.__index__(x) and str.__str__(x) give the real value, whatever a subclass says of itself.
    if not isinstance(status, int) or not 200 <= int.__index__(status) <= 599:
        raise WrongResponse(f"status is {shown(status)}, not a number from 200 to 599")
    if not isinstance(content_type, str) or not MEDIA_TYPE.fullmatch(content_type):
        raise WrongResponse(f"content type is {shown(content_type)}, "
                            "not text of the form 'text/html'")
    content_type = str.__str__(content_type)
    if isinstance(body, str):
        content_type = with_charset(content_type)
        body = as_utf8(body)
    if not isinstance(body, bytes):
        raise WrongResponse(f"body is {shown(body)}, not text (str) or bytes")
    return int.__index__(status), content_type, b"".join([body])


# The parameter that says how text became bytes: "; charset=utf-8" gives "utf-8"
CHARSET = re.compile(r'; *charset *= *"?([^ ;"]*)', re.IGNORECASE)


def with_charset(content_type: str) -> str:
    """Return the content type for UTF-8 text; WrongResponse if it names another charset."""
    charsets = CHARSET.findall(content_type)
    for charset in charsets:
        if charset.lower() not in ("utf-8", "utf8"):
            raise WrongResponse(f"content type is {shown(content_type)}, but text is sent as "
                                "UTF-8: for another charset, return bytes")
    if content_type.lower().startswith("text/") and not charsets:
        content_type += "; charset=utf-8"
    return content_type


def as_utf8(body: str) -> bytes:
    """Return text as bytes; WrongResponse if a surrogate is in it."""
    try:
        return str.encode(body, "utf-8")
    except UnicodeEncodeError as error:
        raise WrongResponse(f"body is not text that UTF-8 can hold: {error.reason}") from None
