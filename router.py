"""The agreement with handlers: which path has which, what they get, and what they return.

    @route("/greet")
    def greet(request):
        return 200, "text/plain", "Hello!"

The "@" line does what another line would do below the function:

    greet = route("/greet")(greet)

That is two calls. route("/greet") returns a function, which is named decorator below. Then
decorator(greet) puts greet into ROUTES, and returns it as it was. When somebody asks for /greet,
main.py finds greet there, calls it with a Request, and sends what it returns. Read next:
routes.py.
"""
import re
from email.message import Message  # (e-mails have headers of the same form as requests)
from typing import NamedTuple


class Request(NamedTuple):
    """What a handler gets: what the client asked for, and no way to reach the client.

    The connection stays with main.py: a handler cannot send anything itself, and cannot add
    headers. It has one way to answer, which is to return (status, content type, body).
    (A NamedTuple is a tuple whose items have names, so this one has request.path.)
    """
    method: str  # "GET" or "HEAD"
    path: str  # decoded: "/a b" if the browser sent "/a%20b"; @route needs "/a b", too
    query: str  # what came after the "?", as it was sent: "name=Ada", or ""
    headers: Message  # like a dictionary: headers["User-Agent"] is text, or None if not sent
    body: bytes  # b"" if there was none, which is usual
    client_address: tuple[str, int]  # host and port: ("127.0.0.1", 50312)


# {"/greet": greet}; the "@route" lines of routes.py fill it when main.py imports that file
ROUTES = {}


def route(path: str):
    """Return a decorator that registers a handler; ValueError if the path is wrong or taken."""
    # (If somebody forgets the parentheses of "@route", path is the function below it, not text.)
    if not isinstance(path, str) or not re.fullmatch("/[^?#]*", path):
        raise ValueError(f'a route starts with "/" and has no "?" or "#" in it, unlike {path!r}')

    def decorator(handler):
        """Put the handler into ROUTES, and give it back."""
        # (path is the one that route() got: a function remembers the names around it.)
        if path in ROUTES:
            first = name_of(ROUTES[path])
            raise ValueError(f"{name_of(handler)}: {path!r} has the handler {first} already")
        ROUTES[path] = handler
        return handler
    return decorator


def name_of(handler) -> str:
    """Return what to call a handler in a message."""
    return getattr(handler, "__name__", repr(handler))  # not every callable has a name


# ---- What a handler returns ----


class WrongResponse(Exception):
    """Says what is wrong with what a handler returned."""


def check_response(response: object) -> tuple[int, str, bytes]:
    """Return what a handler returned, ready to send; WrongResponse if it cannot be sent."""
    if not isinstance(response, tuple):
        raise WrongResponse(f"response is {shown(response)}, "
                            "not a tuple (status, content type, body)")
    if len(response) != 3:
        raise WrongResponse(f"response has {len(response)} items, "
                            "not the three (status, content type, body)")
    status, content_type, body = response
    if not isinstance(status, int) or not 200 <= status <= 599:
        raise WrongResponse(f"status is {shown(status)}, not a number from 200 to 599")
    if not isinstance(content_type, str) or not MEDIA_TYPE.fullmatch(content_type):
        raise WrongResponse(f"content type is {shown(content_type)}, "
                            "not text of the form 'text/html'")
    if isinstance(body, str):
        content_type = with_charset(content_type)
        body = body.encode()  # the bytes of the text in UTF-8
    if not isinstance(body, bytes):
        raise WrongResponse(f"body is {shown(body)}, not text (str) or bytes")
    # (HTTPStatus.NOT_FOUND, of the standard library, is an int too; int() makes 404 of it.)
    return int(status), content_type, body


# media-type = type "/" subtype, then parameters: "text/html; charset=utf-8". "[ -~]" is any
# character of ASCII from the space to "~". A line break is none of them: it would begin another
# header. (The form is from RFC 9110 8.3.1; an RFC is a standard of the internet.)
MEDIA_TYPE = re.compile(r"[\w!#$&^.+-]+/[\w!#$&^.+-]+ *(;[ -~]*)?", re.ASCII)

# the parameter that says how text became bytes: "; charset=utf-8" gives "utf-8"
CHARSET = re.compile(r'; *charset *= *"?([^ ;"]*)', re.IGNORECASE)


def with_charset(content_type: str) -> str:
    """Return the content type for UTF-8 text; WrongResponse if it names another charset."""
    match = CHARSET.search(content_type)
    if match and match[1].lower() not in ("utf-8", "utf8"):
        raise WrongResponse(f"content type is {shown(content_type)}, but text is sent as "
                            "UTF-8: for another charset, return bytes")
    if content_type.lower().startswith("text/") and not match:
        content_type += "; charset=utf-8"
    return content_type


def shown(value: object) -> str:
    """Return a value as it would stand in code, cut to 100 characters, for a message."""
    return repr(value)[:100]
