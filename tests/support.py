"""What the tests share: a server with pages and settings of its own, clients, and waiting.

The pages in routes.py, the templates, the sample files and the settings may be edited: few tests
look at those, inside shipped(). What takes time is waited for with wait_until(), whose limit is so
generous that only a real fault reaches it.
"""
import contextlib
import http.client
import io
import os
import re
import shutil
import socket
import sys
import tempfile
import threading
import time
import unittest
from email.message import Message
from unittest import mock

import config
import main
import router

PROJECT = os.path.dirname(os.path.abspath(main.__file__))
LIMIT = 30  # seconds: how long a test waits for what must happen
MEGABYTE = 1 << 20

SHIPPED = dict(router.ROUTES)  # the pages of routes.py

# File names that mean something to HTML, to URLs, to headers or to terminals
ODD_NAMES = ["<img src=x>.txt", "a'b\"c&d.txt", "100%.txt", "100%25.txt", "日本語.txt",
             "two\nlines.txt", "a#b?c=d.txt", "plus+and space.txt", "&amp;.txt"]

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@contextlib.contextmanager
def shipped(name):
    """Turn a failure within it into a skip that says "<name> was changed", unless CI is set.

    Also a decorator. A subTest() would hide the failure: let that be around it.
    """
    try:
        yield
    except Exception as error:
        if os.environ.get("CI") or isinstance(error, unittest.SkipTest):
            raise
        raise unittest.SkipTest(f"{name} was changed") from error


def wait_until(condition, what):
    """Return what condition() returns as soon as that is true; fail if it never is."""
    deadline = time.monotonic() + LIMIT
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {LIMIT} seconds in vain until {what}")
        time.sleep(0.002)
    return found


def has_ipv6():
    """Return whether this computer can listen on ::1."""
    with contextlib.suppress(OSError):
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
        return True


def make_request(path="/", query="", method="GET", body=b"", version="HTTP/1.1"):
    """Return a Request as a handler gets it, without any server."""
    return router.Request(method, path, query, version, Message(), body, ("127.0.0.1", 0))


def get(path):
    """Return the bytes of a GET."""
    return GET.replace(b" / ", b" " + path.encode() + b" ")


def receive_all(client):
    """Return what arrives until the other side closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))


def statuses(answer):
    """Return the status of each response in these bytes."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


class Sandbox(unittest.TestCase):
    """Each test has its own console, pages, folders and settings. What it changes is undone.

    The pages are /, /next, which remembers its calls, and /echo, which returns the body.
    """

    def setUp(self):
        self.console = io.StringIO()
        self.calls = []
        self.folder = self.make_folder()
        self.change(mock.patch.object(sys, "stderr", self.console))
        for name, routes in vars(router).items():
            if name.endswith("ROUTES"):  # exercises add more than one such dictionary
                self.change(mock.patch.dict(routes, clear=True))
        self.change(mock.patch.object(main.SidhHTTP, "timeout", LIMIT))
        self.set_config(FILE_DIR=self.make_folder("hello.txt"), TEMPLATE_DIR=self.folder,
                        MAX_HEAD=64 * 1024, MAX_BODY=MEGABYTE)
        self.write("error.html", b"<title>$title</title>\n<p>$text</p>\n")
        self.add_page("/", (200, "text/html", "<h1>Hello</h1>"))
        router.route("/next")(self.answer_next)
        router.route("/echo")(lambda request: (200, "application/octet-stream", request.body))

    def answer_next(self, request):
        """Return a page, and remember that it was asked for."""
        self.calls.append(request)
        return 200, "text/plain", "next"

    def add_page(self, path, response):
        """Register a handler that returns this response."""
        router.route(path)(lambda request: response)

    def change(self, patch):
        """Change something until the end of the test."""
        self.addCleanup(patch.stop)
        return patch.start()

    def set_config(self, **settings):
        """Change settings until the end of the test."""
        for name, value in settings.items():
            self.change(mock.patch.object(config, name, value))

    def make_folder(self, *files):
        """Return a new folder with these files ("sub/a.txt" too), gone at the end of the test."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)  # Windows keeps what is open
        for name in files:
            try:
                path = os.path.join(os.fsencode(folder), os.fsencode(name))
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(b"content of " + os.fsencode(name))
            except (OSError, ValueError) as error:
                self.skipTest(f"this file system refuses the name {name!a}: {error}")
        return folder

    def write(self, name, content):
        """Write a template."""
        with open(os.path.join(config.TEMPLATE_DIR, name), "wb") as file:
            file.write(content)

    def make_link(self, target, path):
        """Make path a symbolic link to target, or skip the test where that is not allowed."""
        try:
            os.symlink(target, path)
        except (OSError, NotImplementedError) as error:
            self.skipTest(f"no symbolic links here: {error}")

    def said(self):
        """Return what the console says, and begin a new one."""
        text = self.console.getvalue()
        self.console.truncate(self.console.seek(0))
        return text


def live_threads():
    """Return the threads that run. Those that ended oddly may stay in Python's list as a dummy."""
    return {thread for thread in threading.enumerate() if not thread.name.startswith("Dummy")}


@contextlib.contextmanager
def running_server(host="127.0.0.1"):
    """Serve in a thread on a free port until the with block is left and all clients are done."""
    threads = live_threads()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET  # HOST in config.py may differ
    with mock.patch.object(main.Server, "address_family", family), \
            main.Server((host, 0), main.SidhHTTP) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        try:
            yield server
        finally:
            server.shutdown()
    wait_until(lambda: live_threads() <= threads, "the threads of all clients end")


class LiveServer(Sandbox):
    """The tests of a class share a running server."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        serving = running_server()
        cls.server = serving.__enter__()
        cls.addClassCleanup(serving.__exit__, None, None, None)
        cls.address = cls.server.server_address

    def setUp(self):
        super().setUp()
        self.threads = live_threads()
        self.addCleanup(self.assert_no_bug_in_main)

    def await_threads(self):
        """Wait until all connections of this test have ended."""
        wait_until(lambda: live_threads() <= self.threads, "all connections end")

    def assert_no_bug_in_main(self):
        """Fail after a traceback of main.py. That of a handler begins further inside."""
        self.await_threads()
        self.assertNotIn("in process_request_thread", self.console.getvalue())

    def connect(self):
        """Return a client's socket."""
        client = socket.create_connection(self.address, timeout=LIMIT)
        self.addCleanup(client.close)
        return client

    def exchange(self, raw):
        """Send raw bytes, half-close, and return all bytes that come back until the close."""
        with self.connect() as client:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            return receive_all(client)

    def ask(self, method, target, body=None, headers=None):
        """Send one well-formed request and return its response, whose body is in .content."""
        connection = http.client.HTTPConnection(*self.address, timeout=LIMIT)
        with contextlib.closing(connection):
            connection.request(method, target, body, {**(headers or {}), "Connection": "close"})
            response = connection.getresponse()
            response.content = response.read()
            return response

    def get(self, target):
        """GET the target, sent just as it is written."""
        return self.ask("GET", target)
