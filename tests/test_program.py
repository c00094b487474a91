"""main.py as a program: what it says at the start, why it cannot start, and how it ends.

Most tests run it as a process of its own, with pages and settings of the test's.
"""
import contextlib
import errno
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
from tests.support import (
    GET, LIMIT, PROJECT, Sandbox, find_basic_fault, get, has_ipv6, receive_all, wait_until)

# What runs before main.py in the same process
BEFORE = f"""import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # a script's background job ignores it
sys.path.insert(0, {PROJECT!r})
import config, routes
from router import ROUTES, route
config.HOST = os.environ.get("TEST_HOST", "127.0.0.1")
config.PORT = os.environ.get("TEST_PORT", "0")
ROUTES.clear()
@route("/")
def homepage(request):
    return 200, "text/html", "<h1>Hello</h1>"
"""
# PYTHONUNBUFFERED would hide what happens to buffers while Python ends.
ENVIRONMENT = {name: os.environ[name] for name in os.environ if name != "PYTHONUNBUFFERED"}
RUN_MAIN = f"""
import runpy
runpy.run_path({os.path.join(PROJECT, "main.py")!r}, run_name="__main__")
"""


class Program(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        if find_basic_fault():
            raise AssertionError("a GET is not answered: see the other errors")

    def run_python(self, *command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                   stderr=subprocess.PIPE, **variables):
        """Start a Python command in a folder that is not the project's."""
        process = subprocess.Popen(
            [sys.executable, *command], cwd=tempfile.gettempdir(), env={**ENVIRONMENT, **variables},
            stdin=stdin, stdout=stdout, stderr=stderr, encoding="utf-8")
        self.addCleanup(process.__exit__, None, None, None)  # waits, and closes the pipes
        self.addCleanup(process.kill)
        watch = threading.Timer(2 * LIMIT, process.kill)
        watch.start()
        self.addCleanup(watch.cancel)
        return process

    def start(self, pages="", **how):
        """Start main.py, after some lines of the test's."""
        return self.run_python("-c", BEFORE + pages + RUN_MAIN, **how)

    def read_address(self, process):
        """Return the (host, port) that the program says it listens on."""
        line = process.stdout.readline()
        self.assertRegex(line, r"\Aserver running on http://\S+:\d+ \(Ctrl\+C stops it\)\n\Z")
        url = urlsplit(line.split()[3])
        return url.hostname, url.port

    def get(self, address, path="/"):
        """Return the body of a GET from a server."""
        connection = http.client.HTTPConnection(*address, timeout=LIMIT)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read()

    def assert_serves(self, address):
        """Assert that a server answers."""
        self.assertEqual(self.get(address), b"<h1>Hello</h1>")

    def assert_ends(self, process):
        """Assert that the program ends well, with its last line and no other."""
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertRegex(process.stdout.read(), r"\A(  http://.*\n)*server closed\.\.\.\n\Z")


class Start(Program):
    def test_from_any_folder_it_prints_its_address_and_its_pages_at_once(self):
        process = self.start(r"route('/\u65e5 \u672c')(homepage)")
        host, port = self.read_address(process)
        self.assertEqual(host, "127.0.0.1")
        for path in ("/", "/%E6%97%A5%20%E6%9C%AC"):
            self.assertEqual(process.stdout.readline(), f"  http://127.0.0.1:{port}{path}\n")
            self.assertEqual(self.get((host, port), path), b"<h1>Hello</h1>")

    def test_on_all_networks_it_prints_an_address_that_a_browser_can_open(self):
        hosts = {"0.0.0.0": "127.0.0.1", **({"::": "::1", "::1": "::1"} if has_ipv6() else {})}
        started = {host: self.start(TEST_HOST=host) for host in hosts}
        for host, local in hosts.items():
            with self.subTest(host=host):
                address = self.read_address(started[host])
                self.assertEqual(address[0], local)
                self.assert_serves(address)

    def test_importing_the_modules_prints_nothing_and_opens_no_socket(self):
        process = self.run_python("-c", f"""import sys
sys.path.insert(0, {PROJECT!r})
sys.addaudithook(lambda event, args: event.startswith("socket.") and print(event))
import config, router, utils, routes, main""")
        self.assertEqual(process.communicate(timeout=LIMIT), ("", ""))

    def test_a_port_has_one_server(self):
        first = main.Server(("127.0.0.1", 0), main.SidhHTTP)
        self.addCleanup(first.server_close)
        with self.assertRaises(OSError):
            main.Server(first.server_address, main.SidhHTTP)


class Welcome(Sandbox):
    def test_only_on_all_networks_it_says_who_can_open_the_pages_and_where(self):
        for host, url, is_for_all in [
            ("0.0.0.0", "http://127.0.0.1:80", True), ("::", "http://[::1]:80", True),
            ("10.0.0.0", "http://10.0.0.0:80", False), ("::1", "http://[::1]:80", False),
            ("127.0.0.1", "http://127.0.0.1:80", False),
        ]:
            for own_address in ("192.168.1.7", None):
                with self.subTest(host=host), mock.patch("main.own_address", lambda: own_address):
                    expected = [f"server running on {url} (Ctrl+C stops it)",
                                *(f"  {url}{path}" for path in main.ROUTES)]
                    if is_for_all:
                        expected.append("everyone on your network can open these pages, "
                                        "and everything in files/")
                        if own_address:
                            expected.append("  on a phone: http://192.168.1.7:80")
                    self.assertEqual(main.welcome(host, 80).splitlines(), expected)

    def test_the_own_address_is_that_of_the_way_out_and_nothing_is_sent(self):
        with mock.patch("socket.socket") as make_socket:
            probe = make_socket.return_value.__enter__.return_value
            probe.getsockname.return_value = ("192.168.1.7", 50000)
            self.assertEqual(main.own_address(), "192.168.1.7")
            make_socket.assert_called_with(socket.AF_INET, socket.SOCK_DGRAM)  # connect() is silent
            self.assertEqual([call[0] for call in probe.method_calls], ["connect", "getsockname"])
            probe.connect.side_effect = OSError(errno.ENETUNREACH, "Network is unreachable")
            self.assertIsNone(main.own_address())


class FailedStart(Program):
    def test_one_sentence_says_where_it_cannot_listen_why_and_what_to_set(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        for host, port, why in [
            ("127.0.0.1", str(taken.getsockname()[1]), "Address already in use|Only one usage"),
            ("127.0.0.1", "abc", "invalid literal for int.*'abc'"),
            ("127.0.0.1", "-1", "0-65535"), ("127.0.0.1", 70000, "0-65535"),
            ("127.0.0.1", None, "int"), (127, "80", "int"),
            ("no.such.host.invalid", "0", r"\[Errno"), ("é..b", "0", "label|hostname"),
            ("203.0.113.1", "0", r"\[(Errno|WinError)"),
        ]:
            with self.subTest(host=host, port=port), mock.patch.multiple(config, HOST=host, PORT=port):
                with self.assertRaises(SystemExit) as caught:
                    main.main()
                self.assertRegex(caught.exception.code, rf"\Acannot listen on {host}, port {port}: "
                                 rf".*({why}).*\nTo change them, set MINI_HOST and MINI_PORT, "
                                 r"or edit config\.py\.\Z")

    def test_the_program_ends_with_that_sentence_alone(self):
        process = self.start(TEST_PORT="abc")
        stdout, stderr = process.communicate(timeout=LIMIT)
        self.assertEqual((stdout, process.returncode), ("", 1))
        self.assertRegex(stderr, r"\Acannot listen on [^\n]*\n[^\n]*\n\Z")

    def test_a_broken_module_is_told_once_by_the_tests_and_with_its_cause(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "copy")
            shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
            os.chmod(os.path.join(copy, "routes.py"), 0o600)
            with open(os.path.join(copy, "routes.py"), "a", encoding="utf-8") as file:
                file.write("\nculprit\n")
            done = subprocess.run([sys.executable, "-m", "unittest"], cwd=copy, timeout=LIMIT,
                                  stderr=subprocess.PIPE, encoding="utf-8", check=False)
        self.assertIn("NameError: name 'culprit' is not defined", done.stderr)
        self.assertIn("FAILED (errors=1)", done.stderr)


@unittest.skipUnless(os.name == "posix", "Windows has no signals that end one program politely")
class Stop(Program):
    def test_ctrl_c_and_kill_end_it_quietly_whatever_clients_do(self):
        for number in (signal.SIGINT, signal.SIGTERM):
            with self.subTest(number.name):
                process = self.start("route('/long')(lambda r: (200, 'a/b', b'x' * 20000000))")
                address = self.read_address(process)
                with socket.create_connection(address) as idle, \
                        socket.create_connection(address) as busy:
                    idle.sendall(b"GET / HTTP/1.1\r\n")
                    busy.sendall(get("/long"))
                    self.assertIn(b" 200 ", busy.recv(20))  # and then it stops reading
                    process.send_signal(number)
                    self.assert_ends(process)
                self.assertNotIn("Traceback", process.stderr.read())

    @unittest.skipUnless(hasattr(os, "openpty"), "this system has no terminals for programs")
    def test_a_handler_that_prints_does_not_disturb_the_end(self):
        try:
            terminal, of_program = os.openpty()
        except OSError as error:
            self.skipTest(f"no terminal can be opened: {error}")
        self.addCleanup(os.close, terminal)
        process = self.start("""
@route("/prints")
def prints(request):
    while True:
        print("." * 100)""", stdout=of_program)
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
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertEqual(process.stderr.read(), "")

    def test_under_load_it_ends_without_a_traceback(self):
        with tempfile.TemporaryFile("w+") as output:
            process = self.start(stdout=output, stderr=output)
            port = int(wait_until(lambda: re.search(r":(\d+)/", read_all(output)), "it runs")[1])
            clients = [threading.Thread(target=hammer, args=(port, number % 2 == 0))
                       for number in range(8)]
            for client in clients:
                client.start()
            wait_until(lambda: read_all(output).count('"GET / HTTP/1.1" 200') > 100, "it is busy")
            process.send_signal(signal.SIGTERM)
            self.assertEqual(process.wait(LIMIT), 0)
            for client in clients:
                client.join()
            self.assertIn("server closed...\n", read_all(output))
            self.assertNotIn("Traceback", read_all(output))

    def test_its_port_is_free_again_at_once(self):
        process = self.start()
        address = self.read_address(process)
        with socket.create_connection(address) as client:
            client.sendall(GET.replace(b"1.1", b"1.0"))
            receive_all(client)  # until the server, first to close, has a connection in TIME_WAIT
        process.send_signal(signal.SIGTERM)
        self.assert_ends(process)
        self.read_address(self.start(TEST_PORT=str(address[1])))

    def test_in_a_python_shell_ctrl_c_ends_the_server_and_then_the_shell_goes_on(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "run.py")
            with open(path, "w", encoding="utf-8") as file:
                file.write(BEFORE + RUN_MAIN)
            process = self.run_python("-i", "-u", path, stdin=subprocess.PIPE)
            address = self.read_address(process)
            self.assert_serves(address)
            process.send_signal(signal.SIGINT)
            self.assertIn("server closed...\n", iter(process.stdout.readline, ""))
            with self.assertRaises(ConnectionRefusedError):
                socket.create_connection(address, LIMIT)
            process.stdin.write("print(6 * 7)\nimport time\n"
                                "try:\n    print('sleeping'); time.sleep(60)\n"
                                "except KeyboardInterrupt:\n    print('woken')\n\n")
            process.stdin.flush()
            self.assertEqual(process.stdout.readline(), "42\n")
            self.assertEqual(process.stdout.readline(), "sleeping\n")
            process.send_signal(signal.SIGINT)
            self.assertEqual(process.communicate(timeout=LIMIT)[0], "woken\n")
            self.assertEqual(process.returncode, 0)

    def test_without_a_console_pages_are_served_and_the_end_is_quiet(self):
        for redirection in ("2>&-", ">&- 2>&-", "| head -n 1", "2>&1 | head -n 1"):
            with self.subTest(redirection), socket.create_server(("127.0.0.1", 0)) as server:
                address = server.getsockname()
                server.close()
                script = f"exec 3>&1; {{ trap : INT; \"$0\" -c \"$1\"; echo status $? >&3; }} {redirection}"
                process = subprocess.Popen(
                    ["sh", "-c", script, sys.executable, BEFORE + RUN_MAIN], encoding="utf-8",
                    env={**ENVIRONMENT, "TEST_PORT": str(address[1])}, start_new_session=True,
                    stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                self.addCleanup(process.__exit__, None, None, None)
                self.addCleanup(lambda: process.poll() is None and os.killpg(process.pid, 9))
                wait_until(lambda: is_served(address), "the server listens")
                for _ in range(2):
                    self.assert_serves(address)
                os.killpg(process.pid, signal.SIGINT)
                said = process.stdout.read() + process.stderr.read()
                self.assertIn("status 0\n", said)
                self.assertNotRegex(said, "Error|Traceback|Exception")


def is_served(address):
    """Return whether somebody listens there."""
    with contextlib.suppress(OSError):
        socket.create_connection(address).close()
        return True


def hammer(port, keeps_alive):
    """Ask without a pause until the server is gone, on one connection or on many."""
    raw = GET if keeps_alive else GET.replace(b"1.1", b"1.0")
    with contextlib.suppress(OSError):
        while True:
            with socket.create_connection(("127.0.0.1", port)) as client:
                client.sendall(raw)
                while client.recv(65536):
                    client.sendall(raw)


def read_all(file):
    """Return what a program has written into the file so far."""
    file.seek(0)
    return file.read()
