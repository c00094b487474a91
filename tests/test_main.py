"""main.py over HTTP: which path finds which handler, and what is sent."""
import errno
import functools
import os
import re
import socket
import time
from unittest import mock
from urllib.parse import quote

import config
import main
import router
import utils
from router import route
from tests.support import GET, NEXT, POST, LiveServer, get, statuses


def request(method, target):
    """Return the bytes of a request after which the connection closes."""
    return NEXT.replace(b"GET /next", f"{method} {target}".encode())


class Paths(LiveServer):
    def test_a_route_matches_its_exact_path_and_the_query_does_not_count(self):
        for path in ("/home", "/Home", "/files/hello.txt"):  # a route wins over a file
            self.add_page(path, (200, "text/plain", path))
        for target, path in [("/home", "/home"), ("/home?", "/home"), ("/%68ome?x=1", "/home"),
                             ("/home?x=/files/?y", "/home"), ("/Home?100%", "/Home"),
                             ("/files/hello.txt", "/files/hello.txt")]:
            self.assertEqual(self.get(target).content.decode(), path)
        for target in ("/home/", "/HOME", "/home.html", "/hom", "/home%3Fx=1", "/home%20", "/%00",
                       "/home;x", "/home/../home", "/./home", "//home", "/files", "/hom%E9"):
            self.assertEqual(self.get(target).status, 404, target)

    def test_the_handler_gets_the_request(self):
        client = self.connect()
        client.sendall(b"HEAD /next?name=Ann+B HTTP/1.1\r\nHost: a\r\nx-mood: good\r\n"
                       b"Content-Length: 3\r\n\r\nabc")
        client.recv(65536)
        request, = self.calls
        self.assertEqual(request[:4], ("HEAD", "/next", "name=Ann+B", "HTTP/1.1"))
        self.assertEqual((request.headers["X-Mood"], request.body), ("good", b"abc"))
        self.assertEqual(request.client_address, client.getsockname())
        client.close()


class Errors(LiveServer):
    CASES = {  # what is sent: status, reason, what the page says if not the usual for the status
        b"nonsense\r\n\r\n": (400, "Bad Request Line", None),
        GET.replace(b"Host: a", b"Host: <b>"): (400, "Bad Host", None),
        get("/nothing/like/it"): (404, "Page Not Found", "There is no page at this address."),
        POST + b"Content-Length: 2000000\r\n\r\n": (413, "Body Too Large", None),
        GET.replace(b"Host", b"X" * 70000): (431, "Head Too Long", None),
        get("/broken"): (500, "Internal Server Error",
                         "This page has a bug: see the server&#x27;s console."),
        GET.replace(b"GET", b"PUT"): (501, "Unsupported Method", None),
        GET.replace(b"/1.1", b"/2.0"): (505, "HTTP Version Not Supported", None),
    }

    def test_an_error_is_the_template_with_its_status_and_a_sentence_or_both_without_it(self):
        self.add_page("/broken", None)
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
        self.add_page("/broken", None)
        for raw, (status, _, _) in self.CASES.items():
            with self.subTest(raw=raw[:50]):
                goes_on = status in (404, 500, 501)
                answer = self.exchange(GET + raw + GET)
                self.assertEqual(statuses(answer), [200, status, 200][:3 if goes_on else 2])
                self.assertEqual(re.findall(rb"\r\nConnection: (.*)\r\n", answer),
                                 [] if goes_on else [b"close"])

    def test_a_path_close_to_a_route_gets_a_link_to_it(self):
        for path in ("/home", "/files/", '/b"bold" &'):
            self.add_page(path, (200, "text/plain", "x"))
        for target, link in [
            ("/files", '<a href="/files/">/files/</a>'), ("/hom", '<a href="/home">/home</a>'),
            ("/Home?x=1", '<a href="/home">/home</a>'), ("/homely", '<a href="/home">/home</a>'),
            ("/b%22bold%22%20", '<a href="/b%22bold%22%20%26">/b&quot;bold&quot; &amp;</a>'),
            ("/x", None), ("/home/of/bees", None), ("/files/missing.txt", None),
        ]:
            hint = f" Did you mean {link}?" if link else ""
            self.assertIn(f"<p>There is no page at this address.{hint}</p>",
                          self.get(target).content.decode())


class Responses(LiveServer):
    def test_head_has_the_status_and_headers_of_get_and_no_body(self):
        self.add_page("/broken", None)
        varying = re.compile(rb"\r\n(Date|X-Time): [^\r]*")  # X-Time is exercise 5
        for target in ("/", "/?x=1", "/files/hello.txt", "/files/missing.txt", "/nex", "/broken",
                       "#refused"):
            with self.subTest(target=target):
                (head, _, body), (same_head, _, nothing) = [
                    varying.sub(b"", self.exchange(request(method, target))).partition(b"\r\n\r\n")
                    for method in ("GET", "HEAD")]
                self.assertEqual((same_head, nothing), (head, b""))
                self.assertIn(b"\r\nContent-Length: %d\r\n" % len(body), head)

    def test_a_post_to_any_path_is_answered_with_the_local_time(self):
        now = time.struct_time((2026, 1, 2, 13, 4, 5, 4, 2, 0))
        for target in ("/", "/next", "/files/hello.txt", "/no/such/path?x=1"):
            for body in (None, b"", b"x" * 1000):
                with mock.patch("time.localtime", return_value=now):
                    response = self.ask("POST", target, body)
                self.assertEqual(response.status, 200)
                self.assertEqual(response.headers["Content-Type"], "application/json")
                self.assertEqual(response.content, b'{"time": "2026-01-02 13:04:05"}')
        self.assertEqual(self.calls, [])

    def test_options_names_the_methods(self):
        client = self.connect()
        for target in ("*", "/", "/nope"):
            client.sendall(get(target).replace(b"GET", b"OPTIONS"))
            answer = client.recv(65536)
            self.assertTrue(answer.startswith(b"HTTP/1.1 204 No Content\r\n"))
            self.assertIn(b"\r\nAllow: GET, HEAD, POST, OPTIONS\r\n", answer)
        client.close()

    def test_a_response_says_when_it_was_sent_but_not_by_which_python(self):
        for raw in (GET, get("/nope"), b"nonsense\r\n", get("/files/hello.txt")):
            answer = self.exchange(raw)
            self.assertRegex(answer, rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT\r\n")
            self.assertIn(b"\r\nServer: SidhHTTP/1.0\r\n", answer)

    def test_the_length_is_left_out_or_0_where_there_is_no_body(self):
        for status, length in [(204, None), (205, b"0"), (304, None), (200, b"10"), (203, b"10"),
                               (206, b"10"), (303, b"10"), (305, b"10"), (599, b"10")]:
            with self.subTest(status=status), mock.patch.dict(main.ROUTES):
                self.add_page("/silent", (status, "text/plain", "never sent"))
                answer = self.exchange(get("/silent") + GET)
                first, _, second = answer[5:].partition(b"HTTP/1.1 ")
                found = re.search(rb"\r\nContent-Length: (.*)\r\n", first)
                self.assertEqual(found and found[1], length)
                self.assertEqual(first.endswith(b"never sent"), length == b"10")
                self.assertTrue(second.endswith(b"\r\n\r\n<h1>Hello</h1>"))

    def test_a_response_leaves_in_one_packet_and_at_once(self):
        self.add_page("/long", (200, "text/plain", b"x" * 60000))
        sent = []
        true_send = socket.socket.send

        def send(connection, data):
            sent.append(connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) > 0)
            return true_send(connection, data)

        with mock.patch("socket.socket.send", send):
            self.exchange(get("/long"))
        self.assertEqual(sent, [True])


class Downloads(LiveServer):
    def test_a_file_is_sent_whole_and_saved_under_the_name_that_was_asked_for(self):
        self.set_config(FILE_DIR=self.make_folder("my file.txt", "css/x.css", "a/b/c.gif"))
        self.make_link(os.path.join(config.FILE_DIR, "css", "x.css"),
                       os.path.join(config.FILE_DIR, "my.css"))
        for name, content in [("my file.txt", bytes(range(256)) * 5000), ("css/x.css", b"x"),
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
        base = self.make_folder("files/a.txt", "files-private/secret.txt")
        self.set_config(FILE_DIR=os.path.join(base, "files"))
        for target in ["/files/../files-private/secret.txt", "/files//a.txt", "/filesXa.txt",
                       "/files/%2e%2e%5cfiles-private%2fsecret.txt", "//files/a.txt"]:
            self.assertEqual(self.get(target).status, 404, target)

    def test_a_file_that_cannot_be_opened_now_is_503_and_the_console_says_why(self):
        trouble = OSError(errno.EMFILE, "Too many open files", "hello.txt")
        with mock.patch("main.open", side_effect=trouble, create=True):
            answer = self.exchange(get("/files/hello.txt") + GET)
        self.assertTrue(answer.startswith(b"HTTP/1.1 503 Service Unavailable\r\n"))
        self.assertEqual(statuses(answer), [503, 200])
        self.assertRegex(self.said(), r"\A\[Errno \d+\] Too many open files: 'hello.txt'\n")

    def test_a_file_that_changes_meanwhile_spoils_only_its_own_download(self):
        send_head = main.SidhHTTP.send_head
        path = os.path.join(config.FILE_DIR, "hello.txt")
        for size, body, following in [(30, b"x" * 20, [200]), (19, b"x" * 19, []), (0, b"", [])]:
            def send_head_first(*arguments, **more):
                send_head(*arguments, **more)
                os.truncate(path, size)

            with self.subTest(size=size):
                with open(path, "wb") as file:
                    file.write(b"x" * 20)
                with mock.patch.object(main.SidhHTTP, "send_head", send_head_first):
                    answer = self.exchange(get("/files/hello.txt") + GET)
                self.assertEqual(statuses(answer), [200, *following])
                rest = answer.partition(b"\r\n\r\n")[2]
                self.assertEqual(rest.partition(b"HTTP/1.1")[0], body)


class Console(LiveServer):
    def test_whatever_a_handler_raises_is_a_500_and_its_traceback_is_on_the_console(self):
        for error in (KeyError("private \x1b[31m"), SystemExit("private"), EOFError("private"),
                      router.Refusal(400, "private"), ConnectionResetError("private"),
                      TimeoutError("private"), KeyboardInterrupt("private")):
            with self.subTest(error=error), mock.patch.dict(main.ROUTES):
                @route("/raises")
                def culprit(request, error=error):
                    raise error

                answer = self.exchange(get("/raises") + GET)
                self.assertEqual(statuses(answer), [500, 200])
                self.assertNotIn(b"private", answer)
                said = self.said()
                self.assertRegex(said, r"\ATraceback \(most .*\):\n(  .*\n)+.*private")
                self.assertIn("in culprit", said)
                self.assertNotRegex(said, "\n\n|\x1b")

    def test_what_cannot_be_sent_is_a_500_and_the_console_says_why(self):
        nameless = functools.partial(lambda value, request: value, "wrong")
        for handler, why in [
            (lambda request: "<h1>Hi</h1>", r"\A<lambda>: response is '<h1>Hi</h1>', not"),
            (lambda request: (200, "a/b\r\nX-Evil: 1", "x"), r"content type is 'a/b\\r\\nX-Evil"),
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

    def test_each_request_is_a_line_with_its_status(self):
        for raw, what in [
            (request("GET", "/next?x=1"), r'"GET /next\?x=1 HTTP/1\.1" 200 OK'),
            (request("PUT", "/"), r'"PUT / HTTP/1\.1" 501 Unsupported Method'),
            (b"nonsense\r\n", r'"nonsense" 400 Bad Request Line'),
            (b"\x1b[31m\x9b\r HTTP/1.1\r\n", r'"\\x1b\[31m\\x9b\\x0d HTTP/1\.1" 400 Bad .*'),
            (request("GET", "/" + "a" * 60000), f'"GET /{"a" * 195}" 404 Page Not Found'),
            (GET + request("GET", "/" + "a" * 70000), '.*\n.*"" 431 Head Too Long'),
        ]:
            self.exchange(raw)
            begin = r"\A127\.0\.0\.1 - - \[\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d\] "
            self.assertRegex(self.said(), begin + what + r"\n\Z")

    def test_how_a_connection_ended_is_mentioned_only_if_that_was_a_bug(self):
        for error, is_shown in [(ConnectionResetError(), False), (BrokenPipeError(), False),
                                (TimeoutError(), False), (socket.timeout(), False),
                                (OSError(errno.EBADF, "Bad file descriptor"), False),
                                (EOFError(), False), (KeyError("\x1b"), True),
                                (OSError(errno.EIO, "Disk error", "\x1b.txt"), True)]:
            with self.subTest(error=error):
                with mock.patch.object(main.SidhHTTP, "do_POST", side_effect=error):
                    self.assertEqual(self.exchange(POST + b"\r\n"), b"")
                self.await_threads()
                said = self.said()
                self.assertEqual(bool(said), is_shown, said)
                if is_shown:
                    self.assertRegex(said, r"\ATraceback \(most .*\):\n(.*\n)+\S*Error: .+\n\Z")
                    self.assertNotIn("\x1b", said)
