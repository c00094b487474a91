"""The same handlers under a real server. In the project's folder, one of:

    gunicorn --threads 8 tests.wsgi:application
    waitress-serve --listen=127.0.0.1:8000 tests.wsgi:application

Such a server calls application() with a dictionary that describes a request. Status and headers of
the response go to start_response(), and the body is what application() returns: WSGI (PEP 3333).
"""
import io
from email.message import Message
from wsgiref.util import FileWrapper

import config
import main
from router import Request, content_length, read_bytes, require


def application(environ, start_response):
    """Answer one request."""
    exchange = Exchange(environ)
    exchange.answer_request()
    start_response(exchange.status, exchange.headers)
    if exchange.file:  # the server reads it in pieces, and closes it
        return environ.get("wsgi.file_wrapper", FileWrapper)(exchange.file)
    return [exchange.wfile.getvalue()]


class Exchange(main.SidhHTTP):
    """A SidhHTTP without a connection: it reads the dictionary, and keeps what it would send."""

    def __init__(self, environ):  # not the base class's, which serves a connection
        self.environ = environ
        self.first_line = environ["REQUEST_METHOD"] + " "  # for is_head()
        self.wfile = io.BytesIO()  # keeps the body
        self.connection = self  # so that send_file() calls the sendfile() below
        self.file = None

    def next_request(self):
        """Return the Request, or raise Refusal."""
        environ, headers = self.environ, Message()
        for name, value in environ.items():  # HTTP_USER_AGENT becomes User-Agent
            if name.startswith("HTTP_") or value and name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
                headers[name.removeprefix("HTTP_").replace("_", "-").title()] = value
        path = environ["PATH_INFO"].encode("latin-1").decode(errors="replace")
        client = environ.get("REMOTE_ADDR", ""), int(environ.get("REMOTE_PORT") or 0)
        return Request(environ["REQUEST_METHOD"], path, environ.get("QUERY_STRING", ""),
                       environ["SERVER_PROTOCOL"], headers, self.read_body(headers), client)

    def read_body(self, headers):
        """Return the body, or raise Refusal."""
        stream = self.environ["wsgi.input"]
        if "Content-Length" in headers or not self.environ.get("wsgi.input_terminated"):
            return read_bytes(stream, content_length(headers))  # 0 bytes without the header
        body = stream.read(config.MAX_BODY + 1)  # in chunks, which the server joins
        require(len(body) <= config.MAX_BODY, 413, "Body Too Large")
        return body

    def send_head(self, status, headers, length=0, reason=None):
        """Keep the status and the headers; the server adds its own, such as Date."""
        if status in (204, 304):
            headers.pop("Content-Type", None)  # WSGI forbids it where there is no body
        else:
            headers["Content-Length"] = length
        self.status = f"{status} {reason or self.responses.get(status, ('',))[0]}"
        self.headers = [(name, str(value)) for name, value in headers.items()]

    def sendfile(self, file, offset, length):
        """Open the file once more, for the server: send_file() closes its own."""
        self.file = open(file.name, "rb")
        return length
