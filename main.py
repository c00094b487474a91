"""The server: bytes become a Request, its handler is called, what it returns becomes bytes.

Read this last; begin with config.py. `python main.py` starts it. When a browser opens the page
"/", it sends a request, which is text. (Here, some headers are left out.)

    GET / HTTP/1.1
    Host: 127.0.0.1:9999

An empty line ends the headers. The response has the same form; after its empty line comes the
body, which is the page:

    HTTP/1.1 200 OK
    Content-Type: text/html; charset=utf-8
    Content-Length: 20

    <h1>Hello World</h1>

Five steps lead from the request to the response:

1. Server accepts a connection, and starts a thread for it, in which a SidhHTTP serves it.
2. handle_one_request() calls read_request(), which reads the bytes and makes a Request of them.
3. handle_one_request() calls do_GET(), which looks up the handler of the path in ROUTES.
4. call_handler() calls the handler with the Request, and checks what it returns.
5. send_page() sends that. The connection stays open, and step 2 comes again.
"""
import errno
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
import routes  # its "@route" lines fill ROUTES  # noqa: F401 (for checkers: the name is unused)
import utils
from router import ROUTES, Request, WrongResponse, check_response, name_of
from utils import Html, Refusal, require, say


class SidhHTTP(BaseHTTPRequestHandler):
    """A client's connection, on which one request after the other comes.

    (Sidh is short for Sidharth, who wrote the article.) From http.server, it has

    - connection, a socket, which is the server's end of the connection to the client; rfile
      and wfile, which read and write there as if it were a file;
    - client_address, and responses, which has a name and a sentence for each status;
    - handle(), the loop: it calls handle_one_request() until close_connection is true;
    - send_response(), send_header() and end_headers(), for the head of a response, and
      handle_expect_100(), which sends "100 Continue";
    - log_error(), which calls log_message() below, and address_string() and
      log_date_time_string(), for the log.
    """

    def handle_one_request(self):
        """Read one request and answer it.

        handle(), in http.server, calls this in a loop. After each call it looks at
        close_connection: if that is True, the loop ends. It is set to True here before anything
        else, and becomes False only when read_request() has read a whole request, and another
        one may follow. So the loop ends

        - after a request that is refused, and after one that says it is the last;
        - if the client sends no more;
        - if the client is silent for TIMEOUT seconds, or the connection breaks: then reading or
          writing raises an OSError. Nothing here catches it, so it ends the loop.

        When the loop has ended, the library calls finish() below, shows an error, if there was
        one, to Server.handle_error(), and closes the connection.
        """
        self.close_connection = True  # to begin with
        self.current_request = None  # forget the one before, whose body may be large
        try:
            self.current_request = self.read_request()
        except Refusal as refusal:
            # close_connection is still True: after this page, the connection is closed.
            self.send_error(refusal.status, refusal.reason)
        if self.current_request is not None:
            do_method = getattr(self, "do_" + self.current_request.method)  # such as do_GET
            do_method()

    def read_request(self):
        """Return the next Request of this connection; None if the client sends no more.

        It also sets requestline, for the log; is_head, for send_page() and send_file(); and, if
        the request is sound, close_connection.
        """
        line = utils.read_line(self.rfile, config.MAX_HEAD)
        if line == "\r\n":  # one empty line before a request means nothing (RFC 9112 2.2)
            line = utils.read_line(self.rfile, config.MAX_HEAD)
        if line == "":
            return None
        self.requestline = line.rstrip("\r\n")
        # This comes before all checks, because a HEAD that is refused gets no body either.
        self.is_head = self.requestline.split(" ")[0] == "HEAD"
        method, target, version = utils.parse_request_line(line)
        require(hasattr(self, "do_" + method), 501, "Unsupported Method")
        host, path, query = utils.parse_target(method, target)
        headers = utils.read_headers(self.rfile, config.MAX_HEAD - len(line))
        utils.check_host_header(headers, version, host)
        length = utils.body_length(headers, version)  # refused if it is over MAX_BODY
        if "100-continue" in utils.list_members(headers, "Expect") and version != "HTTP/1.0":
            # The client waits for "100 Continue", so as not to send a large body for nothing.
            self.handle_expect_100()
            self.wfile.flush()
        body = utils.read_body(self.rfile, length)  # even of a GET: the next request follows it
        # Since HTTP/1.1, a connection stays open (keep-alive) until one side says "close".
        is_last = version == "HTTP/1.0" or "close" in utils.list_members(headers, "Connection")
        self.close_connection = is_last  # False, mostly
        address = self.client_address[:2]  # host and port; with IPv6, there is more behind them
        return Request(method, path, query, headers, body, address)

    # ---- What each method is answered with ----

    def do_GET(self):
        """Answer with what the handler of the path returns, with a file, or with 404."""
        path = self.current_request.path
        if path in ROUTES:
            self.call_handler(ROUTES[path])
        elif path.startswith("/files/"):
            self.send_download(path[len("/files/"):])
        else:
            self.send_not_found()

    def do_HEAD(self):
        """Answer as to a GET, without the body, for clients that want only the headers.

        It is send_page() and send_file() that leave the body out.
        """
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
            status, content_type, body = check_response(handler(self.current_request))
        except WrongResponse as error:
            self.log_error("%s: %s", name_of(handler), error)
            self.send_error(500)
        except BaseException:  # noqa: BLE001 (all of them: even exit() ends only this request)
            say(traceback.format_exc().rstrip())
            self.send_error(500)
        else:
            # This is not within "try": if it fails, because the client has gone, that is no bug
            # of the handler.
            self.send_page(status, {"Content-Type": content_type}, body)

    # ---- Downloads ----

    def send_download(self, name):
        """Send the file of FILE_DIR that has this name, or 404 if there is none."""
        try:
            file = utils.open_download(name)
        except OSError as error:
            self.log_error("cannot open %r: %s", name, error)
            self.send_error(503)
            return
        if file is None:
            self.send_not_found()
            return
        with file:
            self.send_file(utils.download_headers(name), file)

    # ---- Errors ----

    def send_error(self, code, message=None, explain=None):
        """Send an error page: a status, its name, and a sentence that explains it.

        The parameters are named as in http.server: message is the name, explain the sentence,
        which is escaped unless it is Html. If the name is not given, it is http.server's; if the
        sentence is not, it is from EXPLANATIONS, or http.server's.
        """
        reason, sentence = self.responses[code]
        reason = message or reason
        sentence = explain or EXPLANATIONS.get(code, sentence)
        page = utils.render_error(f"{code} {reason}", sentence)
        headers = {"Content-Type": "text/html; charset=utf-8"}
        self.send_page(code, headers, page.encode(), reason)

    def send_not_found(self):
        """Send a 404, with a link to the page that may have been meant."""
        explanation = EXPLANATIONS[404]
        path = self.current_request.path
        # Comparing texts takes time, and strangers must not take much of it: hence two limits.
        if len(path) <= 64:
            similar_paths = get_close_matches(path, list(ROUTES)[:100], cutoff=0.7)
            if similar_paths:
                similar = similar_paths[0]
                link = f'<a href="{quote(similar)}">{escape(similar)}</a>'
                explanation = Html(f"{explanation} Did you mean {link}?")
        self.send_error(404, "Page Not Found", explanation)

    # ---- Sending ----

    def send_page(self, status, headers, body, reason=None):
        """Send a whole response, whose body is bytes. All but downloads are sent here."""
        if status in (204, 205, 304):  # No Content, Reset Content, Not Modified: never a body
            body = b""
        self.send_head(status, headers, len(body), reason)
        if not self.is_head:
            self.wfile.write(body)
        self.wfile.flush()

    def send_file(self, headers, file):
        """Send an open file, without ever having more than a piece of it in memory."""
        length = os.fstat(file.fileno()).st_size
        self.send_head(200, headers, length)
        self.wfile.flush()  # before sendfile(), which does not go through wfile
        if self.is_head or length == 0:  # (sendfile() does not take 0)
            return
        sent = self.connection.sendfile(file, 0, length)
        if sent < length:  # the file shrank meanwhile, and the client waits for the rest
            self.close_connection = True

    def send_head(self, status, headers, length, reason=None):
        """Send the status line and the headers; length is the number of bytes of the body."""
        self.send_response(status, reason)  # with the headers Server and Date; logs a line
        for name, value in headers.items():
            self.send_header(name, value)
        # A 204 must not have a length. A 304 stands for a page that is not sent, and would have to
        # have the length of that (RFC 9110 8.6).
        if status not in (204, 304):
            self.send_header("Content-Length", str(length))
        self.send_header("Connection", "close" if self.close_connection else "keep-alive")
        self.end_headers()

    linger = 1  # seconds: how long finish(), below, waits for each piece of what it drops

    def finish(self):
        """Let the client read the last response, before http.server closes the connection.

        If a connection is closed while bytes that the client has sent are still unread, the
        system may destroy what it has not delivered yet, such as the page that tells why a
        request is refused (RFC 9112 9.6). So this reads on, and drops what comes.
        """
        # All has been sent by now, unless sending has failed. Then wfile still holds some bytes,
        # and super().finish() would try again to send them, and wait again for a client that takes
        # nothing. So they are thrown away here. (wfile.close() would send them. Closing raw, which
        # is what wfile writes to, does not. Neither of the two closes the connection.)
        self.wfile.raw.close()
        super().finish()
        deadline = time.monotonic() + self.timeout
        try:
            self.connection.shutdown(socket.SHUT_WR)  # tells the client that no more will come
            self.connection.settimeout(self.linger)
            while self.connection.recv(65536) and time.monotonic() < deadline:
                pass
        except OSError:  # the client has gone, or is silent: there is nothing more to drop
            pass

    # ---- The log ----

    def log_request(self, code):
        """Log a request and its status; send_response() calls this."""
        line = self.requestline
        if len(line) > 200:
            line = line[:200] + "..."
        self.log_message('"%s" %s -', line, code)  # ("-": other servers say the size there)

    def log_message(self, format, *args):
        """Write a line to the console: who, when, and what."""
        when = self.log_date_time_string()
        say(f"{self.address_string()} - - [{when}] {format % args}")

    # ---- What http.server reads from the class ----

    protocol_version = "HTTP/1.1"  # in each status line
    request_version = "HTTP/1.1"  # send_response() looks here: for HTTP/0.9, it would send nothing
    server_version = "SidhHTTP/1.0"  # with sys_version, the header Server
    sys_version = "(mini web framework)"  # instead of the version of Python
    timeout = config.TIMEOUT  # seconds without a byte; then reading and writing raise an OSError
    wbufsize = 64 * 1024  # bytes are gathered until flush(), so a small response is one packet
    disable_nagle_algorithm = True  # the system sends a packet at once


# The sentences that are more helpful here than http.server's own, or truer.
EXPLANATIONS = {
    400: "This server does not understand the request, so it did nothing.",
    404: "There is no page at this address.",
    500: "This page has a bug; the console of the server says which.",
    503: "The server cannot do this at the moment: try again later.",
}


class Server(ThreadingTCPServer):
    """Listens, and gives each connection a thread and a SidhHTTP: none waits for another.

    (http.server has a ThreadingHTTPServer, but that asks DNS for a name at the start, which may
    take long. What the methods here call a request is a socket, as in socketserver.)
    """

    daemon_threads = True  # they do not keep the program from ending
    request_queue_size = 512  # connections that may wait to be accepted
    # A server that is started again gets its port at once. (Not on Windows, where this would let
    # two servers have one port.)
    allow_reuse_address = os.name == "posix"

    def __init__(self, address, handler_class):
        """Listen on the address (host, port); OSError if that cannot be."""
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, handler_class)

    def server_bind(self):
        """Take the address; "::" is for IPv4, too."""
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def get_request(self):
        """Return the next connection and its address; if that fails, OSError after a pause.

        (serve_forever() catches the OSError, and goes on.)
        """
        try:
            return super().get_request()
        except OSError:  # often because too many files and connections are open
            time.sleep(0.1)  # or serve_forever() would try again at once, and again
            raise

    def handle_error(self, request, client_address):
        """Show an error that ended a connection, but not if the client went or fell silent."""
        error = sys.exc_info()[1]
        # (Before Python 3.10, socket.timeout was no TimeoutError.)
        if isinstance(error, (ConnectionError, TimeoutError, socket.timeout)):
            return
        # At Ctrl+C, serve_forever() may close the socket of a thread that has just begun.
        if request.fileno() == -1:  # the number of a socket that is closed
            return
        say(traceback.format_exc().rstrip())


def main():
    """Serve until Ctrl+C or kill; exit with one sentence if the server cannot start."""
    server = listen()
    host, port = server.server_address[:2]
    try:
        say(welcome(host, port), "stdout")
        server.serve_forever()
    except KeyboardInterrupt:
        pass
    server.server_close()
    say("server closed...", "stdout")


# ---- What main() needs at the start ----

def listen():
    """Return a Server that listens where config says; exit with one sentence if it cannot."""
    host = config.HOST
    port = config.PORT
    try:
        return Server((host, int(port)), SidhHTTP)
    except (socket.gaierror, UnicodeError, TypeError):  # unknown, or no name: "é..b", 127
        sys.exit(f"{host!r} is neither an address nor a name that this computer knows: "
                 "correct MINI_HOST, or HOST in config.py")
    except (ValueError, OverflowError):
        sys.exit(f"{port!r} is not a port: set MINI_PORT, or PORT in config.py, "
                 "to a number from 1024 to 65535")
    except PermissionError:
        sys.exit(f"port {port} needs administrator rights or is reserved: "
                 "set MINI_PORT, or PORT in config.py, to a number from 1024 to 65535")
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            sys.exit(f"port {port} is taken, perhaps by another copy of this server: "
                     "stop it, or set MINI_PORT, or PORT in config.py, to another port")
        sys.exit(f"cannot listen on {host!r}: {error.strerror}: "
                 "correct MINI_HOST, or HOST in config.py")


# The hosts that mean "listen on all networks", and the address to open on this computer then
ALL_NETWORKS = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def welcome(host, port):
    """Return what the console says at the start: the pages, and who can open them, if all can."""
    url = make_url(ALL_NETWORKS.get(host, host), port)
    lines = [f"server running on {url} (Ctrl+C stops it)"]
    lines += [f"  {url}{quote(path)}" for path in ROUTES]
    if host in ALL_NETWORKS:
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
    """Return this computer's address in its network, None if it is in none.

    The system chooses it when a socket is to send something out. For UDP, connect() sends
    nothing yet; and 192.0.2.1 is an address for examples, which nobody has (RFC 5737).
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return None
        return probe.getsockname()[0]


# ---- Ctrl+C (SIGINT) and kill (SIGTERM) ----

def stop(signal_number, frame):
    """End serve_forever() in main(). The next signal ends the program at once, whatever hangs.

    Python calls this when a signal comes, in the middle of what main() is doing. So it is main()
    where the KeyboardInterrupt is raised and caught.
    """
    give_signals_back()
    raise KeyboardInterrupt


def give_signals_back():
    """Let Ctrl+C and kill do what they do if nobody catches them: the system ends the program."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    if hasattr(os, "register_at_fork"):  # (not on Windows)
        # A process that a handler starts by fork (see multiprocessing) is a copy of this one, and
        # has stop(), too. But it has no main() to end: signals are to end it at once.
        os.register_at_fork(after_in_child=give_signals_back)
    main()
    # The threads of connections still run while Python ends, and if a handler prints something
    # just then, Python may crash. So, from here on, there is no console to print on.
    sys.stdout = sys.stderr = sys.__stdout__ = sys.__stderr__ = None
