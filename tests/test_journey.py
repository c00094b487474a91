"""tests/journey.py: it names the functions that a request meets, in their order."""
import os
import re
import shutil
import signal
import subprocess
import sys
import unittest

from tests import why
from tests.support import LIMIT, PROJECT, wait_until

# A second file with handlers. The paths may be in routes.py, too.
PAGES = '''
from router import ROUTES

def helper(number):
    return number * 2

def numbers():
    yield "1"
    yield from ["2", "3"]

def own(request):
    return 200, "text/plain", str(helper(21))

def cookies(request):
    return 200, "text/plain", f"{request.query} {request.headers.get_all('Cookie')}"

def yields(request):
    return 200, "text/plain", "".join(numbers())

def raises(request):
    print("so far")
    raise KeyError("culprit")

def calls(request):
    for _ in range(2000):
        helper(1)
        list(numbers())
    return 200, "text/plain", "done"

def long(request):
    return 200, "text/plain", "line\\n" * 99 + "last"

def hangs(request):
    open("begun", "w").close()
    while True:
        print("still here")

for page in own, cookies, yields, raises, calls, long, hangs:
    ROUTES["/" + page.__name__] = page
'''


class Journeys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        copy = why.Copy(LIMIT, routes="\n\nimport more_pages\n")
        cls.addClassCleanup(copy.close)
        cls.folder = copy.folder
        with open(os.path.join(cls.folder, "more_pages.py"), "w", encoding="utf-8") as file:
            file.write(PAGES)
        os.mkdir(os.path.join(cls.folder, "tests"))
        cls.program = os.path.join(cls.folder, "tests", "journey.py")
        shutil.copyfile(os.path.join(PROJECT, "tests", "journey.py"), cls.program)

    def run_it(self, *arguments, raw=b""):
        """Return what journey.py prints, on stdout and on stderr."""
        if os.name == "posix":
            arguments = map(str.encode, arguments)  # so that any locale can have them
        done = subprocess.run([sys.executable, self.program, *arguments], input=raw, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT,
                              env={**os.environ, "PYTHONUTF8": "1", "PYTHONIOENCODING": ""})
        return [text.decode().replace("\r\n", "\n") for text in (done.stdout, done.stderr)]

    def follow(self, *arguments, raw=b""):
        """Return what journey.py prints, which is no complaint."""
        printed, complaint = self.run_it(*arguments, raw=raw)
        self.assertEqual(complaint, "")
        return printed

    def assert_meets(self, names, printed):
        """Assert that these functions are met in this order; there may be others between them."""
        met = re.findall(r"^\w+\.py +(\w+)\(", printed, re.MULTILINE)
        rest = iter(met)
        self.assertEqual([name for name in names.split() if name not in rest], [], met)

    def test_it_follows_a_request_from_the_bytes_that_came_to_the_bytes_that_went(self):
        printed = self.follow("/own")
        came, calls, went = printed.split("\n\n")
        self.assertEqual(came, "the bytes that came:\n  GET /own HTTP/1.1\\r\\n\n"
                               "  Host: 127.0.0.1\\r\\n\n  \\r\\n")
        self.assertRegex(went, r"\Athe bytes that went:\n  HTTP/1\.1 200 OK\\r\\n\n")
        self.assertTrue(went.endswith("\n  \\r\\n\n  42\n"), went)
        self.assert_meets("handle_one_request read_request do_GET call_handler own helper "
                          "check_response send_page send_head log_request say "
                          "handle_one_request read_request finish", calls)
        self.assertRegex(calls, r"\nmore_pages\.py +helper\(number=21\)\n +-> 42\n")
        self.assertLessEqual(max(map(len, printed.splitlines())), 100)

    def test_the_reading_is_one_line_unless_all_is_asked_for(self):
        line = "\nmain.py       read_request() -> Request(method='GET', path='/own', "
        reading = "read_request read_line parse_request_line read_headers read_line body_length"
        printed = self.follow("/own")
        self.assertIn(line, printed)
        self.assertNotIn("read_headers", printed)
        short = printed.count("\n")
        printed = self.follow("--all", "/own")
        self.assertGreater(printed.count("\n"), short + 15)
        self.assertNotIn(line, printed)
        self.assert_meets(reading, printed)
        self.assertRegex(printed, r"'Host: 127\.0\.0\.1\\r\\n'\n +\(and read_line again: 1 more\)")

    def test_the_reading_of_a_refused_request_is_shown(self):
        printed = self.follow("-", raw=b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
        self.assert_meets("read_request parse_request_line read_headers read_line Refusal "
                          "send_error send_page finish", printed)
        self.assertRegex(printed, r"Refusal\(status=400, .*\)\n +\(left by an exception\)\n")
        self.assertNotIn("do_GET", printed)

    def test_two_requests_on_one_connection_are_both_followed(self):
        printed = self.follow("-", raw=why.get("/own") + why.get("/yields"))
        one = " read_request do_GET call_handler {} send_page"
        self.assert_meets(one.format("own") + one.format("yields"), printed)

    def test_a_post_has_a_body_and_may_be_meant_by_it(self):
        for arguments in ["-X", "POST", "-d", "hello", "/any"], ["-d", "hello", "/any"]:
            printed = self.follow(*arguments)
            self.assertIn("\n  Content-Length: 5\\r\\n\n  \\r\\n\n  hello\n", printed)
            self.assert_meets("read_request do_POST send_page", printed)

    def test_headers_can_be_added_and_a_target_is_sent_as_browsers_send_it(self):
        printed = self.follow("-H", "Cookie: a=b", "-H", "Cookie: c=d", "/cookies?a b<é>%20#part")
        self.assertTrue(printed.endswith("\n  a%20b%3C%C3%A9%3E%20 ['a=b', 'c=d']\n"), printed)

    def test_what_a_handler_raises_and_prints_is_shown(self):
        printed = self.follow("/raises")
        self.assertRegex(printed, r" raises\(request=.*\n +\(left by an exception\)\n")
        self.assertRegex(printed, r"\nthe console:\n  so far\n(  .*\n)*  KeyError: 'culprit'\n")

    def test_a_function_that_yields_is_not_said_to_fail(self):
        self.assertNotIn("exception", self.follow("/yields"))

    def test_of_very_many_calls_the_first_are_shown(self):
        printed = self.follow("/calls")
        self.assertRegex(printed, r"\n\.\.\.\n\nthe bytes that went:\n(  .*\n)+  done\n\Z")
        self.assertLess(len(printed.splitlines()), 1050)

    def test_of_a_long_answer_the_beginning_and_the_end_are_shown(self):
        went = self.follow("/long").split("\n\n")[-1].splitlines()
        self.assertEqual([len(went), went[1], went[-1]], [17, "  HTTP/1.1 200 OK\\r\\n", "  last"])
        self.assertRegex(went[11], r"\A  \.\.\. \(\d+ bytes are left out here\)\Z")

    @unittest.skipUnless(os.name == "posix", "Windows sends Ctrl+C to the tests too")
    def test_a_handler_that_never_returns_is_named_at_ctrl_c(self):
        # Programs inherit that Ctrl+C is ignored, as it is in the background of a shell.
        self.addCleanup(signal.signal, signal.SIGINT,
                        signal.signal(signal.SIGINT, signal.default_int_handler))
        process = subprocess.Popen([sys.executable, self.program, "/hangs"], cwd=self.folder,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.addCleanup(process.kill)
        wait_until(lambda: os.path.exists(os.path.join(self.folder, "begun")), "it is called")
        process.send_signal(signal.SIGINT)
        printed, complaint = process.communicate(timeout=LIMIT)
        self.assertIn(b" hangs(request=", printed)
        self.assertRegex(complaint, rb"\Ano answer yet: hangs\(\) in more_pages\.py, line \d+, "
                                    rb"has not returned\n\Z")
        self.assertEqual(process.returncode, 1)

    def test_what_it_cannot_do_is_one_sentence(self):
        for arguments, sentence in [
            (["home"], "a target starts with \"/\", such as /home, unlike 'home'\n"),
            (["-H", "Cookie"], "a header has a colon, such as \"Cookie: a=b\", unlike 'Cookie'\n"),
        ]:
            self.assertEqual(self.run_it(*arguments), ["", sentence])
