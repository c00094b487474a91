"""tests/steps: each step runs, each box comes true, and the last step is the project."""
import ast
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import unittest
from concurrent.futures import ThreadPoolExecutor

from tests import steps as ladder


def happens(expected, lines):
    """Return whether these are the expected lines, in which "..." stands for anything."""
    parts = [r"(.*\n)*" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n"
             for line in expected]
    return bool(re.fullmatch("".join(parts), "".join(f"{line.strip()}\n" for line in lines)))


CHANGED = "{} differs from the last step: python tests/refit.py moves the change into the steps"


class Steps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Programs inherit that Ctrl+C is ignored, as it is in the background of a shell.
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        cls.addClassCleanup(signal.signal, signal.SIGINT, handler)
        cls.steps = ladder.read_steps()
        cls.sections = ladder.read_sections()

    def test_the_modules_of_the_last_step_are_those_of_the_project(self):
        for name in ladder.MODULES:
            if self.steps[-1][name] != ladder.read_lines(ladder.PROJECT / name):
                if os.environ.get("CI"):
                    self.fail(CHANGED.format(name))
                self.skipTest(CHANGED.format(name))

    def test_what_a_box_shows_happens_before_its_step_and_after_it(self):
        boxes = [(step, demo, section.page) for step, section in enumerate(self.sections)
                 for demo in section.demos]

        def perform(box):
            step, demo, page = box
            return [ladder.perform(demo.what, self.steps[number], page)
                    for number in (step - 1, step) if number >= 0]

        with ThreadPoolExecutor(4) as pool:
            for (step, demo, _), answers in zip(boxes, pool.map(perform, boxes)):
                if answers[0] == ["(this cannot be shown on Windows)"]:
                    continue
                with self.subTest(step=step, what=demo.what):
                    if step > 0:
                        self.assertEqual([happens(demo.before, lines) for lines in answers],
                                         [True, False], answers)
                    self.assertEqual([happens(demo.after, lines) for lines in answers],
                                     [False, True][-len(answers):], answers)

    def test_every_step_answers_requests_without_a_traceback(self):
        requests = [f"{line} HTTP/1.0\r\nHost: a\r\n\r\n".encode() for line in (
            "GET /home", "GET /files/", "GET /files/planets.csv", "GET /nowhere", "HEAD /",
            "GET /request?name=Ada", "POST /", "PUT /", "OPTIONS /")]

        def serve(files):
            with ladder.running(files) as program:
                answers = [ladder.ask(program, raw) for raw in requests]
                program.kill()
                return answers, program.printed + program.stdout.read()

        with ThreadPoolExecutor(4) as pool:
            for step, (answers, printed) in enumerate(pool.map(serve, self.steps)):
                with self.subTest(step=step):
                    for answer in answers:
                        self.assertRegex(answer, r"\AHTTP/1\.[01] (200|204|404|501) ")
                    self.assertNotIn("Traceback", printed)

    def test_no_step_has_a_function_twice(self):
        for step, files in enumerate(self.steps):
            for name in ladder.MODULES:
                for node in ast.walk(ast.parse("\n".join(files[name]))):
                    if isinstance(node, (ast.Module, ast.ClassDef)):
                        names = [one.name for one in node.body
                                 if isinstance(one, (ast.ClassDef, ast.FunctionDef))]
                        with self.subTest(step=step, module=name):
                            self.assertEqual(len(names), len(set(names)), names)

    def test_each_section_has_code_that_is_new_in_its_step_and_all_but_the_last_a_box(self):
        self.assertEqual(len(self.sections), len(self.steps))
        tutorial = "\n".join(ladder.read_lines(ladder.STEPS / "README.md"))
        for step, text in enumerate(re.split(r"\n## \d+\. ", tutorial)[1:]):
            excerpts = re.findall(r"```py\n(.*?)```", text, re.DOTALL)
            with self.subTest(step=step):
                self.assertTrue(excerpts)
                self.assertTrue(self.sections[step].demos or step == len(self.steps) - 1)
                for code in excerpts:
                    for number in range(max(step - 1, 0), step + 1):
                        lines = [line for lines in self.steps[number].values() for line in lines]
                        self.assertEqual(code in "\n".join([*lines, ""]), number == step)


class Tools(unittest.TestCase):
    """A copy of the last step as a project, with steps.py and refit.py."""

    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.project = os.path.join(temporary.name, "project")
        ladder.write_step(ladder.read_steps()[-1], self.project)
        shutil.copytree(ladder.PROJECT / "tests", os.path.join(self.project, "tests"),
                        copy_function=shutil.copyfile)

    def run_tool(self, name, *arguments):
        """Run a tool of the copy, and return what it prints."""
        return subprocess.run(
            [sys.executable, os.path.join("tests", name), *arguments], cwd=self.project,
            env={**os.environ, "PYTHONUTF8": "1"}, encoding="utf-8", stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, timeout=60, check=False).stdout

    def read(self, *names):
        """Return the text of a file of the copy."""
        with open(os.path.join(self.project, *names), encoding="utf-8") as file:
            return file.read()

    def test_steps_are_listed_shown_and_written_and_an_unknown_one_is_a_sentence(self):
        listed = self.run_tool("steps.py").splitlines()
        self.assertEqual([line.split()[0] for line in listed[:-1]], [*map(str, range(21))])
        shown = self.run_tool("steps.py", "3")
        for text in "- <h1>Hello, <script>", "+ <h1>Hello, &lt;script&gt;", "+class Html(str):":
            self.assertIn(text, re.sub(r"(?m)^ +([+-]) +", r"\1 ", shown))
        for step in "21", "-1", "home":
            self.assertIn(step, self.run_tool("steps.py", step))
            self.assertEqual(self.run_tool("steps.py", step).count("\n"), 1)
        self.assertEqual(self.run_tool("steps.py", "3", "--write", "here"), "")
        self.assertIn("class Html(str):", self.read("here", "utils.py"))

    def test_a_change_of_a_module_moves_into_the_steps_that_have_the_line(self):
        self.assertEqual(self.run_tool("refit.py"), "")
        main = self.read("main.py").replace("daemon_threads = True", "daemon_threads = 1 == 1")
        with open(os.path.join(self.project, "main.py"), "w", encoding="utf-8") as file:
            file.write(main.replace("send_bug", "report_bug"))
        self.run_tool("refit.py", "send_bug", "report_bug")
        diffs = "".join(self.read("tests", "steps", f"{step}.diff") for step in range(1, 21))
        self.assertIn("+    daemon_threads = 1 == 1", diffs)
        self.assertIn("+            self.report_bug(", diffs)
        self.assertNotRegex(diffs, "daemon_threads = True|send_bug")
        self.assertIn("`report_bug()`", self.read("tests", "steps", "README.md"))
        self.assertEqual(self.run_tool("refit.py"), "")
        self.run_tool("steps.py", "20", "--write", "last")
        self.assertEqual(self.read("last", "main.py"), self.read("main.py"))

    def test_one_step_can_be_changed_in_a_folder(self):
        self.run_tool("steps.py", "2", "--write", "two")
        with open(os.path.join(self.project, "two", "config.py"), "a", encoding="utf-8") as file:
            file.write("# two\n")
        self.run_tool("refit.py", "2", "two")
        self.assertIn("\n+# two\n", self.read("tests", "steps", "2.diff"))
        self.assertIn("\n-# two\n", self.read("tests", "steps", "3.diff"))
