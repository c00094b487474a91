"""README.md is true: its snippets run, its answers are the server's, what it names exists."""
import ast
import contextlib
import glob
import io
import os
import re
import socket
import subprocess
import sys
import unittest
from unittest import mock
from xml.etree import ElementTree

import config
import main
import router
import routes
from router import route
from tests.support import PROJECT, LiveServer, receive_all

with open(os.path.join(PROJECT, "README.md"), encoding="utf-8") as file:
    README = file.read()
MODULES = ["config.py", "router.py", "routes.py", "utils.py", "main.py"]


def read(name):
    """Return the text of a file of the project."""
    with open(os.path.join(PROJECT, name), encoding="utf-8") as file:
        return file.read()


def section(title):
    """Return the README's section whose heading has this text."""
    return re.search(rf"^## [^\n]*{title}[^\n]*\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)[1]


def blocks(text, language):
    """Return the code blocks in this language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def rows(text):
    """Return the cells of each table row in the text, as lists."""
    lines = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| --")]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


def defined(*names):
    """Return the names of all functions and classes in these files."""
    trees = [ast.parse(read(name)) for name in names]
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {node.name for tree in trees for node in ast.walk(tree) if isinstance(node, kinds)}


class Snippets(LiveServer):
    def curl(self, options, target):
        """Return what curl prints for one request, with the README's date and time in it."""
        method = "POST" if "-d" in options else "HEAD" if "I" in options else "GET"
        response = self.exchange(f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:9999\r\n\r\n".encode())
        text = with_readme_date(response.decode())
        if "i" not in options.lower():
            text = text.partition("\r\n\r\n")[2]
        return text.replace("\r\n", "\n")

    def load_handlers(self):
        """Do what section 5 says: add its handlers to routes.py and its templates to templates/."""
        text = section("Add your own")
        self.set_config(TEMPLATE_DIR=self.make_folder())
        names = re.findall(r"`templates/(\w+\.html)`[^`]*:\n", text)
        self.assertEqual(len(names), len(blocks(text, "html")))
        for name, content in zip(names, blocks(text, "html")):
            with open(os.path.join(config.TEMPLATE_DIR, name), "w", encoding="utf-8") as file:
                file.write(content)
        for snippet in blocks(text, "python"):
            exec(snippet, dict(vars(routes)))
        return len(blocks(text, "python"))

    def assert_shown(self, shown, came):
        """Assert that the lines shown came, in this order; "..." stands for lines left out."""
        left_out = r"(?:.*\n)*?"
        pattern = re.escape(shown.rstrip("\n") + "\n").replace(re.escape("...\n"), left_out)
        if shown.startswith("HTTP/"):  # a handler around all handlers may add headers
            pattern = pattern.replace(re.escape("\n"), "\n" + left_out, 6)
        self.assertRegex(came.rstrip("\n") + "\n", rf"\A{pattern}\Z")

    def test_each_call_of_curl_gives_the_answer_shown(self):
        self.assertEqual(self.load_handlers(), 6)
        calls = []
        for block in blocks(README, "console"):
            calls += re.findall(r'^\$ curl (-[^"]+) "http://127\.0\.0\.1:9999(.*)"\n((?:(?!\$ ).*\n)*)',
                                block, re.MULTILINE)
        self.assertEqual(len(calls), README.count("$ curl"))
        for options, target, shown in calls:
            with self.subTest(target=target):
                self.assert_shown(shown, self.curl(options, target))

    def test_the_exchange_of_section_3_is_what_crosses_the_network(self):
        request, answer = blocks(section("journey"), "http")
        client = self.connect()
        client.sendall(request.replace("\n", "\r\n").encode())
        client.shutdown(socket.SHUT_WR)
        came = with_readme_date(receive_all(client).decode())
        self.assert_shown(answer, came.replace("\r", ""))

    def test_the_journey_shown_is_what_journey_py_prints(self):
        came = subprocess.run([sys.executable, os.path.join(PROJECT, "tests", "journey.py")],
                              stdout=subprocess.PIPE, encoding="utf-8", check=True).stdout
        rest = iter(with_readme_date(came).splitlines())
        lines = blocks(section("journey"), "text")[0].splitlines()
        self.assertLessEqual(len(lines), 60)
        for shown in lines:
            # Exercises may add lines, arguments at the end and depth; nothing may be missing.
            start = " ".join(shown.split()).rstrip(").")
            self.assertTrue(any(" ".join(line.split()).startswith(start) for line in rest), shown)

    def test_the_smallest_framework_prints_what_is_shown(self):
        idea = section("The idea")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(blocks(idea, "python")[0], {})
        self.assertEqual(printed.getvalue(), blocks(idea, "text")[0])

    def test_the_start_is_what_the_console_says(self):
        self.assertEqual(blocks(section("Start"), "text")[0], main.welcome("127.0.0.1", 9999) + "\n")

    def test_the_messages_shown_are_those_of_the_server(self):
        self.load_handlers()
        for body in ("return 'pong'", "return", "raise KeyError", "request.send_error(404)",
                     "return 200, 'text/plain', {'a': 1}", "render_template('x')",
                     "render_template('latin.html')", "ping.strftime('')",
                     "query_params(request)['name']", "request.query['name']",
                     "render_template('x.html', 'Ada')"):
            exec(f"def ping(request): {body}\nroute('/try')(ping)", dict(vars(routes)))
            with open(os.path.join(config.TEMPLATE_DIR, "latin.html"), "wb") as file:
                file.write(b"\xe9")
            self.get("/try")
            del router.ROUTES["/try"]
        route("/try")(eval("lambda: None"))
        self.get("/try")
        self.get("/favicon.ico")
        self.exchange(b"\x16\x03\x01\x02\x00\n")
        with mock.patch.object(main, "json", None):
            self.exchange(b"POST / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.await_threads()
        said = self.console.getvalue()
        self.console.truncate(self.console.seek(0))
        for path in "/ping", "ping":
            with self.assertRaises(ValueError) as caught:
                exec(f"@route('{path}')\ndef ping(request): pass", dict(vars(routes)))
            said += f"ValueError: {caught.exception}\n"
        shown = re.findall(r"^\|[^|]*(?:the console|at the start): `(.*?)` (?:or|\|)",
                           section("Add your own"), re.MULTILINE)
        self.assertEqual(len(shown), 19)
        for message in shown:
            for part in message.split("..."):
                if not message.startswith(("SyntaxError", "NameError")):  # Python says these
                    self.assertIn(part, said)


def with_readme_date(text):
    """Return an answer with the README's date and time instead of its own."""
    text = re.sub(r"Date: \w+, [\w :]* GMT", "Date: Mon, 23 Nov 2026 15:00:00 GMT", text)
    text = re.sub(r"\d\d/\w{3}/\d{4} \d\d:\d\d:\d\d", "23/Nov/2026 15:00:00", text)
    return re.sub(r'"time": "[0-9: -]*"', '"time": "2026-11-23 15:00:00"', text)


class Facts(unittest.TestCase):
    def test_files_and_links_exist(self):
        names = re.findall(r"`([\w/.-]+\.(?:py|html|txt|svg)|\w+/)`", README)
        names += re.findall(r"\]\((?!http)([^)#]+)\)", README)
        made_by_the_reader = {"templates/greet.html", "templates/planets.html", "templates/planet.html",
                              "app.py", "x.html"}
        for name in set(names) - made_by_the_reader:
            with self.subTest(name=name):
                self.assertTrue(os.path.exists(os.path.join(PROJECT, name.lstrip("/"))))

    def test_functions_and_classes_exist(self):
        known = defined(*MODULES)
        pairs = re.findall(r"`(\w+)`\s+in\s+`(\w+\.py)`", README)
        self.assertGreater(len(pairs), 7)
        for name, module in pairs:
            with self.subTest(name=name):
                self.assertIn(name, defined(module))
        journey = re.findall(r"`([a-z_]+)`|`(SidhHTTP|Server)`", section("journey"))
        for name in filter(None, (a or b for a, b in journey)):
            with self.subTest(name=name):
                self.assertIn(name, known)

    def test_tests_exist(self):
        known = defined(*glob.glob(os.path.join(PROJECT, "tests", "test_*.py")))
        names = re.findall(r"`(test_\w+)`", README)
        self.assertGreater(len(names), 9)
        for name in names:
            with self.subTest(name=name):
                self.assertIn(name, known)

    def test_the_settings_are_those_of_config(self):
        table = {row[0].strip("`"): row[1].strip("`") for row in rows(section("Settings"))
                 if hasattr(config, row[0].strip("`"))}
        constants = {target.id for node in ast.parse(read("config.py")).body
                     if isinstance(node, ast.Assign) for target in node.targets}
        self.assertEqual(set(table), constants)
        for name, value in table.items():
            with self.subTest(name=name):
                assigned = re.search(rf"(?m)^{name} = (.*?)(?:  #.*)?$", read("config.py"))[1]
                if "os." in assigned:  # a default for the environment, or a folder beside the modules
                    self.assertIn('"' + value.strip('"') + '"', assigned)
                else:
                    self.assertEqual(value, assigned)

    def test_the_environment_variables_are_those_of_config(self):
        self.assertEqual(set(re.findall("MINI_[A-Z]+", README)), {"MINI_HOST", "MINI_PORT"})
        for name in "MINI_HOST", "MINI_PORT":
            self.assertIn(f'os.environ.get("{name}")', read("config.py"))


class Picture(unittest.TestCase):
    """files/request-journey.svg, which section 3 and /home show."""

    def test_the_names_in_it_exist(self):
        picture = ElementTree.fromstring(read("files/request-journey.svg"))
        words = re.findall(r"\w+\.py|\w+", " ".join(picture.itertext()))
        names = {word for word in words if re.fullmatch(r"[a-z]+_\w+|[A-Z]+[a-z]+[A-Z]\w+", word)}
        known = defined(*MODULES)
        self.assertGreater(len(names), 5)
        self.assertEqual(names - known, set())
        self.assertEqual({word for word in words if word.endswith(".py")}, set(MODULES))

    def test_it_can_be_read_in_the_dark_and_by_those_who_do_not_see_it(self):
        picture = read("files/request-journey.svg")
        self.assertIn("prefers-color-scheme: dark", picture)
        for tag in ("<title", "<desc", 'role="img"'):
            self.assertIn(tag, picture)
