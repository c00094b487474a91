"""main.py as a program: what it says at the start, why it cannot start, and how it ends.

Most tests run it as a process of its own, with a routes.py and settings of the test's.
"""
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import unittest
from unittest import mock

import main
from tests.support import LIMIT, PROJECT, Sandbox, get, has_ipv6

PAGES = """import atexit
from router import route
import utils

@route("/\\u65e5 \\u672c")
@route("/")
def homepage(request):
    return 200, "text/html", "<h1>Hello</h1>"

@route("/long")
def long(request):
    return 200, "a/b", b"x" * 20000000

@route("/prints")
def prints(request):
    while True:
        print("." * 100)

atexit.register(print, "last words")
"""
RUN_MAIN = f"""
__file__ = {os.path.join(PROJECT, "main.py")!a}
exec(compile(open(__file__, encoding="utf-8").read(), __file__, "exec"))
"""
# PYTHONUNBUFFERED would hide what happens to buffers while Python ends.
ENVIRONMENT = {name: os.environ[name] for name in os.environ if name != "PYTHONUNBUFFERED"}


class Program(Sandbox):
    def setUp(self):
        super().setUp()
        self.write("routes.py", PAGES.encode())

    def run_python(self, code, host="127.0.0.1", stdout=subprocess.PIPE):
        """Start Python in a folder that is not the project's."""
        before = f"""import atexit, config, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job ignores it
config.HOST, config.PORT = {host!a}, "0"
"""
        process = subprocess.Popen(
            [sys.executable, "-c", before + code], cwd=self.folder, encoding="utf-8",
            env={**ENVIRONMENT, "PYTHONPATH": self.folder + os.pathsep + PROJECT},
            stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE)
        self.addCleanup(process.__exit__, None, None, None)  # waits, and closes the pipes
        self.addCleanup(process.kill)
        timer = threading.Timer(2 * LIMIT, process.kill)
        timer.start()
        self.addCleanup(timer.cancel)
        return process

    def connect(self, first_line):
        """Return a client of the program that has printed this line, and the address in it."""
        form = r"server running on (http://\[?(.+?)\]?:(\d+)) \(Ctrl\+C stops it\)\r?\n"
        self.assertRegex(first_line, form)
        url, host, port = re.match(form, first_line).groups()
        client = socket.create_connection((host, int(port)), LIMIT)
        self.addCleanup(client.close)
        return client, url


class Start(Program):
    def test_it_prints_its_address_and_its_pages_at_once(self):
        for host in ["127.0.0.1", *["::"] * bool(has_ipv6())]:
            process = self.run_python(RUN_MAIN, host)
            client, url = self.connect(process.stdout.readline())
            for path in ("/", "/%E6%97%A5%20%E6%9C%AC"):
                self.assertEqual(process.stdout.readline(), f"  {url}{path}\n")
                client.sendall(get(path))
                self.assertTrue(client.recv(65536).endswith(b"<h1>Hello</h1>"))

    def test_importing_the_modules_prints_nothing_opens_no_socket_and_reads_no_file_of_types(self):
        self.write("mime.types", b"text/wrong zzz\n\xff")
        process = self.run_python("""
import mimetypes
mimetypes.knownfiles = ["mime.types"]
sys.addaudithook(lambda event, args: event.startswith("socket.") and print(event))
import config, router, utils, routes, main
print(utils.download_headers("a.zzz")["Content-Type"], main.SidhHTTP.timeout == config.TIMEOUT)
""")
        self.assertEqual(process.communicate(timeout=LIMIT),
                         ("application/octet-stream True\nlast words\n", ""))

    def test_if_it_cannot_listen_one_sentence_says_where_why_and_what_to_set(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        for host, port, why in [
            ("127.0.0.1", str(taken.getsockname()[1]), "Address already in use|Only one usage"),
            ("127.0.0.1", "abc", "invalid literal for int.*'abc'"), ("127.0.0.1", None, "int"),
            ("127.0.0.1", "-1", "0-65535"), ("127.0.0.1", 70000, "0-65535"),
            ("é..b", "0", "label|hostname"), ("203.0.113.1", "0", r"\[(Errno|WinError)"),
        ]:
            self.set_config(HOST=host, PORT=port)
            with self.subTest(host=host, port=port), self.assertRaises(SystemExit) as caught, \
                    mock.patch.object(main.Server, "address_family", socket.AF_INET):
                main.main()
            self.assertRegex(caught.exception.code,
                             rf"\Acannot listen on {host}, port {port}: .*({why}).*\n"
                             r"To change them, set MINI_HOST and MINI_PORT, or edit config.py.\Z")


@unittest.skipUnless(os.name == "posix", "Windows has no signals that end one program politely")
class Stop(Program):
    def test_whatever_clients_do_a_kill_ends_it_and_routes_py_may_have_the_last_word(self):
        process = self.run_python(RUN_MAIN)
        line = process.stdout.readline()
        self.connect(line)[0].sendall(b"GET / HTTP/1.1\r\n")
        busy = self.connect(line)[0]
        busy.sendall(get("/long"))
        self.assertIn(b" 200 ", busy.recv(20))  # and then it stops reading
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertNotIn("Traceback", process.stderr.read())
        self.assertRegex(process.stdout.read(), r"\nserver closed\.\.\.\nlast words\n\Z")

    def test_if_nobody_reads_what_it_prints_it_serves_and_ends_quietly_all_the_same(self):
        process = self.run_python(RUN_MAIN)
        client, _ = self.connect(process.stdout.readline())
        process.stdout.close()  # as "| head -n 1" does
        client.sendall(get("/"))
        self.assertIn(b" 200 ", client.recv(65536))
        process.send_signal(signal.SIGTERM)
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertNotRegex(process.stderr.read(), "Error|Traceback|Exception")

    @unittest.skipUnless(hasattr(os, "openpty"), "this system has no terminals for programs")
    def test_a_handler_that_prints_does_not_disturb_the_end(self):
        try:
            terminal, of_program = os.openpty()
        except OSError as error:
            self.skipTest(f"no terminal can be opened: {error}")
        self.addCleanup(os.close, terminal)
        process = self.run_python(RUN_MAIN, stdout=of_program)
        os.close(of_program)
        shown = os.read(terminal, 1000).decode()
        self.connect(shown)[0].sendall(get("/prints"))
        while "." * 100 not in shown:
            shown = os.read(terminal, 1000).decode()
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(OSError):  # the terminal of a program that has ended
            while os.read(terminal, 65536):
                pass
        self.assertEqual((process.wait(LIMIT), process.stderr.read()), (0, ""))

    def test_at_the_end_the_console_is_kept_for_threads_but_python_no_longer_has_it(self):
        process = self.run_python("""
def show():
    os.write(2, str([sys.stdout, sys.__stdout__, sys.stderr, sys.__stderr__]).encode())
atexit.register(show)
import utils
print(utils.CONSOLE == [sys.stdout, sys.stderr])
""")
        self.assertEqual(process.communicate(), ("True\n", "[None, None, None, None]"))
