"""The server over HTTP, and as a program: requests, errors, many clients, start and stop."""
import contextlib
import errno
import http.client
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import tracemalloc
import unittest
from unittest import mock
from urllib.parse import quote, urlsplit

import config
import main
import router
import utils
from router import route
from tests.support import PROJECT, LiveServer, receive_all

MEGABYTE = 1 << 20


def make_large_file(folder, size):
    """Make large.bin: zeros that take no room on the disk, then "end"."""
    with open(os.path.join(folder, "large.bin"), "wb") as file:
        file.truncate(size - 3)
        file.seek(0, os.SEEK_END)
        file.write(b"end")


def add_route(path, response):
    """Register a handler, named as_promised, that returns this response."""
    @route(path)
    def as_promised(request):
        return response


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
                       "/home/../home", "/./home", "/files", "/file"):
            with self.subTest(target=target):
                self.assertEqual(self.get(target).status, 404)

    def test_finding_a_handler_does_not_go_through_all_routes(self):
        class Unwalkable(dict):
            def __iter__(self):
                raise AssertionError("walked")
            items = keys = values = __iter__

        with mock.patch.object(main, "ROUTES", Unwalkable(router.ROUTES)):
            for target in ("/", "/home", "/files/hello.txt"):
                self.assertEqual(self.get(target).status, 200)

    def test_an_absolute_target_means_its_path(self):
        for target, same in [("http://127.0.0.1:9999/home", "/home"), ("http://host/home?x=1", "/home"),
                             ("HTTP://host/files/hello.txt", "/files/hello.txt"), ("http://host/", "/")]:
            with self.subTest(target=target):
                response = self.get(target)
                self.assertEqual(response.status, 200)
                self.assertEqual(response.content, self.get(same).content)

    def test_the_handler_gets_the_request(self):
        @route("/greet")
        def greet(request):
            name = utils.query_params(request).get("name", "you")
            return 200, "text/plain", f"{request.command} {name} {request.headers['X-Mood']}"

        response = self.ask("GET", "/greet?name=Ann+B", headers={"X-Mood": "good"})
        self.assertEqual(response.content, b"GET Ann B good")


class Answers(LiveServer):
    def test_an_unknown_path_is_404_page_not_found_in_status_line_and_page(self):
        for target in ("/nothing/like/it", "/files/missing.txt", "/%3Cb%3E"):
            with self.subTest(target=target):
                response = self.get(target)
                self.assertEqual((response.status, response.reason), (404, "Page Not Found"))
                self.assertTrue(response.content.startswith(b"404 Page Not Found\n"))

    def test_a_path_close_to_a_route_gets_a_hint(self):
        for target, hint in [("/files", "/files/"), ("/hom", "/home"), ("/home/", "/home"),
                             ("/Home?x=1", "/home"), ("/f%69les", "/files/")]:
            with self.subTest(target=target):
                self.assertIn(f"Did you mean {hint}?", self.get(target).content.decode())

    def test_a_path_far_from_every_route_gets_no_hint(self):
        for target in ("/nothing/like/it", "/x", "/files/missing.txt"):
            with self.subTest(target=target):
                self.assertNotIn(b"Did you mean", self.get(target).content)

    def test_a_long_path_is_compared_with_no_route(self):
        path = "/" + "long" * 50
        add_route(path, (200, "text/plain", "x"))
        with mock.patch("difflib.SequenceMatcher.real_quick_ratio", side_effect=AssertionError("compared")):
            response = self.get(path + "/")
        self.assertEqual(response.status, 404)
        self.assertNotIn(b"Did you mean", response.content)

    def test_a_path_is_compared_with_a_hundred_routes_at_most(self):
        for number in range(1000):
            add_route(f"/number/{number}", (200, "text/plain", "x"))
        with mock.patch("difflib.SequenceMatcher.real_quick_ratio", return_value=0) as compare:
            self.assertEqual(self.get("/numbers/1").status, 404)
        self.assertEqual(compare.call_count, 100)

    def test_a_hint_is_text_and_never_markup(self):
        add_route("/<b>bold", (200, "text/plain", "x"))
        response = self.get("/%3Cb%3Ebol")
        self.assertIn(b"Did you mean /<b>bold?", response.content)
        self.assertEqual(response.headers["Content-Type"], "text/plain; charset=utf-8")

    def test_head_has_the_status_and_headers_of_get_and_no_body(self):
        add_route("/broken", None)
        self.set_config(FILE_DIR=self.make_folder(["a.txt", "empty.txt"]))
        open(os.path.join(config.FILE_DIR, "empty.txt"), "wb").close()
        for target in ("/", "/home", "/home?x=1", "/files/", "/files/a.txt", "/files/empty.txt",
                       "/files/missing.txt", "/hom", "/nothing", "/broken"):
            with self.subTest(target=target):
                heads, bodies = [], []
                for method in ("GET", "HEAD"):
                    raw = self.exchange(f"{method} {target} HTTP/1.1\r\nHost: x\r\n"
                                        "Connection: close\r\n\r\n".encode())
                    head, _, body = raw.partition(b"\r\n\r\n")
                    heads.append(re.sub(rb"\r\nDate: [^\r]*", b"", head).split(b"\r\n"))
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
        patch = mock.patch.dict(os.environ, TZ="XYZ-05:30")  # 5 and a half hours ahead of UTC
        patch.start()
        self.addCleanup(patch.stop)
        time.tzset()
        answer = json.loads(self.ask("POST", "/").content)["time"]
        now = time.time() + 5.5 * 3600
        allowed = [time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now - age)) for age in range(5)]
        self.assertIn(answer, allowed)


class Downloads(LiveServer):
    def test_a_file_comes_whole_with_its_headers(self):
        folder = self.make_folder()
        self.set_config(FILE_DIR=folder)
        for name, content in [("all.bin", bytes(range(256)) * 999), ("empty.txt", b""),
                              ("lines.txt", b"a\r\nb\nc\x1a\r"), ("日本.svg", b"<svg/>")]:
            with self.subTest(name=name):
                with open(os.path.join(folder, name), "wb") as file:
                    file.write(content)
                response = self.get("/files/" + quote(name))
                self.assertEqual(response.status, 200)
                self.assertEqual(response.content, content)
                self.assertEqual(response.headers["Content-Length"], str(len(content)))
                for header, value in utils.download_headers(name).items():
                    self.assertEqual(response.headers[header], value)

    def test_a_large_file_is_never_in_memory_whole(self):
        folder = self.make_folder()
        self.set_config(FILE_DIR=folder)
        make_large_file(folder, 20 * MEGABYTE)
        client = self.connect()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        client.sendall(b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        received, buffer = 0, bytearray(65536)
        for count in iter(lambda: client.recv_into(buffer), 0):
            received += count
            last = buffer[count - 1:count]
        self.assertGreater(received, 20 * MEGABYTE)
        self.assertEqual(last, b"d")
        self.assertLess(tracemalloc.get_traced_memory()[1], 4 * MEGABYTE)

    def test_a_file_that_cannot_be_opened_is_404(self):
        with mock.patch("main.open", side_effect=PermissionError, create=True):
            self.assertEqual(self.get("/files/hello.txt").status, 404)

    def test_a_file_that_is_gone_by_now_is_404(self):
        with mock.patch("main.find_download", return_value=None):
            self.assertEqual(self.get("/files/hello.txt").status, 404)

    def test_an_empty_file_that_grows_meanwhile_is_sent_empty(self):
        folder = self.make_folder(["grows.txt"])
        self.set_config(FILE_DIR=folder)
        before, after = iter([os.stat_result([0] * 10)]), os.fstat
        with mock.patch("os.fstat", side_effect=lambda file: next(before, None) or after(file)):
            raw = self.exchange(b"GET /files/grows.txt HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertTrue(raw.endswith(b"\r\n\r\n"), raw)

    def test_a_file_that_shrinks_ends_the_connection(self):
        self.set_config(FILE_DIR=self.make_folder())
        make_large_file(config.FILE_DIR, 60 * MEGABYTE)
        client = self.connect()
        client.sendall(b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b" 200 ", client.recv(20))
        os.truncate(os.path.join(config.FILE_DIR, "large.bin"), 100)
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertNotIn(b"Hello World", receive_all(client)[-1000:])

    def test_no_target_leads_out_of_the_folder(self):
        base = self.make_folder(["files/a.txt", "files/sub/b.txt", "secret.txt",
                                 "files-private/secret.txt"])
        self.set_config(FILE_DIR=os.path.join(base, "files"))
        absolute = os.path.join(base, "secret.txt").replace(os.sep, "/")
        for target in [
            "/files/../secret.txt", "/files/./../secret.txt", "/files//../secret.txt",
            "/files/sub/../../secret.txt", "/files/a.txt/../../secret.txt",
            "/files/..%2fsecret.txt", "/files/%2e%2e/secret.txt", "/files/%2E%2E%2Fsecret.txt",
            "/files/%252e%252e%252fsecret.txt", "/files/..%252fsecret.txt",
            "/files/..\\secret.txt", "/files/..%5csecret.txt", "/files/..%c0%afsecret.txt",
            "/files/../secret.txt%00", "/files/..%2fsecret.txt%00.txt", "/files/a.txt%00",
            "/files/%00", "/files/" + absolute, "/files/" + quote(absolute, safe=""),
            "/files/file://" + absolute, "//files/../secret.txt", absolute,
            "/files/../files-private/secret.txt", "/files/..%2ffiles-private%2fsecret.txt",
            "/files-private/secret.txt", "/files/-private/secret.txt",
            "/../secret.txt", "/home/../../secret.txt", "../secret.txt", "http://x/files/../secret.txt",
        ]:
            with self.subTest(target=target):
                raw = self.exchange(b"GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
                                    % target.encode())
                self.assertRegex(raw, rb"\AHTTP/1\.[01] (400|404) ")
                self.assertNotIn(b"content of", raw)


class Handlers(LiveServer):
    def test_a_body_may_be_text_or_bytes(self):
        for response, content_type, content in [
            ((200, "text/plain", "é"), "text/plain; charset=utf-8", b"\xc3\xa9"),
            ((201, "image/gif", b"\x00\xff"), "image/gif", b"\x00\xff"),
        ]:
            with self.subTest(response=response), mock.patch.dict(main.ROUTES):
                add_route("/body", response)
                answer = self.get("/body")
                self.assertEqual(answer.status, response[0])
                self.assertEqual(answer.headers["Content-Type"], content_type)
                self.assertEqual(answer.headers["Content-Length"], str(len(content)))
                self.assertEqual(answer.content, content)

    def test_a_handler_that_raises_is_a_500_without_details(self):
        for error in (ZeroDivisionError("private"), OSError("private"), SystemExit("private"),
                      ConnectionResetError("private"), UnicodeError("private")):
            with self.subTest(error=error), mock.patch.dict(main.ROUTES):
                @route("/raises")
                def raises(request):
                    raise error

                response = self.get("/raises")
                self.assertEqual(response.status, 500)
                self.assertEqual(response.content, b"500 Internal Server Error\n")
                self.assertEqual(self.get("/").status, 200)

    def test_a_handler_that_raises_leaves_its_traceback_on_the_console(self):
        @route("/raises")
        def raises(request):
            raise KeyError("the culprit")

        self.get("/raises")
        self.assertIn("Traceback", self.console.getvalue())
        self.assertIn("in raises", self.console.getvalue())
        self.assertIn("KeyError: 'the culprit'", self.console.getvalue())

    def test_no_response_is_a_500_and_one_line_says_what_was_expected(self):
        for response in ("<h1>Hi</h1>", (200, "text/html"), [200, "text/html", "x"], None,
                         (200, "text/html", None), ("200", "text/html", "x"), (True, "text/html", "x"),
                         (99, "text/html", "x"), (200, "text/html\r\nX-Evil: 1", "x")):
            with self.subTest(response=response), mock.patch.dict(main.ROUTES):
                add_route("/promise", response)
                raw = self.exchange(b"GET /promise HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
                self.assertRegex(raw, rb"\AHTTP/1\.[01] 500 ")
                self.assertEqual(len(re.findall(rb"^HTTP/", raw, re.MULTILINE)), 1)
                self.assertTrue(raw.endswith(b"\r\n\r\n500 Internal Server Error\n"))
                self.assertNotIn(b"X-Evil", raw)
                line, = [line for line in self.console.getvalue().splitlines() if "as_promised" in line]
                self.assertIn(repr(response), line.replace("\\\\", "\\"))  # the log doubles backslashes
                self.assertIn("not " + router.CONTRACT, line)
                self.assertNotIn("Traceback", self.console.getvalue())
                self.assertEqual(self.get("/").status, 200)
                self.console.truncate(self.console.seek(0))

    def test_what_a_handler_returned_is_cut_to_one_sane_line(self):
        add_route("/promise", "<p>" * MEGABYTE)
        self.get("/promise")
        self.assertLess(len(self.console.getvalue()), 1000)


    def test_a_bug_in_the_server_is_one_line_that_says_where(self):
        before = set(threading.enumerate())
        with mock.patch.object(main, "prepare", return_value=(200, "text/plain")):
            self.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            for thread in set(threading.enumerate()) - before:
                thread.join(5)
        self.assertRegex(self.console.getvalue(), r"\Aconnection dropped: ValueError.*main\.py.*\n\Z")


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

    def start_large_download(self):
        """Return a client that got the first bytes of a large file and has stopped reading."""
        self.set_config(FILE_DIR=self.make_folder())
        make_large_file(config.FILE_DIR, 20 * MEGABYTE)
        client = self.connect()
        client.sendall(b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertIn(b" 200 ", client.recv(20))
        return client

    def test_a_client_that_stops_reading_blocks_nobody(self):
        self.start_large_download()
        self.assertEqual(self.get("/").status, 200)

    def test_a_client_that_goes_away_leaves_nothing_on_the_console(self):
        before = set(threading.enumerate())
        client = self.start_large_download()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()  # sends a reset
        for thread in set(threading.enumerate()) - before:
            thread.join(5)
        self.assertEqual(len(self.console.getvalue().splitlines()), 1, self.console.getvalue())
        self.assertIn("large.bin", self.console.getvalue())


class Program(unittest.TestCase):
    """Runs main.py as a process of its own, whose output goes through pipes."""

    def start(self, *command, to=None, **variables):
        """Start main.py, or another Python command, in a folder that is not the project's.

        Its output goes through pipes, or both streams go into the file `to`.
        """
        others = {name: value for name, value in os.environ.items()
                  if not name.startswith(("MINI_", "PYTHONUNBUFFERED"))}
        process = subprocess.Popen(
            [sys.executable, *(command or [os.path.join(PROJECT, "main.py")])],
            cwd=tempfile.gettempdir(), env={**others, **variables}, text=True, stdin=subprocess.DEVNULL,
            stdout=to or subprocess.PIPE, stderr=to or subprocess.PIPE)
        self.addCleanup(process.__exit__, None, None, None)  # waits, and closes the pipes
        self.addCleanup(process.kill)
        watch = threading.Timer(10, process.kill)
        watch.start()
        self.addCleanup(watch.cancel)
        return process

    def read_address(self, process):
        """Return the (host, port) that the program says it listens on; the routes are read too."""
        line = process.stdout.readline()
        self.assertRegex(line, r"\Aserver running on http://[\d.]+:\d+ \(Ctrl\+C stops it\)\n\Z")
        self.assertRegex(process.stdout.readline(), r"\Aroutes: / /files/ /home( .*)?\n\Z")
        self.assertIsNone(process.poll())
        url = urlsplit(line.split()[3])
        return url.hostname, url.port


class Start(Program):
    def get_home(self, host, port):
        """Return the body of GET /home there."""
        connection = http.client.HTTPConnection(host, port, timeout=5)
        self.addCleanup(connection.close)
        connection.request("GET", "/home")
        return connection.getresponse().read()

    def assert_fails(self, process, value, setting):
        """Assert that the program ends with one line on stderr that has both words."""
        stdout, stderr = process.communicate(timeout=10)
        self.assertEqual(stdout, "")
        self.assertRegex(stderr, r"\Acannot listen on [^\n]+\n\Z")
        self.assertIn(value, stderr)
        self.assertIn(setting, stderr)
        self.assertGreater(process.returncode, 0)

    def test_from_any_folder_it_prints_its_address_at_once_and_answers_there(self):
        host, port = self.read_address(self.start(MINI_PORT="0"))
        self.assertEqual(host, "127.0.0.1")
        self.assertIn(b"</html>", self.get_home(host, port))

    def test_on_all_networks_it_prints_an_address_that_a_browser_can_open(self):
        host, port = self.read_address(self.start(MINI_PORT="0", MINI_HOST="0.0.0.0"))
        self.assertNotEqual(host, "0.0.0.0")
        self.assertIn(b"</html>", self.get_home(host, port))

    def test_a_start_that_fails_says_why_in_one_sentence(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = str(taken.getsockname()[1])
        # (settings, what the message names, what it says to change)
        table = [
            ({"MINI_PORT": port}, port, "MINI_PORT"),
            ({"MINI_PORT": "abc"}, "abc", "MINI_PORT"),
            ({"MINI_PORT": "70000"}, "70000", "MINI_PORT"),
            ({"MINI_PORT": "99999999999"}, "99999999999", "MINI_PORT"),
            ({"MINI_PORT": "-1"}, "-1", "MINI_PORT"),
            ({"MINI_PORT": "0", "MINI_HOST": "no.such.host.invalid"}, "no.such.host.invalid", "MINI_HOST"),
            ({"MINI_PORT": "0", "MINI_HOST": "a..b"}, "a..b", "MINI_HOST"),
            ({"MINI_PORT": "0", "MINI_HOST": "é..b"}, "..b", "MINI_HOST"),
            ({"MINI_PORT": "0", "MINI_HOST": "203.0.113.1"}, "203.0.113.1", "MINI_HOST"),
        ]
        started = [self.start(**settings) for settings, _, _ in table]  # all at once, to save time
        for (settings, value, setting), process in zip(table, started):
            with self.subTest(**settings):
                self.assert_fails(process, value, setting)

    def test_a_port_that_needs_rights_is_named(self):
        try:
            socket.create_server(("127.0.0.1", 80)).close()
            self.skipTest("this user may listen on port 80")
        except PermissionError:
            self.assert_fails(self.start(MINI_PORT="80"), "80", "MINI_PORT")
        except OSError as error:
            self.skipTest(f"port 80 cannot be tried: {error}")

    def test_a_refused_port_is_named_with_ports_that_work(self):
        self.addCleanup(setattr, config, "PORT", config.PORT)
        config.PORT = 80
        with mock.patch("socket.socket.bind", side_effect=PermissionError(errno.EACCES, "no")):
            with self.assertRaisesRegex(SystemExit, ":80: .* MINI_PORT .* 1024 to 65535"):
                main.main()

    def test_it_starts_without_a_reverse_dns_lookup(self):
        with mock.patch("socket.getfqdn", side_effect=AssertionError("looked up")):
            main.Server(("127.0.0.1", 0), main.SidhHTTP).server_close()

    def test_a_route_that_the_console_cannot_show_is_printed_in_escapes(self):
        process = self.start("-c", f"""import sys
sys.path.insert(0, {PROJECT!r})
import main
main.ROUTES["/\u65e5"] = None
main.main()""", MINI_PORT="0", PYTHONIOENCODING="ascii")
        process.stdout.readline()
        self.assertIn("/%E6%97%A5", process.stdout.readline())

    def test_importing_the_modules_prints_nothing_and_opens_no_socket(self):
        code = f"""import sys
sys.path.insert(0, {PROJECT!r})
sys.addaudithook(lambda event, args: event.startswith("socket.") and print(event))
import config, router, utils, routes, main"""
        process = self.start("-c", code)
        self.assertEqual(process.communicate(timeout=10), ("", ""))
        self.assertEqual(process.returncode, 0)


@unittest.skipUnless(os.name == "posix", "Windows has no signals that end one program politely")
class Stop(Program):
    def setUp(self):
        # A program inherits an ignored SIGINT, say from a shell that runs the tests with "&".
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)

    def assert_ends(self, process, signal_number):
        """Assert that the signal ends the program in 2 seconds, with its last line and no other."""
        process.send_signal(signal_number)
        self.assertEqual(process.wait(2), 0)
        self.assertEqual(process.stdout.read(), "server closed...\n")
        return process.stderr.read()

    def test_ctrl_c_and_sigterm_end_it_quietly(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                process = self.start(MINI_PORT="0")
                self.read_address(process)
                self.assertEqual(self.assert_ends(process, number), "")

    def test_clients_do_not_keep_it_from_ending(self):
        with tempfile.TemporaryDirectory() as folder:
            make_large_file(folder, 20 * MEGABYTE)
            for number in (signal.SIGINT, signal.SIGTERM):
                with self.subTest(number.name):
                    process = self.start("-c", f"""import sys
sys.path.insert(0, {PROJECT!r})
import config, main
config.FILE_DIR = {folder!r}
main.main()""", MINI_PORT="0")
                    address = self.read_address(process)
                    with socket.create_connection(address, 5), socket.create_connection(address, 5) as busy:
                        busy.sendall(b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
                        self.assertIn(b" 200 ", busy.recv(20))  # and then it stops reading
                        self.assertNotIn("Traceback", self.assert_ends(process, number))

    def test_a_second_ctrl_c_changes_nothing(self):
        for _ in range(3):
            process = self.start(MINI_PORT="0")
            self.read_address(process)
            process.send_signal(signal.SIGINT)
            time.sleep(0.003)
            process.send_signal(signal.SIGTERM)
            self.assert_ends(process, signal.SIGINT)

    def test_nothing_follows_the_last_line_under_load(self):
        with tempfile.TemporaryFile("w+") as output:
            process = self.start(MINI_PORT="0", to=output)
            while not (found := self.read_all(output).partition("routes")[0]):
                time.sleep(0.01)
            port = int(re.search(r":(\d+) ", found)[1])
            clients = [threading.Thread(target=self.hammer, args=(port,)) for _ in range(8)]
            for client in clients:
                client.start()
            time.sleep(0.3)
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(2), 0)
            for client in clients:
                client.join()
            self.assertEqual(self.read_all(output).splitlines()[-1], "server closed...")
            self.assertIn('"GET / HTTP/1.1" 200', self.read_all(output))

    def test_the_log_is_silent_after_the_last_line(self):
        process = self.start("-c", f"""import sys, threading, time
sys.path.insert(0, {PROJECT!r})
import main
main.Server.serve_forever = lambda self: main.signal.raise_signal(main.signal.SIGINT)
main.main()
late = object.__new__(main.SidhHTTP)
late.client_address = "client", 1
threading.Thread(target=late.log_message, args=["late"], daemon=True).start()
time.sleep(0.1)""", MINI_PORT="0")
        stdout, stderr = process.communicate(timeout=10)
        self.assertTrue(stdout.endswith("server closed...\n"))
        self.assertEqual(stderr, "")

    def hammer(self, port):
        """Ask without a pause until the server is gone."""
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 5) as client:
            while True:
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                if not client.recv(65536):
                    return

    def read_all(self, file):
        """Return what the program has written into the file so far."""
        file.seek(0)
        return file.read()

    def test_its_port_is_free_again_at_once(self):
        process = self.start(MINI_PORT="0")
        host, port = self.read_address(process)
        with socket.create_connection((host, port), 5) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            receive_all(client)  # until the server, first to close, has a connection in TIME_WAIT
        self.assert_ends(process, signal.SIGTERM)
        self.read_address(self.start(MINI_PORT=str(port)))
