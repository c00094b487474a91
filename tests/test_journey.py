"""tests/journey.py: it names the functions that a request meets, in their order."""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from tests.support import LIMIT, PROJECT

# A second file with handlers. The paths may be in routes.py, too.
PAGES = '''
import signal, threading
from router import ROUTES

signal.signal(signal.SIGINT, signal.default_int_handler)  # the tests may run in the background

def double(number):
    yield number * 2

def own(request):
    return 200, "text/plain", f"{[*double(21)]} {request.headers.get_all('Cookie')}"

def raises(request):
    print("so far")
    raise KeyError("culprit")

def long(request):
    for number in range(999):
        own(request)
        list(double(number))
    return 200, "text/plain", "line\\n" * 99 + "last"

def hangs(request):
    signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)  # as Ctrl+C does
    while True:
        print("still here")

ROUTES.update({"/own": own, "/raises": raises, "/long": long, "/hangs": hangs})
'''


class Journeys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = Path(tempfile.mkdtemp())  # for a copy of the project
        cls.addClassCleanup(shutil.rmtree, folder, ignore_errors=True)
        for path in Path(PROJECT).glob("*.py"):
            shutil.copy(path, folder)
        with open(folder / "routes.py", "a", encoding="utf-8") as file:
            file.write("\n\nimport more_pages\n")
        (folder / "more_pages.py").write_text(PAGES, encoding="utf-8")
        (folder / "tests").mkdir()
        cls.program = shutil.copy(Path(PROJECT, "tests", "journey.py"), folder / "tests")

    def follow(self, *arguments, raw=b"", complaint=""):
        """Return what journey.py prints, apart from this complaint, a pattern."""
        done = subprocess.run([sys.executable, self.program, *map(str.encode, arguments)],
                              input=raw, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=LIMIT, check=False,
                              env={**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": ""})
        self.assertRegex(done.stderr.decode(), rf"\A{complaint}\Z")
        return done.stdout.decode().replace("\r\n", "\n")

    def test_it_follows_a_request_from_the_bytes_that_came_to_the_bytes_that_went(self):
        printed = self.follow("-H", "Cookie: a=b", "-H", "Cookie: c=d", "/own?a b<é>%20#part")
        came, calls, console, went = printed.split("\n\n")
        self.assertEqual(came.splitlines(), [
            "the bytes that came:", r"  GET /own?a%20b%3C%C3%A9%3E%20 HTTP/1.1\r\n",
            r"  Host: 127.0.0.1\r\n", r"  Connection: close\r\n", r"  Cookie: a=b\r\n",
            r"  Cookie: c=d\r\n", r"  \r\n"])
        self.assertRegex(calls, r"(?s) read_request\(.* own\(request=Request\(.* send_page\(")
        self.assertNotIn("read_headers", calls)
        self.assertRegex(calls, r"\n +query='a%20b%3C%C3%A9%3E%20'\n")
        self.assertIn(" headers={'Host': '127.0.0.1', 'Connection': 'close', 'Cookie': 'a=", calls)
        self.assertRegex(calls, r"\n  more_pages\.py +double\(number=21\)\n +-> 42\n")
        self.assertIn('" 200 OK', console)
        self.assertIn("the bytes that went:\n  HTTP/1.1 200 OK\\r\\n\n", went)
        self.assertTrue(went.endswith("\n  [42] ['a=b', 'c=d']\n"), went)
        self.assertLessEqual(max(map(len, printed.splitlines())), 100)

    def test_a_body_makes_it_a_post_and_all_shows_each_step_of_the_reading(self):
        printed = self.follow("--all", "-d", "hello", "/any")
        self.assertIn("\n  Content-Length: 5\\r\\n\n  \\r\\n\n  hello\n", printed)
        self.assertRegex(printed, r"(?s) read_headers\(.* read_line\(.* do_POST\(.* send_page\(")
        self.assertRegex(printed, r"'Host: .*\n +\(and read_line again: 3 more\)\n")

    def test_each_request_of_a_connection_is_followed_and_what_is_raised_is_shown(self):
        printed = self.follow("-", raw=b"GET /own HTTP/1.1\r\nHost: a\r\n\r\n"
                              b"GET /raises HTTP/1.1\r\nHost: a\r\n\r\nGET /own HTTP/1.1\r\nA : b")
        self.assertRegex(printed, r"(?s) own\(.* raises\(.* read_headers\(.* send_error\(")
        self.assertEqual(re.findall("^ +raises (.*)", printed, re.MULTILINE),
                         ["KeyError('culprit')", "Refusal(400, 'Bad Header')"])
        self.assertRegex(printed, r"\nthe console:\n(  .*\n)*  so far\n(  .*\n)*  KeyError: 'culp")

    def test_of_many_calls_the_first_are_shown_and_of_many_bytes_the_last_too(self):
        lines = self.follow("/long").splitlines()
        self.assertLess(lines.index("  ..."), 1050)
        went = lines[lines.index("the bytes that went:") + 1:]
        self.assertEqual([len(went), went[0], went[-1]], [16, r"  HTTP/1.1 200 OK\r\n", "  last"])

    @unittest.skipUnless(os.name == "posix", "no thread can send another Ctrl+C on Windows")
    def test_a_handler_that_never_returns_is_named_at_ctrl_c(self):
        pattern = r"no answer yet: hangs\(\) in more_pages\.py, line \d+, has not returned\n"
        self.assertIn("method='HEAD'", self.follow("-X", "HEAD", "/hangs", complaint=pattern))

    def test_a_target_that_is_no_path_is_explained(self):
        self.follow("home", complaint="a target starts with .*\\s+")
