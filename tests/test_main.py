"""main.py over HTTP: which path finds which handler, and what is sent.

How connections survive bad clients is in test_connections.py, how the program starts and ends in
test_program.py.
"""
import asyncio
import errno
import functools
import json
import os
import re
import socket
import threading
import time
import unittest
from html.parser import HTMLParser
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
    GET, LiveServer, Sandbox, has_ipv6, measures_memory, receive_all, running_server, tracemalloc)

MEGABYTE = 1 << 20


def add_route(path, response):
    """Register a handler, named as_promised, that returns this response."""
    @route(path)
    def as_promised(request):
        return response


def request(method, target):
    """Return the bytes of a request after which the connection closes."""
    return f"{method} {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode()


def text_of(page):
    """Return the text of a page as a reader sees it, without tags and styles."""
    parts = []
    parser = HTMLParser()
    parser.handle_data = parts.append
    parser.feed(re.sub("<style>.*?</style>", "", page.decode(), flags=re.DOTALL))
    parser.close()
    return " ".join("".join(parts).split())


class Paths(LiveServer):
    def test_the_query_is_cut_off(self):
        home = self.get("/home").content
        for target in ("/home?", "/home?x=1", "/home?x=/files/?y", "/home?/../"):
            with self.subTest(target=target):
                self.assertEqual(self.get(target).content, home)

    def test_escapes_are_decoded_once(self):
        add_route("/100%25", (200, "text/plain", "decoded once"))
        add_route("/100%", (200, "text/plain", "decoded twice"))
        add_route("/日 本", (200, "text/plain", "decoded as UTF-8"))
        for target, expected in [("/100%2525", b"decoded once"), ("/%31%30%30%25", b"decoded twice"),
                                 ("/%E6%97%A5%20%e6%9c%ac", b"decoded as UTF-8"),
                                 ("/100%2525?x", b"decoded once")]:
            with self.subTest(target=target):
                self.assertEqual(self.get(target).content, expected)

    def test_a_route_matches_its_exact_path_and_no_other(self):
        for target in ("/home/", "/HOME", "/home.html", "/hom", "/home%3Fx=1", "/home%20", "/home;x",
                       "/home/../home", "/./home", "//home", "/files", "/file", "/%00"):
            with self.subTest(target=target):
                self.assertEqual(self.get(target).status, 404)

    def test_finding_a_handler_does_not_go_through_all_routes(self):
        class Unwalkable(dict):
            def __iter__(self):
                raise AssertionError("walked")
            items = keys = values = __iter__

        with mock.patch.object(main, "ROUTES", Unwalkable(router.ROUTES)):
            for target in ("/", "/home"):
                self.assertEqual(self.get(target).status, 200)

    def test_the_handler_gets_the_request(self):
        @route("/greet you")
        def greet(request):
            seen.append(request)
            return 200, "text/plain", "hello"

        for method in ("GET", "HEAD"):
            seen = []
            with self.subTest(method), self.connect() as client:
                client.sendall(f"{method} /greet%20you?name=Ann+B HTTP/1.1\r\nHost: a\r\n"
                               "x-mood: good\r\nContent-Length: 3\r\n\r\nabc".encode())
                client.recv(65536)
                got, = seen
                self.assertIsInstance(got, router.Request)
                self.assertEqual((got.method, got.path, got.query, got.headers["X-Mood"], got.body),
                                 (method, "/greet you", "name=Ann+B", "good", b"abc"))
                self.assertEqual(got.client_address, client.getsockname())
                self.assertIsNone(got.headers["X-Other"])

    @unittest.skipUnless(has_ipv6(), "this computer has no IPv6")
    def test_the_address_of_a_client_is_host_and_port_with_ipv6_too(self):
        seen = []

        @route("/look")
        def look(request):
            seen.append(request.client_address)
            return 200, "text/plain", "seen"

        with running_server("::1") as server:
            with socket.create_connection(server.server_address[:2]) as client:
                client.sendall(request("GET", "/look"))
                receive_all(client)
                self.assertEqual(seen, [client.getsockname()[:2]])

    def test_a_browser_s_unescaped_characters_reach_the_handler(self):
        @route("/echo")
        def echo(request):
            return 200, "text/plain", utils.query_params(request)["q"]

        self.assertEqual(self.get("/echo?q=[a]|^{b}\"`<>'\\").content, b"[a]|^{b}\"`<>'\\")


class NotFound(LiveServer):
    def test_an_unknown_path_is_404_page_not_found_in_status_line_and_page(self):
        for target in ("/nothing/like/it", "/files/missing.txt", "/%3Cb%3E"):
            with self.subTest(target=target):
                response = self.get(target)
                self.assertEqual((response.status, response.reason), (404, "Page Not Found"))
                self.assertEqual(text_of(response.content), "404 Page Not Found 404 Page Not Found "
                                 "There is no page at this address.")
                self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")

    def test_a_path_close_to_a_route_gets_a_link_to_it(self):
        for target, path in [("/files", "/files/"), ("/hom", "/home"), ("/home/", "/home"),
                             ("/Home?x=1", "/home"), ("/f%69les", "/files/")]:
            with self.subTest(target=target):
                page = self.get(target).content
                self.assertIn(f"Did you mean {path}?", text_of(page))
                self.assertIn(f'<a href="{path}">', page.decode())

    def test_a_path_far_from_every_route_gets_no_hint(self):
        for target in ("/nothing/like/it", "/x", "/files/missing.txt"):
            with self.subTest(target=target):
                self.assertNotIn(b"Did you mean", self.get(target).content)

    def test_a_long_path_is_compared_with_no_route(self):
        for length, hint in [(63, True), (64, True), (65, False)]:
            with self.subTest(length=length), mock.patch.dict(main.ROUTES):
                add_route("/" + "a" * (length - 2), (200, "text/plain", "x"))
                page = self.get("/" + "a" * (length - 1)).content
                self.assertEqual(b"Did you mean" in page, hint)

    def test_a_path_is_compared_with_a_hundred_routes_at_most(self):
        for number in range(1000):
            add_route(f"/number/{number}", (200, "text/plain", "x"))
        with mock.patch("difflib.SequenceMatcher.real_quick_ratio", return_value=0) as compare:
            self.assertEqual(self.get("/numbers/1").status, 404)
        self.assertEqual(compare.call_count, 100)

    def test_a_hint_is_text_and_a_link_and_never_markup(self):
        add_route('/b>"bold" &', (200, "text/plain", "x"))
        page = self.get("/b%3E%22bold%22%20").content
        self.assertIn('Did you mean /b>"bold" &?', text_of(page))
        self.assertIn(b'<a href="/b%3E%22bold%22%20%26">', page)
        self.assertNotIn(b'b>"bold"', page)


class Errors(LiveServer):
    CASES = {  # what is sent: status, reason, what the page says
        b"nonsense\r\n\r\n": (
            400, "Bad Request Line",
            "This server does not understand the request, so it did nothing."),
        b"GET /nothing/like/it HTTP/1.1\r\nHost: a\r\n\r\n": (
            404, "Page Not Found", "There is no page at this address."),
        b"GET /broken HTTP/1.1\r\nHost: a\r\n\r\n": (
            500, "Internal Server Error",
            "This page has a bug; the console of the server says which."),
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

    def test_each_error_is_a_small_page_with_one_sentence(self):
        add_route("/broken", None)
        for raw, (status, reason, sentence) in self.CASES.items():
            with self.subTest(raw=raw[:50]):
                head, _, page = self.exchange(raw).partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(f"HTTP/1.1 {status} {reason}\r\n".encode()), head)
                self.assertIn(b"\r\nContent-Type: text/html; charset=utf-8\r\n", head)
                self.assertIn(f"<title>{status} {reason}</title>", page.decode())
                self.assertIn(f"<h1>{status} {reason}</h1>", page.decode())
                self.assertIn(f"<p>{sentence}</p>", page.decode())
                self.assertIn(b'<meta name="viewport" content="width=device-width', page)
                self.assertIn(b"color-scheme: light dark", page)
                self.assertTrue(page.endswith(b"</html>\n"))

    def test_a_head_has_no_body_even_when_it_is_refused(self):
        add_route("/broken", None)
        for raw in self.CASES:
            with self.subTest(raw=raw[:50]):
                raw = re.sub(rb"\A\w+", b"HEAD", raw)
                head, _, body = self.exchange(raw).partition(b"\r\n\r\n")
                self.assertRegex(head, rb"\r\nContent-Length: [1-9]")
                self.assertEqual(body, b"")

    def test_without_its_template_an_error_has_the_same_status_and_texts(self):
        add_route("/broken", None)
        self.set_config(TEMPLATE_DIR=self.make_folder())
        for raw, (status, reason, sentence) in self.CASES.items():
            with self.subTest(raw=raw[:50]):
                head, _, page = self.exchange(raw).partition(b"\r\n\r\n")
                self.assertTrue(head.startswith(f"HTTP/1.1 {status} {reason}\r\n".encode()), head)
                self.assertEqual(page.decode(), f"<h1>{status} {reason}</h1>\n<p>{sentence}</p>\n")
                self.assertIn("error.html", self.console.getvalue())
                self.console.truncate(self.console.seek(0))

    def test_a_refusal_closes_the_connection_and_another_error_does_not(self):
        add_route("/broken", None)
        for raw, (status, _, _) in self.CASES.items():
            with self.subTest(status=status):
                answer = self.exchange(raw + GET)
                self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), int(status in (404, 500)))
                connection = re.search(rb"\r\nConnection: (.*)\r\n", answer)[1]
                self.assertEqual(connection, b"keep-alive" if status in (404, 500) else b"close")


class SendError(Sandbox):
    def test_what_is_no_html_is_escaped(self):
        connection = object.__new__(main.SidhHTTP)
        with mock.patch.object(connection, "send_page") as send_page:
            connection.send_error(418, "<b>", "<i>")
            connection.send_error(418)
        first, second = (call[0][2].decode() for call in send_page.call_args_list)
        self.assertIn("<h1>418 &lt;b&gt;</h1>", first)
        self.assertIn("<p>&lt;i&gt;</p>", first)
        self.assertIn("<h1>418 I&#x27;m a Teapot</h1>", second)
        self.assertIn(f"<p>{HTTPStatus(418).description}</p>", second)


class Methods(LiveServer):
    def test_head_has_the_status_and_headers_of_get_and_no_body(self):
        add_route("/broken", None)
        self.set_config(FILE_DIR=self.make_folder(["a.txt", "empty.txt"]))
        open(os.path.join(config.FILE_DIR, "empty.txt"), "wb").close()
        for target in ("/", "/home", "/home?x=1", "/files/", "/files/a.txt", "/files/empty.txt",
                       "/files/missing.txt", "/hom", "/nothing", "/broken"):
            with self.subTest(target=target):
                heads, bodies = [], []
                for method in ("GET", "HEAD"):
                    head, _, body = self.exchange(request(method, target)).partition(b"\r\n\r\n")
                    heads.append([line for line in head.split(b"\r\n")
                                  if not line.startswith((b"Date:", b"X-"))])
                    bodies.append(body)
                self.assertEqual(heads[1], heads[0])
                self.assertIn(b"Content-Length: %d" % len(bodies[0]), heads[0])
                self.assertEqual(bodies[1], b"")

    def test_a_post_to_any_path_is_answered_with_the_time(self):
        for target in ("/", "/home", "/files/hello.txt", "/no/such/path?x=1"):
            for body in (None, b"", b"x=1", b"x" * 1000):
                with self.subTest(target=target, size=len(body or b"")):
                    response = self.ask("POST", target, body)
                    self.assertEqual(response.status, 200)
                    self.assertEqual(response.headers["Content-Type"], "application/json")
                    self.assertEqual(list(json.loads(response.content)), ["time"])
                    self.assertRegex(response.content,
                                     rb'\A\{"time": "\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"\}\Z')

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
    def test_an_answer_says_when_what_and_how_long_but_not_which_python(self):
        for raw in (GET, b"GET /nope HTTP/1.1\r\nHost: a\r\n\r\n", b"nonsense\r\n",
                    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
                    b"GET /files/hello.txt HTTP/1.1\r\nHost: a\r\n\r\n"):
            with self.subTest(raw=raw):
                head, _, body = self.exchange(raw).partition(b"\r\n\r\n")
                self.assertRegex(head, rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT(\r\n|$)")
                self.assertRegex(head, rb"\r\nContent-Type: [a-z]+/")
                self.assertRegex(head, rb"\r\nContent-Length: %d(\r\n|$)" % len(body))
                self.assertIn(b"\r\nServer: SidhHTTP/1.0 (mini web framework)\r\n", head)
                self.assertNotIn(b"python", head.lower())

    def test_the_length_is_left_out_or_0_where_there_is_no_body(self):
        for status, length in [(204, None), (205, b"0"), (304, None), (200, b"10"), (203, b"10"),
                               (206, b"10"), (303, b"10"), (305, b"10")]:
            for method in ("GET", "HEAD"):
                with self.subTest(status=status, method=method), mock.patch.dict(main.ROUTES):
                    add_route("/silent", (status, "text/plain", "never sent"))
                    raw = request(method, "/silent").replace(b"Connection: close\r\n", b"")
                    first, second = self.exchange(raw + GET).split(b"HTTP/1.1 200 OK\r\n")[-2:]
                    found = re.search(rb"\r\nContent-Length: (.*)\r\n", b"\r\n" + first)
                    self.assertEqual(found and found[1], length)
                    self.assertEqual(first.endswith(b"never sent"),
                                     length == b"10" and method == "GET")
                    self.assertTrue(second.endswith(b"\r\n\r\n<h1>Hello World</h1>"))

    def test_an_answer_leaves_in_one_packet(self):
        for target, end in (b"/", b"</h1>"), (b"/home", b"</html>\n"), (b"/nope", b"\n"):
            with self.subTest(target=target), self.connect() as client:
                client.sendall(GET.replace(b" / ", b" " + target + b" "))
                first = client.recv(65536)
                head, _, body = first.partition(b"\r\n\r\n")
                self.assertIn(b"Content-Length: %d" % len(body), head)
                self.assertTrue(first.endswith(end))

    def test_an_answer_is_sent_at_once_and_its_writes_are_gathered(self):
        self.assertIs(main.SidhHTTP.disable_nagle_algorithm, True)
        self.assertGreater(main.SidhHTTP.wbufsize, 4096)


class Downloads(LiveServer):
    def test_a_file_comes_whole_with_its_headers(self):
        folder = self.make_folder()
        self.set_config(FILE_DIR=folder)
        for name, content in [("all.bin", bytes(range(256)) * 999), ("empty.txt", b""),
                              ("one.txt", b"1"), ("lines.txt", b"a\r\nb\nc\x1a\r"),
                              ("日本.svg", b"<svg/>")]:
            with self.subTest(name=name):
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(content)
                response = self.get("/files/" + quote(name))
                self.assertEqual(response.status, 200)
                self.assertEqual(response.content, content)
                self.assertEqual(response.headers["Content-Length"], str(len(content)))
                for header, value in utils.download_headers(name).items():
                    self.assertEqual(response.headers[header], value)

    def test_the_connection_stays_usable(self):
        raw = b"GET /files/hello.txt HTTP/1.1\r\nHost: a\r\n\r\n" * 2 + request("GET", "/")
        with open(os.path.join(config.FILE_DIR, "hello.txt"), "rb") as file:
            content = file.read()
        answer = self.exchange(raw)
        self.assertEqual(answer.count(b"\r\n\r\n" + content + b"HTTP/1.1 200 OK"), 2)
        self.assertTrue(answer.endswith(b"<h1>Hello World</h1>"))

    @measures_memory
    def test_a_large_file_is_never_in_memory_whole(self):
        self.make_large_file(20 * MEGABYTE)
        with open(os.path.join(config.FILE_DIR, "large.bin"), "ab") as file:
            file.write(b"end")
        client = self.connect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        client.sendall(request("GET", "/files/large.bin"))
        received, buffer = 0, bytearray(65536)
        for count in iter(lambda: client.recv_into(buffer), 0):
            received += count
            last = buffer[count - 1:count]
        self.assertGreater(received, 20 * MEGABYTE)
        self.assertEqual(last, b"d")
        self.assertLess(tracemalloc.get_traced_memory()[1], 4 * MEGABYTE)

    def test_a_file_that_cannot_be_opened_is_404(self):
        with mock.patch("utils.open", side_effect=PermissionError, create=True):
            self.assertEqual(self.get("/files/hello.txt").status, 404)

    def test_a_file_that_cannot_be_opened_now_is_503_and_the_console_says_why(self):
        trouble = OSError(errno.EMFILE, "Too many open files")
        with mock.patch("utils.open", side_effect=trouble, create=True):
            response = self.get("/files/hello.txt")
        self.assertEqual((response.status, response.reason), (503, "Service Unavailable"))
        self.assertIn("The server cannot do this at the moment: try again later.",
                      text_of(response.content))
        self.assertRegex(self.console.getvalue(), r"cannot open 'hello\.txt': .*Too many open files\n")
        self.assertNotIn("Traceback", self.console.getvalue())

    def send_with_size_off_by(self, difference):
        """Return the answer to a download of 10 bytes, whose size has changed meanwhile."""
        self.set_config(FILE_DIR=self.make_folder(["ten"]))
        with open(os.path.join(config.FILE_DIR, "ten"), "wb") as file:
            file.write(b"0123456789")
        true_fstat = os.fstat

        def fstat_before(descriptor):
            true = true_fstat(descriptor)
            values = {name: getattr(true, name) for name in dir(true) if name.startswith("st_")}
            return SimpleNamespace(**{**values, "st_size": true.st_size + difference})

        with mock.patch("main.os.fstat", fstat_before):
            return self.exchange(b"GET /files/ten HTTP/1.1\r\nHost: a\r\n\r\n" + GET)

    def test_a_file_that_grows_meanwhile_is_sent_as_long_as_it_was_said_to_be(self):
        answer = self.send_with_size_off_by(-3)
        self.assertIn(b"\r\n\r\n0123456HTTP/1.1 200 OK", answer)
        self.assertTrue(answer.endswith(b"<h1>Hello World</h1>"))
        answer = self.send_with_size_off_by(-10)
        self.assertIn(b"Content-Length: 0\r\n", answer)
        self.assertNotIn(b"0123", answer)
        self.assertTrue(answer.endswith(b"<h1>Hello World</h1>"))

    def test_a_file_that_shrinks_meanwhile_ends_the_connection(self):
        answer = self.send_with_size_off_by(1)
        self.assertIn(b"Content-Length: 11\r\n", answer)
        self.assertTrue(answer.endswith(b"\r\n\r\n0123456789"), answer)

    def test_no_way_leads_out_of_the_folder(self):
        base = self.make_folder(["files/a.txt", "files/sub/in.txt", "files-private/secret.txt"])
        self.set_config(FILE_DIR=os.path.join(base, "files"))
        secret = os.path.join(base, "files-private", "secret.txt")
        for target in ["/files/../files-private/secret.txt", "/files/%2e%2e/files-private/secret.txt",
                       "/files/..%2ffiles-private%2fsecret.txt", "/files/..%5cfiles-private%5csecret.txt",
                       "/files/" + secret, "/files/" + quote(secret, safe=""), "/files//" + secret,
                       "/files/%252e%252e/secret.txt", "/files/sub%2fin.txt", "/files/a.txt%00",
                       "/files/a.txt%00.png", "/files/a.txt/", "/files/.", "/files/..", "/files/sub",
                       "//files/a.txt", "/FILES/a.txt", "/./files/a.txt", "/files/%00"]:
            with self.subTest(target=target):
                raw = self.exchange(request("GET", target))
                self.assertRegex(raw, rb"\AHTTP/1\.1 (400|404) ")
                self.assertNotIn(b"content of", raw)


class Handlers(LiveServer):
    def test_a_body_may_be_text_or_bytes(self):
        for response, content_type, content in [
            ((200, "text/plain", "é"), "text/plain; charset=utf-8", b"\xc3\xa9"),
            ((201, "image/gif", b"\x00\xff"), "image/gif", b"\x00\xff"),
            ((200, "text/html", utils.Html("<b>")), "text/html; charset=utf-8", b"<b>"),
        ]:
            with self.subTest(response=response), mock.patch.dict(main.ROUTES):
                add_route("/body", response)
                answer = self.get("/body")
                self.assertEqual(answer.status, response[0])
                self.assertEqual(answer.headers["Content-Type"], content_type)
                self.assertEqual(answer.headers["Content-Length"], str(len(content)))
                self.assertEqual(answer.content, content)

    def test_whatever_a_handler_raises_is_a_500_without_details(self):
        for error in (ZeroDivisionError("private"), OSError("private"), SystemExit("private"),
                      ConnectionResetError("private"), UnicodeError("private"),
                      TimeoutError("private"), utils.Refusal(400, "private"),
                      asyncio.CancelledError("private"), GeneratorExit("private"),
                      KeyboardInterrupt("private"), BaseException("private")):
            with self.subTest(error=error), mock.patch.dict(main.ROUTES):
                route("/raises")(mock.Mock(side_effect=error))
                answer = self.exchange(GET.replace(b" / ", b" /raises ") + GET)
                self.assertRegex(answer, rb"\AHTTP/1\.1 500 Internal Server Error\r\n")
                self.assertNotIn(b"private", answer)
                self.assertTrue(answer.endswith(b"<h1>Hello World</h1>"))
                self.assertIn("private", self.console.getvalue())
                self.console.truncate(self.console.seek(0))

    def test_a_handler_that_raises_leaves_its_traceback_on_the_console(self):
        @route("/raises")
        def raises(request):
            raise KeyError("the culprit\x1b[31m")

        self.get("/raises")
        self.assertRegex(self.console.getvalue(), r"\ATraceback \(most recent call last\):\n")
        self.assertIn("in raises", self.console.getvalue())
        self.assertRegex(self.console.getvalue(), r"KeyError: 'the culprit\\x1b\[31m'\n\S+ - - \[")

    def test_control_characters_of_a_handler_never_reach_the_terminal(self):
        @route("/raises")
        def raises(request):
            raise ValueError("\x1b[31m red \x07\x9b")

        self.get("/raises")
        self.assertIn(r"\x1b[31m red \x07\x9b", self.console.getvalue())
        self.assertNotRegex(self.console.getvalue(), "[\x00-\x09\x0b-\x1f\x7f-\x9f]")

    def test_what_the_connection_has_is_not_there_for_a_handler(self):
        for use in (lambda request: request.send_error(404),
                    lambda request: request.send_header("X", "y"),
                    lambda request: request.rfile.read(5)):
            with self.subTest(), mock.patch.dict(main.ROUTES):
                route("/tries")(use)
                answer = self.exchange(GET.replace(b" / ", b" /tries ") + GET)
                statuses = re.findall(rb"HTTP/1\.1 (\d+) ", answer)
                self.assertEqual(statuses, [b"500", b"200"])
                self.assertIn("AttributeError: 'Request' object has no attribute",
                              self.console.getvalue())
                self.assertTrue(answer.startswith(b"HTTP/1.1 500 "))

    def test_what_is_no_response_is_a_500_and_one_line_says_why(self):
        for response, why in [
            ("<h1>Hi</h1>", "response is '<h1>Hi</h1>', not"), (None, "response is None, not"),
            ((200, "text/html", None), "body is None, not"),
            (("200", "text/html", "x"), "status is '200', not a number from 200 to 599"),
            ((200, "text/html\r\nX-Evil: 1", "x"), r"content type is 'text/html\r\nX-Evil: 1', not"),
            ((200, "text/html; charset=iso-8859-1", "é"), "for another charset, return bytes"),
        ]:
            with self.subTest(response=response), mock.patch.dict(main.ROUTES):
                add_route("/promise", response)
                answer = self.exchange(GET.replace(b" / ", b" /promise ") + GET)
                self.assertEqual(re.findall(rb"^HTTP/1\.1 (\d+)", answer, re.MULTILINE),
                                 [b"500", b"200"])
                self.assertNotIn(b"X-Evil", answer)
                line = self.console.getvalue().splitlines()[0]
                self.assertRegex(line, r"\A127\.0\.0\.1 - - \[.*\] as_promised: ")
                self.assertIn(why, line)
                self.assertNotIn("Traceback", self.console.getvalue())
                self.console.truncate(self.console.seek(0))

    def test_a_handler_without_a_name_is_named_all_the_same(self):
        route("/nameless")(functools.partial(lambda value, request: value, "wrong"))
        self.assertEqual(self.get("/nameless").status, 500)
        self.assertRegex(self.console.getvalue(), r"functools\.partial.*: response is 'wrong', not")

    def test_text_that_utf8_cannot_hold_is_a_500(self):
        add_route("/surrogate", (200, "text/plain", "\ud800"))
        answer = self.exchange(GET.replace(b" / ", b" /surrogate ") + GET)
        self.assertEqual(re.findall(rb"HTTP/1\.1 (\d+)", answer), [b"500", b"200"])
        self.assertIn("surrogates not allowed", self.console.getvalue())


class Log(LiveServer):
    LINE = r'\A127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d\] %s\n\Z'

    def test_each_request_is_a_line_with_its_status(self):
        for raw, what in [
            (request("GET", "/home?x=1"), r'"GET /home\?x=1 HTTP/1\.1" 200 -'),
            (request("PUT", "/"), r'"PUT / HTTP/1\.1" 501 -'),
            (b"nonsense\r\n", r'"nonsense" 400 -'),
            (b"GET /\x1b[31m\x07\x9b\r HTTP/1.1\r\n", r'"GET /\\x1b\[31m\\x07\\x9b\\x0d HTTP/1\.1" 400 -'),
        ]:
            with self.subTest(raw=raw):
                self.exchange(raw)
                self.assertRegex(self.console.getvalue(), self.LINE % what)
                self.console.truncate(self.console.seek(0))

    def test_a_long_line_is_cut(self):
        for length, shown in [(199, 199), (200, 200), (201, 200), (60000, 200)]:
            with self.subTest(length=length):
                path = "/" + "a" * (length - len("GET / HTTP/1.1"))
                self.exchange(request("GET", path))
                line = f"GET {path} HTTP/1.1"
                cut = line[:shown] + ("..." if shown < length else "")
                self.assertRegex(self.console.getvalue(), self.LINE % f'"{re.escape(cut)}" 404 -')
                self.console.truncate(self.console.seek(0))
        self.exchange(b"\x1b" * 70000)
        self.assertLess(len(self.console.getvalue()), 1000)

    def test_a_bug_in_the_server_leaves_its_traceback_on_the_console(self):
        for error in (ValueError("wrong"), FileNotFoundError("data.txt"), OSError("disk")):
            with self.subTest(error=error):
                with mock.patch.object(main.SidhHTTP, "do_POST", lambda self, error=error: fail(error)):
                    self.assertEqual(self.exchange(request("POST", "/")), b"")
                    self.await_threads()
                said = self.console.getvalue()
                self.assertTrue(said.startswith("Traceback (most recent call last):\n"), said)
                self.assertRegex(said, r'test_main\.py", line \d+, in fail\n')
                self.assertTrue(said.endswith(f"{type(error).__name__}: {error}\n"), said)
                self.console.truncate(self.console.seek(0))

    def test_a_client_that_went_away_or_fell_silent_is_not_mentioned(self):
        for error in (ConnectionResetError(), BrokenPipeError(), TimeoutError(), main.socket.timeout()):
            with self.subTest(error=error):
                with mock.patch.object(main.SidhHTTP, "do_POST", lambda self, error=error: fail(error)):
                    self.exchange(request("POST", "/"))
                    self.await_threads()
                self.assertEqual(self.console.getvalue(), "")

    def test_a_connection_that_the_end_of_the_server_closed_is_not_mentioned(self):
        def find_it_closed(connection):
            connection.request.close()
            fail(OSError(errno.EBADF, "Bad file descriptor"))

        with mock.patch.object(main.SidhHTTP, "setup", find_it_closed):
            self.assertEqual(self.connect().recv(1), b"")
            self.await_threads()
        self.assertEqual(self.console.getvalue(), "")


def fail(error):
    """Raise this error."""
    raise error


class ManyClients(LiveServer):
    def test_an_idle_client_blocks_nobody(self):
        self.connect()
        self.assertEqual(self.get("/").status, 200)

    def test_a_client_in_the_middle_of_its_request_blocks_nobody(self):
        slow = self.connect()
        slow.sendall(b"GET / HTTP/1.1\r\nHost: ")
        self.assertEqual(self.get("/").status, 200)
        slow.sendall(b"x\r\nConnection: close\r\n\r\n")
        self.assertTrue(receive_all(slow).endswith(b"<h1>Hello World</h1>"))

    def test_a_handler_that_waits_blocks_nobody(self):
        may_go_on = threading.Event()

        @route("/waits")
        def waits(request):
            may_go_on.wait()
            return 200, "text/plain", "waited"

        with self.connect() as client:
            client.sendall(request("GET", "/waits"))
            self.assertEqual(self.get("/").status, 200)
            may_go_on.set()
            self.assertTrue(receive_all(client).endswith(b"waited"))

    def test_a_client_that_stops_reading_blocks_nobody(self):
        self.make_large_file(20 * MEGABYTE)
        with self.connect() as client:
            client.sendall(b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
            self.assertIn(b" 200 ", client.recv(20))
            self.assertEqual(self.get("/").status, 200)
