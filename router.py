"""The registry: @route("/about") puts the handler below it into ROUTES. Read next: routes.py."""
import re
from http.server import BaseHTTPRequestHandler
from typing import Callable, Dict, Optional, Tuple, Union

CONTRACT = "(status from 200 to 599, content type on one line, body of type str or bytes)"
Response = Tuple[int, str, Union[str, bytes]]
Handler = Callable[[BaseHTTPRequestHandler], Response]  # is called with the request
ROUTES: Dict[str, Handler] = {}


def route(path: str) -> Callable[[Handler], Handler]:
    """Return a decorator that registers a handler for this path; ValueError if it cannot."""
    if not isinstance(path, str) or not re.fullmatch("/[^?#]*", path, re.DOTALL):
        raise ValueError(f'a route starts with "/" and has no "?" or "#" in it, unlike {path!r}')

    def decorator(func: Handler) -> Handler:
        """Put func into ROUTES and give it back as it was."""
        if path in ROUTES:
            raise ValueError(f"{func.__name__}: {path!r} has the handler {ROUTES[path].__name__} already")
        ROUTES[path] = func
        return func
    return decorator


def prepare(response: object) -> Optional[Tuple[int, str, bytes]]:
    """Return a Response with its body as bytes (str as UTF-8), or None if it is no Response."""
    well_formed = isinstance(response, tuple) and len(response) == 3
    status, content_type, body = response if well_formed else (None, None, None)
    if not (isinstance(status, int) and 200 <= status <= 599 and isinstance(body, (str, bytes))
            and isinstance(content_type, str) and re.fullmatch("[ -~]+", content_type)):
        return None
    if isinstance(body, str) and re.match("text/(?!.*charset=)", content_type, re.IGNORECASE):
        content_type += "; charset=utf-8"
    return status, content_type, body.encode() if isinstance(body, str) else body
