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
import time
import unittest
from unittest import mock
from urllib.parse import quote

import config
import main
import router
import utils
from router import route
from tests.support import (
    CHUNKED, GET, NEXT, POST, LiveServer, get, has_ipv6, receive_all, running_server, statuses)


def request(method, target):
    """Return the bytes of a request after which the connection closes."""
    return NEXT.replace(b"GET /next", f"{method} {target}".encode())


class Paths(LiveServer):
    def test_a_route_matches_its_exact_path_and_the_query_does_not_count(self):
        self.add_page("/Home", (200, "text/plain", "Home"))
        self.add_page("/home", (200, "text/plain", "home"))
        for target in ("/home", "/home?", "/home?x=1", "/home?x=/files/?y", "/%68ome", "/home?100%"):
            with self.subTest(target=target):
                self.assertEqual(self.get(target).content, b"home")
        self.assertEqual(self.get("/Home").content, b"Home")
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

    def test_a_route_wins_over_a_file(self):
        self.add_page("/files/hello.txt", (200, "text/plain", "from a handler"))
        self.assertEqual(self.get("/files/hello.txt").content, b"from a handler")

    def test_the_handler_gets_the_request(self):
        for method in ("GET", "HEAD"):
            with self.subTest(method), self.connect() as client:
                client.sendall(f"{method} /next?name=Ann+B HTTP/1.1\r\nHost: a\r\nx-mood: good\r\n"
                               "Content-Length: 3\r\n\r\nabc".encode())
                client.recv(65536)
                got = self.calls[-1]
                self.assertIsInstance(got, router.Request)
                self.assertEqual(got[:4], (method, "/next", "name=Ann+B", "HTTP/1.1"))
                self.assertEqual((got.headers["X-Mood"], got.body), ("good", b"abc"))
                self.assertEqual(got.client_address, client.getsockname())

    @unittest.skipUnless(has_ipv6(), "this computer has no IPv6")
    def test_the_address_of_a_client_is_host_and_port_with_ipv6_too(self):
        with running_server("::1") as server:
            with socket.create_connection(server.server_address[:2]) as client:
                client.sendall(NEXT)
                receive_all(client)
                self.assertEqual(self.calls[0].client_address, client.getsockname()[:2])


class Errors(LiveServer):
    CASES = {  # what is sent: status, reason, what the page says if not the usual for the status
        b"nonsense\r\n\r\n": (400, "Bad Request Line", None),
        b"GET / HTTP/1.1\r\nHost: <b>\r\n\r\n": (400, "Bad Host", None),
        get("/nothing/like/it"): (404, "Page Not Found", "There is no page at this address."),
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n": (
            413, "Body Too Large", None),
        b"GET / HTTP/1.1\r\nX: " + b"a" * 70000: (431, "Head Too Long", None),
        get("/broken"): (500, "Internal Server Error",
                         "This page has a bug: see the server&#x27;s console."),
        b"PUT / HTTP/1.1\r\nHost: a\r\n\r\n": (501, "Unsupported Method", None),
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n": (505, "HTTP Version Not Supported", None),
    }

    def setUp(self):
        super().setUp()
        self.add_page("/broken", None)

    def test_an_error_is_the_template_with_its_status_and_a_sentence_or_both_without_it(self):
        for form in ("<title>{} {}</title>\n<p>{}</p>\n", "<h1>{} {}</h1><p>{}</p>"):
            for raw, (status, reason, sentence) in self.CASES.items():
                with self.subTest(form, raw=raw[:50]):
                    head, _, page = self.exchange(raw).partition(b"\r\n\r\n")
                    self.assertTrue(head.startswith(f"HTTP/1.1 {status} {reason}\r\n".encode()))
                    self.assertIn(b"\r\nContent-Type: text/html; charset=utf-8\r\n", head)
                    sentence = sentence or main.SidhHTTP.responses[status][1]
                    self.assertEqual(page.decode(), form.format(status, reason, sentence))
            self.set_config(TEMPLATE_DIR=self.make_folder())

    def test_only_a_refusal_closes_the_connection(self):
        for raw, (status, _, _) in self.CASES.items():
            for before in (b"", GET):
                with self.subTest(raw=raw[:50], before=before):
                    goes_on = status in (404, 500, 501)
                    answer = self.exchange(before + raw + GET)
                    self.assertEqual(statuses(answer),
                                     [200] * bool(before) + [status] + [200] * goes_on)
                    self.assertEqual(answer.count(b"\r\nConnection: "), not goes_on)
                    self.assertEqual(answer.count(b"\r\nConnection: close\r\n"), not goes_on)

    def test_a_path_close_to_a_route_gets_a_link_to_it(self):
        for path in ("/home", "/files/", '/b"bold" &', "/" + "a" * 64):
            self.add_page(path, (200, "text/plain", "x"))
        for target, link in [
            ("/files", '<a href="/files/">/files/</a>'), ("/hom", '<a href="/home">/home</a>'),
            ("/Home?x=1", '<a href="/home">/home</a>'), ("/homely", '<a href="/home">/home</a>'),
            ("/b%22bold%22%20", '<a href="/b%22bold%22%20%26">/b&quot;bold&quot; &amp;</a>'),
        ]:
            with self.subTest(target=target):
                self.assertEqual(self.get(target).content.decode(),
                                 "<title>404 Page Not Found</title>\n<p>There is no page at this "
                                 f"address. Did you mean {link}?</p>\n")
        for target in ("/x", "/home/of/bees", "/files/missing.txt", "/%3Cb%3E"):
            with self.subTest(target=target):
                self.assertNotIn(b"Did you mean", self.get(target).content)


class Methods(LiveServer):
    def test_head_has_the_status_and_headers_of_get_and_no_body(self):
        self.add_page("/broken", None)
        with open(os.path.join(config.FILE_DIR, "empty.txt"), "wb"):
            pass
        varying = re.compile(rb"\r\n(Date|X-Time): [^\r]*")  # X-Time is exercise 5
        for target in ("/", "/?x=1", "/files/hello.txt", "/files/empty.txt", "/files/missing.txt",
                       "/nex", "/nothing", "/broken", "#refused"):
            with self.subTest(target=target):
                (head, _, body), (same_head, _, nothing) = [
                    varying.sub(b"", self.exchange(request(method, target))).partition(b"\r\n\r\n")
                    for method in ("GET", "HEAD")]
                self.assertEqual((same_head, nothing), (head, b""))
                self.assertIn(b"\r\nContent-Length: %d\r\n" % len(body), head)

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
        for raw in (GET, get("/nope"), b"nonsense\r\n", get("/files/hello.txt"), CHUNKED + b"0\r\n\r\n"):
            with self.subTest(raw=raw):
                head, _, body = self.exchange(raw).partition(b"\r\n\r\n")
                self.assertRegex(head, rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n")
                self.assertRegex(head, rb"\r\nContent-Type: [a-z]+/")
                self.assertRegex(head, rb"\r\nContent-Length: %d(\r|\Z)" % len(body))
                self.assertIn(b"\r\nServer: SidhHTTP/1.0\r\n", head)

    def test_the_length_is_left_out_or_0_where_there_is_no_body(self):
        for status, length in [(204, None), (205, b"0"), (304, None), (200, b"10"), (203, b"10"),
                               (206, b"10"), (303, b"10"), (305, b"10")]:
            for method in (b"GET", b"HEAD"):
                with self.subTest(status=status, method=method), mock.patch.dict(main.ROUTES):
                    self.add_page("/silent", (status, "text/plain", "never sent"))
                    answer = self.exchange(get("/silent").replace(b"GET", method) + GET)
                    first, _, second = answer[5:].partition(b"HTTP/1.1 ")
                    found = re.search(rb"\r\nContent-Length: (.*)\r\n", first)
                    self.assertEqual(found and found[1], length)
                    self.assertEqual(first.endswith(b"never sent"),
                                     length == b"10" and method == b"GET")
                    self.assertTrue(second.endswith(b"\r\n\r\n<h1>Hello</h1>"))

    def test_a_status_without_a_usual_reason_is_sent_without_one(self):
        self.add_page("/odd", (599, "text/plain", "x"))
        self.assertTrue(self.exchange(get("/odd")).startswith(b"HTTP/1.1 599 \r\n"))

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
    def test_a_file_is_sent_whole_and_saved_under_the_name_that_was_asked_for(self):
        self.set_config(FILE_DIR=self.make_folder("my file.txt", "css/x.css", "a/b/c.gif"))
        self.make_link(os.path.join(config.FILE_DIR, "css", "x.css"),
                       os.path.join(config.FILE_DIR, "my.css"))
        everything = bytes(range(256)) * 5000
        for name, content in [("my file.txt", everything), ("css/x.css", b"body { }"),
                              ("my.css", b"a { }"), ("a/b/c.gif", b"")]:
            with self.subTest(name=name):
                with open(os.path.join(config.FILE_DIR, name), "wb") as file:
                    file.write(content)
                response = self.get("/files/" + quote(name))
                self.assertEqual((response.status, response.content), (200, content))
                self.assertEqual(response.headers["Content-Length"], str(len(content)))
                headers = utils.download_headers(name.rpartition("/")[2])
                self.assertLessEqual(set(headers.items()), set(response.headers.items()))

    def test_no_way_leads_out_of_the_folder(self):
        base = self.make_folder("files/a.txt", "files-private/secret.txt", "files/.hidden",
                                "files/.git/config")
        self.set_config(FILE_DIR=os.path.join(base, "files"))
        secret = os.path.join(base, "files-private", "secret.txt")
        for target in ["/files/../files-private/secret.txt", "/files/%2e%2e/files-private/secret.txt",
                       "/files/..%2ffiles-private%2fsecret.txt",
                       "/files/..%5cfiles-private%5csecret.txt", "/files/" + quote(secret),
                       "/files/" + quote(secret, safe=""), "/files//a.txt", "/files/a.txt%00",
                       "/files/a.txt/", "/files/.", "/files/..", "/files/.hidden",
                       "/files/.git/config", "//files/a.txt", "/FILES/a.txt", "/files/%00",
                       "/filesXa.txt", "/files", "/files/caf%E9.txt", "/files/./a.txt"]:
            with self.subTest(target=target):
                answer = self.exchange(request("GET", target))
                self.assertEqual(statuses(answer), [404])
                self.assertNotIn(b"content of", answer)

    def test_a_file_that_cannot_be_opened_now_is_503_and_the_console_says_why(self):
        trouble = OSError(errno.EMFILE, "Too many open files", "hello.txt")
        with mock.patch("main.open", side_effect=trouble, create=True):
            answer = self.exchange(get("/files/hello.txt") + GET)
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n"))
        self.assertEqual(statuses(answer), [503, 200])
        self.assertRegex(self.said(), r"\A\[Errno \d+\] Too many open files: 'hello.txt'\n")

    def test_a_file_that_changes_meanwhile_spoils_only_its_own_download(self):
        send_head = main.SidhHTTP.send_head

        for size, body, goes_on in [(25, b"content of hello.txt", True), (20, None, True),
                                    (19, b"content of hello.tx", False), (0, b"", False)]:
            path = os.path.join(self.make_folder("hello.txt"), "hello.txt")
            self.set_config(FILE_DIR=os.path.dirname(path))

            def send_head_first(*arguments, **more):
                send_head(*arguments, **more)
                os.truncate(path, size)

            with self.subTest(size=size):
                with mock.patch.object(main.SidhHTTP, "send_head", send_head_first):
                    answer = self.exchange(get("/files/hello.txt") + GET)
                self.assertIn(b"\r\nContent-Length: 20\r\n", answer)
                self.assertEqual(statuses(answer), [200, 200] if goes_on else [200])
                end = answer.partition(b"\r\n\r\n")[2].partition(b"HTTP/1.1")[0]
                self.assertEqual(end, b"content of hello.txt" if body is None else body)


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
        for error in (KeyError("private \x1b[31m"), SystemExit("private"), EOFError("private"),
                      router.Refusal(400, "private"), ConnectionResetError("private"),
                      TimeoutError("private"), asyncio.CancelledError("private"),
                      KeyboardInterrupt("private")):
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

    def test_what_cannot_be_sent_is_a_500_and_the_console_says_why(self):
        nameless = functools.partial(lambda value, request: value, "wrong")
        for handler, why in [
            (lambda request: "<h1>Hi</h1>", r"\A<lambda>: response is '<h1>Hi</h1>', not"),
            (lambda request: (200, "text/html\r\nX-Evil: 1", "x"), r"content type is 'text/html\\r"),
            (nameless, r"\Afunctools\.partial\(.*\): response is 'wrong', not"),
            (lambda request: (200, "a/b", "\ud800"), "UnicodeEncodeError: .* surrogates"),
        ]:
            with self.subTest(why), mock.patch.dict(main.ROUTES):
                route("/promise")(handler)
                answer = self.exchange(get("/promise") + GET)
                self.assertEqual(statuses(answer), [500, 200])
                self.assertNotIn(b"X-Evil", answer)
                said = self.said()
                self.assertRegex(said, why)
                self.assertEqual("Traceback" in said, "Error" in why)


class Log(LiveServer):
    LINE = r'\A127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d\] {}\n\Z'

    def test_each_request_is_a_line_with_its_status(self):
        for raw, what in [
            (request("GET", "/next?x=1"), r'"GET /next\?x=1 HTTP/1\.1" 200 OK'),
            (request("PUT", "/"), r'"PUT / HTTP/1\.1" 501 Unsupported Method'),
            (b"nonsense\r\n", r'"nonsense" 400 Bad Request Line'),
            (b"GET /\x1b[31m\x9b\r HTTP/1.1\r\n",
             r'"GET /\\x1b\[31m\\x9b\\x0d HTTP/1\.1" 400 Bad Request Line'),
            (request("GET", "/" + "a" * 60000), f'"GET /{"a" * 195}" 404 Page Not Found'),
            (request("GET", "/" + "a" * 70000), '"" 431 Head Too Long'),
        ]:
            with self.subTest(raw=raw[:50]):
                self.exchange(raw)
                self.assertRegex(self.said(), self.LINE.replace("{}", what))

    def test_how_a_connection_ended_is_mentioned_only_if_that_was_a_bug(self):
        for error, is_shown in [(ConnectionResetError(), False), (BrokenPipeError(), False),
                                (TimeoutError(), False), (socket.timeout(), False),
                                (OSError(errno.EBADF, "Bad file descriptor"), False),
                                (EOFError(), False), (KeyError("\x1b"), True),
                                (OSError(errno.EIO, "Disk error", "\x1b.txt"), True)]:
            for method in ("do_POST", "setup"):
                with self.subTest(error=error, method=method):
                    with mock.patch.object(main.SidhHTTP, method, side_effect=error):
                        with contextlib.suppress(OSError):
                            self.assertEqual(self.exchange(POST + b"\r\n"), b"")
                        self.await_threads()
                    said = self.said()
                    self.assertEqual(bool(said), is_shown, said)
                    if is_shown:
                        self.assertRegex(said, r"\ATraceback \(most .*\):\n(.*\n)+\S*Error: .+\n\Z")
                        self.assertNotIn("\x1b", said)
