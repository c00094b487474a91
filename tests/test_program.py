"""main.py as a program: what it says at the start, why it cannot start, and how it ends.

Most tests run it as a process of its own, with a routes.py and settings of the test's.
"""
import contextlib
import http.client
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock
from urllib.parse import urlsplit

import config
import main
from tests.support import LIMIT, PROJECT, find_basic_fault, get, has_ipv6

# What runs before main.py in the same process
BEFORE = """import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job ignores it
sys.path[:0] = [{folder!a}, {project!a}]
import config
config.HOST, config.PORT = {host!a}, "0"
"""
RUN_MAIN = f"""
import runpy
runpy.run_path({os.path.join(PROJECT, "main.py")!a}, run_name="__main__")
"""
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
# PYTHONUNBUFFERED would hide what happens to buffers while Python ends.
ENVIRONMENT = {name: os.environ[name] for name in os.environ if name != "PYTHONUNBUFFERED"}


class Program(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if find_basic_fault():
            raise AssertionError(find_basic_fault())

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        with open(os.path.join(self.folder, "routes.py"), "w", encoding="ascii") as file:
            file.write(PAGES)

    def run_python(self, code, host="127.0.0.1", stdout=subprocess.PIPE):
        """Start Python in a folder that is not the project's."""
        before = BEFORE.format(folder=self.folder, project=PROJECT, host=host)
        process = subprocess.Popen([sys.executable, "-c", before + code], encoding="utf-8",
                                   cwd=self.folder, env=ENVIRONMENT, stdin=subprocess.DEVNULL,
                                   stdout=stdout, stderr=subprocess.PIPE)
        self.addCleanup(process.__exit__, None, None, None)  # waits, and closes the pipes
        self.addCleanup(process.kill)
        timer = threading.Timer(2 * LIMIT, process.kill)
        timer.start()
        self.addCleanup(timer.cancel)
        return process

    def read_address(self, process):
        """Return the (host, port) that the program says it listens on."""
        line = process.stdout.readline()
        self.assertRegex(line, r"\Aserver running on http://\S+:\d+ \(Ctrl\+C stops it\)\n\Z")
        url = urlsplit(line.split()[3])
        return url.hostname, url.port

    def assert_serves(self, address, path="/"):
        """Assert that a server answers."""
        connection = http.client.HTTPConnection(*address, timeout=LIMIT)
        with contextlib.closing(connection):
            connection.request("GET", path)
            self.assertEqual(connection.getresponse().read(), b"<h1>Hello</h1>")


class Start(Program):
    def test_it_prints_its_address_and_its_pages_at_once(self):
        for host, local in {"127.0.0.1": "127.0.0.1", "::": "[::1]"}.items():
            if host == "::" and not has_ipv6():
                continue
            with self.subTest(host):
                process = self.run_python(RUN_MAIN, host)
                address = self.read_address(process)
                for path in ("/", "/%E6%97%A5%20%E6%9C%AC"):
                    self.assertEqual(process.stdout.readline(),
                                     f"  http://{local}:{address[1]}{path}\n")
                    self.assert_serves(address, path)

    def test_importing_the_modules_prints_nothing_opens_no_socket_and_reads_no_file_of_types(self):
        with open(os.path.join(self.folder, "mime.types"), "wb") as file:
            file.write(b"text/wrong zzz\n\xff")
        process = self.run_python("""
import mimetypes
mimetypes.knownfiles = ["mime.types"]
sys.addaudithook(lambda event, args: event.startswith("socket.") and print(event))
import config, router, utils, routes, main
print(utils.download_headers("a.zzz")["Content-Type"], utils.CONSOLE == [sys.stdout, sys.stderr])
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
            with self.subTest(host=host, port=port), \
                    mock.patch.object(main.Server, "address_family", socket.AF_INET), \
                    mock.patch.multiple(config, HOST=host, PORT=port):
                with self.assertRaises(SystemExit) as caught:
                    main.main()
                self.assertRegex(caught.exception.code,
                                 rf"\Acannot listen on {host}, port {port}: .*({why}).*\n"
                                 r"To change them, set MINI_HOST and MINI_PORT, or edit config\.py.")


@unittest.skipUnless(os.name == "posix", "Windows has no signals that end one program politely")
class Stop(Program):
    def test_ctrl_c_and_kill_end_it_quietly_whatever_clients_do(self):
        for number, sent in [(signal.SIGINT, [b"GET / HTTP/1.1\r\n", get("/long")]),
                             (signal.SIGTERM, [])]:
            with self.subTest(number.name), contextlib.ExitStack() as clients:
                process = self.run_python(RUN_MAIN)
                address = self.read_address(process)
                for raw in sent:
                    client = clients.enter_context(socket.create_connection(address))
                    client.sendall(raw)
                if sent:
                    self.assertIn(b" 200 ", client.recv(20))  # and then it stops reading
                process.send_signal(number)
                self.assertEqual(process.wait(LIMIT), 0)
                self.assertNotIn("Traceback", process.stderr.read())
                if not sent:
                    end = r"\nserver closed\.\.\.\nlast words\n\Z"  # these of routes.py
                    self.assertRegex(process.stdout.read(), end)

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
        port = int(re.search(r":(\d+) ", shown)[1])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(get("/prints"))
            while "." * 100 not in shown:
                shown = os.read(terminal, 1000).decode()
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # the terminal of a program that has ended
                while os.read(terminal, 65536):
                    pass
        self.assertEqual((process.wait(LIMIT), process.stderr.read()), (0, ""))
