"""Requests on the wire: which are answered, which are refused, and what a connection survives."""
import contextlib
import os
import random
import re
import socket
import struct
import threading
import time
import tracemalloc
import unittest

from router import route
from tests.support import LiveServer, receive_all

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


def get(target=b"/", version=b"HTTP/1.1", headers=b"Host: a\r\n", method=b"GET"):
    return method + b" " + target + b" " + version + b"\r\n" + headers + b"\r\n"


def with_header(line, before=b"Host: a\r\n"):
    return get(headers=before + line + b"\r\n")


GOOD = {  # what is sent: the status of its answer
    GET: 200,
    b"\r\n" + GET: 200,
    get(version=b"HTTP/1.0", headers=b""): 200,
    get(version=b"HTTP/1.2"): 200,
    get(version=b"HTTP/1.9"): 200,
    get(b"/home?x=1"): 200,
    get(b"/%68ome"): 200,
    get(b"/?q=%E6%97%A5"): 200,
    get(b"/?q=[a]{b}|\"<>^`\\"): 200,
    get(b"/?to=http://b/?x"): 200,
    get(b"//home"): 404,
    get(b"/home/"): 404,
    get(b"/%00"): 404,
    get(b"http://a/home"): 200,
    get(b"HTTPS://a:80/home?x"): 200,
    get(b"http://a"): 200,
    get(b"http://a?x"): 200,
    get(b"http://[::1]:80/home"): 200,
    get(method=b"HEAD"): 200,
    get(method=b"POST"): 200,
    get(method=b"OPTIONS"): 204,
    get(b"*", method=b"OPTIONS"): 204,
    get(headers=b"HOST:a\r\n"): 200,
    get(headers=b"Host: \t example.com:8080 \t\r\n"): 200,
    get(headers=b"Host: 127.0.0.1:9999\r\n"): 200,
    get(headers=b"Host: [::1]:9999\r\n"): 200,
    get(headers=b"Host: [2001:db8::192.0.2.1]\r\n"): 200,
    **{get(headers=b"Host: [" + address + b"]\r\n"): 200 for address in (
        b"::", b"1::", b"::1.2.3.4", b"1:2:3:4:5:6:7:8", b"1:2:3:4:5:6:7::", b"::2:3:4:5:6:7:8", b"1::8",
        b"1:2:3:4:5:6:1.2.3.4", b"fe80::255.255.255.255", b"1:2:3::4:5:6:7")},
    get(headers=b"Host: my_host-1.example\r\n"): 200,
    with_header(b"X: tab\tand \x80\xff are text"): 200,
    with_header(b"X:"): 200,
    with_header(b"!#$%&'*+-.^_`|~9A: any token is a name"): 200,
    with_header(b"Content-Length: 0"): 200,
    with_header(b"Content-Length: 3") + b"abc": 200,
    with_header(b"content-length: 003") + b"abc": 200,
    POST + b"Content-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n": 200,
    CHUNKED + b"0\r\n\r\n": 200,
    CHUNKED + b"5\r\nhello\r\n0\r\n\r\n": 200,
    CHUNKED + b"A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n": 200,
    CHUNKED + b"0000000000000001\r\nx\r\n0\r\n\r\n": 200,
    CHUNKED + b"1;a=b;c=\"d;\\\"e\";f\r\nx\r\n0 ; g\r\n\r\n": 200,
    CHUNKED + b"1\r\nx\r\n0\r\nTrailer: t\r\nContent-Length: 9\r\n\r\n": 200,
    POST + b"TRANSFER-ENCODING: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n": 200,
}

BAD = {  # what is sent: the status that refuses it
    # request line
    b"\r\n\r\n" + GET: 400,
    b"\n" + GET: 400,
    b" " + GET: 400,
    b"GET\r\n": 400,
    b"GET /\r\n": 400,
    b"GET / HTTP/1.1\nHost: a\n\n": 400,
    b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n": 400,
    b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    b"GET / x HTTP/1.1\r\nHost: a\r\n\r\n": 400,
    get(method=b"G(T"): 400,
    get(method=b""): 400,
    get(method=b"PUT"): 501,
    get(method=b"get"): 501,
    get(version=b"HTTP/0.9"): 400,
    get(version=b"HTTP/1"): 400,
    get(version=b"HTTP/1.10"): 400,
    get(version=b"HTTP/01.1"): 400,
    get(version=b"http/1.1"): 400,
    get(version=b"HTTP/1.x"): 400,
    get(version=b"HTTP/ 1.1"): 400,
    get(version=b"HTTP/2.0"): 505,
    get(version=b"HTTP/3.7"): 505,
    # target
    get(b"*"): 400,
    get(b"home"): 400,
    get(b"a:80", method=b"OPTIONS"): 400,
    get(b"?x"): 400,
    get(b"/#top"): 400,
    get(b"/\x7f"): 400,
    get(b"/\x00"): 400,
    get(b"/\xe6\x97\xa5"): 400,
    get(b"/%"): 400,
    get(b"/%4"): 400,
    get(b"/%zz"): 400,
    get(b"/%ff"): 400,
    get(b"/%c0%af"): 400,
    get(b"/%ed%a0%80"): 400,
    get(b"/?x=%80"): 400,
    get(b"http:///home"): 400,
    get(b"http://[x/home"): 400,
    get(b"http://u@a/home"): 400,
    get(b"http://a:b/home"): 400,
    get(b"ftp://a/home"): 400,
    # headers
    with_header(b"X : a"): 400,
    with_header(b"X\t: a"): 400,
    with_header(b": a"): 400,
    with_header(b"X"): 400,
    with_header(b"X: a\r\n folded"): 400,
    with_header(b"X: a\r\n\tfolded"): 400,
    with_header(b"X: a\x00b"): 400,
    with_header(b"X: a\rContent-Length: 5"): 400,
    with_header(b"X: a\nContent-Length: 5"): 400,
    with_header(b"X: a\x0bb"): 400,
    with_header(b"X\xe9: a"): 400,
    with_header(b"X(: a"): 400,
    get(headers=b" Host: a\r\n"): 400,
    get(headers=b"X: a\r\n" * 100): 431,
    # Host
    get(headers=b""): 400,
    get(headers=b"Host:\r\n"): 400,
    get(version=b"HTTP/1.0", headers=b"Host: \r\n"): 400,
    get(version=b"HTTP/1.0", headers=b"Host: a\r\nHost: a\r\n"): 400,
    **{get(headers=b"Host: " + host + b"\r\n"): 400 for host in (
        b"a\r\nHost: a", b"a, b", b"a b", b"u@a", b"a/b", b"a:b", b"a:80:80", b"[::1", b"[x]", b"[]",
        b"[:::1]", b"[1::2::3]", b"[:1:2]", b"[1:2:]", b"[1:2:3]", b"[::12345]", b"[::.]", b"[::1.2]", b"[::1.]",
        b"[::1.2.3.4.5]", b"[::1.2.3.256]", b"[1:2:3:4:5:6:7:8:9]", b"[1:2:3:4::5:6:7:8]", b"[1.2.3.4]",
        b"[::1.2.3.4:5]", b"[fe80::1%0]", b"::1", b"a#b", b"a?b", b"a\\b", b"%zz", b"\xe9", b'"a"')},
    # Content-Length
    **{with_header(b"Content-Length: " + length) + b"abc": 400 for length in (
        b"", b"+3", b"-3", b"3 ,3", b"3, 3", b"3 3", b"0x3", b"3_0", b"3.0", b"abc", b"\xb3",
        b"3\r\nContent-Length: 3", b"3\r\nContent-Length: 4")},
    with_header(b"Content-Length: 1048577"): 413,
    with_header(b"Content-Length: " + b"9" * 5000): 413,
    POST + b"Content-Length: 9000\r\n\r\nabc": 400,
    # Transfer-Encoding
    **{POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n": status for coding, status in {
        b"": 400, b"chunked, chunked": 400, b"chunked\r\nTransfer-Encoding: chunked": 400, b", chunked": 400,
        b"gzip": 501, b"gzip, chunked": 501, b"chunked, gzip": 501, b"identity": 501, b"xchunked": 501,
        b"chunked;q=1": 501, b"chunked\r\nContent-Length: 5": 400, b"\x0bchunked": 400}.items()},
    get(version=b"HTTP/1.0", headers=b"Transfer-Encoding: chunked\r\n") + b"0\r\n\r\n": 400,
    # chunks
    **{CHUNKED + chunks: 400 for chunks in (
        b"\r\n\r\n", b"0x1\r\nx\r\n0\r\n\r\n", b"+1\r\nx\r\n0\r\n\r\n", b"-1\r\nx\r\n0\r\n\r\n",
        b" 1\r\nx\r\n0\r\n\r\n", b"1 \r\nx\r\n0\r\n\r\n", b"1_0\r\nx\r\n0\r\n\r\n", b"g\r\nx\r\n0\r\n\r\n",
        b"1\nx\n0\n\n", b"1\r\nx\n0\r\n\r\n", b"1\r\nxy\r\n0\r\n\r\n", b"2\r\nx\r\n0\r\n\r\n",
        b"1\r\nx0\r\n\r\n", b"1;a\x00\r\nx\r\n0\r\n\r\n", b"1;a\rb\r\nx\r\n0\r\n\r\n", b"1;\r\nx\r\n0\r\n\r\n",
        b"00000000000000001\r\nx\r\n0\r\n\r\n", b"1;" + b"a" * 70000 + b"\r\nx\r\n0\r\n\r\n",
        b"1\r\nx\r\n0\r\nbad trailer\r\n\r\n", b"1\r\nx\r\n0\r\nX: a\r\n folded\r\n\r\n", b"5\r\nhel")},
    CHUNKED + b"100001\r\n": 413,
    CHUNKED + b"FFFFFFFFFFFFFFFF\r\n": 413,
    CHUNKED + (b"1;" + b"a" * 40000 + b"\r\nx\r\n") * 2: 413,
    # limits of the standard library
    get(b"/" + b"a" * 65536): 414,
    with_header(b"X: " + b"a" * 65536): 431,
}


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

    def statuses(self, raw):
        """Return the status codes of all answers to what is sent."""
        return [int(code) for code in re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", self.exchange(raw))]


class Reading(Wire):
    def test_a_sound_request_is_answered_and_so_is_the_next_on_its_connection(self):
        for raw, status in GOOD.items():
            with self.subTest(raw=raw):
                expected = [status] if b"HTTP/1.0" in raw else [status, 200]
                self.assertEqual(self.statuses(raw + NEXT), expected)

    def test_a_doubtful_request_is_refused_and_nothing_after_it_is_read(self):
        for raw, status in BAD.items():
            with self.subTest(raw=raw[:200]):
                self.assertEqual(self.statuses(raw + NEXT), [status])
        self.assertEqual(self.calls, [])
        self.assertNotIn("Traceback", self.console.getvalue())
        self.assertNotIn("dropped", self.console.getvalue())

    def test_99_headers_are_within_the_limit(self):
        self.assertEqual(self.statuses(get(headers=b"Host: a\r\n" + b"X: a\r\n" * 98) + NEXT), [200, 200])

    def test_a_handler_gets_the_body_whatever_the_method(self):
        for method in "GET", "HEAD", "POST":
            for body in None, b"", b"abc", bytes(range(256)) * 4096:
                with self.subTest(method=method, size=body and len(body)):
                    response = self.ask(method, "/echo", body)
                    self.assertEqual(response.status, 200)
                    if method == "GET":
                        self.assertEqual(response.content, body or b"")

    def test_a_chunked_body_is_put_together_at_whatever_byte_it_is_split(self):
        raw = get(b"/echo", headers=b"Host: a\r\nTransfer-Encoding: chunked\r\n")
        raw += b"5;x=y\r\nhello\r\n7\r\n, world\r\n0\r\nT: t\r\n\r\n"
        client = self.connect()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for cut in range(1, len(raw)):
            client.sendall(raw[:cut])
            time.sleep(0.0005)
            client.sendall(raw[cut:])
            self.assertTrue(client.recv(65536).endswith(b"\r\n\r\nhello, world"), cut)

    def test_a_chunked_body_that_arrives_byte_by_byte_is_put_together(self):
        client = self.connect()
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in CHUNKED.replace(b"POST /", b"GET /echo") + b"3\r\nabc\r\n0\r\n\r\n":
            client.sendall(bytes([byte]))
        self.assertTrue(client.recv(65536).endswith(b"\r\n\r\nabc"))

    def test_pipelined_requests_are_answered_in_their_order(self):
        bodies = [b"%d" % number * number for number in range(1, 60)]
        raw = b"".join(get(b"/echo", headers=b"Host: a\r\nContent-Length: %d\r\n" % len(body)) + body
                       for body in bodies)
        answer = self.exchange(raw + NEXT)
        positions = [answer.find(b"\r\n\r\n" + body + b"HTTP/1.1") for body in bodies]
        self.assertNotIn(-1, positions)
        self.assertEqual(positions, sorted(positions))

    def test_a_body_up_to_the_limit_is_taken_and_one_byte_more_is_not(self):
        self.set_config(MAX_BODY=100)
        for size, status in (100, 200), (101, 413):
            chunked = CHUNKED + b"32\r\n" + b"x" * 50 + b"\r\n%x\r\n" % (size - 50) + b"x" * (size - 50)
            with self.subTest(size=size):
                self.assertEqual(self.ask("POST", "/", b"x" * size).status, status)
                self.assertEqual(self.statuses(chunked + b"\r\n0\r\n\r\n"), [status])

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
            client.sendall(get(b"/echo", headers=b"Host: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n"))
            self.assertEqual(client.recv(65536), b"HTTP/1.1 100 Continue\r\n\r\n")
            client.sendall(b"abc")
            self.assertTrue(client.recv(65536).endswith(b"abc"))

    def test_a_client_that_speaks_http_1_0_is_not_told_to_continue(self):
        answer = self.exchange(get(version=b"HTTP/1.0", headers=b"Expect: 100-continue\r\n"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 200 "))

    def test_a_log_line_never_carries_control_characters(self):
        self.exchange(b"GET /\x1b[31m\x07\x9b HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertIn("GET /\\x1b[31m", self.console.getvalue())
        self.assertNotRegex(self.console.getvalue(), "[\x00-\x09\x0b-\x1f\x7f-\x9f]")


class Answering(Wire):
    def test_an_answer_says_when_what_and_how_long_but_not_which_python(self):
        for raw in GET, get(b"/nope"), CHUNKED + b"0\r\n\r\n", b"nonsense\r\n", get(b"/files/hello.txt"):
            with self.subTest(raw=raw):
                head, _, body = self.exchange(raw).partition(b"\r\n\r\n")
                self.assertRegex(head, rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT(\r\n|$)")
                self.assertRegex(head, rb"\r\nContent-Type: [a-z]+/")
                self.assertRegex(head, rb"\r\nContent-Length: %d(\r\n|$)" % len(body))
                self.assertRegex(head, rb"\r\nServer: \S+")
                self.assertNotIn(b"python", head.lower())

    def test_a_connection_persists_until_it_is_asked_to_close(self):
        for header, version, answers in (
                (b"X: y", b"HTTP/1.1", 2), (b"Connection: keep-alive", b"HTTP/1.1", 2),
                (b"Connection: close", b"HTTP/1.1", 1), (b"connection: Keep-Alive, CLOSE", b"HTTP/1.1", 1),
                (b"Connection: x\r\nConnection: close", b"HTTP/1.1", 1),
                (b"X: y", b"HTTP/1.0", 1), (b"Connection: keep-alive", b"HTTP/1.0", 1)):
            with self.subTest(header=header, version=version):
                first = get(version=version, headers=b"Host: a\r\n" + header + b"\r\n")
                with self.connect() as client:
                    client.sendall(first + NEXT)
                    self.assertEqual(receive_all(client).count(b"HTTP/1.1 200 OK"), answers)

    def test_a_404_does_not_end_the_connection(self):
        self.assertEqual(self.statuses(get(b"/nope") + NEXT), [404, 200])

    def test_options_names_the_methods(self):
        answer = self.exchange(get(b"*", method=b"OPTIONS"))
        self.assertTrue(answer.startswith(b"HTTP/1.1 204 No Content\r\n"))
        self.assertIn(b"\r\nAllow: GET, HEAD, POST, OPTIONS\r\n", answer)
        self.assertNotIn(b"Content-Length", answer)

    def test_no_body_follows_a_status_that_has_none(self):
        @route("/silent")
        def silent(request):
            return int(request.path[-3:]), "text/plain", "never sent"

        for status in 204, 304:
            answer = self.exchange(get(b"/silent?%d" % status) + NEXT)
            self.assertNotIn(b"never sent", answer)
            self.assertTrue(answer.endswith(b"\r\n\r\nnext"))

    def test_an_answer_leaves_in_one_packet(self):
        for target, end in (b"/", b"</h1>"), (b"/home", b"</html>\n"), (b"/nope", b"\n"):
            with self.subTest(target=target), self.connect() as client:
                client.sendall(get(target))
                first = client.recv(65536)
                head, _, body = first.partition(b"\r\n\r\n")
                self.assertIn(b"Content-Length: %d" % len(body), head)
                self.assertTrue(first.endswith(end))


    def test_an_answer_is_sent_at_once(self):
        @route("/nodelay")
        def nodelay(request):
            option = request.connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            return 200, "text/plain", "at once" if option else "delayed"

        self.assertEqual(self.get("/nodelay").content, b"at once")

    def test_a_connection_that_ends_is_closed_before_the_client_closes_it(self):
        with self.connect() as client:
            client.sendall(get(version=b"HTTP/1.0"))
            start = time.monotonic()
            self.assertTrue(receive_all(client).endswith(b"</h1>"))
            self.assertLess(time.monotonic() - start, 0.5)


class Faults(Wire):
    STALLS = (b"", b"\r\n", b"GE", b"GET / HTTP/1.1\r\n", b"GET / HTTP/1.1\r\nHost: a\r\nX", GET,
              POST + b"Content-Length: 9\r\n\r\nabc", CHUNKED, CHUNKED + b"5\r\nhe", CHUNKED + b"0\r\nT: t\r\n")

    def test_a_silent_connection_is_closed_after_the_timeout(self):
        self.set_config(TIMEOUT=0.3)
        clients = [self.connect() for _ in self.STALLS]
        for client, raw in zip(clients, self.STALLS):
            client.sendall(raw)
        start = time.monotonic()
        for client, raw in zip(clients, self.STALLS):
            with self.subTest(raw=raw):
                answer = receive_all(client)
                self.assertEqual(answer.count(b"HTTP/1.1"), 1 if raw == GET else 0)
        self.assertGreater(time.monotonic() - start, 0.2)
        self.assertLess(time.monotonic() - start, 2)
        self.assertNotIn("Traceback", self.console.getvalue())

    def test_a_client_that_takes_nothing_and_does_not_close_is_left_in_time(self):
        @route("/long")
        def long(request):
            return 200, "text/plain", b"x" * 60000

        folder = self.make_folder()
        with open(os.path.join(folder, "large.bin"), "wb") as file:
            file.truncate(64 * 1024 * 1024)
        self.await_threads(2)
        for raw, timeout in (b"nonsense\r\n", 30), (get(b"/long") * 300, 1), (get(b"/files/large.bin"), 1):
            self.set_config(TIMEOUT=timeout, FILE_DIR=folder)
            client = self.connect()
            client.sendall(raw)
            self.assertTrue(client.recv(1024))
        start = time.monotonic()
        self.await_threads(2)
        self.assertLess(time.monotonic() - start, 2.6)  # the timeout, then a second to close

    def test_a_refused_client_that_goes_on_sending_is_left_after_the_timeout(self):
        self.set_config(TIMEOUT=0.3)
        self.await_threads(2)
        client = self.connect()
        client.sendall(POST + b"Content-Length: 9000000\r\n\r\n")
        self.assertTrue(client.recv(1024).startswith(b"HTTP/1.1 413 "))
        start = time.monotonic()
        while threading.active_count() > 2 and time.monotonic() < start + 2:
            with contextlib.suppress(OSError):
                client.send(b"x")
            time.sleep(0.05)
        self.assertLess(time.monotonic() - start, 2)

    def test_stalled_connections_do_not_delay_others(self):
        for raw in self.STALLS * 20:
            self.connect().sendall(raw)
        times = []
        for _ in range(5):
            start = time.monotonic()
            self.assertEqual(self.get("/").status, 200)
            times.append(time.monotonic() - start)
        self.assertLess(sorted(times)[2], 0.25)

    def test_a_burst_of_connections_is_served(self):
        clients = [self.connect() for _ in range(300)]
        for client in clients:
            client.sendall(GET)
        self.assertTrue(all(client.recv(65536).endswith(b"</h1>") for client in clients))

    def test_a_client_that_resets_leaves_nothing_behind(self):
        folder = self.make_folder()
        with open(os.path.join(folder, "large.bin"), "wb") as file:
            file.truncate(64 * 1024 * 1024)
        self.set_config(FILE_DIR=folder)
        self.await_threads(2)  # this one and the server's: those of other tests are gone
        descriptors = count_descriptors()
        for raw in [GET * 20, get(b"/files/large.bin"), POST + b"Content-Length: 9\r\n\r\nabc"] * 5:
            client = socket.create_connection(self.address, timeout=5)
            client.sendall(raw)
            if b"large" in raw:
                client.recv(1024)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            client.close()  # sends a reset
        self.await_threads(2)
        self.assertEqual(count_descriptors(), descriptors)
        self.assertNotIn("Traceback", self.console.getvalue())
        self.assertNotIn("dropped", self.console.getvalue())

    def test_mutated_requests_end_in_a_status_or_a_close(self):
        chance = random.Random(20)
        seeds = list(GOOD) + [raw for raw in BAD if len(raw) < 1000]
        for number in range(2000):
            raw = mutate(chance, chance.choice(seeds))
            answer = self.exchange(raw)
            self.assertRegex(answer, rb"\A(HTTP/1\.1 \d{3} |\Z)", raw)
        console = self.console.getvalue()
        self.assertNotIn("Traceback", console)
        self.assertNotIn("dropped", console)

    def test_requests_on_one_connection_leave_no_memory_behind(self):
        client = self.connect()

        def ask(times):
            for _ in range(times):
                client.sendall(GET)
                client.recv(65536)
            self.console.seek(0)
            self.console.truncate()

        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        ask(300)
        before = tracemalloc.get_traced_memory()[0]
        ask(1000)
        self.assertLess(tracemalloc.get_traced_memory()[0] - before, 64 * 1024)  # 15,000 would stay below 1 MiB



def mutate(chance, raw):
    """Return the request with a few bytes changed, cut out, doubled, or put in."""
    raw = bytearray(raw)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(raw) + 1)
        kind = chance.randrange(4)
        if kind == 0:
            raw[at:at + 1] = bytes([chance.randrange(256)])
        elif kind == 1:
            del raw[at:at + chance.randint(1, 20)]
        elif kind == 2:
            raw[at:at] = raw[at:at + chance.randint(1, 20)]
        else:
            raw[at:at] = chance.choice([b"\r\n", b"\n", b"\r", b" ", b"\0", b":", b"%", b"0", b"\xff", GET])
    return bytes(raw)


def count_descriptors():
    """Return how many files and sockets this process has open, where the system tells."""
    return len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else None


