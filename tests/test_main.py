"""main.py over HTTP: which path finds which handler, and what is sent.

How connections survive bad clients is in test_connections.py, how the program starts and ends in
test_program.py.
"""
import asyncio
import contextlib
import errno
import functools
import json
import os
import re
import socket
import threading
import time
import unittest
from http import HTTPStatus
from types import SimpleNamespace
from unittest import mock
from urllib.parse import quote

import config
import main
import router
import utils
from router import route
from tests.support import (
    GET, MEGABYTE, LiveServer, Sandbox, get, has_ipv6, receive_all, running_server, statuses)


def request(method, target):
    """Return the bytes of a request after which the connection closes."""
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


class Paths(LiveServer):
    def test_a_route_matches_its_exact_path_and_the_query_does_not_count(self):
        self.add_page("/home", (200, "text/plain", "home"))
        for target in ("/home", "/home?", "/home?x=1", "/home?x=/files/?y", "/%68ome", "/home?100%"):
            with self.subTest(target=target):
                self.assertEqual(self.get(target).content, b"home")
        for target in ("/home/", "/HOME", "/home.html", "/hom", "/home%3Fx=1", "/home%20", "/home;x",
                       "/home/../home", "/./home", "//home", "/files", "/file", "/%00", "/hom%E9"):
            with self.subTest(target=target):
                self.assertEqual(self.get(target).status, 404)

    def test_escapes_are_decoded_once(self):
        self.add_page("/100%25", (200, "text/plain", "decoded once"))
        self.add_page("/100%", (200, "text/plain", "100%"))
        self.add_page("/日 本", (200, "text/plain", "decoded as UTF-8"))
        for target, expected in [("/100%2525?x", b"decoded once"), ("/%31%30%30%25", b"100%"),
                                 ("/100%", b"100%"),
                                 ("/%E6%97%A5%20%e6%9c%ac", b"decoded as UTF-8")]:
            with self.subTest(target=target):
                self.assertEqual(self.get(target).content, expected)

    def test_the_handler_gets_the_request(self):
        for method in ("GET", "HEAD"):
            with self.subTest(method), self.connect() as client:
                client.sendall(f"{method} /next?name=Ann+B HTTP/1.1\r\nHost: a\r\nx-mood: good\r\n"
                               "Content-Length: 3\r\n\r\nabc".encode())
                client.recv(65536)
                got = self.calls[-1]
                self.assertIsInstance(got, router.Request)
                self.assertEqual((got.method, got.path, got.query, got.headers["X-Mood"], got.body),
                                 (method, "/next", "name=Ann+B", "good", b"abc"))
                self.assertEqual(got.client_address, client.getsockname())
                self.assertIsNone(got.headers["X-Other"])

    @unittest.skipUnless(has_ipv6(), "this computer has no IPv6")
    def test_the_address_of_a_client_is_host_and_port_with_ipv6_too(self):
        with running_server("::1") as server:
            with socket.create_connection(server.server_address[:2]) as client:
                client.sendall(request("GET", "/next"))
                receive_all(client)
                self.assertEqual(self.calls[0].client_address, client.getsockname()[:2])


class NotFound(LiveServer):
    def test_a_path_close_to_a_route_gets_a_link_to_it(self):
        for path in ("/home", "/files/", '/b>"bold" &'):
            self.add_page(path, (200, "text/plain", "x"))
        for target, link in [
            ("/files", '<a href="/files/">/files/</a>'), ("/hom", '<a href="/home">/home</a>'),
            ("/Home?x=1", '<a href="/home">/home</a>'),
            ("/b%3E%22bold%22%20",
             '<a href="/b%3E%22bold%22%20%26">/b&gt;&quot;bold&quot; &amp;</a>'),
        ]:
            with self.subTest(target=target):
                self.assertEqual(self.get(target).content.decode(),
                                 "<title>404 Page Not Found</title>\n<p>There is no page at this "
                                 f"address. Did you mean {link}?</p>\n")

    def test_a_path_far_from_every_route_gets_no_hint(self):
        for target in ("/nothing/like/it", "/x", "/files/missing.txt", "/%3Cb%3E"):
            with self.subTest(target=target):
                response = self.get(target)
                self.assertEqual((response.status, response.reason), (404, "Page Not Found"))
                self.assertEqual(response.content, b"<title>404 Page Not Found</title>\n"
                                                   b"<p>There is no page at this address.</p>\n")

    def test_strangers_cannot_make_the_server_compare_for_long(self):
        for length, hint in [(63, True), (64, True), (65, False)]:
            with self.subTest(length=length), mock.patch.dict(router.ROUTES):
                self.add_page("/" + "a" * (length - 2), (200, "text/plain", "x"))
                page = self.get("/" + "a" * (length - 1)).content
                self.assertEqual(b"Did you mean" in page, hint)
        for number in range(1000):
            self.add_page(f"/number/{number}", (200, "text/plain", "x"))
        with mock.patch("difflib.SequenceMatcher.real_quick_ratio", return_value=0) as compare:
            self.assertEqual(self.get("/numbers/1").status, 404)
        self.assertEqual(compare.call_count, 100)


class Errors(LiveServer):
    CASES = {  # what is sent: status, reason, what the page says
        b"nonsense\r\n\r\n": (
            400, "Bad Request Line",
            "This server does not understand the request, so it did nothing."),
        get("/nothing/like/it"): (
            404, "Page Not Found", "There is no page at this address."),
        get("/broken"): (
            500, "Internal Server Error", "This page has a bug: see the server&#x27;s console."),
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n": (
            413, "Body Too Large", HTTPStatus(413).description),
        b"GET /" + b"a" * 70000 + b" HTTP/1.1\r\n\r\n": (
            414, "Target Too Long", HTTPStatus(414).description),
        b"GET / HTTP/1.1\r\nX: " + b"a" * 70000: (
            431, "Headers Too Long", HTTPStatus(431).description),
        b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n": (
            501, "Unsupported Method", HTTPStatus(501).description),
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n": (
            505, "HTTP Version Not Supported", HTTPStatus(505).description),
    }

    def setUp(self):
        super().setUp()
        self.add_page("/broken", None)

    def test_each_error_is_the_template_with_its_status_and_a_sentence(self):
        for raw, (status, reason, sentence) in self.CASES.items():
            with self.subTest(raw=raw[:50]):
                head, _, page = self.exchange(raw).partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(f"HTTP/1.1 {status} {reason}\r\n".encode()), head)
                self.assertIn(b"\r\nContent-Type: text/html; charset=utf-8\r\n", head)
                self.assertEqual(page.decode(),
                                 f"<title>{status} {reason}</title>\n<p>{sentence}</p>\n")

    def test_without_its_template_an_error_has_the_same_status_and_texts(self):
        self.set_config(TEMPLATE_DIR=self.make_folder())
        for raw, (status, reason, sentence) in self.CASES.items():
            with self.subTest(raw=raw[:50]):
                head, _, page = self.exchange(raw).partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(f"HTTP/1.1 {status} {reason}\r\n".encode()), head)
                self.assertEqual(page.decode(), f"<h1>{status} {reason}</h1><p>{sentence}</p>")

    def test_a_head_has_no_body_even_when_it_is_refused(self):
        for raw in self.CASES:
            with self.subTest(raw=raw[:50]):
                raw = re.sub(rb"\A\w+", b"HEAD", raw)
                head, _, body = self.exchange(raw).partition(b"\r\n\r\n")
                self.assertRegex(head, rb"\r\nContent-Length: [1-9]")
                self.assertEqual(body, b"")

    def test_a_refusal_closes_the_connection_and_another_error_does_not(self):
        for raw, (status, _, _) in self.CASES.items():
            for before in (b"", GET):
                with self.subTest(status=status, before=before):
                    is_open = status in (404, 500)
                    answer = self.exchange(before + raw + GET)
                    self.assertEqual(statuses(answer),
                                     [200] * bool(before) + [status] + [200] * is_open)
                    self.assertEqual(answer.count(b"Connection: close"), not is_open)

    def test_what_is_no_html_is_escaped(self):
        connection = object.__new__(main.SidhHTTP)
        with mock.patch.object(connection, "send_page") as send_page:
            connection.send_error(418, "<b>", "<i>")
            connection.send_error(418)
        first, second = (call[0][2].decode() for call in send_page.call_args_list)
        self.assertEqual(first, "<title>418 &lt;b&gt;</title>\n<p>&lt;i&gt;</p>\n")
        self.assertEqual(second, "<title>418 I&#x27;m a Teapot</title>\n"
                                 f"<p>{HTTPStatus(418).description}</p>\n")


class Methods(LiveServer):
    def test_head_has_the_status_and_headers_of_get_and_no_body(self):
        self.add_page("/broken", None)
        with open(os.path.join(config.FILE_DIR, "empty.txt"), "wb"):
            pass
        for target in ("/", "/?x=1", "/files/hello.txt", "/files/empty.txt", "/files/missing.txt",
                       "/nex", "/nothing", "/broken"):
            with self.subTest(target=target):
                answers = [self.exchange(request(method, target)).partition(b"\r\n\r\n")
                           for method in ("GET", "HEAD")]
                heads = [[line for line in head.split(b"\r\n") if not line.startswith(b"Date:")]
                         for head, _, _ in answers]
                self.assertEqual(heads[1], heads[0])
                self.assertIn(b"Content-Length: %d" % len(answers[0][2]), heads[0])
                self.assertEqual(answers[1][2], b"")

    def test_a_post_to_any_path_is_answered_with_the_time(self):
        for target in ("/", "/next", "/files/hello.txt", "/no/such/path?x=1"):
            for body in (None, b"", b"x" * 1000):
                with self.subTest(target=target, size=len(body or b"")):
                    response = self.ask("POST", target, body)
                    self.assertEqual(response.status, 200)
                    self.assertEqual(response.headers["Content-Type"], "application/json")
                    self.assertRegex(response.content,
                                     rb'\A\{"time": "\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"\}\Z')
        self.assertEqual(self.calls, [])

    @unittest.skipUnless(hasattr(time, "tzset"), "this system sets no time zone for one program")
    def test_the_time_is_local(self):
        self.addCleanup(time.tzset)
        self.change(mock.patch.dict(os.environ, TZ="XYZ-05:30"))  # 5 and a half hours ahead of UTC
        time.tzset()
        earliest = int(time.time() + 5.5 * 3600)
        answer = json.loads(self.ask("POST", "/").content)["time"]
        latest = int(time.time() + 5.5 * 3600)
        self.assertIn(answer, [time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(second))
                               for second in range(earliest, latest + 1)])

    def test_options_names_the_methods(self):
        for target in ("*", "/", "/nope"):
            with self.subTest(target=target):
                answer = self.exchange(request("OPTIONS", target))
                self.assertTrue(answer.startswith(b"HTTP/1.1 204 No Content\r\n"))
                self.assertIn(b"\r\nAllow: GET, HEAD, POST, OPTIONS\r\n", answer)
                self.assertNotIn(b"Content-Length", answer)


class Heads(LiveServer):
    def test_a_response_says_when_what_and_how_long_but_not_which_python(self):
        for raw in (GET, get("/nope"), b"nonsense\r\n", get("/files/hello.txt"),
                    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"):
            with self.subTest(raw=raw):
                head, _, body = self.exchange(raw).partition(b"\r\n\r\n")
                self.assertRegex(head, rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n")
                self.assertRegex(head, rb"\r\nContent-Type: [a-z]+/")
                self.assertRegex(head, rb"\r\nContent-Length: %d\r\n" % len(body))
                self.assertIn(b"\r\nServer: SidhHTTP/1.0 (mini web framework)\r\n", head)

    def test_the_length_is_left_out_or_0_where_there_is_no_body(self):
        for status, length in [(204, None), (205, b"0"), (304, None), (200, b"10"), (203, b"10"),
                               (206, b"10"), (303, b"10"), (305, b"10")]:
            for method in ("GET", "HEAD"):
                with self.subTest(status=status, method=method), mock.patch.dict(main.ROUTES):
                    self.add_page("/silent", (status, "text/plain", "never sent"))
                    answer = self.exchange(get("/silent").replace(b"GET", method.encode()) + GET)
                    first, _, second = answer[5:].partition(b"HTTP/1.1 ")
                    found = re.search(rb"\r\nContent-Length: (.*)\r\n", first)
                    self.assertEqual(found and found[1], length)
                    self.assertEqual(first.endswith(b"never sent"),
                                     length == b"10" and method == "GET")
                    self.assertTrue(second.endswith(b"\r\n\r\n<h1>Hello</h1>"))

    def test_a_response_leaves_in_one_packet(self):
        self.add_page("/long", (200, "text/plain", b"x" * 60000))
        sent = []
        true_send = socket.socket.send

        def send(connection, data, *flags):
            sent.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
            return true_send(connection, data, *flags)

        for target in ("/long", "/nope"):
            with self.subTest(target), self.connect() as client:
                with mock.patch("socket.socket.send", send):
                    client.sendall(get(target))
                    while not client.recv(65536).endswith((b"x" * 100, b"</p>\n")):
                        pass
                self.assertEqual([bool(nodelay) for nodelay in sent], [True])
                sent.clear()


class Downloads(LiveServer):
    def test_a_file_is_sent_whole_and_as_a_download(self):
        self.set_config(FILE_DIR=self.make_folder("my file.txt", "css/x.css", "a/b/c.gif"))
        everything = bytes(range(256)) * 5000
        for name, content in [("my file.txt", everything), ("css/x.css", b"body { }"),
                              ("a/b/c.gif", b"")]:
            with self.subTest(name=name):
                with open(os.path.join(config.FILE_DIR, name), "wb") as file:
                    file.write(content)
                response = self.get("/files/" + quote(name))
                self.assertEqual((response.status, response.content), (200, content))
                self.assertEqual(response.headers["Content-Length"], str(len(content)))
                headers = utils.download_headers(name.rpartition("/")[2])
                for header, value in headers.items():
                    self.assertEqual(response.headers[header], value)

    def test_the_connection_stays_usable(self):
        answer = self.exchange(get("/files/hello.txt") * 2 + request("GET", "/"))
        self.assertEqual(answer.count(b"\r\n\r\ncontent of hello.txtHTTP/1.1 200 OK"), 2)
        self.assertTrue(answer.endswith(b"<h1>Hello</h1>"))

    def test_no_way_leads_out_of_the_folder(self):
        base = self.make_folder("files/a.txt", "files-private/secret.txt", "files/.hidden",
                                "files/.git/config")
        self.set_config(FILE_DIR=os.path.join(base, "files"))
        secret = os.path.join(base, "files-private", "secret.txt")
        for target in ["/files/../files-private/secret.txt", "/files/%2e%2e/files-private/secret.txt",
                       "/files/..%2ffiles-private%2fsecret.txt",
                       "/files/..%5cfiles-private%5csecret.txt", "/files/" + secret,
                       "/files/" + quote(secret, safe=""), "/files//a.txt", "/files/a.txt%00",
                       "/files/a.txt/", "/files/.", "/files/..", "/files/.hidden",
                       "/files/.git/config", "//files/a.txt", "/FILES/a.txt", "/files/%00",
                       "/filesXa.txt", "/files", "/files/caf%E9.txt", "/files/./a.txt"]:
            with self.subTest(target=target):
                answer = self.exchange(request("GET", target))
                self.assertEqual(statuses(answer), [404])
                self.assertNotIn(b"content of", answer)

    def test_a_file_that_cannot_be_opened_now_is_503_and_the_console_says_why(self):
        trouble = OSError(errno.EMFILE, "Too many open files")
        with mock.patch("main.open", side_effect=trouble, create=True):
            response = self.get("/files/hello.txt")
        self.assertEqual((response.status, response.reason), (503, "Service Unavailable"))
        self.assertIn(b"The server cannot do this at the moment: try again later.",
                      response.content)
        self.assertRegex(self.said(), r"\] \[Errno \d+\] Too many open files\n")

    def send_with_size_off_by(self, difference):
        """Return the answer to a download of 20 bytes, whose size has changed meanwhile."""
        true_fstat = os.fstat

        def fstat_before(descriptor):
            true = true_fstat(descriptor)
            values = {name: getattr(true, name) for name in dir(true) if name.startswith("st_")}
            return SimpleNamespace(**{**values, "st_size": true.st_size + difference})

        with mock.patch("main.os.fstat", fstat_before):
            return self.exchange(get("/files/hello.txt") + GET)

    def test_a_file_that_grows_meanwhile_is_sent_as_long_as_it_was_said_to_be(self):
        for difference, content in [(-3, b"content of hello"), (-19, b"c"), (-20, b"")]:
            answer = self.send_with_size_off_by(difference + 1)
            content = b"content of hello.txt"[:20 + difference + 1]
            self.assertIn(b"\r\n\r\n" + content + b"HTTP/1.1 200 OK", answer)
            self.assertTrue(answer.endswith(b"<h1>Hello</h1>"))

    def test_a_file_that_shrinks_meanwhile_ends_the_connection(self):
        answer = self.send_with_size_off_by(1)
        self.assertIn(b"Content-Length: 21\r\n", answer)
        self.assertTrue(answer.endswith(b"\r\n\r\ncontent of hello.txt"), answer)


class Handlers(LiveServer):
    def test_a_body_may_be_text_or_bytes(self):
        for response, content_type, content in [
            ((200, "text/plain", "é"), "text/plain; charset=utf-8", b"\xc3\xa9"),
            ((201, "image/gif", b"\x00\xff"), "image/gif", b"\x00\xff"),
        ]:
            with self.subTest(response=response), mock.patch.dict(main.ROUTES):
                self.add_page("/body", response)
                answer = self.get("/body")
                self.assertEqual((answer.status, answer.content), (response[0], content))
                self.assertEqual(answer.headers["Content-Type"], content_type)

    def test_whatever_a_handler_raises_is_a_500_and_its_traceback_is_on_the_console(self):
        for error in (KeyError("private \x1b[31m"), SystemExit("private"), utils.Refusal(400, "private"),
                      ConnectionResetError("private"), TimeoutError("private"),
                      asyncio.CancelledError("private"), KeyboardInterrupt("private")):
            with self.subTest(error=error), mock.patch.dict(main.ROUTES):
                @route("/raises")
                def culprit(request, error=error):
                    raise error

                answer = self.exchange(get("/raises") + GET)
                self.assertTrue(answer.startswith(b"HTTP/1.1 500 Internal Server Error\r\n"))
                self.assertNotIn(b"private", answer)
                self.assertTrue(answer.endswith(b"<h1>Hello</h1>"))
                said = self.said()
                self.assertRegex(said, r"\ATraceback \(most recent call last\):\n(  .*\n)+.*private")
                self.assertIn("in culprit", said)
                self.assertNotIn("\n\n", said)
                self.assertNotIn("\x1b", said)

    def test_what_cannot_be_sent_is_a_500_and_one_line_says_why(self):
        nameless = functools.partial(lambda value, request: value, "wrong")
        for handler, why in [
            (lambda request: "<h1>Hi</h1>", "response is '<h1>Hi</h1>', not"),
            (lambda request: None, "response is None, not"),
            (lambda request: (200, "text/html\r\nX-Evil: 1", "x"), r"type is 'text/html\r\nX-Evil"),
            (nameless, "response is 'wrong', not"),
        ]:
            with self.subTest(why), mock.patch.dict(main.ROUTES):
                route("/promise")(handler)
                answer = self.exchange(get("/promise") + GET)
                self.assertEqual(statuses(answer), [500, 200])
                self.assertNotIn(b"X-Evil", answer)
                said = self.said()
                line = said.splitlines()[0]
                self.assertRegex(line, r"\A127\.0\.0\.1 - - \[.*\] (<lambda>|functools\.partial.*): ")
                self.assertIn(why, line)
                self.assertNotIn("Traceback", said)


class Log(LiveServer):
    LINE = r'\A127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d\] {}\n\Z'

    def test_each_request_is_a_line_with_its_status(self):
        for raw, what in [
            (request("GET", "/next?x=1"), r'"GET /next\?x=1 HTTP/1\.1" 200 -'),
            (request("PUT", "/"), r'"PUT / HTTP/1\.1" 501 -'),
            (b"nonsense\r\n", r'"nonsense" 400 -'),
            (b"GET /\x1b[31m\x9b\r HTTP/1.1\r\n", r'"GET /\\x1b\[31m\\x9b\\x0d HTTP/1\.1" 400 -'),
        ]:
            with self.subTest(raw=raw):
                self.exchange(raw)
                self.assertRegex(self.said(), self.LINE.replace("{}", what))

    def test_a_long_line_is_cut(self):
        for length, shown in [(200, 200), (201, 200), (60000, 200)]:
            with self.subTest(length=length):
                line = f"GET /{'a' * (length - len('GET / HTTP/1.1'))} HTTP/1.1"
                self.exchange(request("GET", line.split(" ")[1]))
                cut = line[:shown] + ("..." if shown < length else "")
                what = f'"{re.escape(cut)}" 404 -'
                self.assertRegex(self.said(), self.LINE.replace("{}", what))

    def end_with(self, error, method="do_POST"):
        """Return what the console says about a connection that this error ends."""
        def fail(connection):
            if error.errno == errno.EBADF:
                connection.request.close()
            raise error

        with mock.patch.object(main.SidhHTTP, method, fail):
            with contextlib.suppress(OSError):
                self.assertEqual(self.exchange(request("POST", "/")), b"")
            self.await_threads()
        return self.said()

    def test_a_client_that_left_or_fell_silent_is_not_mentioned(self):
        for error in (ConnectionResetError(), BrokenPipeError(), TimeoutError(), socket.timeout()):
            with self.subTest(error=error):
                self.assertEqual(self.end_with(error), "")

    def test_a_connection_that_ctrl_c_closed_is_not_mentioned(self):
        self.assertEqual(self.end_with(OSError(errno.EBADF, "Bad file descriptor"), "setup"), "")

    def test_a_bug_in_the_server_leaves_its_traceback_on_the_console(self):
        said = self.end_with(OSError(errno.EIO, "disk\x1b"))
        self.assertRegex(said, r"\ATraceback \(most recent call last\):\n(.*\n)+OSError: .*disk\\x1b\n\Z")


class ManyClients(LiveServer):
    def test_a_client_that_is_idle_slow_or_waits_or_takes_nothing_blocks_nobody(self):
        may_go_on = threading.Event()

        @route("/waits")
        def waits(request):
            may_go_on.wait()
            return 200, "text/plain", "waited"

        self.make_large_file(20 * MEGABYTE)
        idle, slow, waiting, downloading = (self.connect() for _ in range(4))
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
        waiting.sendall(request("GET", "/waits"))
        downloading.sendall(get("/files/large.bin"))
        self.assertIn(b" 200 ", downloading.recv(20))
        self.assertEqual(self.get("/").status, 200)
        slow.sendall(b"x\r\nConnection: close\r\n\r\n")
        self.assertTrue(receive_all(slow).endswith(b"<h1>Hello</h1>"))
        may_go_on.set()
        self.assertTrue(receive_all(waiting).endswith(b"waited"))
        for client in idle, downloading:
            client.close()


class NoDns(Sandbox):
    def test_it_starts_without_asking_dns(self):
        with mock.patch("socket.getfqdn", side_effect=AssertionError("looked up")):
            main.Server(("127.0.0.1", 0), main.SidhHTTP).server_close()
