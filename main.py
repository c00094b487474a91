"""The server: bytes become a Request, its handler is called, its Response becomes bytes.

`python main.py` starts it. Read it from top to bottom: http.server calls the first method of
SidhHTTP for one request after the other, and the methods below it are roughly in the order in
which a request meets them. Easily missed: a handler answers GET and HEAD, never POST, for every
POST is answered with the time; and the handler of "/files/" lists the files, which are sent
from here.
"""
import atexit
import errno
import json
import os
import re
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import suppress
from difflib import get_close_matches
from html import escape
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import quote

import config
import routes  # noqa: F401 (its @route lines fill ROUTES)
from router import ROUTES, Request, WrongResponse, check_response, name_of
from utils import (
    Html,
    Refusal,
    body_length,
    check_host_header,
    download_headers,
    list_members,
    open_download,
    parse_request_line,
    parse_target,
    read_body,
    read_headers,
    read_line,
    require,
    say,
    to_html,
)


class SidhHTTP(BaseHTTPRequestHandler):
    """One client's connection. (Sidh is short for Sidharth, who wrote the article.)

    From http.server it has connection (the socket), rfile and wfile (to read and to write it),
    client_address, responses (the names of the statuses), send_response(), send_header(),
    end_headers(), handle_expect_100(), log_error(), address_string(), log_date_time_string(),
    and the loop: handle() calls handle_one_request() until close_connection is true.
    """

    def handle_one_request(self):
        """Read one request and answer it, or refuse it and close the connection.

        If the client is silent for longer than timeout, or the connection breaks, reading and
        writing raise an OSError. That ends the loop too; Server.handle_error() gets it.
        """
        self.close_connection = True  # unless read_request() finds all in order
        try:
            self.request = self.read_request()  # (for socketserver, the socket: use connection)
        except Refusal as refusal:
            self.send_error(refusal.status, refusal.reason)
            return
        if self.request is not None:
            do_method = getattr(self, "do_" + self.request.method)  # such as do_GET
            do_method()

    def read_request(self):
        """Return the next Request of this connection; None if the client sends no more.

        On the way it keeps what a refusal needs: requestline, for the log, and method. If all
        is in order, it decides at the end whether the connection stays open.
        """
        line = read_line(self.rfile, config.MAX_HEAD)
        if line == "\r\n":  # one empty line before a request means nothing (RFC 9112 2.2)
            line = read_line(self.rfile, config.MAX_HEAD)
        if line == "":
            return None
        self.requestline = line.rstrip("\r\n")
        self.method = self.requestline.partition(" ")[0]  # (a refused HEAD has no body either)
        method, target, version = parse_request_line(line)
        require(hasattr(self, "do_" + method), 501, "Unsupported Method")
        path, query = parse_target(method, target)
        headers = read_headers(self.rfile, config.MAX_HEAD - len(line))
        check_host_header(headers, version)
        length = body_length(headers, version)
        if "100-continue" in list_members(headers, "Expect") and version != "HTTP/1.0":
            self.handle_expect_100()  # the client waits for this before it sends the body
            self.wfile.flush()
        body = read_body(self.rfile, length)  # whatever the method: the next request follows it
        must_close = version == "HTTP/1.0" or "close" in list_members(headers, "Connection")
        self.close_connection = must_close
        return Request(method, path, query, headers, body, self.client_address[:2])

    # ---- What each method is answered with ----

    def do_GET(self):
        """Answer with what the handler of the path returns, with a file, or with 404."""
        path = self.request.path
        if path in ROUTES:
            self.call_handler(ROUTES[path])
        elif path.startswith("/files/"):
            self.send_download(path[len("/files/"):])
        else:
            self.send_not_found()

    def do_HEAD(self):
        """Answer as to a GET; send_page() and send_file() leave the body out."""
        self.do_GET()

    def do_POST(self):
        """Answer with the server's local time, whatever the path."""
        date = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime())
        body = json.dumps({"time": date}).encode()
        self.send_page(200, {"Content-Type": "application/json"}, body)

    def do_OPTIONS(self):
        """Answer with the methods that there are (RFC 9110 9.3.7)."""
        self.send_page(204, {"Allow": "GET, HEAD, POST, OPTIONS"}, b"")

    # ---- Calling a handler ----

    def call_handler(self, handler):
        """Send what the handler returns; a 500 if it raises, or returns what cannot be sent."""
        try:
            status, content_type, body = check_response(handler(self.request))
        except BaseException as error:  # noqa: BLE001 (even exit() ends no more than this)
            self.report(handler, error)
            self.send_error(500)
        else:
            self.send_page(status, {"Content-Type": content_type}, body)

    def report(self, handler, error):
        """Say what a handler did wrong: the traceback, or a line about what it returned."""
        try:
            if isinstance(error, WrongResponse):
                self.log_error("%s: %s", name_of(handler), error)
            else:
                say(traceback.format_exc().rstrip())
        except BaseException:  # noqa: BLE001 (the error itself, asked what it is, may raise)
            self.log_error("the handler of %r has a bug that cannot be shown", self.request.path)

    # ---- Downloads ----

    def send_download(self, name):
        """Send the file of FILE_DIR that has this name, or 404 if there is none."""
        try:
            headers = download_headers(name)
            file = open_download(name)
        except OSError as error:
            self.log_error("cannot open %r: %s", name, error)
            self.send_error(503)
            return
        if file is None:
            self.send_not_found()
            return
        with file:
            self.send_file(headers, file)

    # ---- Errors ----

    def send_error(self, code, message=None, explain=None):
        """Send an error as a small page; the message stands in the status line too.

        The parameters are named as in http.server. explain is escaped unless it is Html. The
        page, which is below the class, is made without any file: it must always work.
        """
        reason = message or self.responses[code][0]
        explanation = explain or EXPLANATIONS.get(code, "")
        page = ERROR_PAGE % {"title": escape(f"{code} {reason}"), "text": to_html(explanation)}
        headers = {"Content-Type": "text/html; charset=utf-8"}
        self.send_page(code, headers, page.encode(), reason)

    def send_not_found(self):
        """Send a 404, with a link to the page that may have been meant."""
        explanation = Html(EXPLANATIONS[404])
        similar_path = self.find_similar_path()
        if similar_path:
            link = f'<a href="{quote(similar_path)}">{escape(similar_path)}</a>'
            explanation = Html(f"{explanation} Did you mean {link}?")
        self.send_error(404, "Page Not Found", explanation)

    def find_similar_path(self):
        """Return the path of a route that looks like the one asked for, "" if none does."""
        path = self.request.path
        if len(path) > 64:  # to compare takes time, and strangers must not take too much of it
            return ""
        first_paths = list(ROUTES)[:100]  # for the same reason
        similar_paths = get_close_matches(path, first_paths, n=1, cutoff=0.7)  # 1.0 is equal
        return similar_paths[0] if similar_paths else ""

    # ---- Sending ----

    def send_page(self, status, headers, body, reason=None):
        """Send a whole response, whose body is bytes. All responses but files leave here."""
        if status in (204, 205, 304):  # never a body (RFC 9110 15.3.5, 15.3.6, 15.4.5)
            body = b""
        self.send_head(status, headers, len(body), reason)
        if self.method != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def send_file(self, headers, file):
        """Send an open file, without ever having more than a piece of it in memory."""
        length = os.fstat(file.fileno()).st_size
        self.send_head(200, headers, length)
        self.wfile.flush()
        if self.method == "HEAD" or length == 0:  # (sendfile() does not take 0)
            return
        sent = self.connection.sendfile(file, 0, length)
        if sent < length:  # the file shrank meanwhile, and the client waits for the rest
            self.close_connection = True

    def send_head(self, status, headers, length, reason=None):
        """Send the status line and the headers; length is the number of bytes that follow."""
        self.send_response(status, reason)
        for name, value in headers.items():
            self.send_header(name, value)
        if status not in (204, 304):  # no length either (RFC 9110 8.6)
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()

    def finish(self):
        """Say that no more will come, and drop what the client still sends; then it is closed.

        To close while something is left unread may destroy the last response on its way
        (RFC 9112 9.6). The closing itself is done by http.server after this.
        """
        self.wfile.raw.close()  # or super() would wait again for a client that takes nothing
        super().finish()
        deadline = time.monotonic() + self.timeout
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_WR)
            self.connection.settimeout(self.linger)
            while self.connection.recv(65536) and time.monotonic() < deadline:
                pass

    # ---- The log ----

    def log_request(self, code="-", size="-"):
        """Log a request and its status; http.server calls it for each response."""
        line = self.requestline
        if len(line) > 200:
            line = line[:200] + "..."
        self.log_message('"%s" %s %s', line, code, size)

    def log_message(self, format, *args):
        """Write a line to the console: who, when, and what."""
        text = (format % args).replace("\n", "\\n")
        say(f"{self.address_string()} - - [{self.log_date_time_string()}] {text}")

    # ---- What http.server reads from the class ----

    protocol_version = "HTTP/1.1"  # in each status line
    request_version = "HTTP/1.1"  # never the client's: a response always has a status line
    server_version = "SidhHTTP/1.0"  # with sys_version, the header Server
    sys_version = "(mini web framework)"  # instead of the version of Python
    timeout = config.TIMEOUT  # seconds; then reading and sending raise socket.timeout
    linger = 1  # second that finish() waits for each piece of what it drops (ours alone)
    wbufsize = 64 * 1024  # bytes are gathered until flush(), so a small response is one packet
    disable_nagle_algorithm = True  # the system sends a packet at once


# ---- What an error page says ----

EXPLANATIONS = {
    400: "This server does not understand the request, so it did nothing.",
    404: "There is no page at this address.",
    413: "The request carries more than this server takes.",
    414: "The address is longer than this server takes.",
    431: "The headers of the request are more than this server takes.",
    500: "This page has a bug; the console of the server says which.",
    501: "This server does not know what the request asks it to do.",
    503: "The server cannot do this at the moment: try again later.",
    505: "This server speaks HTTP/1.1 and HTTP/1.0 alone.",
}

ERROR_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>%(title)s</title>
  <link rel="icon" href="data:,">
  <style>
    :root { color-scheme: light dark; }
    body { font: 1.1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto;
           padding: 0 1.25rem; }
    h1 { font-size: 2.2rem; line-height: 1.2; text-wrap: balance; }
  </style>
</head>
<body>
  <h1>%(title)s</h1>
  <p>%(text)s</p>
</body>
</html>
"""


class Server(ThreadingHTTPServer):
    """Listens, and gives each connection a thread and a SidhHTTP: none waits for another.

    (What its methods call a request is a connection's socket, as in socketserver.)
    """

    request_queue_size = 512  # connections that may wait to be accepted
    allow_reuse_address = os.name == "posix"  # no wait for a port whose server has just ended;
    # on Windows, the same setting would let two servers have one port
    allow_reuse_port = False  # this would let two servers have one port on Linux and macOS
    is_stopping = False  # stop() and main() make it true

    def __init__(self, address, handler_class):
        """Listen on the address (host, port); OSError if that cannot be."""
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler_class)

    def server_bind(self):
        """Take the address."""
        if self.address_family == socket.AF_INET6:  # "::" is for IPv4 too
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        TCPServer.server_bind(self)  # not super(): that asks DNS for a name, which may take long

    def get_request(self):
        """Return the next connection and its address; if that fails, OSError after a pause."""
        try:
            return super().get_request()
        except OSError:  # too many files and connections are open
            time.sleep(0.1)  # or serve_forever() would try again at once, and again
            raise

    def service_actions(self):
        """End serve_forever(), which calls this in each round, if the server is stopping."""
        if self.is_stopping:
            raise KeyboardInterrupt

    def handle_error(self, request, client_address):
        """Say in one line what broke, and where; nothing if a client went away or fell silent."""
        error = sys.exc_info()[1]
        if isinstance(error, (ConnectionError, TimeoutError, socket.timeout)):
            return  # (before Python 3.10, socket.timeout was no TimeoutError)
        where = traceback.extract_tb(error.__traceback__)[-1]
        say(f"connection dropped: {error!r} at {where}")


# ---- Start and end ----

def main():
    """Serve until Ctrl+C or kill; exit with one sentence if that cannot begin.

    Another thread serves and speaks. So this one can end the program even if that one is stuck,
    because the console takes nothing.
    """
    server = listen()
    is_program = __name__ == "__main__"  # and not a module in somebody's shell, which goes on
    thread = threading.Thread(target=serve, args=[server, is_program], daemon=True)
    try:
        thread.start()
        while not server.is_stopping:
            time.sleep(0.05)
    except KeyboardInterrupt:
        server.is_stopping = True
    thread.join(2)  # seconds
    if is_program and thread.is_alive():
        os._exit(0)  # at once: what holds up that thread would hold up Python's own end, too


def serve(server, is_program):
    """Say where the pages are, serve until the server is stopping, and say that it has closed."""
    say(welcome(*server.server_address[:2]), "stdout")
    try:
        server.serve_forever(poll_interval=0.05)  # seconds until service_actions() is called
    except KeyboardInterrupt:
        pass
    finally:
        server.is_stopping = True
        server.server_close()
    say("server closed...", "stdout", last=is_program)


def listen():
    """Return a Server that listens where config says; exit with one sentence if it cannot."""
    port = str(config.PORT)
    if not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
        sys.exit(f"{port!r} is not a port: set MINI_PORT to a number from 1024 to 65535")
    try:
        return Server((config.HOST, int(port)), SidhHTTP)
    except (OSError, UnicodeError, TypeError) as error:  # the last two: a host such as "é..b"
        sys.exit(explain_failure(error))


def explain_failure(error):
    """Return why the server cannot listen, and what to do about it, in one sentence."""
    if isinstance(error, (socket.gaierror, UnicodeError, TypeError)):
        return (f"{config.HOST!r} is neither an address nor a name that this computer knows: "
                "correct MINI_HOST or leave it out")
    if isinstance(error, PermissionError):
        return (f"port {config.PORT} needs administrator rights or is reserved: "
                "set MINI_PORT to a number from 1024 to 65535")
    if error.errno == errno.EADDRINUSE:
        return (f"port {config.PORT} is taken, perhaps by another copy of this server: "
                "stop it, or set MINI_PORT to another port")
    if error.errno in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
        return (f"{config.HOST!r} is not an address of this computer: "
                "correct MINI_HOST or leave it out")
    return f"cannot listen on {config.HOST!r}, port {config.PORT}: {error}"


def welcome(host, port):
    """Return what the console says at the start: where the pages are, and who can reach them."""
    local_hosts = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # "all": the one to use here
    url = make_url(local_hosts.get(host, host), port)
    lines = [f"server running on {url} (Ctrl+C stops it)"]
    lines += [f"  {url}{quote(path)}" for path in ROUTES]
    if host in local_hosts:
        lines.append("everybody in your network can open these pages, and all that is in files/")
        own_address = find_own_address()
        if own_address:
            lines.append(f"  on a phone there: {make_url(own_address, port)}")
    return "\n".join(lines)


def make_url(host, port):
    """Return the URL of a server: "http://127.0.0.1:9999", or "http://[::1]:9999"."""
    if ":" in host:
        host = f"[{host}]"
    return f"http://{host}:{port}"


def find_own_address():
    """Return this computer's address in its network, None if it has none. Nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # for UDP, this only looks up the way (RFC 5737)
        except OSError:
            return None
        return probe.getsockname()[0]


def stop(signal_number, frame):
    """Note that the server is to end. No more than that: a signal may interrupt any line."""
    Server.is_stopping = True


def leave(signal_number, frame):
    """End at once, without waiting for what handlers have started."""
    os._exit(0)


def handle_signals(action):
    """Let Ctrl+C and kill do this from now on."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, action)


if __name__ == "__main__":
    handle_signals(stop)
    main()
    handle_signals(leave)  # Python waits for threads that handlers have started
    atexit.register(handle_signals, signal.SIG_IGN)  # the very end is not to be disturbed
