"""Requests and responses: the contract with handlers.

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

    HTTP/1.0 200 OK
    Content-Type: text/plain

    Hello!

Read next: routes.py.
"""

ROUTES = {}  # {"/": homepage}, filled when main.py imports routes.py


def route(path: str):
    """Return a decorator that registers a handler for a path.

    @route("/greet") above "def greet" means greet = route("/greet")(greet): route() returns
    decorator(), which puts greet into ROUTES and gives it back.
    """
    def decorator(handler):
        ROUTES[path] = handler
        return handler
    return decorator
