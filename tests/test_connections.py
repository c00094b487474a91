"""main.py on bad days: clients that stall, vanish, drip or never stop, and a server short of files.

Whatever one client does, the others are served, the thread ends, and nothing is left behind.
"""
import contextlib
import errno
import io
import os
import re
import socket
import struct
import threading
import time
import unittest
from unittest import mock

import main
from router import route
from tests.support import GET, LIMIT, LiveServer, measures_memory, receive_all, tracemalloc, wait_until

POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
MEGABYTE = 1 << 20


class Wire(LiveServer):
    """A live server with a route /next that remembers its calls, and /echo that returns the body."""

    def setUp(self):
        super().setUp()
        self.calls = []

        @route("/next")
        def answer_next(request):
            self.calls.append(request.path)
            return 200, "text/plain", "next"

        @route("/echo")
        def echo(request):
            return 200, "application/octet-stream", request.body

    def set_timeout(self, seconds):
        """Let a client be silent for so long, until the end of the test."""
        self.change(mock.patch.object(main.SidhHTTP, "timeout", seconds))
        self.change(mock.patch.object(main.SidhHTTP, "linger", seconds))

    def statuses(self, raw):
        """Return the status codes of all answers to what is sent."""
        return [int(code) for code in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", self.exchange(raw))]


class Reading(Wire):
    """A few of each kind; test_reading.py has the whole tables."""

    def test_a_sound_request_is_answered_and_so_is_the_next_on_its_connection(self):
        for raw, status in {
            GET: 200,
            b"\r\n" + GET: 200,
            GET.replace(b" / ", b" /nope "): 404,
            GET.replace(b" / ", b" http://a/home?x "): 200,
            POST + b"Content-Length: 3\r\n\r\nabc": 200,
            POST + b"Content-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n": 200,
            CHUNKED + b"5;a=b\r\nhello\r\n0\r\nTrailer: t\r\n\r\n": 200,
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n": 204,
        }.items():
            with self.subTest(raw=raw):
                self.assertEqual(self.statuses(raw + NEXT), [status, 200])
        self.assertEqual(len(self.calls), 8)

    def test_a_doubtful_request_is_refused_and_nothing_after_it_is_read(self):
        for raw, status in {
            b"\r\n\r\n" + GET: 400,
            GET.replace(b"\r\n", b"\n"): 400,
            GET.replace(b"Host: a", b"X: y"): 400,
            GET.replace(b"Host: a", b"Host: a\r\n folded"): 400,
            GET.replace(b" / ", b" /%ff "): 400,
            GET.replace(b"/1.1", b"/2.0"): 505,
            GET.replace(b"GET", b"PUT"): 501,
            GET.replace(b" / ", b" /" + b"a" * 65536 + b" "): 414,
            GET.replace(b"Host: a", b"Host: " + b"a" * 65536): 431,
            POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\n": 400,
            POST + b"Content-Length: 9000\r\n\r\nabc": 400,
            POST + b"Content-Length: 1048577\r\n\r\n": 413,
            POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n": 400,
            POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n": 501,
            CHUNKED + b"0x1\r\nx\r\n0\r\n\r\n": 400,
            CHUNKED + b"5;a b\r\nhello\r\n0\r\n\r\n": 400,
            GET.replace(b" / ", b" http://evil/ "): 400,
            GET.replace(b" / ", b" https://a/ "): 400,
            CHUNKED + b"100001\r\n": 413,
        }.items():
            with self.subTest(raw=raw[:100]):
                self.assertEqual(self.statuses(raw + NEXT), [status])
        self.assertEqual(self.calls, [])
        self.assertNotIn("Traceback", self.console.getvalue())
        self.assertNotIn("dropped", self.console.getvalue())

    def test_a_handler_gets_the_body_whatever_the_method(self):
        for body in None, b"", b"abc", bytes(range(256)) * 4096:
            with self.subTest(size=body and len(body)):
                self.assertEqual(self.ask("GET", "/echo", body).content, body or b"")
                for method in "HEAD", "POST":
                    self.assertEqual(self.ask(method, "/echo", body).status, 200)

    def test_a_request_may_arrive_in_pieces(self):
        raw = CHUNKED.replace(b"POST /", b"GET /echo") + b"3\r\nabc\r\n0\r\n\r\n"
        client = self.connect()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in raw:
            client.sendall(bytes([byte]))
        self.assertTrue(client.recv(65536).endswith(b"\r\n\r\nabc"))

    def test_pipelined_requests_are_answered_in_their_order(self):
        bodies = [b"%d" % number * number for number in range(1, 60)]
        raw = b"".join(b"GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
                       % (len(body), body) for body in bodies)
        answer = self.exchange(raw + NEXT)
        positions = [answer.find(b"\r\n\r\n" + body + b"HTTP/1.1") for body in bodies]
        self.assertNotIn(-1, positions)
        self.assertEqual(positions, sorted(positions))

    def test_a_body_too_large_is_refused_before_it_is_sent(self):
        with self.connect() as client:
            client.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n")
            self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 413 "))

    def test_a_refusal_reaches_a_client_that_is_still_sending(self):
        with self.connect() as client:
            client.sendall(POST + b"Content-Length: 8000000\r\n\r\n")
            client.sendall(b"x" * 8000000)
            client.shutdown(socket.SHUT_WR)
            self.assertTrue(receive_all(client).startswith(b"HTTP/1.1 413 "))

    def test_a_client_that_asks_is_told_to_continue(self):
        with self.connect() as client:
            client.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
                           b"Content-Length: 3\r\n\r\n")
            self.assertEqual(client.recv(65536), b"HTTP/1.1 100 Continue\r\n\r\n")
            client.sendall(b"abc")
            self.assertTrue(client.recv(65536).endswith(b"abc"))

    def test_a_connection_persists_until_it_is_asked_to_close(self):
        for line, version, answers, word in [
            (b"X: y", b"1.1", 2, b"keep-alive"), (b"Connection: Keep-Alive, CLOSE", b"1.1", 1, b"close"),
            (b"X: y", b"1.0", 1, b"close"), (b"Connection: keep-alive", b"1.0", 1, b"close"),
        ]:
            with self.subTest(line=line, version=version):
                with self.connect() as client:
                    client.sendall(b"GET / HTTP/%b\r\nHost: a\r\n%b\r\n\r\n" % (version, line) + NEXT)
                    answer = receive_all(client)  # it comes to an end, although we do not close
                self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), answers)
                self.assertEqual(re.search(rb"\r\nConnection: (.*)\r\n", answer)[1], word)


class Silence(Wire):
    STALLS = (b"", b"\r\n", b"GE", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX", GET,
              POST + b"Content-Length: 9\r\n\r\nabc", CHUNKED, CHUNKED + b"5\r\nhe",
              CHUNKED + b"0\r\nT: t\r\n")

    def test_a_silent_connection_is_closed_after_the_timeout(self):
        self.set_timeout(0.2)
        clients = [self.connect() for _ in self.STALLS]
        start = time.monotonic()
        for client, raw in zip(clients, self.STALLS):
            client.sendall(raw)
        for client, raw in zip(clients, self.STALLS):
            with self.subTest(raw=raw), client:
                self.assertEqual(receive_all(client).count(b"HTTP/1.1"), 1 if raw == GET else 0)
                self.assertGreater(time.monotonic() - start, 0.19)
        self.await_threads()
        self.assertEqual(len(self.console.getvalue().splitlines()), 1)  # the one GET

    def test_a_client_that_takes_nothing_and_does_not_close_is_left_in_time(self):
        @route("/long")
        def long(request):
            return 200, "text/plain", b"x" * 60000

        self.make_large_file(64 * MEGABYTE)
        self.set_timeout(0.2)
        for raw in b"nonsense\r\n", GET.replace(b" / ", b" /long ") * 300, \
                GET.replace(b" / ", b" /files/large.bin "):
            client = self.connect()
            client.sendall(raw)
            self.assertTrue(client.recv(1024))
        self.await_threads()

    def test_a_refused_client_that_goes_on_sending_is_left_after_the_timeout(self):
        self.set_timeout(0.2)
        client = self.connect()
        client.sendall(POST + b"Content-Length: 9000000\r\n\r\n")
        self.assertTrue(client.recv(1024).startswith(b"HTTP/1.1 413 "))

        def is_left():
            with contextlib.suppress(OSError):
                client.send(b"x")
            return set(threading.enumerate()) <= self.threads_before

        wait_until(is_left, "the client is left, although it never stops sending")

    def test_a_refused_client_that_falls_silent_is_left_long_before_the_timeout(self):
        self.set_timeout(2 * LIMIT)
        self.change(mock.patch.object(main.SidhHTTP, "linger", 0.1))
        client = self.connect()
        client.sendall(b"nonsense\r\n")
        receive_all(client)
        self.await_threads()  # it gives up after LIMIT seconds

    def test_stalled_connections_do_not_delay_others(self):
        for raw in self.STALLS * 20:
            self.connect().sendall(raw)
        for _ in range(5):
            self.assertEqual(self.get("/").status, 200)  # long before the timeout of 30 seconds
        self.assertEqual(self.calls, [])

    def test_a_client_hears_at_once_that_no_more_will_come(self):
        self.change(mock.patch.object(main.SidhHTTP, "linger", 2 * LIMIT))
        for raw in (GET.replace(b"1.1", b"1.0"), b"nonsense\r\n"):
            with self.subTest(raw=raw), self.connect() as client:
                client.sendall(raw)
                receive_all(client)  # it gives up after LIMIT seconds, long before the server

    def test_a_burst_of_connections_is_served(self):
        clients = [self.connect() for _ in range(300)]
        for client in clients:
            client.sendall(GET)
        self.assertTrue(all(client.recv(65536).endswith(b"</h1>") for client in clients))
        self.assertEqual(main.Server.request_queue_size, 512)


class Finishing(unittest.TestCase):
    def test_what_a_client_did_not_take_in_time_is_not_sent_again(self):
        class Stuck(io.RawIOBase):
            """A client that takes nothing: each try to send it something lasts for the timeout."""
            tries = 0

            def writable(self):
                return True

            def write(self, data):
                Stuck.tries += 1
                raise socket.timeout

        connection = object.__new__(main.SidhHTTP)
        connection.rfile = io.BytesIO()
        connection.wfile = io.BufferedWriter(Stuck())
        connection.connection = mock.Mock()
        connection.connection.recv.return_value = b""
        connection.wfile.write(b"left over")
        connection.finish()
        self.assertEqual(Stuck.tries, 0)
        self.assertTrue(connection.rfile.closed)


class Vanishing(Wire):
    def reset(self, client):
        """Close a connection so that the other side gets a reset."""
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()

    def test_a_client_that_resets_leaves_nothing_behind(self):
        self.make_large_file(64 * MEGABYTE)
        download = GET.replace(b" / ", b" /files/large.bin ")
        descriptors = count_descriptors()
        for raw in [GET * 20, download, POST + b"Content-Length: 9\r\n\r\nabc"] * 5:
            client = self.connect()
            client.sendall(raw)
            if raw is download:
                client.recv(1024)
            self.reset(client)
        wait_until(lambda: count_descriptors() == descriptors, "all that was opened is closed")
        self.await_threads()
        for line in self.console.getvalue().splitlines():
            self.assertRegex(line, r'"GET .*" 200 -\Z')

    @measures_memory
    def test_requests_on_one_connection_leave_no_memory_behind(self):
        client = self.connect()

        def ask(times):
            for _ in range(times):
                client.sendall(GET)
                client.recv(65536)
            self.console.seek(0)
            self.console.truncate()

        ask(20)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        ask(100)
        before = tracemalloc.get_traced_memory()[0]
        ask(500)
        self.assertLess(tracemalloc.get_traced_memory()[0] - before, 64 * 1024)

    @measures_memory
    def test_a_request_takes_no_more_memory_than_the_settings_say(self):
        head, tail = b" HTTP/1.1\r\nHost: a\r\n", b"\r\nConnection: close\r\n\r\n"
        chunks = (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 256 + b"0\r\n\r\n"
        for raw, mebibytes in [
            (b"GET /" + b"a" * 65000 + head + tail, 2), (b"GET /" + b"%41" * 21000 + head + tail, 6),
            (b"GET / HTTP/1.1\r\nHost: " + b"a" * 65000 + tail, 2),
            (b"GET / HTTP/1.1\r\nHost: " + b"%41" * 21000 + tail, 2),
            (b"GET /" + head + b"Connection: " + b"ab," * 21000 + tail, 6),
            (POST + b"Content-Length: 1048576" + tail + b"x" * MEGABYTE, 3),
            (POST + b"Transfer-Encoding: chunked" + tail + chunks, 3),
        ]:
            with self.subTest(raw=raw[:50]), self.connect() as client:
                tracemalloc.start()
                self.addCleanup(tracemalloc.stop)
                client.sendall(raw)
                self.assertRegex(receive_all(client), rb"\AHTTP/1\.1 (200|404) ")
                self.assertLess(tracemalloc.get_traced_memory()[1], mebibytes * MEGABYTE)
                tracemalloc.stop()

    def test_headers_without_end_are_not_collected(self):
        line = b"X: " + b"a" * 60000 + b"\r\n"
        with self.connect() as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n" + line * 100)
            client.shutdown(socket.SHUT_WR)
            self.assertTrue(receive_all(client).startswith(b"HTTP/1.1 431 "))


class Scarcity(Wire):
    """What happens while no file and no connection can be opened."""

    def test_while_no_connection_can_be_accepted_the_server_waits_and_then_goes_on(self):
        refusals = []

        def refuse(server):
            refusals.append(time.monotonic())
            raise OSError(errno.EMFILE, "Too many open files")

        with mock.patch("socketserver.TCPServer.get_request", refuse):
            client = self.connect()
            client.sendall(GET)
            wait_until(lambda: len(refusals) >= 3, "the server has tried three times")
        self.assertTrue(client.recv(65536).endswith(b"</h1>"))
        for earlier, later in zip(refusals, refusals[1:]):
            self.assertGreater(later - earlier, 0.09)

    @unittest.skipUnless(os.path.isdir("/proc/self/fd"), "this system does not list what is open")
    def test_with_every_descriptor_spent_a_client_gets_an_answer_and_the_console_the_reason(self):
        import resource
        client = self.connect()
        client.sendall(GET)
        client.recv(65536)
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, limits)
        highest = max(int(name) for name in os.listdir("/proc/self/fd"))
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 1, limits[1]))
        spent = []
        with contextlib.suppress(OSError):
            while True:
                spent.append(os.open(os.devnull, os.O_RDONLY))
        try:
            answers = {}
            for path in (b"/files/hello.txt", b"/home", b"/files/", b"/nope", b"/"):
                client.sendall(GET.replace(b" / ", b" " + path + b" "))
                answers[path] = client.recv(65536)[:12]
        finally:
            for descriptor in spent:
                os.close(descriptor)
        self.assertEqual(answers, {b"/files/hello.txt": b"HTTP/1.1 503", b"/home": b"HTTP/1.1 500",
                                   b"/files/": b"HTTP/1.1 500", b"/nope": b"HTTP/1.1 404",
                                   b"/": b"HTTP/1.1 200"})
        self.assertIn("cannot open 'hello.txt': [Errno 24] Too many open files",
                      self.console.getvalue())
        client.sendall(GET.replace(b" / ", b" /home "))
        self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 200 "))


def count_descriptors():
    """Return how many files and sockets this process has open, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
