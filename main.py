"""The server: it reads a request, calls the handler for its path, and sends back the result.

Read this last; `python main.py` starts it. On the way from a request to its response:

1. Server accepts a connection and starts a thread for it, with a SidhHTTP in it.
2. handle_one_request() calls read_request(), which reads bytes and turns them into a Request.
3. For a GET, it then calls do_GET(), which looks up the handler for the path in ROUTES.
4. call_handler() calls the handler with the Request and checks what it returns.
5. send_page() sends that. The connection stays open for the next request: step 2 again.
"""
import atexit
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
import routes  # noqa: F401 (its "@route" lines fill ROUTES)
import utils
from router import ROUTES, Request, WrongResponse, check_response, name_of
from utils import Html, Refusal, require, say

EXPLANATIONS = {
    400: "This server does not understand the request, so it did nothing.",
    404: "There is no page at this address.",
    500: "This page has a bug: see the server's console.",
    503: "The server cannot do this at the moment: try again later.",
}


class SidhHTTP(BaseHTTPRequestHandler):
    """A connection to one client, which can carry several requests.

    BaseHTTPRequestHandler provides rfile and wfile, to read from the client and write to it;
    send_response(), send_header() and end_headers(), which write the head of a response; and
    responses, with the name and a sentence for each status.
    """

    timeout = config.TIMEOUT  # after this many seconds, reading and writing raise OSError
    is_head = False  # whether the request is a HEAD, which gets no body

    def handle_one_request(self):
        """Read and answer one request.

        http.server calls this until close_connection is true, or until a silent client or a
        broken connection raises OSError; then it closes the connection.
        """
        try:
            self.current_request = self.read_request()
        except Refusal as refusal:
            self.close_connection = True  # who knows where the next request begins?
            self.send_error(refusal.status, refusal.reason)
            return
        if self.current_request is None:
            self.close_connection = True
            return
        do_method = getattr(self, "do_" + self.current_request.method)  # such as do_GET
        do_method()

    # ---- The answer to each method ----

    def do_GET(self):
        """Answer with what the handler for the path returns, with a file, or with 404."""
        path = self.current_request.path
        if path in ROUTES:
            self.call_handler(ROUTES[path])
        elif path.startswith("/files/"):
            self.send_download(path[len("/files/"):])
        else:
            self.send_not_found()

    def do_HEAD(self):
        """Answer as do_GET() does; send_page() and send_file() leave out the body."""
        self.do_GET()

    def do_POST(self):
        """Answer with the server's local time, whatever the path."""
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        body = json.dumps({"time": date}).encode()
        self.send_page(200, {"Content-Type": "application/json"}, body)

    def do_OPTIONS(self):
        """Answer with the methods that this server knows (RFC 9110 9.3.7)."""
        self.send_page(204, {"Allow": "GET, HEAD, POST, OPTIONS"}, b"")

    def call_handler(self, handler):
        """Send what the handler returns, or a 500 if it raises or returns what cannot be sent."""
        try:
            status, content_type, body = check_response(handler(self.current_request))
        except WrongResponse as error:
            self.log_error("%s: %s", name_of(handler), error)
            self.send_error(500)
        except BaseException:  # noqa: BLE001 (even exit() ends only this request)
            say(traceback.format_exc().rstrip())
            self.send_error(500)
        else:  # not within "try": if the client has gone, that is not the handler's fault
            self.send_page(status, {"Content-Type": content_type}, body)

    def send_download(self, name):
        """Send the file of FILE_DIR that has this name ("sub/a.txt", too), or 404."""
        file_path = utils.find_file(config.FILE_DIR, name)
        if file_path is None:
            self.send_not_found()
            return
        try:
            file = open(file_path, "rb")
        except OSError as error:  # locked or deleted just now, or too many files are open
            self.log_error("%s", error)
            self.send_error(503)
            return
        with file:
            self.send_file(utils.download_headers(os.path.basename(name)), file)

    # ---- Errors ----

    def send_not_found(self):
        """Send a 404, with a link to the most similar route if there is one."""
        explanation = EXPLANATIONS[404]
        path = self.current_request.path
        if len(path) <= 64:  # comparing long texts is slow, and so is comparing many
            matches = get_close_matches(path, list(ROUTES)[:100], cutoff=0.7)
            if matches:
                link = f'<a href="{quote(matches[0])}">{escape(matches[0])}</a>'
                explanation = Html(f"{explanation} Did you mean {link}?")
        self.send_error(404, "Page Not Found", explanation)

    def send_error(self, code, message=None, explain=None):
        """Send an error page.

        As in http.server, message is the name of the status, and explain a sentence about it,
        which is escaped unless it is Html. Both have defaults.
        """
        default_message, default_explain = self.responses[code]
        message = message or default_message
        explain = explain or EXPLANATIONS.get(code, default_explain)
        page = utils.render_error(f"{code} {message}", explain)
        headers = {"Content-Type": "text/html; charset=utf-8"}
        self.send_page(code, headers, page.encode(), message)

    # ---- Sending ----

    def send_page(self, status, headers, body, reason=None):
        """Send a response whose body is bytes: everything except downloads goes through here."""
        if status in (204, 205, 304):  # No Content, Reset Content, Not Modified: never a body
            body = b""
        self.send_head(status, headers, len(body), reason)
        if not self.is_head:
            self.wfile.write(body)
        self.wfile.flush()

    def send_file(self, headers, file):
        """Send an open file without loading it all into memory."""
        length = os.fstat(file.fileno()).st_size
        self.send_head(200, headers, length)
        self.wfile.flush()  # sendfile() bypasses wfile
        if not self.is_head and length > 0:  # sendfile() refuses 0
            sent = self.connection.sendfile(file, 0, length)
            if sent < length:  # the file has shrunk, and the client waits for the rest
                self.close_connection = True

    def send_head(self, status, headers, length, reason=None):
        """Send the status line and the headers; length is the size of the body in bytes."""
        self.send_response(status, reason)  # adds Server and Date, and logs a line
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):  # these have none (RFC 9110 8.6)
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()

    # ON A FIRST READING, STOP HERE and go on with Server.

    # ---- Reading a request ----

    def read_request(self):
        """Return the next Request, None if the client sends no more; raise Refusal if invalid."""
        line = utils.read_line(self.rfile, config.MAX_HEAD)
        if line == "\r\n":  # an empty line before a request is ignored (RFC 9112 2.2)
            line = utils.read_line(self.rfile, config.MAX_HEAD)
        if line == "":
            return None
        self.requestline = line.rstrip("\r\n")  # for the log
        self.is_head = self.requestline.split(" ")[0] == "HEAD"  # even if it is refused
        require(len(line) <= config.MAX_HEAD, 414, "Target Too Long")
        method, target, version = utils.parse_request_line(line)
        require(hasattr(self, "do_" + method), 501, "Unsupported Method")
        path, query = utils.parse_target(method, target)
        headers = utils.read_headers(self.rfile, config.MAX_HEAD - len(line))
        utils.check_host(headers, version)
        length = utils.body_length(headers, version)  # None if it comes in chunks
        require(length is None or length <= config.MAX_BODY, 413, "Body Too Large")
        if "100-continue" in utils.list_members(headers, "Expect") and version != "HTTP/1.0":
            self.handle_expect_100()  # tells the waiting client to send the body
            self.wfile.flush()
        # A GET, too, may have a body: the next request follows it.
        body = utils.read_body(self.rfile, length, config.MAX_BODY)
        asks_to_close = "close" in utils.list_members(headers, "Connection")
        self.close_connection = asks_to_close or version == "HTTP/1.0"
        return Request(method, path, query, headers, body, self.client_address[:2])

    def finish(self):
        """End a connection, once the client has had time to read the last response.

        Closing with unread input can discard data that the client has not received yet, such as
        the page that says why its request is refused (RFC 9112 9.6).
        """
        super().finish()
        deadline = time.monotonic() + self.timeout
        try:
            self.connection.shutdown(socket.SHUT_WR)  # tells the client that nothing more comes
            self.connection.settimeout(1)
            while self.connection.recv(65536) and time.monotonic() < deadline:
                pass
        except OSError:  # the client has gone, or is silent
            pass

    # ---- The log ----

    def log_request(self, code):
        """Log a request and its status; send_response() calls this."""
        line = self.requestline
        if len(line) > 200:
            line = line[:200] + "..."
        self.log_message('"%s" %s -', line, code)

    def log_message(self, format, *args):
        """Write a line to the console: who, when, and what."""
        when = self.log_date_time_string()
        say(f"{self.address_string()} - - [{when}] {format % args}")

    # ---- What http.server reads from the class ----

    protocol_version = "HTTP/1.1"  # what the status line says
    request_version = "HTTP/1.1"  # the version http.server assumes the client speaks
    server_version = "SidhHTTP/1.0"  # with sys_version, the Server header
    sys_version = "(mini web framework)"  # rather than the version of Python
    wbufsize = 64 * 1024  # bytes to collect before sending: a small response is one packet
    disable_nagle_algorithm = True  # and that packet leaves at once


class Server(ThreadingTCPServer):
    """Listens, and gives each connection its own thread and SidhHTTP: none waits for another.

    http.server's own ThreadingHTTPServer would ask DNS for a name first, which can be slow.
    """

    daemon_threads = True  # they do not stop the program from exiting
    request_queue_size = 512  # connections that may wait to be accepted
    allow_reuse_address = os.name == "posix"  # without this, a restart may fail for a minute

    def __init__(self, address, handler_class):
        """Listen on (host, port), or raise OSError."""
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler_class)

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
        client_left = isinstance(error, (ConnectionError, TimeoutError, socket.timeout))
        is_closed = connection.fileno() == -1  # by Ctrl+C, just as its thread began
        if not client_left and not is_closed:
            say(traceback.format_exc().rstrip())


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


# The hosts that listen on every network, each with the one to open on this computer
PUBLIC_HOSTS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def welcome(host, port):
    """Return what the console says at the start: the address of each page, and who can open it."""
    local_host = PUBLIC_HOSTS.get(host, host)
    if ":" in local_host:
        local_host = f"[{local_host}]"
    url = f"http://{local_host}:{port}"
    lines = [f"server running on {url} (Ctrl+C stops it)"]
    lines += [f"  {url}{quote(path)}" for path in ROUTES]
    if host in PUBLIC_HOSTS:
        lines.append("everyone on your network can open these pages, and everything in files/")
        address = own_address()
        if address:
            lines.append(f"  on a phone: http://{address}:{port}")
    return "\n".join(lines)


def own_address():
    """Return the address of this computer on its network, None if it is on none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            # For UDP, this sends nothing; it only chooses the address to send from. 192.0.2.1 is
            # reserved for examples (RFC 5737).
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


def leave_console():
    """Detach the console: Python crashes if a thread prints while it shuts down."""
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # kill does what Ctrl+C does
    atexit.register(leave_console)
    main()
