"""README.md is true: its snippets run, its answers are the server's, what it names exists."""
import contextlib
import io
import os
import re
import subprocess
import sys
import unittest
from unittest import mock

import config
import main
import router
import routes
import utils
from tests.support import PROJECT, LiveServer, get, shipped

with contextlib.suppress(OSError):
    with open(os.path.join(PROJECT, "README.md"), encoding="utf-8", errors="replace") as file:
        README = file.read()


def section(number):
    """Return a section of the README."""
    return re.search(rf"(?ms)^## {number}\. [^\n]*\n(.*?)(?=^## |\Z)", README)[1]


def blocks(text, language):
    """Return the code blocks in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def with_readme_date(text):
    """Return an answer with the README's date and time instead of its own."""
    text = re.sub(r"Date: \w+, [\w :]* GMT", "Date: Mon, 23 Nov 2026 15:00:00 GMT", text)
    text = re.sub(r"\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d", "23/Nov/2026 15:00:00", text)
    return re.sub(r'"time": "[0-9: -]*"', '"time": "2026-11-23 15:00:00"', text)


class Snippets(LiveServer):
    def load_handlers(self):
        """Do what the README says: save its templates, and add its handlers to routes.py."""
        self.set_config(FILE_DIR=os.path.join(PROJECT, "files"))
        text = section(1) + section(2)
        for name, content in zip(re.findall(r"Save this as\s+`templates/(\w+\.html)`", text),
                                 blocks(text, "html")):
            self.write(name, content.encode())
        names = dict(vars(routes))
        for snippet in blocks(text, "python"):
            if "unittest" not in snippet:
                exec(snippet, names)
        return names

    @shipped("README.md, or what it shows,")
    def test_each_call_of_curl_gives_the_answer_shown(self):
        self.load_handlers()
        call = r'(?m)^\$ curl (-[^"]+) "http://127\.0\.0\.1:9999(.*)"\n((?:(?!\$ |```).*\n)*)'
        calls = re.findall(call, section(1) + section(2))
        self.assertGreater(len(calls), 5)
        for options, target, shown in calls:
            method = "POST" if "-d" in options else "GET"
            came = self.exchange(get(target).replace(b"GET", method.encode(), 1)).decode()
            came = with_readme_date(came).replace("\r\n", "\n").rstrip("\n")
            if "i" not in options:
                came = came.partition("\n\n")[2]
            pattern = re.escape(shown.rstrip("\n")).replace(re.escape("..."), r"(?:.*\n)*?.*")
            self.assertRegex(re.sub("X-Time: .*\n", "", came), rf"\A{pattern}\Z")  # exercise 5
        line = blocks(section(1), "text")[1]
        self.assertIn(re.sub(" .* - - ", "", line), with_readme_date(self.said()))

    @shipped("README.md, or what it shows,")
    def test_the_pages_say_what_the_text_says(self):
        self.load_handlers()
        for target, text in [("/order", '<input name="count" value=""></label> <b></b>'),
                             ("/order?count=", "<b>Please type a number.</b>"),
                             ("/order?count=x%22", 'value="x&quot;"'),
                             ("/about", "<p>This is <b>my</b> site.</p>"),
                             ("/planet?name=Pluto", "There is no planet called Pluto.")]:
            self.assertIn(text, self.get(target).content.decode())

    @shipped("README.md, or what it shows,")
    def test_the_test_shown_passes_and_can_fail(self):
        names = self.load_handlers()
        code = next(text for text in blocks(section(2), "python") if "unittest" in text)
        exec(code.replace("routes.greet", "greet").replace("import routes\n", ""), names)
        for greet in names["greet"], lambda request: (200, "text/html", ""):
            names["greet"] = greet
            result = unittest.TestResult()
            unittest.defaultTestLoader.loadTestsFromTestCase(names["Greet"]).run(result)
            self.assertEqual(len(result.failures), greet.__name__ != "greet")
            self.assertEqual(result.testsRun, 1)

    @shipped("README.md, or what it shows,")
    def test_the_messages_in_its_tables_are_those_of_the_server(self):
        names = self.load_handlers()
        self.write("latin.html", b"\xe9")
        for body in ("return 'pong'", "return 200, 'text/plain', {'a': 1}", "raise KeyError",
                     "return query_params(request).get('x') + 'x'", "render_template('x')",
                     "render_template('x.html', 'Ada')", "route.x", "number = 1; number()",
                     "render_template('latin.html')", "return b'\\xe9'.decode()", "open('none')",
                     "return '1' + 1"):
            exec(f"def ping(request): {body}\nroute('/try')(ping)", dict(names))
            self.get("/try")
            del router.ROUTES["/try"]
        for raw in get("/favicon.ico"), get("/.well-known/x"), get("/socket.io"), get("/ü"):
            self.exchange(raw)
        self.exchange(b"\x16\x03\x01\x02\x00\n")
        errors = []
        for path in "/ping", "/book/<id>":
            with self.assertRaises(ValueError) as caught:
                router.route(path)(names["ping"])
            errors.append(f"{caught.exception}")
        with mock.patch.object(config, "PORT", "abc"), self.assertRaises(SystemExit) as ended:
            main.main()
        said = "\n".join([self.said(), *errors, f"{ended.exception}", utils.TEMPLATE_NOT_FOUND])
        by_python = {"cannot import name", "is not a package", "UnboundLocalError",
                     "SQLite objects created in a thread"}
        told = re.findall(r"(?m)^\| ([^|]*) \|", section(4).partition("| the console")[2])
        for message in set(re.findall("`(.*?)`", " ".join(told))) - by_python:
            for part in message.split("..."):
                self.assertIn(part.strip(), said)


class Shown(unittest.TestCase):
    def run_python(self, *command):
        """Return what a Python command prints."""
        return subprocess.run([sys.executable, *command], stdout=subprocess.PIPE, encoding="utf-8",
                              env={**os.environ, "PYTHONUTF8": "1"}, check=True).stdout

    @shipped("README.md, routes.py or config.py")
    def test_the_start_is_what_the_console_says(self):
        self.assertEqual(blocks(section(1), "text")[0], utils.welcome("127.0.0.1", 9999) + "\n")

    @shipped("README.md, or what it shows,")
    def test_the_smallest_framework_prints_what_is_shown(self):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(blocks(section(3), "python")[0], {})
        self.assertEqual(printed.getvalue(), blocks(section(3), "text")[0])

    @shipped("README.md, or what it shows,")
    def test_the_journey_and_the_step_shown_are_printed(self):
        _, journey, steps, step = blocks(section(3), "text")
        for shown, name, *arguments in [(journey, "journey.py"), (step, "steps.py", "3")]:
            printed = self.run_python(os.path.join(PROJECT, "tests", name), *arguments)
            lines = iter(printed.split("\n"))
            for line in shown.splitlines():
                self.assertTrue(line == "..." or line in lines, line)
        listed = self.run_python(os.path.join(PROJECT, "tests", "steps.py"))
        self.assertEqual(sorted(" ".join(line.split()) for line in listed.splitlines()[:-1]),
                         sorted(" ".join(line.split()) for line in
                                re.split(r"\n| {3,}(?=\d)", steps) if line))

    @shipped("README.md, or a file that it names,")
    def test_what_it_names_exists(self):
        names = re.findall(r"\]\((\w[\w./-]+)\)", README)
        names += re.findall(r"`(?:python )?((?:tests|files|templates)/[\w/.-]+)`", README)
        saved = re.findall(r"Save this as\s+`(.*?)`", README)
        for name in {*names} - {"tests/test_greet.py", *saved}:
            self.assertTrue(os.path.exists(os.path.join(PROJECT, name)), name)
        headings = re.findall("^## (.*)$", README, re.MULTILINE)
        anchors = {re.sub("[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in headings}
        self.assertLessEqual(set(re.findall(r"\]\(#([^)]*)\)", README)), anchors)

    @shipped("README.md or config.py")
    def test_the_settings_are_those_in_the_table(self):
        table = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]*)`", section(5), re.MULTILINE))
        self.assertEqual(len(table), 7)
        for name, value in table.items():
            if name.endswith("_DIR"):
                value = repr(os.path.join(PROJECT, value))
            if f"MINI_{name}" not in os.environ:
                self.assertEqual(getattr(config, name), eval(value))
