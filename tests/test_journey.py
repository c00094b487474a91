"""tests/journey.py: it names the functions that a request meets, in their order."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import unittest

from tests.support import LIMIT, PROJECT, require_a_server, wait_until

JOURNEY = os.path.join(PROJECT, "tests", "journey.py")

# What each request meets on its way into read_request() and out of send_page().
READING = ["handle_one_request", "read_request", "read_line", "parse_request_line", "parse_target",
           "read_headers", "read_line", "check_host_header", "check_host", "body_length",
           "list_members", "list_members", "read_body", "list_members"]
SENDING = ["send_page", "send_head", "log_request", "log_message", "say"]
ERROR_PAGE = ["send_error", "render_error", "render_template", "find_file", "to_html"]


class Journeys(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        require_a_server()

    def follow(self, *arguments, stdin=b"", code=None):
        """Return what journey.py prints, on stdout and on stderr."""
        command = ["-c", code] if code else [JOURNEY]
        done = subprocess.run([sys.executable, *command, *arguments], input=stdin, check=False,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=2 * LIMIT,
                              cwd=tempfile.gettempdir(), env={**os.environ, "PYTHONUTF8": "1"})
        self.status = done.returncode
        return done.stdout.decode(), done.stderr.decode()

    def with_page(self, text):
        """Return a program that is journey.py, with these lines behind those of routes.py."""
        return f"""import runpy, sys
sys.path.insert(0, {PROJECT!r})
import routes
exec(compile({"import time; from router import route; from utils import query_params" + text!r}, routes.__file__, "exec"))
sys.argv = ["journey.py", *sys.argv[1:]]
runpy.run_path({JOURNEY!r}, run_name="__main__")"""

    def assert_meets(self, names, printed):
        """Assert that these functions are met in this order; an exercise may have added others."""
        met = re.findall(r"^\w+\.py +(\w+)\(", printed, re.MULTILINE)
        rest = iter(met)
        self.assertEqual([name for name in names if name not in rest], [], met)

    def test_it_names_the_functions_that_a_request_meets_in_their_order(self):
        for target, names in [
            ("/", ["do_GET", "call_handler", "homepage", "check_response", *SENDING, "finish"]),
            ("/home?x=1", ["do_GET", "call_handler", "home_page", "render_template", "find_file",
                           "check_response", *SENDING, "finish"]),
            ("/request?name=Ada", ["do_GET", "call_handler", "show_request", "query_params",
                                   "make_rows", "render_template", "render_template",
                                   "check_response", *SENDING, "finish"]),
            ("/files/hello.txt", ["do_GET", "send_download", "open_download", "find_download",
                                  "find_file", "download_headers", "send_file", "send_head",
                                  "log_request", "finish"]),
            ("/no/such/page", ["do_GET", "send_not_found", *ERROR_PAGE, *SENDING, "finish"]),
        ]:
            with self.subTest(target=target):
                printed, complaint = self.follow(target)
                self.assert_meets([*READING, *names], printed)
                self.assertEqual(complaint, "")

    def test_it_begins_with_the_bytes_that_came_and_ends_with_those_that_went(self):
        printed, _ = self.follow()
        self.assertTrue(printed.startswith("the bytes that came:\n"
                                           "  GET / HTTP/1.1\\r\\n\n"
                                           "  Host: 127.0.0.1\\r\\n\n"
                                           "  \\r\\n\n"), printed)
        self.assertRegex(printed, r"\nthe bytes that went:\n  HTTP/1\.1 200 OK\\r\\n\n")
        self.assertTrue(printed.endswith("\n  \\r\\n\n  <h1>Hello World</h1>\n"), printed)

    def test_values_are_shown_within_a_hundred_columns(self):
        printed, _ = self.follow()
        lines = printed.splitlines()
        self.assertIn("main.py     handle_one_request()", lines)
        self.assertIn("utils.py        read_line(limit=65536)", lines)
        self.assertIn(r"                  -> 'GET / HTTP/1.1\r\n'", lines)
        self.assertIn("                    (and read_line again: 1 more)", lines)
        for printed in printed, self.follow("/request?" + "x" * 200)[0]:
            self.assertLessEqual(max(map(len, printed.splitlines())), 100)
            for absent in "self", "stream=", "0x", "require(", "object at":
                self.assertNotIn(absent, printed)

    def test_a_post_is_followed_too(self):
        for arguments in (["-X", "POST", "-d", "hello", "/any"], ["-d", "hello", "/any"]):
            with self.subTest(arguments=arguments):
                printed, _ = self.follow(*arguments)
                self.assertIn("\n  hello\n", printed)
                self.assert_meets([*READING, "do_POST", *SENDING, "finish"], printed)
                self.assertRegex(printed, r'\n  \{"time": "[-0-9 :]+"\}\n\Z')

    def test_of_raw_bytes_it_shows_which_check_refused_them(self):
        printed, _ = self.follow("-", stdin=b"GET / HTTP/1.1\r\nHost : a\r\n\r\n")
        self.assert_meets(["handle_one_request", "read_request", "read_line", "parse_request_line",
                           "parse_target", "read_headers", "read_line", "Refusal", *ERROR_PAGE,
                           *SENDING, "finish"], printed)
        self.assertRegex(printed, r"utils\.py +Refusal\(status=400, reason='Bad Header'\)\n"
                                  r" +\(left by an exception\)\n")
        self.assertIn("\n  HTTP/1.1 400 Bad Header\\r\\n\n", printed)
        self.assertNotIn("do_GET", printed)

    def test_each_of_two_headers_with_one_name_is_shown(self):
        printed, _ = self.follow("-", stdin=b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        self.assertIn("check_host_header(headers={'Host': 'a', 'Host': 'b'}, ", printed)

    def test_of_a_long_answer_the_beginning_and_the_end_are_shown(self):
        printed, _ = self.follow("-", stdin=b"nonsense\r\n")
        self.assertRegex(printed, r"\n  HTTP/1\.1 400 Bad Request Line\\r\\n\n(  .*\n)+"
                                  r"  \.\.\. \([0-9]+ bytes are left out here\)\n(  .*\n)+"
                                  r"    <p>This server does not understand the request, so it did "
                                  r"nothing\.</p>\\n\n  </body>\\n\n  </html>\\n\n\Z")

    @unittest.skipUnless(os.name == "posix", "Windows sends Ctrl+C to the tests too")
    def test_a_handler_that_never_returns_is_named_at_ctrl_c(self):
        with tempfile.TemporaryDirectory() as folder:
            begun = os.path.join(folder, "begun")
            code = self.with_page(f"""
@route("/own")
def own(request):
    query_params(request)
    for _ in range(100):
        print("still here")
    open({begun!r}, "w").close()
    while True:
        print("still here")
""")
            process = subprocess.Popen([sys.executable, "-c", code, "/own"], encoding="utf-8",
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            self.addCleanup(process.kill)
            wait_until(lambda: os.path.exists(begun), "the handler is called")
            process.send_signal(signal.SIGINT)
            printed, complaint = process.communicate(timeout=LIMIT)
        self.assertRegex(printed, r"routes\.py +own\(request=Request\(.*\n")
        self.assertRegex(printed, r"\nthe console:\n(  .*\n)+\n\Z")
        self.assertLess(printed.count("still here"), 55)
        self.assertRegex(complaint, r"\Ano answer yet: own\(\) in routes\.py, line [789], "
                                    r"has not returned\n\Z")
        self.assertEqual(process.returncode, 1)

    def test_two_requests_on_one_connection_are_both_answered(self):
        raw = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /home HTTP/1.1\r\nHost: a\r\n\r\n"
        printed, _ = self.follow("-", stdin=raw)
        one = ["handle_one_request", "read_request", "do_GET", "send_page"]
        self.assert_meets([*one, *one, "handle_one_request", "read_request", "finish"], printed)
        self.assertIn("GET /home HTTP/1.1\\r\\n'\n", printed)

    def test_a_handler_of_the_reader_s_own_is_followed_into_what_it_calls(self):
        code = self.with_page("""
def helper(number):
    return number * 2
@route("/own")
def own(request):
    print("so far")
    return 200, "text/plain", str(helper(21))
@route("/raises")
def raises(request):
    raise KeyError("culprit")
""")
        printed, _ = self.follow("/own", code=code)
        self.assert_meets(["call_handler", "own", "helper", "check_response"], printed)
        self.assertRegex(printed, r"routes\.py +helper\(number=21\)\n +-> 42\n")
        self.assertIn("\nthe console:\n  so far\n  127.0.0.1 - - [", printed)
        printed, complaint = self.follow("/raises", code=code)
        self.assert_meets(["call_handler", "raises", "say", *ERROR_PAGE, *SENDING], printed)
        self.assertRegex(printed, r"raises\(request=.*\n +\(left by an exception\)\n")
        self.assertIn("\n  KeyError: 'culprit'\n", printed)
        self.assertEqual(complaint, "")

    def test_of_very_many_calls_the_first_are_shown(self):
        printed, _ = self.follow("/own", code=self.with_page("""
def one(): pass
def two(): pass
@route("/own")
def own(request):
    for _ in range(2000):
        one()
        two()
    return 200, "text/plain", "done"
"""))
        self.assertRegex(printed, r"\n\.\.\. \(the rest is left out\)\n\n"
                                  r"the bytes that went:\n(  .*\n)+  done\n\Z")
        self.assertLess(len(printed.splitlines()), 1050)

    def test_a_function_that_yields_is_not_said_to_fail(self):
        printed, _ = self.follow("/own", code=self.with_page("""
def numbers():
    yield "1"
    yield from ["2", "3"]
@route("/own")
def own(request):
    return 200, "text/plain", "".join(numbers())
"""))
        self.assertIn("  123\n", printed)
        self.assertNotIn("exception", printed)

    def test_what_it_cannot_do_is_one_sentence(self):
        for arguments, status, sentence in [
            (["home"], 1, "a target starts with \"/\", such as /home, unlike 'home'\n"),
            (["-Q"], 2, "error: unrecognized arguments: -Q\n"),
        ]:
            with self.subTest(arguments=arguments):
                printed, complaint = self.follow(*arguments)
                self.assertEqual(printed, "")
                self.assertTrue(complaint.endswith(sentence), complaint)
                self.assertEqual(self.status, status)

    def test_a_target_is_sent_as_browsers_send_it(self):
        printed, _ = self.follow("/request?name=a b<é>&x=%20#part")
        self.assertIn("\n  GET /request?name=a%20b%3C%C3%A9%3E&x=%20 HTTP/1.1\\r\\n\n", printed)
