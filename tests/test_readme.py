"""README.md is true: its snippets run, its answers are the server's, what it names exists."""
import contextlib
import io
import os
import re
import subprocess
import sys
import tempfile
import unittest
from unittest import mock
from wsgiref import validate
from wsgiref.util import setup_testing_defaults

import config
import main
import router
import routes
from tests.support import PROJECT, SHIPPED, LiveServer, Sandbox, get, make_request

with open(os.path.join(PROJECT, "README.md"), encoding="utf-8") as file:
    README = file.read()


def section(title):
    """Return the README's section whose heading has this text."""
    return re.search(rf"^## [^\n]*{title}[^\n]*\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)[1]


def blocks(text, language):
    """Return the code blocks in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def with_readme_date(text):
    """Return an answer with the README's date and time instead of its own."""
    text = re.sub(r"Date: \w+, [\w :]* GMT", "Date: Mon, 23 Nov 2026 15:00:00 GMT", text)
    text = re.sub(r"\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d", "23/Nov/2026 15:00:00", text)
    return re.sub(r'"time": "[0-9: -]*"', '"time": "2026-11-23 15:00:00"', text)


class Snippets(LiveServer):
    def setUp(self):
        super().setUp()
        with open(os.path.join(config.FILE_DIR, "planets.csv"), "w", encoding="utf-8") as file:
            file.write("planet,day (hours)\nMercury,4222.6\nVenus,2802.0\n")

    def load_handlers(self):
        """Do what section 5 says: add its handlers to routes.py and its templates to templates/."""
        text = section("Add your own")
        for name, content in zip(re.findall(r"`templates/(\w+\.html)`", text), blocks(text, "html")):
            self.write(name, content.encode())
        names = dict(vars(routes))
        for snippet in blocks(text, "python"):
            if "unittest" in snippet:
                exec(snippet.replace("routes.greet", "greet").replace("import routes\n", ""), names)
                result = unittest.TestResult()
                for name in unittest.defaultTestLoader.getTestCaseNames(names["Greet"]):
                    names["Greet"](name).run(result)
                self.assertTrue(result.testsRun and result.wasSuccessful(), result.failures)
            else:
                exec(snippet, names)
        return names

    def test_each_call_of_curl_gives_the_answer_shown(self):
        self.load_handlers()
        calls = []
        for block in blocks(README, "console"):
            calls += re.findall(r'^\$ curl (-[^"]+) "http://127\.0\.0\.1:9999(.*)"\n((?:(?!\$ ).*\n)*)',
                                block, re.MULTILINE)
        self.assertEqual(len(calls), README.count("$ curl"))
        for options, target, shown in calls:
            with self.subTest(target=target):
                method = "POST" if "-d" in options else "HEAD" if "I" in options else "GET"
                came = self.exchange(get(target).replace(b"GET", method.encode(), 1)).decode()
                if "i" not in options.lower():
                    came = came.partition("\r\n\r\n")[2]
                pattern = re.escape(shown.rstrip("\n")).replace(re.escape("...\n"), r"(?:.*\n)*?")
                pattern = re.sub(r"\\\.\\\.\\\.\Z", r"(?s:.*)", pattern)
                came = with_readme_date(came).replace("\r\n", "\n").rstrip("\n")
                came = re.sub("X-Time: .*\n", "", came)  # from exercise 5
                self.assertRegex(came, rf"\A{pattern}\Z")

    def test_the_messages_shown_are_those_of_the_server(self):
        names = self.load_handlers()
        for body in ("return 'pong'", "return 200, 'text/plain', {'a': 1}", "raise KeyError",
                     "return query_params(request).get('x') + 'x'", "render_template('x')",
                     "render_template('x.html', 'Ada')", "route.x", "return 1(2)"):
            exec(f"def ping(request): {body}\nroute('/try')(ping)", dict(names))
            self.get("/try")
            del router.ROUTES["/try"]
        self.get("/favicon.ico")
        self.exchange(b"\x16\x03\x01\x02\x00\n")
        for port, path in (("abc", "/ping"),):
            with self.assertRaises(ValueError) as caught:
                router.route(path)(names["ping"])
            with mock.patch.object(config, "PORT", port), self.assertRaises(SystemExit) as ended:
                main.main()
        said = f"{self.said()}\nValueError: {caught.exception}\n{ended.exception}"
        by_python = {"circular import", "SQLite objects created in a thread", "/.well-known/"}
        tables = re.search(r"\n\| the console .*", section("Add your own"), re.DOTALL)[0]
        for cell in re.findall(r"^\| ([^|]*) \|", tables, re.MULTILINE):
            for message in set(re.findall("`(.*?)`", cell)) - by_python:
                for part in message.split("..."):
                    self.assertIn(part, said)


class Shown(Sandbox):
    def test_the_start_is_what_the_console_says(self):
        shown = blocks(section("Start"), "text")[0]
        paths = re.findall("^  http://[^/]*(/.*)", shown, re.MULTILINE)
        with mock.patch.object(main, "ROUTES", paths):
            self.assertEqual(shown, main.welcome("127.0.0.1", 9999) + "\n")

    def test_the_smallest_framework_prints_what_is_shown(self):
        idea = section("The idea")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(blocks(idea, "python")[0], {})
        self.assertEqual(printed.getvalue(), blocks(idea, "text")[0])

    def test_the_journey_shown_is_what_journey_py_prints(self):
        # With the page of the README, whatever routes.py says by now.
        page = "def homepage(request):\n    return 200, 'text/html', '<h1>Hello World</h1>'\n"
        code = f"""import runpy, sys
sys.path.insert(0, {PROJECT!r})
import routes
exec(compile({page!r}, routes.__file__, "exec"))
routes.route.__globals__["ROUTES"]["/"] = homepage
sys.argv = ["journey.py"]
runpy.run_path({os.path.join(PROJECT, "tests", "journey.py")!r}, run_name="__main__")"""
        came = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, encoding="utf-8",
                              cwd=tempfile.gettempdir(), check=True).stdout
        rest = iter(with_readme_date(came).splitlines())
        for shown in blocks(section("journey"), "text")[0].splitlines():
            # Exercises may add lines, arguments at the end and depth; nothing may be missing.
            start = " ".join(shown.split())[:40].rstrip(").")
            self.assertTrue(any(" ".join(line.split()).startswith(start) for line in rest), shown)


class Wsgi(Sandbox):
    """wsgi.py of section 9, checked by the standard library's validator."""

    def setUp(self):
        super().setUp()
        self.names = {}
        exec(blocks(section("Outgrowing it"), "python")[0], self.names)

    def call(self, path, method="GET", body=b"", query="", **more):
        """Return the status, the headers and the body of the answer to a request."""
        environ = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path.encode().decode("latin-1"),
                   "QUERY_STRING": query, "CONTENT_LENGTH": str(len(body)),
                   "wsgi.input": io.BytesIO(body), **more}
        setup_testing_defaults(environ)
        started = []
        application = validate.validator(self.names["application"])
        parts = application(environ, lambda status, headers: started.append((status, dict(headers))))
        content = b"".join(parts)
        parts.close()
        return (*started[0], content)

    def test_each_shipped_page_is_answered_as_by_this_server(self):
        self.set_config(TEMPLATE_DIR=os.path.join(PROJECT, "templates"))
        router.ROUTES.update(SHIPPED)
        for path in {"/", "/files/", "/home", "/request"} & set(SHIPPED):
            with self.subTest(path=path):
                status, headers, body = self.call(path)
                self.assertEqual(status, "200 OK")
                self.assertEqual(headers, {"Content-Type": "text/html; charset=utf-8",
                                           "Content-Length": str(len(body))})
                self.assertEqual(self.call(path, "HEAD")[2], b"")
                if path != "/request":  # which shows more headers here
                    self.assertEqual(body, SHIPPED[path](make_request(path))[2].encode())

    def test_headers_query_and_body_reach_the_handler(self):
        self.call("/next", "GET", b"abc", "x=1", HTTP_X_MOOD="good", REMOTE_ADDR="10.0.0.7")
        request = self.calls[0]
        self.assertEqual((request.method, request.path, request.query, request.headers["X-Mood"]),
                         ("GET", "/next", "x=1", "good"))
        self.assertEqual((request.body, request.client_address[0]), (b"abc", "10.0.0.7"))
        router.ROUTES["/日 本"] = self.answer_next
        self.assertEqual(self.call("/日 本")[2], b"next")

    def test_another_path_is_a_404_and_a_post_gets_the_time(self):
        self.assertEqual(self.call("/no/such/page/at/all")[0], "404 Not Found")
        status, headers, body = self.call("/", "POST", b"abc")
        self.assertEqual((status, headers["Content-Type"]), ("200 OK", "application/json"))
        self.assertRegex(body, rb'\A\{"time": "\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"\}\Z')


class Facts(unittest.TestCase):
    def test_files_and_sections_that_it_names_exist(self):
        names = re.findall(r"`(?:python )?((?:tests/|files/|\.ci/)[\w/.-]+)`", README)
        names += re.findall(r"\]\((\w+/[\w./-]+)\)", README)
        made_by_the_reader = {"tests/test_greet.py"}
        for name in set(names) - made_by_the_reader:
            with self.subTest(name=name):
                self.assertTrue(os.path.exists(os.path.join(PROJECT, name)))
        headings = re.findall("^## (.*)$", README, re.MULTILINE)
        anchors = {re.sub("[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in headings}
        self.assertLessEqual(set(re.findall(r"\]\(#([^)]*)\)", README)), anchors)

    def test_functions_and_classes_that_it_names_exist(self):
        for name, module in re.findall(r"`(\w+)`\s+in\s+`((?:main|router|utils)\.py)`", README):
            with self.subTest(name=name, module=module):
                self.assert_defines(name, module)
        for name in re.findall(r"`([a-z]+_[a-z_]+|SidhHTTP|Server)`", section("journey")):
            with self.subTest(name=name):
                self.assert_defines(name, "main.py", "router.py", "routes.py", "utils.py")

    def assert_defines(self, name, *modules):
        """Assert that one of these modules defines this function or class."""
        code = ""
        for module in modules:
            with open(os.path.join(PROJECT, module), encoding="utf-8") as file:
                code += file.read()
        self.assertRegex(code, rf"(?m)^ *(def|class) {name}\b")
