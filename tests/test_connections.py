"""main.py on bad days: clients that stall, vanish, drip or never stop."""
import contextlib
import errno
import itertools
import os
import socket
import struct
import threading
import time
import tracemalloc
from unittest import mock

import config
import main
from tests.support import (
    CHUNKED, GET, LIMIT, MEGABYTE, NEXT, POST, LiveServer, get, live_threads, receive_all,
    running_server, statuses, wait_until)

UPLOAD = POST + b"Content-Length: 8388608\r\n\r\n" + b"x" * 8388608


class InStep(LiveServer):
    def test_the_next_request_on_a_connection_is_answered_unless_the_one_before_was_refused(self):
        for raw, expected in {
            get("/nope"): [404, 200],
            b"\r\n" + get("http://other/echo?x=100%"): [200, 200],
            POST + b"Content-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n": [200, 200],
            POST.replace(b"POST", b"PUT") + b"Content-Length: 27\r\n\r\n" + GET: [501, 200],
            CHUNKED + b"5;a=b\r\nhello\r\n0\r\nTrailer: t\r\n\r\n": [200, 200],
            b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n": [204, 200],
            GET.replace(b"Host: a", b"Host: a\r\n folded"): [400],
            POST + b"Content-Length: 9000\r\n\r\nabc": [400],
            UPLOAD: [413],  # it can be read, although the server reads little of the upload
        }.items():
            with self.subTest(raw=raw[:100]):
                self.assertEqual(statuses(self.exchange(raw + NEXT)), expected)
        self.assertEqual(len(self.calls), 6)

    def test_a_client_that_waits_for_it_is_told_to_continue(self):
        client = self.connect()
        client.sendall(b"GET /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\n"
                       b"Content-Length: 3\r\n\r\n")
        self.assertEqual(client.recv(65536), b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"abc")
        self.assertTrue(client.recv(65536).endswith(b"abc"))


class Silence(LiveServer):
    STALLS = (b"", b"\r\n", b"GE", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX", GET,
              POST + b"Content-Length: 9\r\n\r\nabc", CHUNKED, CHUNKED + b"5\r\nhe",
              CHUNKED + b"0\r\nT: t\r\n")

    @contextlib.contextmanager
    def accepting_later(self, timeout=LIMIT):
        """Let what clients send within it be there before the server looks at them."""
        may_go_on = threading.Event()
        get_request = main.Server.get_request

        def wait_first(server):
            may_go_on.wait()
            return get_request(server)

        self.change(mock.patch.object(main.SidhHTTP, "timeout", timeout))
        with mock.patch.object(main.Server, "get_request", wait_first):
            try:
                yield
            finally:
                may_go_on.set()

    def test_whoever_is_silent_or_takes_nothing_is_left_after_the_timeout(self):
        make_large_file(64 * MEGABYTE)
        seconds = []  # when the server left each client
        finish = main.SidhHTTP.finish

        def finish_and_tell(connection):
            seconds.append(time.monotonic() - start)
            finish(connection)

        self.change(mock.patch.object(main.SidhHTTP, "finish", finish_and_tell))
        with self.accepting_later(timeout=0.2):
            start = time.monotonic()
            clients = {raw: self.connect() for raw in [*self.STALLS, get("/files/large.bin")]}
            for raw, client in clients.items():
                client.sendall(raw)
        wait_until(lambda: len(seconds) == len(clients), "the server has left all clients")
        self.assertGreater(min(seconds), 0.19)
        for raw, client in clients.items():
            with self.subTest(raw=raw), client:
                answer = receive_all(client)
                is_whole = raw.startswith(b"GET") and raw.endswith(b"\r\n\r\n")
                self.assertEqual(statuses(answer), [200] * is_whole)
                # The more the system buffers, the longer a slow client needs to make room in it.
                if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                    self.assertLess(len(answer), 2 * MEGABYTE)

    def test_among_many_clients_that_stall_the_others_are_served(self):
        with self.accepting_later():
            clients = [self.connect() for _ in range(20)]
            for client, raw in zip(clients, [*self.STALLS, *[GET] * 10]):
                client.sendall(raw)
        for client in clients[10:]:
            self.assertTrue(client.recv(65536).endswith(b"</h1>"))
        for client in clients:
            client.close()


class Leaving(LiveServer):
    def test_a_client_that_is_to_leave_has_time_to_read_but_not_for_ever(self):
        for what, ending, times in [("goes on", [b"x"] * 2 * LIMIT, LIMIT), ("closes", [b""], 1),
                                    ("is silent", TimeoutError(), 1), ("has gone", OSError(), 1)]:
            client = mock.Mock(**{"recv.side_effect": ending, "wfile.closed": False})
            connection = object.__new__(main.SidhHTTP)
            vars(connection).update(connection=client, rfile=client.rfile, wfile=client.wfile)
            with self.subTest(what), mock.patch.object(main, "time") as clock:
                clock.monotonic = itertools.count().__next__  # each look takes a second
                connection.finish()
                self.assertEqual(client.mock_calls, [
                    mock.call.settimeout(1), mock.call.wfile.flush(), mock.call.wfile.close(),
                    mock.call.rfile.close(), mock.call.shutdown(socket.SHUT_WR),
                    *[mock.call.recv(65536)] * times])

    def test_a_client_that_resets_leaves_nothing_behind(self):
        make_large_file(64 * MEGABYTE)
        descriptors = count_descriptors()
        for raw in [GET * 20, get("/files/large.bin"), UPLOAD[:100]] * 5:
            client = self.connect()
            client.sendall(raw)
            if b"large" in raw:
                client.recv(1024)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()  # with a reset
        wait_until(lambda: count_descriptors() == descriptors, "all that was opened is closed")
        self.await_threads()
        for line in self.said().splitlines():
            self.assertRegex(line, r'"(GET|POST) .*" (200 OK|413 Body Too Large)\Z')

    def test_a_download_takes_little_memory(self):
        self.addCleanup(tracemalloc.stop)
        make_large_file(20 * MEGABYTE)
        buffer = bytearray(65536)
        with self.connect() as client:
            tracemalloc.start()
            client.sendall(NEXT.replace(b"/next", b"/files/large.bin"))
            received = sum(iter(lambda: client.recv_into(buffer), 0))
            self.assertLess(tracemalloc.get_traced_memory()[1], 4 * MEGABYTE)
        self.assertGreater(received, 20 * MEGABYTE)


class Listening(LiveServer):
    def test_while_no_connection_can_be_accepted_the_server_waits_between_two_tries(self):
        trouble = OSError(errno.EMFILE, "Too many open files")
        with mock.patch("socketserver.TCPServer.get_request", side_effect=trouble), \
                mock.patch.object(main, "time") as clock, self.assertRaises(OSError):
            main.Server.get_request(self.server)
        clock.sleep.assert_called_once_with(0.1)

    def test_a_port_has_one_server_and_is_free_again_at_once(self):
        with running_server() as server:
            with self.assertRaises(OSError):
                main.Server(server.server_address, main.SidhHTTP)
            with socket.create_connection(server.server_address, LIMIT) as client:
                client.sendall(GET.replace(b"1.1", b"1.0"))
                receive_all(client)  # until the server, first to close, has one in TIME_WAIT
        main.Server(server.server_address, main.SidhHTTP).server_close()

    def test_after_a_failure_inside_it_a_server_of_these_tests_has_ended(self):
        threads = live_threads()
        with self.assertRaises(ZeroDivisionError), running_server() as server:
            1 / 0
        self.assertLessEqual(live_threads(), threads)
        with self.assertRaises(OSError):
            socket.create_connection(server.server_address)


def make_large_file(size):
    """Make FILE_DIR/large.bin, of zeros that take no room on the disk."""
    with open(os.path.join(config.FILE_DIR, "large.bin"), "wb") as file:
        file.truncate(size)


def count_descriptors():
    """Return how many files and sockets this process has open, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None
