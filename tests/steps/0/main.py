"""The server: it calls the handler for each request, and sends back the result.

`python main.py` starts it.
"""
import json
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import config
import routes  # its "@route" lines fill ROUTES
from router import ROUTES


def main():
    """Serve until somebody stops the program."""
    server = HTTPServer((config.HOST, config.PORT), SidhHTTP)
    print("server running...")
    server.serve_forever()
    server.server_close()
    print("server closed...")


class SidhHTTP(BaseHTTPRequestHandler):
    """A connection to one client, which carries one request.

    The base class reads the request into command, path and headers, and calls do_GET() or
    do_POST().
    """

    # ---- The answer to each method ----

    def do_GET(self):
        """Answer with what the handler for the path returns, or with 404."""
        if self.path in ROUTES:
            status, content_type, body = ROUTES[self.path](self)
            self.send_page(status, content_type, body)
        else:
            self.send_error(404, "Page Not Found")

    def do_POST(self):
        """Answer with the server's local time, whatever the path."""
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        self.send_page(200, "application/json", json.dumps({"time": date}).encode())

    # ---- Sending ----

    def send_page(self, status, content_type, body):
        """Send a response."""
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(body.encode() if isinstance(body, str) else body)


main()
