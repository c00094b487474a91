"""main.py on bad days: clients that stall, vanish, drip or never stop, and a server short of files.

Whatever one client does, the others are served, its thread ends, and nothing is left behind.
"""
import contextlib
import errno
import os
import re
import socket
import struct
import time
import tracemalloc
import unittest
from unittest import mock

import main
from tests.support import (
    CHUNKED, GET, LIMIT, MEGABYTE, NEXT, POST, LiveServer, get, receive_all, statuses,
    wait_until)


class InStep(LiveServer):
    """A few requests of each kind; test_reading.py has the whole tables."""

    def test_a_sound_request_is_answered_and_so_is_the_next_on_its_connection(self):
        for raw, status in {
            GET: 200,
            b"\r\n" + GET: 200,
            get("/nope"): 404,
            get("http://other/echo?x=100%"): 200,
            POST + b"Content-Length: 3\r\n\r\nabc": 200,
            POST + b"Content-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n": 200,
            CHUNKED + b"5;a=b\r\nhello\r\n0\r\nTrailer: t\r\n\r\n": 200,
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n": 204,
        }.items():
            with self.subTest(raw=raw):
                self.assertEqual(statuses(self.exchange(raw + NEXT)), [status, 200])
        self.assertEqual(len(self.calls), 8)

    def test_a_request_in_doubt_is_refused_and_nothing_after_it_is_read(self):
        for raw, status in {
            b"\r\n\r\n" + GET: 400,
            GET.replace(b"\r\n", b"\n"): 400,
            GET.replace(b"Host: a", b"X: y"): 400,
            GET.replace(b"Host: a", b"Host: a\r\n folded"): 400,
            GET.replace(b"/1.1", b"/2.0"): 505,
            GET.replace(b"GET", b"PUT"): 501,
            get("/" + "a" * 65536): 414,
            GET.replace(b"Host: a", b"Host: " + b"a" * 65536): 431,
            POST + b"Content-Length: 5\r\nContent-Length: 0\r\n\r\n": 400,
            POST + b"Content-Length: 9000\r\n\r\nabc": 400,
            POST + b"Content-Length: 1048577\r\n\r\n": 413,
            POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n": 400,
            CHUNKED + b"0x1\r\nx\r\n0\r\n\r\n": 400,
            CHUNKED + b"5;a b\r\nhello\r\n0\r\n\r\n": 400,
            CHUNKED + b"100001\r\n": 413,
            get("https://a/"): 400,
        }.items():
            for before in (b"", GET):
                with self.subTest(raw=raw[:100], before=before):
                    self.assertEqual(statuses(self.exchange(before + raw + NEXT)),
                                     [200] * bool(before) + [status])
        self.assertEqual(self.calls, [])
        self.assertNotIn("Traceback", self.said())

    def test_pipelined_requests_are_answered_in_their_order_and_get_their_bodies(self):
        bodies = [b"%d" % number * number for number in range(1, 60)]
        bodies.append(bytes(range(256)) * 4096)
        raw = b"".join(b"GET /echo HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%b"
                       % (len(body), body) for body in bodies)
        answer = self.exchange(raw + NEXT)
        positions = [answer.find(b"\r\n\r\n" + body + b"HTTP/1.1") for body in bodies]
        self.assertNotIn(-1, positions)
        self.assertEqual(positions, sorted(positions))

    def test_a_request_may_arrive_in_pieces(self):
        client = self.connect()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in CHUNKED.replace(b"POST /", b"GET /echo") + b"3\r\nabc\r\n0\r\n\r\n":
            client.sendall(bytes([byte]))
        self.assertTrue(client.recv(65536).endswith(b"\r\n\r\nabc"))

    def test_a_client_that_waits_is_told_to_continue_unless_its_body_is_too_large(self):
        client = self.connect()
        client.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
                       b"Content-Length: 3\r\n\r\n")
        self.assertEqual(client.recv(65536), b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"abc")
        self.assertTrue(client.recv(65536).endswith(b"abc"))
        client.sendall(POST + b"Expect: 100-continue\r\nContent-Length: 2000000\r\n\r\n")
        self.assertTrue(client.recv(65536).startswith(b"HTTP/1.1 413 "))

    def test_a_connection_persists_until_it_is_asked_to_close(self):
        for line, version, answers, word in [
            (b"X: y", b"1.1", 2, b"keep-alive"), (b"Connection: Keep-Alive, CLOSE", b"1.1", 1, b"close"),
            (b"X: y", b"1.0", 1, b"close"), (b"Connection: keep-alive", b"1.0", 1, b"close"),
        ]:
            with self.subTest(line=line, version=version):
                with self.connect() as client:
                    client.sendall(b"GET / HTTP/%b\r\nHost: a\r\n%b\r\n\r\n" % (version, line) + NEXT)
                    answer = receive_all(client)  # it comes to an end, although we do not close
                self.assertEqual(statuses(answer), [200] * answers)
                self.assertEqual(re.search(rb"\r\nConnection: (.*)\r\n", answer)[1], word)


class Silence(LiveServer):
    STALLS = (b"", b"\r\n", b"GE", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX", GET,
              POST + b"Content-Length: 9\r\n\r\nabc", CHUNKED, CHUNKED + b"5\r\nhe",
              CHUNKED + b"0\r\nT: t\r\n")

    def test_a_silent_connection_is_closed_after_the_timeout(self):
        self.set_timeout(0.2)
        start = time.monotonic()
        clients = [self.connect() for _ in self.STALLS]
        for client, raw in zip(clients, self.STALLS):
            client.sendall(raw)
        for client, raw in zip(clients, self.STALLS):
            with self.subTest(raw=raw), client:
                self.assertEqual(statuses(receive_all(client)), [200] if raw == GET else [])
                self.assertGreater(time.monotonic() - start, 0.19)
        self.await_threads()
        self.assertEqual(len(self.said().splitlines()), 1)  # the one GET

    def test_a_client_that_takes_nothing_and_does_not_close_is_left_in_time(self):
        self.add_page("/long", (200, "text/plain", b"x" * 60000))
        self.make_large_file(64 * MEGABYTE)
        self.set_timeout(0.2)
        clients = [self.connect() for _ in range(2)]
        for client, raw in zip(clients, [get("/long") * 300, get("/files/large.bin")]):
            client.sendall(raw)
            self.assertTrue(client.recv(1024))
        self.await_threads()

    def test_a_client_hears_at_once_that_no_more_will_come_and_is_left_soon_afterwards(self):
        self.set_timeout(2 * LIMIT)
        seconds = []
        for raw in (GET.replace(b"1.1", b"1.0"), b"nonsense\r\n"):
            start = time.monotonic()
            client = self.connect()
            client.sendall(raw)
            receive_all(client)  # although the client does not close
            seconds.append(time.monotonic() - start)
        self.assertLess(min(seconds), 0.9)
        self.await_threads()
        self.assertLess(time.monotonic() - start, 15)

    def test_stalled_connections_do_not_delay_others(self):
        for raw in self.STALLS * 20:
            self.connect().sendall(raw)
        for _ in range(5):
            self.assertEqual(self.get("/next").status, 200)  # long before the timeout

    def test_a_burst_of_connections_is_served(self):
        clients = [self.connect() for _ in range(300)]
        for client in clients:
            client.sendall(GET)
        self.assertTrue(all(client.recv(65536).endswith(b"</h1>") for client in clients))
        self.assertEqual(main.Server.request_queue_size, 512)


class Leaving(LiveServer):
    def test_a_client_that_resets_leaves_nothing_behind(self):
        self.make_large_file(64 * MEGABYTE)
        descriptors = count_descriptors()
        for raw in [GET * 20, get("/files/large.bin"), POST + b"Content-Length: 9\r\n\r\nabc"] * 5:
            client = self.connect()
            client.sendall(raw)
            if b"large" in raw:
                client.recv(1024)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()  # with a reset
        wait_until(lambda: count_descriptors() == descriptors, "all that was opened is closed")
        self.await_threads()
        for line in self.said().splitlines():
            self.assertRegex(line, r'"GET .*" 200 -\Z')

    def peak(self, raw):
        """Return how many bytes of memory the request took at the most; the page is one of these."""
        self.addCleanup(tracemalloc.stop)
        buffer = bytearray(65536)
        with self.connect() as client:
            tracemalloc.start()
            client.sendall(raw)
            answer = bytes(buffer[:client.recv_into(buffer)])
            while client.recv_into(buffer):
                pass
            peak = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        self.assertRegex(answer, rb"\AHTTP/1\.1 (200|404|431) ")
        return peak

    def test_neither_a_request_nor_a_download_takes_much_memory(self):
        self.make_large_file(20 * MEGABYTE)
        head, tail = b" HTTP/1.1\r\nHost: a\r\n", b"\r\nConnection: close\r\n\r\n"
        chunks = (b"1000\r\n" + b"x" * 4096 + b"\r\n") * 256 + b"0\r\n\r\n"
        for raw, mebibytes in [
            (b"GET /" + b"a" * 65000 + head + tail, 2), (b"GET /" + b"%41" * 21000 + head + tail, 6),
            (b"GET / HTTP/1.1\r\nHost: " + b"a" * 65000 + tail, 2),
            (b"GET /" + head + b"Connection: " + b"ab," * 21000 + tail, 6),
            (POST + b"Content-Length: 1048576" + tail + b"x" * MEGABYTE, 3),
            (POST + b"Transfer-Encoding: chunked" + tail + chunks, 3),
            (b"GET /" + head + (b"X: " + b"a" * 60000 + b"\r\n") * 100, 2),
            (get("/files/large.bin").replace(b"\r\n\r\n", tail), 4),
        ]:
            with self.subTest(raw=raw[:50]):
                self.assertLess(self.peak(raw), mebibytes * MEGABYTE)

    def test_requests_on_one_connection_leave_no_memory_behind(self):
        client = self.connect()

        def ask(times):
            for _ in range(times):
                client.sendall(GET)
                client.recv(65536)
            self.said()

        ask(20)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        ask(100)
        before = tracemalloc.get_traced_memory()[0]
        ask(500)
        self.assertLess(tracemalloc.get_traced_memory()[0] - before, 64 * 1024)


class Scarcity(LiveServer):
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
    def test_with_every_descriptor_spent_a_client_gets_a_response_and_the_console_the_reason(self):
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
            found = {}
            for path in ("/files/hello.txt", "/nope", "/"):
                client.sendall(get(path))
                found[path] = statuses(client.recv(65536))
        finally:
            for descriptor in spent:
                os.close(descriptor)
        self.assertEqual(found, {"/files/hello.txt": [503], "/nope": [404], "/": [200]})
        self.assertRegex(self.said(), r"\] \[Errno 24\] Too many open files: '.*hello\.txt'\n")
        client.sendall(get("/files/hello.txt"))
        self.assertEqual(statuses(client.recv(65536)), [200])


def count_descriptors():
    """Return how many files and sockets this process has open, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
