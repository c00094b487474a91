"""tests/why.py: each safeguard prevents the harm that happens without it."""
import contextlib
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
import unittest
from concurrent.futures import ThreadPoolExecutor
from unittest import mock

from tests import why
from tests.support import LIMIT, PROJECT

# The clients for which it does not matter what else a copy does meanwhile, and those that share a
# copy one after the other. The rest needs one alone.
SHARING = why.exchange, why.wait, why.upload, why.be_second
QUEUING = why.weigh, why.flood


def show_all():
    """Return {name of a safeguard: its two answers, or the exception that says why not}."""
    with ThreadPoolExecutor(24) as pool, contextlib.closing(why.Copy(LIMIT)) as shared, \
            contextlib.closing(why.Copy(LIMIT)) as quiet:
        shared.connect().close()
        lock = threading.Lock()

        def show(safeguard):
            try:
                if safeguard.client in QUEUING:
                    with lock:
                        return why.compare(safeguard, quiet)
                is_sharing = safeguard.client in SHARING and not safeguard.settings
                return why.compare(safeguard, shared if is_sharing else None)
            except why.CannotShow as error:
                return error

        # Those that wait begin first, so that the others need not wait for them.
        in_order = sorted(why.SAFEGUARDS, key=lambda one: "within" not in one.harm)
        return dict(zip([one.name for one in in_order], pool.map(show, in_order)))


class Demonstrations(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # Programs inherit that Ctrl+C is ignored, as it is in the background of a shell.
        cls.addClassCleanup(signal.signal, signal.SIGINT,
                            signal.signal(signal.SIGINT, signal.default_int_handler))
        cls.shown = show_all()

    def answers_of(self, safeguard):
        """Return the answer with a safeguard and the one without it."""
        answers = self.shown[safeguard.name]
        if isinstance(answers, why.Misfit) and safeguard.module != "routes.py":
            self.fail(answers)
        if isinstance(answers, why.CannotShow):  # or the reader has changed the page
            self.skipTest(answers)
        return answers

    def test_without_a_safeguard_its_harm_happens_and_with_it_it_does_not(self):
        for safeguard in why.SAFEGUARDS:
            with self.subTest(safeguard.name):
                with_it, without = self.answers_of(safeguard)
                self.assertIn(safeguard.safe, with_it)
                self.assertIn(safeguard.harm, without)
                self.assertNotIn(safeguard.harm, with_it)

    def test_what_is_printed_fits_a_terminal_and_cannot_change_it(self):
        for safeguard in why.SAFEGUARDS:
            with self.subTest(safeguard.name):
                lines = why.describe(safeguard, *self.answers_of(safeguard)).split("\n")
                self.assertLessEqual(len(lines), 45)
                self.assertLessEqual(max(map(len, lines)), 100)
                self.assertTrue("".join(lines).isprintable())


    def test_the_readme_names_safeguards_and_shows_one_as_it_is_printed(self):
        with open(os.path.join(PROJECT, "README.md"), encoding="utf-8") as file:
            section = re.search(r"\n## 6.*?(?=\n## )", file.read(), re.DOTALL)[0]
        asked = re.findall(r"^\|.*\| (`[^|]*`) \|$", section, re.MULTILINE)
        names = re.findall("`([^`]*)`", " ".join(asked))
        self.assertLessEqual(set(names), set(self.shown))
        shown = re.search(r"```text\n(([\w-]+): .*?)```", section, re.DOTALL)
        safeguard = next(one for one in why.SAFEGUARDS if one.name == shown[2])
        printed = why.describe(safeguard, *self.answers_of(safeguard))
        self.assertEqual(re.sub("@@ .* @@", "@@ ... @@", printed).strip(), shown[1].strip())


class TheTool(unittest.TestCase):
    def run_main(self, *arguments):
        """Return what main() prints, and the error that it raises, or None."""
        with mock.patch.object(sys, "argv", ["why.py", *arguments]):
            with contextlib.redirect_stdout(io.StringIO()) as stdout:
                try:
                    why.main()
                except why.CannotShow as error:
                    return stdout.getvalue(), str(error)
        return stdout.getvalue(), None

    def test_the_list_has_a_line_for_each_safeguard_with_a_name_of_its_own(self):
        lines = [line for line in self.run_main()[0].splitlines() if line.startswith("  ")]
        self.assertEqual([line.split()[0] for line in lines], [one.name for one in why.SAFEGUARDS])
        self.assertEqual(len({one.name for one in why.SAFEGUARDS}), len(lines))
        self.assertLessEqual(max(map(len, lines)), 100)

    def test_for_a_function_it_lists_what_guards_it(self):
        for module, function in {(one.module, one.function) for one in why.SAFEGUARDS}:
            if module != "routes.py":  # a reader may have changed it
                self.assertRegex(why.read_module(module), rf"(def|class) {function}\b")
        printed, error = self.run_main("find_file")
        self.assertEqual(error, None)
        for name in "dots", "hidden", "link":
            self.assertRegex(printed, rf"(?m)^  {name} +find_file +\w")
        self.assertNotIn("render_template", printed)

    def test_a_safeguard_that_no_longer_fits_is_named_and_so_is_its_text(self):
        link = next(one for one in why.SAFEGUARDS if one.name == "link")
        for text in "never said", "return None":
            misfit = link._replace(change={text: 1})
            count = why.read_module("utils.py").count(text)
            sentence = f"link no longer fits: utils.py has {text!r} {count} times instead of once"
            for arguments in [], ["link"]:
                with self.subTest(text=text, arguments=arguments):
                    with mock.patch.object(why, "SAFEGUARDS", [misfit]):
                        self.assertEqual(self.run_main(*arguments)[1], sentence)

    def test_run_as_a_program_it_shows_one_and_leaves_nothing_behind(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, status, start, end in [
                ("query", 0, "query: parse_target in utils.py ", "No page can have parameters."),
                ("quary", 1, "", "there is no safeguard 'quary': did you mean query?"),
            ]:
                with self.subTest(name):
                    done = subprocess.run(
                        [sys.executable, os.path.join(PROJECT, "tests", "why.py"), name],
                        cwd=folder, env={**os.environ, "TMPDIR": folder, "TEMP": folder},
                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=LIMIT, check=False)
                    self.assertEqual(done.returncode, status, done)
                    self.assertTrue(done.stdout.decode().startswith(start), done)
                    self.assertTrue((done.stdout + done.stderr).decode().rstrip().endswith(end))
                    self.assertEqual(os.listdir(folder), [])
