"""The server: reads a request, finds its handler, sends the answer.

Importing routes fills ROUTES; nothing is listening until main() runs.
"""
import errno
import html
import json
import os
import signal
import socketserver
import sys
import time
import traceback
from difflib import get_close_matches
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import islice
from urllib.parse import quote

import config
import routes  # Its @route lines register the handlers.
from router import ROUTES, prepare
from utils import download_headers, find_download, request_path


class SidhHTTP(BaseHTTPRequestHandler):
    """One client's connection. A handler gets it as its request."""

    error_message_format = """<!DOCTYPE html><html lang="en"><title>%(code)s %(message)s</title>
<h1>%(code)s %(message)s</h1><p>%(explain)s</p></html>"""

    def do_GET(self):
        """Answer with what the handler of the path returns, or with a file."""
        path = request_path(self)
        if path in ROUTES:
            status, content_type, body = self.call(ROUTES[path])
            self.send(status, {"Content-Type": content_type}, body)
        elif path.startswith("/files/"):
            self.send_download(path[len("/files/"):])
        else:
            self.send_not_found(path)

    do_HEAD = do_GET  # send() leaves out the body

    def do_POST(self):
        """Answer with the local time, whatever the path."""
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        self.send(200, {"Content-Type": "application/json"}, json.dumps({"time": date}).encode())

    def call(self, handler):
        """Return the handler's response ready to send, or a 500 if the handler has a bug."""
        try:
            response = handler(self)
            ready = prepare(response)
            if ready:
                return ready
            self.log_error("%s returned %.200r instead of (status, content type, body): an int from "
                           "200 to 599, a str on one line, str or bytes", handler.__name__, response)
        except (Exception, SystemExit):
            traceback.print_exc()
        return 500, "text/plain", b"Internal Server Error"

    def send_download(self, name):
        """Send a file of FILE_DIR, or 404 if there is none of that name."""
        try:
            file = open(find_download(name) or "", "rb")
        except OSError:
            return self.send_not_found("/files/" + name)
        with file:
            self.send(200, download_headers(name), file)

    def send_not_found(self, path):
        """Send 404, and name the route that is close to the path, if one is."""
        # Comparing is slow and strangers choose the path: so not a long one, not with all routes.
        close = get_close_matches(path, islice(ROUTES, 100), 1, 0.7) if len(path) <= 64 else []
        self.send_error(404, "Page Not Found", f"Did you mean {close[0]}?" if close else "")

    def send_error(self, code, message=None, explain=""):
        """Send an error page, as the method of this name in the standard library does."""
        message = message or self.responses[code][0]
        texts = {"code": code, "message": html.escape(message), "explain": html.escape(explain)}
        page = (self.error_message_format % texts).encode()
        self.send(code, {"Content-Type": "text/html; charset=utf-8"}, page, reason=message)

    def send(self, status, headers, body, reason=None):
        """Send a whole answer, whose body is bytes or an open file. All bytes leave here."""
        length = len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size
        self.send_response(status, reason)
        for name, value in {**headers, "Content-Length": length}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD" and isinstance(body, bytes):
            self.wfile.write(body)
        elif self.command != "HEAD" and length:
            self.connection.sendfile(body, count=length)


class Server(ThreadingHTTPServer):
    """Listens, and gives each connection a thread, so that none waits for another."""

    allow_reuse_address = os.name == "posix"  # On Windows, two servers would share the port.

    def server_bind(self):
        """Bind as HTTPServer does, less its reverse DNS look-up, which may take a minute."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request, client_address):
        """Print what broke in one line, unless a client merely went away (OSError)."""
        if not isinstance(sys.exc_info()[1], OSError):
            print(f"connection dropped: {sys.exc_info()[1]!r}", file=sys.stderr)


def listen(host, port):
    """Return the listening server, or leave with one sentence on what to change."""
    if not isinstance(port, int) or not 0 <= port <= 65535:
        sys.exit(f"cannot start: port {port!r} is not a number from 0 to 65535; correct MINI_PORT")
    try:
        return Server((host, port), SidhHTTP)
    except (OSError, UnicodeError) as error:
        sys.exit("cannot start: " + {
            errno.EADDRINUSE: f"port {port} is taken by another program; stop it or change MINI_PORT",
            errno.EACCES: f"port {port} needs rights you lack; set MINI_PORT to 1024 or more",
            errno.EADDRNOTAVAIL: f"{host} is not this machine's address; set MINI_HOST to one that is",
        }.get(getattr(error, "errno", 0), f"host {host!r} is unknown ({error}); correct MINI_HOST"))


def main():
    """Serve until Ctrl+C or SIGTERM."""
    server = listen(config.HOST, config.PORT)
    host, port = server.server_address[:2]
    try:
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl+C does
        host = "127.0.0.1" if host == "0.0.0.0" else host
        print(f"server running on http://{host}:{port} (Ctrl+C stops it)")
        print("routes:", *map(quote, ROUTES), flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    server.server_close()
    print("server closed...")


if __name__ == "__main__":
    main()
