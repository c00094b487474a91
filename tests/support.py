"""What the tests share: a live server on a free port, and clients that speak to it raw."""
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
from unittest import mock

import config
import main
import router
import routes  # fills ROUTES

PROJECT = os.path.dirname(os.path.abspath(main.__file__))

with contextlib.suppress(ImportError, ValueError, OSError):  # macOS allows 256 open files at first
    import resource
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < 4096:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, hard) if hard >= 0 else 4096, hard))

# File names that mean something to HTML, to URLs, to headers or to terminals.
ODD_NAMES = ["<img src=x>.txt", "a'b\"c&d.txt", "100%.txt", "100%25.txt", "日本語.txt",
             "two\nlines.txt", "a#b?c=d.txt", "plus+and space.txt", "&amp;.txt"]


class Sandbox(unittest.TestCase):
    """Each test has a console of its own: what was printed on stderr so far.

    It has the three routes that the project came with, whatever was added to
    routes.py since. What a test changes is taken back.
    """

    def setUp(self):
        self.console = io.StringIO()
        shipped = {path: router.ROUTES[path] for path in ("/", "/files/", "/home")}
        routes_patch = mock.patch.dict(router.ROUTES, shipped, clear=True)
        for patch in (mock.patch.object(sys, "stderr", self.console), routes_patch):
            patch.start()
            self.addCleanup(patch.stop)

    def set_config(self, **settings):
        """Change settings until the end of the test."""
        for name, value in settings.items():
            patch = mock.patch.object(config, name, value)
            patch.start()
            self.addCleanup(patch.stop)

    def make_folder(self, files=()):
        """Return a new folder with these files in it ("sub/a.txt" too), gone at the end of the test."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)  # Windows keeps what is still open
        for name in files:
            try:
                path = os.path.join(os.fsencode(folder), os.fsencode(name))
                os.makedirs(os.path.dirname(path), exist_ok=True)
                with open(path, "wb") as file:
                    file.write(b"content of " + os.fsencode(name))
            except (OSError, ValueError) as error:
                self.skipTest(f"this file system refuses the name {name!r}: {error}")
        return folder

    def make_link(self, target, path):
        """Make path a symbolic link to target, or skip the test where that is not allowed."""
        try:
            os.symlink(target, path)
        except (OSError, NotImplementedError) as error:
            self.skipTest(f"no symbolic links here: {error}")


class LiveServer(Sandbox):
    """Each test gets a running server, and console has what it printed."""

    def setUp(self):
        super().setUp()
        self.server = main.Server(("127.0.0.1", 0), main.SidhHTTP)
        self.address = self.server.server_address
        thread = threading.Thread(target=self.server.serve_forever, args=(0.01,))
        thread.start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(thread.join)
        self.addCleanup(self.server.shutdown)

    def connect(self):
        """Return a client's socket; it gives up after 5 seconds."""
        client = socket.create_connection(self.address, timeout=5)
        self.addCleanup(client.close)
        return client

    def exchange(self, raw):
        """Send raw bytes, half-close, and return all bytes that come back until the close."""
        with self.connect() as client:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            return receive_all(client)

    def ask(self, method, target, body=None, headers={}):
        """Send one well-formed request and return its response, body already read as .content."""
        connection = http.client.HTTPConnection(*self.address, timeout=5)
        try:
            connection.request(method, target, body, {**headers, "Connection": "close"})
            response = connection.getresponse()
            response.content = response.read()
            return response
        finally:
            connection.close()

    def await_threads(self, count):
        """Wait until no more threads than these are left; fail after 5 seconds."""
        deadline = time.monotonic() + 5
        while threading.active_count() > count and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertLessEqual(threading.active_count(), count)

    def get(self, target):
        """GET the target, sent just as it is written."""
        return self.ask("GET", target)


def receive_all(client):
    """Return what arrives until the other side closes."""
    return b"".join(iter(lambda: client.recv(65536), b""))
