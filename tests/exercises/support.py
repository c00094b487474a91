"""What the exercises share: a copy of the project, the server that runs there, and failures.

A test copies the project to a new folder, starts `python main.py` there and talks HTTP to it. So
it does not matter how an exercise is solved, only how the server answers.
"""
import atexit
import functools
import http.client
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

PROJECT = Path(__file__).resolve().parents[2]
LIMIT = 20  # seconds to wait for what must happen, however busy the computer is
SOON = 5  # seconds for what a correct server does at once and a wrong one never does
MAX_FILES, MAX_BYTES = 500, 10_000_000  # a file or folder with more is not copied

__unittest = True  # unittest leaves files that say this out of the traceback of a failure


class Answer(NamedTuple):
    """What the server answered."""
    request: str  # "GET /old"
    status: int
    reason: str
    headers: http.client.HTTPMessage
    body: str


@functools.lru_cache(None)
def list_project():
    """Return what a copy of the project consists of: the modules, and what lies beside them.

    The tests are left out, and so is what is hidden or large, such as a virtual environment.
    """
    return [path for path in PROJECT.iterdir()
            if path.name not in ("tests", "files", "__pycache__")
            and not path.name.startswith(".") and not is_large(path)]


def is_large(path):
    """Return whether a file or folder has more than MAX_FILES or MAX_BYTES."""
    files = size = 0
    for folder, _, names in os.walk(path):
        for name in names:
            files += 1
            size += os.lstat(os.path.join(folder, name)).st_size
            if files > MAX_FILES or size > MAX_BYTES:
                return True
    return path.is_file() and path.stat().st_size > MAX_BYTES


def wait_until(condition, limit=LIMIT):
    """Return what condition() returns as soon as that is true, or after limit seconds anyway."""
    deadline = time.monotonic() + limit
    while True:
        result = condition()
        if result or time.monotonic() > deadline:
            return result
        time.sleep(0.02)


def show_header(name, value):
    """Return a header as messages show it; the value None means that it is missing."""
    return f"no {name}" if value is None else f"{name}: {value}"


class Exercise(unittest.TestCase):
    """The docstring of each subclass is the goal of the exercise; messages show it."""

    PAGES = None  # the routes.py of the copy; None means that of the project
    port = 0  # any free one, until the server runs
    is_goal_reached = None  # None: not tried yet

    def setUp(self):
        if self.is_goal_reached is False:
            self.skipTest("reach the goal first")
        self.copy_project()
        self.prepare()
        if self.is_goal_reached:
            self.start()
        else:
            type(self).is_goal_reached = False  # unless nothing fails now
            try:
                self.start()
                self.reach_goal()
            except self.failureException as failure:
                raise failure.with_traceback(None) from None  # the message says all
            type(self).is_goal_reached = True

    def test_1_goal(self):
        pass  # setUp() has reached it; by its name, this is the first test, and may be the red one

    def copy_project(self):
        """Make a folder with the project, and one file to download."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        for path in list_project():
            copy = self.folder / path.name
            with suppress(OSError):  # what nobody may read, the server does not need
                if path.is_dir():
                    shutil.copytree(path, copy, symlinks=True,
                                    ignore=shutil.ignore_patterns(".*", "__pycache__"))
                else:
                    shutil.copyfile(path, copy)
        self.download = self.folder / "files" / "hello.txt"
        self.download.parent.mkdir()
        self.download.write_text("Hello!", encoding="utf-8")
        if self.PAGES is not None:
            (self.folder / "routes.py").write_text(self.PAGES, encoding="utf-8")

    def prepare(self):
        """Do what must be done before the server starts; nothing in most exercises."""

    def reach_goal(self):
        """Fail unless the server answers as the goal says."""
        raise NotImplementedError

    # ---- The server ----

    def start(self):
        """Run `python main.py`, and wait until it serves."""
        # Only pages of one's own may rely on the current folder.
        current_folder = self.folder if self.PAGES is None else tempfile.gettempdir()
        env = {**os.environ, "MINI_HOST": "127.0.0.1", "MINI_PORT": str(self.port),
               "TZ": "XYZ-05:30"}  # so that local time is not GMT
        for name in ("PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE"):  # could hide a mistake
            env.pop(name, None)
        with open(self.folder / ".console", "ab") as console:
            self.program = subprocess.Popen(
                [sys.executable, str(self.folder / "main.py")], cwd=current_folder, env=env,
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
                start_new_session=True)  # so that a signal also reaches the processes it starts
        self.addCleanup(self.kill)
        atexit.register(self.kill)  # Ctrl+C ends the tests without a cleanup
        wait_until(lambda: self.find_port() or self.program.poll() is not None)
        if not self.find_port():
            pages = "your pages" if self.PAGES is None else "the PAGES of this test"
            self.complain(f"python main.py with {pages}", "a server that runs", "none")
        self.port = int(self.find_port()[1])

    def find_port(self):
        """Return a match with the port that the console shows, None if it does not yet."""
        return re.search(r"http://127\.0\.0\.1:(\d+)\s", self.read_console())

    def kill(self):
        """End the program and what it has started, if they still run."""
        atexit.unregister(self.kill)
        if os.name == "nt":
            command = ["taskkill", "/F", "/T", "/PID", str(self.program.pid)]
            subprocess.run(command, capture_output=True, check=False)
        else:
            with suppress(ProcessLookupError, PermissionError):  # all have ended already
                os.killpg(self.program.pid, signal.SIGKILL)
        self.program.wait()

    def read_console(self):
        """Return all that the program has printed so far."""
        return (self.folder / ".console").read_text(encoding="utf-8", errors="replace")

    # ---- Requests and failures ----

    def connect(self):
        """Return an http.client connection, which stays open between requests."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=SOON)
        self.addCleanup(connection.close)
        return connection

    def ask(self, request, body=None, headers=None, connection=None, about=""):
        """Send a request such as "GET /old" and return the Answer, or fail if there is none.

        Messages show what is said about the request.
        """
        connection = connection or self.connect()
        try:
            connection.request(*request.split(" ", 1), body, headers or {})
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            wait_until(lambda: "Traceback" in self.read_console(), limit=1)  # it comes later
            self.complain(request + about, "an answer", repr(error))
        return Answer(request + about, response.status, response.reason, response.headers, text)

    def expect(self, request, status, body=None, headers=None,
               sent_body=None, sent_headers=None, connection=None, about=""):
        """Ask, check the answer as check() does, and return it."""
        answer = self.ask(request, sent_body, sent_headers, connection, about)
        self.check(answer, status, body, headers)
        return answer

    def check(self, answer, status, body=None, headers=None):
        """Fail unless the answer has this status, this body (None: any) and these headers."""
        expected, got = [f"status {status}"], [f"status {answer.status}"]
        for name, value in (headers or {}).items():
            expected.append(show_header(name, value))
            got.append(show_header(name, answer.headers[name]))
        if body is not None:
            expected.append(f"body {body!r}")
            got.append(f"body {answer.body!r}")
        if answer.status != status:
            self.complain(answer.request, ", ".join(expected), f"{answer.status} {answer.reason}")
        elif expected != got:
            self.complain(answer.request, ", ".join(expected), ", ".join(got))

    def expect_on_console(self, text):
        """Fail unless the console soon shows this text."""
        if not wait_until(lambda: text in self.read_console(), SOON):
            self.complain("the console", f"a line with {text!r}", "none")

    def complain(self, request, expected, got):
        """Fail, and show what was asked, what came, and what the console says."""
        dull = ("  http://", '"GET / HTTP/1.1" 200')  # the list of pages, and waiting for a page
        lines = [line for line in self.read_console().splitlines()
                 if not any(text in line for text in dull)]
        message = [request, f"  expected: {expected}", f"  got: {got}",
                   "The console ends with:", *(f"  {line}" for line in lines[-6:])]
        if not self.is_goal_reached:
            message.insert(0, f"The goal is not reached yet: {type(self).__doc__}")
        self.fail("\n".join(message))
