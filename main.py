"""The server: it reads requests, calls the handler for each, and sends back the result.

`python main.py` starts it. On the way from a request to its response:

1. Server accepts a connection and starts a thread for it, with a SidhHTTP in it.
2. next_request() waits for a request, and turns its bytes into a Request.
3. For a GET, do_GET() looks up the handler for the path in ROUTES.
4. call_handler() calls the handler with the Request and checks what it returns.
5. send_page() sends that. The connection stays open, and handle() goes on with step 2.
"""
import json
import os
import signal
import socket
import sys
import time
import traceback
from difflib import get_close_matches
from html import escape
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from urllib.parse import quote

import config
import routes  # its "@route" lines fill ROUTES
from router import (ROUTES, Refusal, WrongResponse, check_response, get_header, read_line,
                    read_request, response_head)
from utils import Html, download_headers, find_file, render_error, say, welcome


def main():
    """Serve until Ctrl+C or kill."""
    try:
        server = Server((config.HOST, int(config.PORT)), SidhHTTP)
    except (OSError, ValueError, OverflowError, TypeError) as error:
        sys.exit(f"cannot listen on {config.HOST}, port {config.PORT}: {error}\n"
                 "To change them, set MINI_HOST and MINI_PORT, or edit config.py.")
    try:
        print(welcome(*server.server_address[:2]), flush=True)
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    server.server_close()
    print("server closed...")


class Server(ThreadingTCPServer):
    """Listens, and gives each connection its own thread and SidhHTTP: none waits for another.

    http.server's own ThreadingHTTPServer would ask DNS for a name first, which can be slow.
    """

    address_family = socket.AF_INET6 if ":" in config.HOST else socket.AF_INET
    allow_reuse_address = os.name == "posix"  # without this, a restart may fail for a minute
    daemon_threads = True  # they do not stop the program from exiting
    request_queue_size = 512  # connections that may wait to be accepted

    def get_request(self):
        """Accept a connection, or raise OSError after a pause: too many files may be open."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(0.1)  # or serve_forever() would try again at once, and keep a core busy
            raise

    def handle_error(self, connection, client_address):
        """Show the error that ended a connection, unless the client left or fell silent."""
        error = sys.exc_info()[1]
        # An OSError without the name of a file is about the connection.
        is_broken = isinstance(error, OSError) and error.filename is None
        if not is_broken and not isinstance(error, EOFError):
            say(traceback.format_exc().rstrip())


class SidhHTTP(BaseHTTPRequestHandler):
    """A connection to one client, which can carry several requests.

    The base class calls setup(), handle() and finish(). rfile and wfile are files to read from the
    client and write to it.
    """

    timeout = config.TIMEOUT  # after this many seconds, reading and writing raise OSError
    wbufsize = 64 * 1024  # wfile collects this many bytes, or until flush(), before it sends them
    disable_nagle_algorithm = True  # and then the system sends them without delay

    def handle(self):
        """Answer one request after another, until one side ends the connection.

        A client that has left or fallen silent ends it by an error: see Server.handle_error().
        """
        self.close_connection = False
        while not self.close_connection:
            self.answer_request()

    def answer_request(self):
        """Answer the next request, or refuse it."""
        try:
            request = self.next_request()
        except Refusal as refusal:
            self.close_connection = True  # who knows where the next request begins?
            self.send_error(refusal.status, refusal.reason)
            return
        do_method = getattr(self, "do_" + request.method, self.do_unknown)  # such as do_GET
        do_method(request)

    def next_request(self):
        """Return the next Request, or raise Refusal, EOFError or OSError."""
        self.first_line = ""
        line = read_line(self.rfile, config.MAX_HEAD)  # waits for the client
        if line == "\r\n":  # an empty line before a request is ignored (RFC 9112 2.2)
            line = read_line(self.rfile, config.MAX_HEAD)
        self.first_line = line[:200].rstrip("\r\n")  # for the log, and for is_head()
        request = read_request(line, self.rfile, self.wfile, self.client_address[:2])
        asks_to_close = "close" in get_header(request.headers, "Connection")
        self.close_connection = asks_to_close or request.version == "HTTP/1.0"
        return request

    # ---- The answer to each method ----

    def do_GET(self, request):
        """Answer with what the handler for the path returns, with a file, or with 404."""
        if request.path in ROUTES:
            self.call_handler(ROUTES[request.path], request)
        elif request.path.startswith("/files/"):
            self.send_file(request.path)
        else:
            self.send_not_found(request.path)

    do_HEAD = do_GET  # send_page() and send_file() leave out the body

    def do_POST(self, request):
        """Answer with the server's local time, whatever the path."""
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        self.send_page(200, "application/json", json.dumps({"time": date}).encode())

    def do_OPTIONS(self, request):
        """Answer with the methods that this server knows (RFC 9110 9.3.7)."""
        self.send_head(204, {"Allow": "GET, HEAD, POST, OPTIONS"})
        self.wfile.flush()

    def do_unknown(self, request):
        """Answer any other method with 501."""
        self.send_error(501, "Unsupported Method")

    def call_handler(self, handler, request):
        """Send what the handler returns, or a 500 if it raises or returns what cannot be sent."""
        try:
            status, content_type, body = check_response(handler(request))
        except WrongResponse as error:
            self.send_bug(f"{getattr(handler, '__name__', handler)}: {error}")
        except BaseException:  # even exit() ends only this request
            self.send_bug(traceback.format_exc().rstrip())
        else:  # not within "try": if the client has gone, that is not the handler's fault
            self.send_page(status, content_type, body)

    # ---- Sending ----

    def send_page(self, status, content_type, body, reason=None):
        """Send a response whose body is bytes."""
        if status in (204, 205, 304):  # No Content, Reset Content, Not Modified: never a body
            body = b""
        self.send_head(status, {"Content-Type": content_type}, len(body), reason)
        if not self.is_head():
            self.wfile.write(body)
        self.wfile.flush()

    def send_head(self, status, headers, length=0, reason=None):
        """Send the status line and the headers; length is the size of the body in bytes."""
        reason = reason or self.responses.get(status, ("",))[0]  # "Not Found" for 404
        headers = {"Server": "SidhHTTP/1.0", "Date": self.date_time_string(), **headers}
        if status not in (204, 304):  # these have no length
            headers["Content-Length"] = length
        if self.close_connection:
            headers["Connection"] = "close"
        self.wfile.write(response_head(status, reason, headers))
        when = self.log_date_time_string()
        say(f'{self.client_address[0]} - - [{when}] "{self.first_line}" {status} {reason}')

    def is_head(self):
        """Return whether the request is a HEAD."""
        return self.first_line.startswith("HEAD ")

    def send_file(self, path):
        """Send the file of FILE_DIR that is at "/files/a.txt" or "/files/sub/a.txt", or 404."""
        file_path = find_file(config.FILE_DIR, path[len("/files/"):])
        if file_path is None:
            self.send_not_found(path)
            return
        try:
            file = open(file_path, "rb")
        except OSError as error:  # locked by another program, or too many files are open
            say(str(error))
            self.send_error(503)
            return
        with file:
            length = os.fstat(file.fileno()).st_size
            self.send_head(200, download_headers(os.path.basename(path)), length)
            self.wfile.flush()  # sendfile() bypasses wfile
            if not self.is_head() and length > 0:  # sendfile() refuses 0
                sent = self.connection.sendfile(file, 0, length)  # without loading all of it
                if sent < length:  # the file has shrunk, and the client waits for the rest
                    self.close_connection = True

    # ---- Errors ----

    def send_not_found(self, path):
        """Send a 404, with a link to the most similar route if there is one."""
        text = "There is no page at this address."
        similar = get_close_matches(path[:64], ROUTES, n=1, cutoff=0.7)
        if similar:
            link = f'<a href="{quote(similar[0])}">{escape(similar[0])}</a>'
            text = Html(f"{text} Did you mean {link}?")
        self.send_error(404, "Page Not Found", text)

    def send_bug(self, report):
        """Say on the console what is wrong with a handler, and send a 500."""
        say(report)
        self.send_error(500, text="This page has a bug: see the server's console.")

    def send_error(self, status, reason=None, text=None):
        """Send an error page; the base class has a reason and a text for each status."""
        usual_reason, usual_text = self.responses[status]
        page = render_error(f"{status} {reason or usual_reason}", text or usual_text)
        self.send_page(status, "text/html; charset=utf-8", page.encode(), reason)

    # ---- Called by the base class ----

    def setup(self):
        """Set up the connection, with little waiting to be sent."""
        super().setup()
        # Linux would buffer 4 MiB, and a slow client would need more than TIMEOUT to make room.
        if hasattr(socket, "TCP_NOTSENT_LOWAT"):
            self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, 128 * 1024)

    def finish(self):
        """End the connection, once the client has had time to read the last response.

        Closing with unread input discards what the client has not received yet (RFC 9112 9.6).
        """
        deadline = time.monotonic() + self.timeout
        try:
            self.connection.settimeout(1)
            super().finish()  # sends what wfile still holds
            self.connection.shutdown(socket.SHUT_WR)  # tells the client that nothing more comes
            while self.connection.recv(65536) and time.monotonic() < deadline:
                pass
        except OSError:  # the client has gone, or is silent
            pass


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # kill does what Ctrl+C does
    main()
