"""The README is true: its snippets run, its answers are the server's, what it names exists."""
import ast
import contextlib
import glob
import io
import os
import re
import socket
import unittest
from unittest import mock

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
        """Return what curl prints for one request; the date is the README's."""
        method = b"HEAD" if "I" in options else b"GET"
        raw = self.exchange(method + b" " + target.encode() + b" HTTP/1.1\r\nHost: 127.0.0.1:9999\r\n\r\n")
        text = re.sub("\r\nDate: [^\r]*", "\r\nDate: Mon, 23 Nov 2026 15:00:00 GMT", raw.decode())
        text = text if "i" in options.lower() else text.partition("\r\n\r\n")[2]
        return text.replace("\r\n", "\n")

    def load_handlers(self):
        """Do what section 5 says: add its handlers to routes.py and its template to templates/."""
        text = section("Add your own")
        templates = self.make_folder()
        name = re.search(r"`templates/(\w+\.html)`:\n", text)[1]
        with open(os.path.join(templates, name), "w", encoding="utf-8") as file:
            file.write(blocks(text, "html")[0])
        self.set_config(TEMPLATE_DIR=templates)
        for snippet in blocks(text, "python"):
            exec(snippet, dict(vars(routes)))
        return len(blocks(text, "python"))

    def test_each_handler_of_section_5_gives_the_answer_shown(self):
        self.assertEqual(self.load_handlers(), 5)
        calls = re.findall(r'^\$ curl (-\w+) "http://127\.0\.0\.1:9999(.*)"\n((?:(?!\$ ).*\n)*)',
                           "".join(blocks(section("Add your own"), "console")), re.MULTILINE)
        self.assertEqual(len(calls), section("Add your own").count("$ curl"))
        for options, target, shown in calls:
            with self.subTest(target=target):
                self.assertEqual(self.curl(options, target).rstrip("\n"), shown.rstrip("\n"))

    def test_the_exchange_of_section_3_is_what_crosses_the_network(self):
        request, answer = blocks(section("journey"), "http")
        client = self.connect()
        client.sendall(request.replace("\n", "\r\n").encode())
        client.shutdown(socket.SHUT_WR)
        text = re.sub("Date: .*", "Date: Mon, 23 Nov 2026 15:00:00 GMT", receive_all(client).decode())
        self.assertEqual(text.replace("\r", ""), answer.rstrip("\n"))

    def test_the_smallest_framework_prints_what_is_shown(self):
        idea = section("The idea")
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(blocks(idea, "python")[0], {})
        self.assertEqual(printed.getvalue(), blocks(idea, "text")[0])

    def test_the_messages_shown_are_those_of_the_server(self):
        self.load_handlers()
        for body in ("return 'pong'", "return", "raise KeyError", "return 200, '', render_template('x')"):
            exec(f"def ping(request): {body}\nroute('/try')(ping)", dict(vars(routes)))
            self.get("/try")
            del router.ROUTES["/try"]
        route("/try")(lambda: None)
        self.get("/try")
        with mock.patch.object(main, "prepare", return_value=(200, "text/plain")):
            self.exchange(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            self.await_threads(2)
        for path in "/ping", "ping":
            with self.assertRaises(ValueError) as caught:
                exec(f"@route('{path}')\ndef ping(request): pass", dict(vars(routes)))
            print(f"ValueError: {caught.exception}", file=self.console)
        shown = re.findall(r"^\|[^|]*(?:the console|at the start): `(.*?)` (?:or|\|)", section("Add your own"), re.M)
        self.assertEqual(len(shown), 9)
        for message in shown:
            for part in re.sub(r", \.\.\.\)", "...", message).split("..."):
                if message != "SyntaxError":
                    self.assertIn(part, self.console.getvalue())



class Facts(unittest.TestCase):
    def test_files_and_links_exist(self):
        names = re.findall(r"`([\w/.-]+\.(?:py|html|txt|svg)|\w+/)`", README)
        names += re.findall(r"\]\((?!http)([^)#]+)\)", README)
        made_by_the_reader = {"templates/greet.html", "app.py", "x.html"}
        for name in set(names) - made_by_the_reader:
            with self.subTest(name=name):
                self.assertTrue(os.path.exists(os.path.join(PROJECT, name)))

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

    def test_the_line_counts_are_those_of_the_files(self):
        counts = {row[0].strip("`"): int(row[1]) for row in rows(section("Reading order"))[1:]}
        self.assertEqual(list(counts), MODULES)
        if set(router.ROUTES) != {"/", "/files/", "/home"}:
            del counts["routes.py"]  # somebody added handlers of their own, as section 5 says
        for name, count in counts.items():
            self.assertEqual(len(read(name).splitlines()), count, name)

    def test_the_modules_stay_small(self):
        self.assertLessEqual(sum(len(read(name).splitlines()) for name in MODULES if name != "routes.py"), 385)
        for name in MODULES:
            for node in ast.walk(ast.parse(read(name))):
                if isinstance(node, ast.FunctionDef):
                    doc = node.body[0] if ast.get_docstring(node) else None
                    length = node.end_lineno - node.lineno + 1
                    length -= doc.end_lineno - doc.lineno + 1 if doc else 0
                    self.assertLessEqual(length, 20, node.name)

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

    def test_it_is_no_longer_than_450_lines(self):
        self.assertLessEqual(len(README.splitlines()), 450)
