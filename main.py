"""The server: reads a request, finds its handler, sends the answer. `python main.py` starts it."""
import json
import os
import re
import signal
import socket
import sys
import time
import traceback
from contextlib import suppress
from difflib import get_close_matches
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from threading import Lock
from urllib.parse import quote, unquote

import config
import routes  # its @route lines fill ROUTES
from router import CONTRACT, ROUTES, prepare
from utils import download_headers, find_download


class SidhHTTP(BaseHTTPRequestHandler):
    """One client's connection, and the request on it that is being answered: what handlers get."""
    def do_GET(self):
        """Answer with what the handler of the path returns, with a file, or with 404."""
        path = unquote(self.path.partition("?")[0])  # "/home?x=1" asks for "/home"
        if path in ROUTES:
            status, content_type, body = self.call(ROUTES[path])
            self.send(status, {"Content-Type": content_type}, body)
        elif path.startswith("/files/"):
            self.send_download(path[len("/files/"):])
        else:
            self.send_error(404, "Page Not Found", self.hint(path))
    do_HEAD = do_GET  # the same, and send() leaves out the body

    def do_POST(self):
        """Answer with the server's local time, whatever the path."""
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        self.send(200, {"Content-Type": "application/json"}, json.dumps({"time": date}).encode())

    def call(self, handler):
        """Return the handler's response, ready to send; a 500 if it raises or breaks the contract."""
        try:
            response = handler(self)
            if ready := prepare(response):
                return ready
            self.log_error("%s returned %.200r, not %s", handler.__name__, response, CONTRACT)
        except (Exception, SystemExit):  # SystemExit: the handler called exit()
            traceback.print_exc()
        return 500, "text/plain; charset=utf-8", b"500 Internal Server Error\n"

    def send_download(self, name):
        """Send the file of FILE_DIR that has this name, or 404 if there is none."""
        try:
            file = open(find_download(name) or "", "rb")
        except OSError:  # no such file, or one that another program has locked
            return self.send_error(404, "Page Not Found", self.hint("/files/" + name))
        with file:
            self.send(200, download_headers(name), file)

    def hint(self, path):
        """Return which route may have been meant: "Did you mean /home?", or "" for none."""
        looked_at = list(ROUTES)[:100] if len(path) <= 64 else ()  # strangers must not make it slow
        return "".join(f"Did you mean {close}?" for close in get_close_matches(path, looked_at, 1, 0.7))

    def send_error(self, code, message=None, explain=""):
        """Send an error as plain text; the message stands in the status line too."""
        text = f"{code} {message or self.responses[code][0]}\n{explain}"
        self.send(code, {"Content-Type": "text/plain; charset=utf-8"}, text.encode(), message)

    def send(self, status, headers, body, reason=None):
        """Send a whole answer; body is bytes or an open file. All answers leave here."""
        length = len(body) if isinstance(body, bytes) else os.fstat(body.fileno()).st_size
        self.send_response(status, reason)
        for name, value in headers.items():
            self.send_header(name, value)
        if status != 204:  # No Content, and no length either (RFC 9110 8.6)
            self.send_header("Content-Length", length)
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()
        if self.command == "HEAD" or status in (204, 304):
            body = b""
        if isinstance(body, bytes):
            self.wfile.write(body)
        self.wfile.flush()
        if length and not isinstance(body, bytes):  # a file that shrinks meanwhile ends too early
            self.close_connection |= self.connection.sendfile(body, 0, length) < length

    # ---- Skip this on a first reading, down to Server: what it takes to survive strangers. ----

    protocol_version, request_version = "HTTP/1.1", "HTTP/1.1"
    server_version, sys_version = "SidhHTTP/1.0", "(mini web framework)"
    wbufsize, disable_nagle_algorithm = 64 * 1024, True  # an answer leaves in one write, at once
    timeout = property(lambda self: config.TIMEOUT)  # looked up anew for each connection

    def log_message(self, format, *args):
        """Log as usual, until main() takes the lock for good: nothing follows its last line."""
        with LOG_LOCK:
            super().log_message(format, *args)

    def handle_one_request(self):
        """Read one request and answer it; called again and again until close_connection is true."""
        self.close_connection, self.command, self.requestline = True, "", ""
        try:
            if self.read_request():
                getattr(self, "do_" + self.command)()
        except Refusal as refusal:
            self.send_error(*refusal.args)

    def do_OPTIONS(self):
        """Answer with the methods that there are (RFC 9110 9.3.7)."""
        self.send(204, {"Allow": "GET, HEAD, POST, OPTIONS"}, b"")

    def read_request(self):
        """Read command, path, headers and body of a request; False if the client sends no more."""
        line = self.read_line(414)
        line = self.read_line(414) if line == "\r\n" else line  # RFC 9112 2.2
        if not line:
            return False
        self.requestline = line.rstrip("\r\n")
        self.parse_request_line(line)
        require(hasattr(self, "do_" + self.command), 501, "Unsupported Method")
        self.headers = self.read_headers()
        old = self.request_version == "HTTP/1.0"
        host = ",".join(self.headers.get_all("Host", []))  # "a,b" is refused (RFC 9112 3.2)
        require(HOST.fullmatch(host) or (old and "Host" not in self.headers), 400, "Bad Host")
        self.body = self.read_body(old)
        self.close_connection = old or "close" in self.members("Connection")  # RFC 9112 9.3
        return True

    def read_line(self, status):
        """Return the next line, a character for each byte; a long one is refused with status."""
        line = self.rfile.readline(MAX_LINE + 1)
        require(len(line) <= MAX_LINE, status, "Line Too Long")
        return line.decode("latin-1")

    def parse_request_line(self, line):
        """Set command, path (the target in origin-form) and request_version (RFC 9112 3)."""
        match = require(REQUEST_LINE.fullmatch(line), 400, "Bad Request Line")
        self.command, target, major, minor = match.groups()
        require(major == "1", 505, "HTTP Version Not Supported")
        self.request_version = "HTTP/1.0" if minor == "0" else "HTTP/1.1"
        self.path = ABSOLUTE_FORM.sub("/", target)  # "http://host/home" is "/home"
        require(unquote(self.path, errors="ignore") == unquote(self.path), 400, "Target Is Not UTF-8")
        require(ORIGIN_FORM.fullmatch(self.path) or line.startswith("OPTIONS * "), 400, "Bad Target")

    def read_headers(self):
        """Return the header fields up to the empty line (RFC 9112 5)."""
        headers = self.MessageClass()
        for _ in range(MAX_FIELDS):
            line = self.read_line(431)
            if line == "\r\n":
                return headers
            match = require(FIELD_LINE.fullmatch(line), 400, "Bad Header")
            headers[match[1]] = match[2].strip(" \t")
        raise Refusal(431, "Too Many Headers")

    def members(self, name):
        """Return the members of a header's list: "Close, TE" gives ["close", "te"]."""
        return [m.strip(" \t").lower() for v in self.headers.get_all(name, []) for m in v.split(",")]

    def read_body(self, old):
        """Return the body of the request, whatever its method; b"" without one (RFC 9112 6.3)."""
        codings = self.members("Transfer-Encoding")
        length = ",".join(self.headers.get_all("Content-Length", ["0"]))
        require(not set(codings) - {"chunked", ""}, 501, "Unknown Transfer-Encoding")
        sure = codings == ["chunked"] and not old and "Content-Length" not in self.headers
        require(sure or not codings, 400, "Body Length In Doubt")
        require(re.fullmatch("[0-9]+", length), 400, "Bad Content-Length")
        require(len(length) < 19 and int(length) <= config.MAX_BODY, 413, "Body Too Large")
        if "100-continue" in self.members("Expect") and not old:  # RFC 9110 10.1.1
            self.handle_expect_100()
            self.wfile.flush()
        if codings:
            return self.read_chunked()
        body = self.rfile.read(int(length))
        require(len(body) == int(length), 400, "Body Cut Short")
        return body

    def read_chunked(self):
        """Return what the chunks of the body add up to (RFC 9112 7.1)."""
        body, skipped = bytearray(), 0
        while True:
            match = require(CHUNK_LINE.fullmatch(self.read_line(400)), 400, "Bad Chunk")
            size, skipped = int(match[1], 16), skipped + len(match[2])  # extensions
            require(len(body) + size <= config.MAX_BODY and skipped <= MAX_LINE, 413, "Body Too Large")
            if size == 0:
                self.read_headers()  # the trailer, which nobody needs
                return bytes(body)
            data = self.rfile.read(size + 2)
            require(data[size:] == b"\r\n", 400, "Bad Chunk")
            body += data[:size]

    def finish(self):
        """Close in stages: an abrupt close may destroy an answer on its way (RFC 9112 9.6)."""
        self.wfile.raw.close()  # what a client did not take is not sent again
        super().finish()
        deadline = time.monotonic() + config.TIMEOUT
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(1)
            while self.connection.recv(65536) and time.monotonic() < deadline:
                pass


# The grammar, under its names in RFC 9110, RFC 9112 and, for hosts, RFC 3986.
TOKEN = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED_STRING = r'"(?:[\t !#-\[\]-~\x80-\xff]|\\[\t -~\x80-\xff])*"'
H16, IPV4 = "[0-9A-Fa-f]{1,4}", r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?=[0-9])|(?=]))){4}"
SHORT = rf"(?!(?:::)?(?:[^]:]+(?:::?|])){{8}})(?:{H16}(?::{H16})*)?::(?:(?:{H16}:)*(?:{H16}|{IPV4}))?"
IPV6 = rf"\[(?:(?:{H16}:){{6}}(?:{H16}:{H16}|{IPV4})|{SHORT})\]"
HOST = re.compile(rf"(?:(?:[0-9A-Za-z._~!$&'()*+;=-]|%[0-9A-Fa-f]{{2}})+|{IPV6})(?::[0-9]*)?")
REQUEST_LINE = re.compile(rf"({TOKEN}) ([!-~]+) HTTP/([1-9])\.([0-9])\r\n")
ABSOLUTE_FORM = re.compile(rf"^https?://{HOST.pattern}(?:/|(?=\?)|$)", re.IGNORECASE)
ORIGIN_FORM = re.compile(r'/(?:[!"$&-~]|%[0-9A-Fa-f]{2})*')
FIELD_LINE = re.compile(rf"({TOKEN}):([\t -~\x80-\xff]*)\r\n")
CHUNK_EXT = rf"[ \t]*;[ \t]*{TOKEN}(?:[ \t]*=[ \t]*(?:{TOKEN}|{QUOTED_STRING}))?"
CHUNK_LINE = re.compile(rf"([0-9A-Fa-f]{{1,16}})((?:{CHUNK_EXT})*)\r\n")
MAX_LINE, MAX_FIELDS = 65536, 100  # bytes in a line, lines in a header section, as in http.server
LOG_LOCK = Lock()


class Refusal(Exception):
    """Says why a request reaches no handler. Its arguments: status and reason."""


def require(condition, status, reason):
    """Return the condition if it holds; otherwise refuse the request."""
    if not condition:
        raise Refusal(status, reason)
    return condition


class Server(ThreadingHTTPServer):
    """Listens, and gives each connection a thread, so that none waits for another."""
    request_queue_size = 512  # connections that may wait to be accepted
    allow_reuse_address, allow_reuse_port = os.name == "posix", False  # a port has one server
    server_bind = TCPServer.server_bind  # HTTPServer's asks DNS for a name, for up to half a minute

    def handle_error(self, request, client_address):
        """Say in one line what broke and where, unless it is that a client went away (OSError)."""
        if not isinstance(sys.exc_info()[1], OSError):
            where = traceback.extract_tb(sys.exc_info()[2])[-1]
            print(f"connection dropped: {sys.exc_info()[1]!r} at {where}", file=sys.stderr)


def main():
    """Serve until Ctrl+C or SIGTERM; exit with one sentence if that cannot begin."""
    try:
        server = Server((config.HOST, int(config.PORT)), SidhHTTP)
    except (OSError, OverflowError, TypeError, ValueError) as error:
        sys.exit(f"cannot listen on {config.HOST}:{config.PORT}: {error}; set MINI_HOST to an address "
                 "of this machine and MINI_PORT to a free port from 1024 to 65535")
    with suppress(KeyboardInterrupt):
        signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl+C does
        host = config.HOST.replace("0.0.0.0", "127.0.0.1")  # what a browser can open
        print(f"server running on http://{host}:{server.server_address[1]} (Ctrl+C stops it)")
        print("routes:", *map(quote, ROUTES), flush=True)
        server.serve_forever()
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, signal.SIG_IGN)  # a second Ctrl+C finds nothing left to end
    server.server_close()
    LOG_LOCK.acquire(timeout=1)  # from here on, threads that are still busy log nothing
    print("server closed...")


if __name__ == "__main__":
    main()
