"""What the tests share: a server on a free port, clients that speak to it, and waiting.

If the server does not even answer "GET /", the first test that needs one says why, and those
after it fail at once.

Nothing here sleeps and hopes: what takes time is waited for with wait_until(), whose limit is
so generous that only a real fault reaches it, however busy the computer is.
"""
import contextlib
import http.client
import io
import os
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

with contextlib.suppress(ImportError, ValueError, OSError):  # macOS allows 256 open files at first
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard) if hard >= 0 else 4096, hard))

SHIPPED_PATHS = ["/", "/files/", "/home", "/request"]

# File names that mean something to HTML, to URLs, to headers or to terminals.
ODD_NAMES = ["<img src=x>.txt", "a'b\"c&d.txt", "100%.txt", "100%25.txt", "日本語.txt",
             "two\nlines.txt", "a#b?c=d.txt", "plus+and space.txt", "&amp;.txt"]

try:
    import tracemalloc
except ImportError:  # PyPy has none
    tracemalloc = None

measures_memory = unittest.skipUnless(tracemalloc, "this Python does not tell what memory it takes")

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def has_ipv6():
    """Return whether this computer can listen on ::1."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
            return True
    except OSError:
        return False


def wait_until(condition, what):
    """Return what condition() returns as soon as that is true; fail if it never is."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.002)
    raise AssertionError(f"waited {LIMIT} seconds in vain until {what}")


def make_request(path="/", query="", method="GET", body=b""):
    """Return a Request as a handler gets it, without any server."""
    return router.Request(method, path, query, Message(), body, ("127.0.0.1", 0))


class Sandbox(unittest.TestCase):
    """Each test has a console of its own: what was printed on stderr so far.

    It has the routes that the project came with, whatever was added to routes.py since.
    What a test changes is taken back.
    """

    def setUp(self):
        self.console = io.StringIO()
        shipped = {path: router.ROUTES[path] for path in SHIPPED_PATHS}
        self.change(mock.patch.object(sys, "stderr", self.console))
        self.change(mock.patch.dict(router.ROUTES, shipped, clear=True))

    def change(self, patch):
        """Change something until the end of the test."""
        self.addCleanup(patch.stop)
        return patch.start()

    def set_config(self, **settings):
        """Change settings until the end of the test."""
        for name, value in settings.items():
            self.change(mock.patch.object(config, name, value))

    def make_folder(self, files=()):
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
                self.skipTest(f"this file system refuses the name {name!r}: {error}")
        return folder

    def make_large_file(self, size):
        """Make FILE_DIR/large.bin, of zeros that take no room on the disk."""
        self.set_config(FILE_DIR=self.make_folder())
        with open(os.path.join(config.FILE_DIR, "large.bin"), "wb") as file:
            file.truncate(size)

    def make_link(self, target, path):
        """Make path a symbolic link to target, or skip the test where that is not allowed."""
        try:
            os.symlink(target, path)
        except (OSError, NotImplementedError) as error:
            self.skipTest(f"no symbolic links here: {error}")


@contextlib.contextmanager
def running_server(host="127.0.0.1"):
    """Serve in a thread on a free port, until the with block is left."""
    with main.Server((host, 0), main.SidhHTTP) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def find_basic_fault():
    """Return what is wrong if the server does not even answer "GET /", "" if it does."""
    answer = b"nothing"
    console = io.StringIO()
    with mock.patch.object(sys, "stderr", console), running_server() as server:
        with contextlib.suppress(OSError):
            with socket.create_connection(server.server_address, timeout=5) as client:
                client.sendall(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
                answer = receive_all(client)
    if answer.startswith(b"HTTP/1.1 200 "):
        return ""
    return f"GET / was answered with {answer[:80]!r}, and the console says:\n{console.getvalue()}"


FAULTS = []  # what find_basic_fault() returned, once it has been called


def require_a_server():
    """Fail, with the reason at the first time, if the server does not even answer "GET /"."""
    if not FAULTS:
        FAULTS.append(find_basic_fault())
        reason = FAULTS[0]
    else:
        reason = FAULTS[0] and "GET / is not answered: see the first error"
    if reason:
        raise AssertionError(reason)


class LiveServer(Sandbox):
    """The tests of a class share a running server; console has what it printed in this test."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        require_a_server()
        serving = running_server()
        cls.server = serving.__enter__()
        cls.addClassCleanup(serving.__exit__, None, None, None)
        cls.address = cls.server.server_address

    def setUp(self):
        super().setUp()
        self.threads_before = set(threading.enumerate())
        self.addCleanup(self.assert_no_bug_in_main)

    def assert_no_bug_in_main(self):
        """Wait for what the connections of this test have to say, and look for a bug of main.py.

        Its traceback begins with the thread of the connection, that of a handler further inside.
        """
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

    def await_threads(self):
        """Wait until all connections of this test have ended."""
        wait_until(lambda: set(threading.enumerate()) <= self.threads_before,
                   "the threads of all connections end")


def receive_all(client):
    """Return what arrives until the other side closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))
