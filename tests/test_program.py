"""main.py as a program: what it says at the start, why it cannot start, and how it ends.

Most tests run it as a process of its own, whose output goes through pipes.
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
    GET, LIMIT, PROJECT, SHIPPED_PATHS, Sandbox, has_ipv6, receive_all, require_a_server, wait_until)

MAIN = os.path.join(PROJECT, "main.py")

# Runs main.py as the program that it is, after a few lines of the test's own.
AS_PROGRAM = f"""import runpy, sys
sys.path.insert(0, {PROJECT!r})
%s
runpy.run_path({MAIN!r}, run_name="__main__")"""


class Program(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        require_a_server()

    def start(self, *command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **variables):
        """Start main.py, or another Python command, in a folder that is not the project's."""
        others = {name: value for name, value in os.environ.items()
                  if not name.startswith(("MINI_", "PYTHONUNBUFFERED"))}
        process = subprocess.Popen(
            [sys.executable, *(command or [MAIN])], cwd=tempfile.gettempdir(),
            env={**others, "MINI_PORT": "0", **variables}, stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=stderr, encoding="utf-8")
        self.addCleanup(process.__exit__, None, None, None)  # waits, and closes the pipes
        self.addCleanup(process.kill)
        watch = threading.Timer(2 * LIMIT, process.kill)
        watch.start()
        self.addCleanup(watch.cancel)
        return process

    def read_address(self, process):
        """Return the (host, port) that the program says it listens on; its list of routes is read.

        More of them may follow, if somebody has added pages to routes.py.
        """
        line = process.stdout.readline()
        self.assertRegex(line, r"\Aserver running on http://\S+:\d+ \(Ctrl\+C stops it\)\n\Z")
        url = urlsplit(line.split()[3])
        for path in SHIPPED_PATHS:
            self.assertEqual(process.stdout.readline(), f"  {url.geturl()}{path}\n")
        return url.hostname, url.port

    def get(self, address, path="/"):
        """Return the body of a GET from a server."""
        connection = http.client.HTTPConnection(*address, timeout=LIMIT)
        with contextlib.closing(connection):
            connection.request("GET", path)
            return connection.getresponse().read()

    def assert_serves(self, address):
        """Assert that a server answers."""
        self.assertEqual(self.get(address), b"<h1>Hello World</h1>")


class Start(Program):
    def test_from_any_folder_it_prints_its_address_and_its_pages_at_once(self):
        process = self.start()
        address = self.read_address(process)
        self.assertEqual(address[0], "127.0.0.1")
        self.assert_serves(address)
        self.assertIn(b"</html>", self.get(address, "/home"))

    def test_on_all_networks_it_prints_an_address_that_a_browser_can_open(self):
        cases = [("0.0.0.0", "127.0.0.1"), *([("::", "::1")] if has_ipv6() else [])]
        started = [self.start(MINI_HOST=host) for host, _ in cases]
        for (host, local), process in zip(cases, started):
            with self.subTest(host=host):
                address = self.read_address(process)
                self.assertEqual(address[0], local)
                self.assert_serves(address)
                self.assert_serves(("127.0.0.1", address[1]))  # "::" is for IPv4 too
                process.terminate()
                rest = process.stdout.read()
                self.assertIn("everybody in your network can open these pages", rest)

    @unittest.skipUnless(has_ipv6(), "this computer has no IPv6")
    def test_an_ipv6_address_is_served(self):
        process = self.start(MINI_HOST="::1")
        address = self.read_address(process)
        self.assertEqual(address[0], "::1")
        self.assert_serves(address)

    def test_importing_the_modules_prints_nothing_and_opens_no_socket(self):
        code = f"""import sys
sys.path.insert(0, {PROJECT!r})
sys.addaudithook(lambda event, args: event.startswith("socket.") and print(event))
import config, router, utils, routes, main"""
        process = self.start("-c", code)
        self.assertEqual(process.communicate(timeout=LIMIT), ("", ""))
        self.assertEqual(process.returncode, 0)

    def test_it_starts_without_a_reverse_dns_lookup(self):
        with mock.patch("socket.getfqdn", side_effect=AssertionError("looked up")):
            main.Server(("127.0.0.1", 0), main.SidhHTTP).server_close()

    def test_a_port_has_one_server(self):
        first = main.Server(("127.0.0.1", 0), main.SidhHTTP)
        self.addCleanup(first.server_close)
        with self.assertRaises(OSError):
            main.Server(first.server_address, main.SidhHTTP)


class Welcome(Sandbox):
    def test_it_names_the_address_and_a_full_address_for_each_route(self):
        main.ROUTES["/日 本"] = None
        self.assertEqual(main.welcome("127.0.0.1", 9999).splitlines(), [
            "server running on http://127.0.0.1:9999 (Ctrl+C stops it)",
            *(f"  http://127.0.0.1:9999{path}" for path in SHIPPED_PATHS),
            "  http://127.0.0.1:9999/%E6%97%A5%20%E6%9C%AC"])

    def test_only_the_addresses_for_all_networks_are_replaced(self):
        for host, url, is_for_all in [
            ("0.0.0.0", "http://127.0.0.1:80", True), ("::", "http://[::1]:80", True),
            ("10.0.0.0", "http://10.0.0.0:80", False), ("::1", "http://[::1]:80", False),
            ("127.0.0.1", "http://127.0.0.1:80", False), ("fe80::", "http://[fe80::]:80", False),
        ]:
            with self.subTest(host=host):
                text = main.welcome(host, 80)
                self.assertEqual(text.split()[3], url)
                self.assertEqual("everybody in your network" in text, is_for_all)

    def test_for_all_networks_it_names_the_address_for_a_phone_if_there_is_one(self):
        for own_address, last in [("192.168.1.7", "  on a phone there: http://192.168.1.7:80"),
                                  (None, "everybody in your network can open these pages, "
                                         "and all that is in files/")]:
            with mock.patch("main.find_own_address", return_value=own_address):
                self.assertEqual(main.welcome("0.0.0.0", 80).splitlines()[-1], last)

    def test_the_own_address_is_that_of_the_way_out_and_nothing_is_sent(self):
        with mock.patch("socket.socket") as make_socket:
            probe = make_socket.return_value.__enter__.return_value
            probe.getsockname.return_value = ("192.168.1.7", 50000)
            self.assertEqual(main.find_own_address(), "192.168.1.7")
            make_socket.assert_called_with(socket.AF_INET, socket.SOCK_DGRAM)  # connect() is silent
            self.assertEqual([call[0] for call in probe.method_calls], ["connect", "getsockname"])
            probe.connect.side_effect = OSError(errno.ENETUNREACH, "Network is unreachable")
            self.assertIsNone(main.find_own_address())


class FailedStart(Program):
    def message_of(self, **settings):
        """Return with what sentence main() ends at once when it is started with these settings."""
        with mock.patch.multiple(config, **settings), self.assertRaises(SystemExit) as caught:
            main.main()
        return caught.exception.code

    def test_each_cause_has_its_sentence(self):
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        taken_port = str(taken.getsockname()[1])
        no_name = ("is neither an address nor a name that this computer knows: "
                   "correct MINI_HOST, or HOST in config.py")
        no_port = ("is not a port: set MINI_PORT, or PORT in config.py, "
                   "to a number from 1024 to 65535")
        for host, port, message in [
            ("127.0.0.1", taken_port, f"port {taken_port} is taken, perhaps by another copy of this "
                                      "server: stop it, or set MINI_PORT, or PORT in "
                                      "config.py, to another port"),
            ("127.0.0.1", "abc", f"'abc' {no_port}"),
            ("127.0.0.1", "-1", f"'-1' {no_port}"),
            ("127.0.0.1", "8.5", f"'8.5' {no_port}"),
            ("127.0.0.1", "", f"'' {no_port}"),
            ("127.0.0.1", "²", f"'²' {no_port}"),
            ("127.0.0.1", "65536", f"'65536' {no_port}"),
            ("127.0.0.1", 70000, f"70000 {no_port}"),
            ("127.0.0.1", "9" * 5000, f"{'9' * 5000!r} {no_port}"),
            ("no.such.host.invalid", "0", f"'no.such.host.invalid' {no_name}"),
            ("http://127.0.0.1", "0", f"'http://127.0.0.1' {no_name}"),
            ("a..b", "0", f"'a..b' {no_name}"),
            ("é..b", "0", f"'é..b' {no_name}"),
            ("203.0.113.1", "0", "cannot listen on '203.0.113.1': Cannot assign requested address: "
                                 "correct MINI_HOST, or HOST in config.py"),
        ]:
            with self.subTest(host=host, port=port):
                self.assertEqual(self.message_of(HOST=host, PORT=port), message)

    def test_an_error_of_the_system_has_its_sentence(self):
        for error, message in [
            (PermissionError(errno.EACCES, "Permission denied"),
             "port 80 needs administrator rights or is reserved: "
             "set MINI_PORT, or PORT in config.py, to a number from 1024 to 65535"),
            (OSError(errno.EAFNOSUPPORT, "Address family not supported"),
             "cannot listen on '127.0.0.1': Address family not supported: "
             "correct MINI_HOST, or HOST in config.py"),
        ]:
            with self.subTest(error=error), mock.patch("socket.socket.bind", side_effect=error):
                self.assertEqual(self.message_of(HOST="127.0.0.1", PORT="80"), message)

    def test_the_last_port_is_a_port(self):
        with mock.patch.object(main, "Server") as server:
            for port in ("0", "65535", 8080):
                with mock.patch.multiple(config, HOST="127.0.0.1", PORT=port):
                    main.listen()
                    self.assertEqual(server.call_args[0][0], ("127.0.0.1", int(port)))

    def test_the_program_ends_with_that_sentence_alone(self):
        process = self.start(MINI_PORT="abc")
        stdout, stderr = process.communicate(timeout=LIMIT)
        self.assertEqual(stdout, "")
        self.assertRegex(stderr, r"\A'abc' is not a port: [^\n]*\n\Z")
        self.assertEqual(process.returncode, 1)


class Broken(unittest.TestCase):
    def test_a_broken_module_is_told_once_by_the_tests_and_with_its_cause(self):
        with tempfile.TemporaryDirectory() as folder:
            copy = os.path.join(folder, "copy")
            shutil.copytree(PROJECT, copy, ignore=shutil.ignore_patterns(".*", "__pycache__"))
            with open(os.path.join(copy, "routes.py"), "a", encoding="utf-8") as file:
                file.write("\nculprit\n")
            done = subprocess.run([sys.executable, "-m", "unittest"], cwd=copy, timeout=LIMIT,
                                  stderr=subprocess.PIPE, encoding="utf-8", check=False)
        self.assertIn("NameError: name 'culprit' is not defined", done.stderr)
        self.assertIn("FAILED (errors=1)", done.stderr)


@unittest.skipUnless(os.name == "posix", "Windows has no signals that end one program politely")
class Stop(Program):
    def assert_ends(self, process):
        """Assert that the program ends well, with its last line and no other."""
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertRegex(process.stdout.read(), r"\A(  http://.*\n)*server closed\.\.\.\n\Z")

    def test_ctrl_c_and_sigterm_end_it_quietly(self):
        numbers = (signal.SIGINT, signal.SIGTERM)
        for number, process in zip(numbers, [self.start() for _ in numbers]):
            with self.subTest(number.name):
                self.read_address(process)
                process.send_signal(number)
                self.assert_ends(process)
                self.assertEqual(process.stderr.read(), "")

    def test_clients_do_not_keep_it_from_ending(self):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "large.bin"), "wb") as file:
                file.truncate(20 * 1024 * 1024)
            process = self.start("-c", AS_PROGRAM % f"import config\nconfig.FILE_DIR = {folder!r}")
            address = self.read_address(process)
            with socket.create_connection(address) as idle, socket.create_connection(address) as busy:
                idle.sendall(b"GET / HTTP/1.1\r\n")
                busy.sendall(b"GET /files/large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
                self.assertIn(b" 200 ", busy.recv(20))  # and then it stops reading
                process.send_signal(signal.SIGINT)
                self.assert_ends(process)
            self.assertNotIn("Traceback", process.stderr.read())

    def test_a_second_signal_ends_it_at_once_whatever_is_stuck(self):
        for number in signal.SIGINT, signal.SIGTERM:
            with self.subTest(number.name):
                process = self.start("-c", AS_PROGRAM % "import threading\n"
                                     "threading.Thread(target=threading.Event().wait).start()")
                address = self.read_address(process)
                process.send_signal(signal.SIGINT)
                self.assertIn("server closed...\n", iter(process.stdout.readline, ""))  # up to it
                with self.assertRaises(ConnectionRefusedError):
                    socket.create_connection(address, LIMIT)
                process.send_signal(number)
                self.assertEqual(process.wait(LIMIT), -number)
                self.assertEqual(process.stderr.read(), "")

    @unittest.skipUnless(hasattr(os, "openpty"), "this system has no terminals for programs")
    def test_a_handler_that_prints_does_not_disturb_the_end(self):
        terminal, of_program = os.openpty()
        self.addCleanup(os.close, terminal)
        process = self.start("-c", AS_PROGRAM % """
from router import route
@route("/prints")
def prints(request):
    while True:
        print("." * 100)""", stdout=of_program)
        os.close(of_program)
        shown = os.read(terminal, 1000).decode()
        port = int(re.search(r":(\d+) ", shown)[1])
        with socket.create_connection(("127.0.0.1", port)) as client:
            client.sendall(GET.replace(b" / ", b" /prints "))
            while "." * 100 not in shown:
                shown = os.read(terminal, 1000).decode()
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(OSError):  # the terminal of a program that has ended
                while os.read(terminal, 65536):
                    pass
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertEqual(process.stderr.read(), "")

    @unittest.skipUnless(hasattr(os, "fork"), "this system starts processes in another way")
    def test_a_process_that_a_handler_forks_ends_as_other_processes_do(self):
        process = self.start("-c", AS_PROGRAM % """
import multiprocessing, time
import routes
from router import route
forking = multiprocessing.get_context("fork")
def run(runs):
    runs.set()
    time.sleep(600)
def start():
    runs = forking.Event()
    child = forking.Process(target=run, args=[runs], daemon=True)
    child.start()
    runs.wait()
    return child
@route("/fork")
def fork(request):
    start()
    child = start()
    child.terminate()
    child.join()
    return 200, "text/plain", str(child.exitcode)""")
        address = self.read_address(process)
        self.assertEqual(self.get(address, "/fork"), b"%d" % -signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        self.assert_ends(process)  # stdout ends when nobody has it any more: the child has ended
        self.assertNotIn("Traceback", process.stderr.read())

    def test_what_was_registered_and_what_is_in_buffers_is_not_lost(self):
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "visits.txt")
            process = self.start("-c", AS_PROGRAM % f"import atexit\nfile = open({path!r}, 'w')\n"
                                 "atexit.register(print, 'more', file=file)\nfile.write('one ')\n"
                                 "print('printed', end=' ')")
            self.assertRegex(process.stdout.readline(), r"\Aprinted server running on ")
            process.send_signal(signal.SIGINT)
            self.assert_ends(process)
            with open(path, encoding="utf-8") as file:
                self.assertEqual(file.read(), "one more\n")

    def test_under_load_it_ends_without_a_traceback(self):
        with tempfile.TemporaryFile("w+") as output:
            process = self.start(stdout=output, stderr=output)
            port = int(wait_until(lambda: re.search(r":(\d+)/home", read_all(output)), "it runs")[1])
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
        self.read_address(self.start(MINI_PORT=str(address[1])))

    def test_in_a_python_shell_it_can_be_started_again_and_leaves_ctrl_c_alone(self):
        process = self.start("-c", f"""import sys
sys.path.insert(0, {PROJECT!r})
import signal
before = signal.signal(signal.SIGINT, signal.default_int_handler)  # as in a shell
import main
for _ in range(2):
    main.main()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
print("alive")""")
        for _ in range(2):
            address = self.read_address(process)
            self.assert_serves(address)
            process.send_signal(signal.SIGINT)
            self.assertIn("server closed...\n", iter(process.stdout.readline, ""))
        self.assertEqual(process.wait(LIMIT), 0)
        self.assertEqual(process.stdout.read(), "alive\n")


class Timeout(Program):
    def test_the_timeout_is_that_of_the_settings(self):
        process = self.start("-c", AS_PROGRAM % "import config\nconfig.TIMEOUT = 0.1")
        with socket.create_connection(self.read_address(process), timeout=LIMIT - 5) as silent:
            self.assertEqual(silent.recv(1), b"")


@unittest.skipUnless(os.name == "posix", "the streams of a program are closed in the way of POSIX")
class DeadConsoles(Program):
    """Whoever read the console has gone, or it never was: pages are served, and the end is quiet.

    A port that the server says into a file is read there, for nobody reads it on the console.
    """
    PAGES = """
import atexit, os, socketserver
from router import route
@route("/prints")
def prints(request):
    print("something", file=sys.stderr)
    return 200, "text/plain", "printed"
activate = socketserver.TCPServer.server_activate
def tell_port(server):
    activate(server)
    with open(os.environ["PORT_FILE"] + ".new", "w") as file:
        file.write(str(server.server_address[1]))
    os.replace(file.name, os.environ["PORT_FILE"])
socketserver.TCPServer.server_activate = tell_port"""

    def run_in_shell(self, redirection):
        """Start main.py in a shell, with this behind it; return the process and its address."""
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        port_file = os.path.join(folder, "port")
        script = f'''exec 3>&1
            {{ trap : INT; "$0" -c "$1"; echo "status $?" >&3; }} {redirection}'''
        process = subprocess.Popen(
            ["sh", "-c", script, sys.executable, AS_PROGRAM % self.PAGES],
            env={**os.environ, "MINI_PORT": "0", "MINI_HOST": "127.0.0.1", "PORT_FILE": port_file},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            encoding="utf-8", start_new_session=True)
        self.addCleanup(process.__exit__, None, None, None)
        self.addCleanup(self.kill_group, process)
        wait_until(lambda: os.path.exists(port_file), "the server listens")
        with open(port_file, encoding="utf-8") as file:
            return process, ("127.0.0.1", int(file.read()))

    def kill_group(self, process):
        """End a shell and what it started, if they still run."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    def test_pages_are_served_and_the_end_is_quiet(self):
        redirections = ["2>&-", ">&-", ">&- 2>&-", "<&- >&- 2>&-", "| head -n 1", "2>&1 | head -n 1"]
        if os.path.exists("/dev/full"):
            redirections.append("> /dev/full")
        for redirection in redirections:
            with self.subTest(redirection):
                process, address = self.run_in_shell(redirection)
                if "head" in redirection:
                    self.assertIn("server running on", process.stdout.readline())
                self.assert_serves(address)
                for _ in range(2):
                    self.assertEqual(self.get(address, "/prints"), b"printed")
                os.killpg(process.pid, signal.SIGINT)
                said = process.stdout.read() + process.stderr.read()
                self.assertIn("status 0\n", said)
                self.assertNotRegex(said, "Error|Traceback|Exception")


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
