"""Exercise 7: a change in any module is seen without a restart by hand."""
import os
import signal
import socket
import time
import unittest

from tests.exercises import support


def page_that_says(text):
    """Return a routes.py with one page that says this."""
    return f'''
from router import route

@route("/")
def homepage(request):
    return 200, "text/plain", "{text}"
'''


PAGE_THAT_LISTS_CHANGES = '''
import router

@router.route("/")
def homepage(request):
    return 200, "text/plain", " ".join(["changed:", *sorted(getattr(router, "CHANGED", []))])
'''

PAGE_OF_ANOTHER_MODULE = '''
from planets import TEXT
from router import route

@route("/")
def homepage(request):
    return 200, "text/plain", TEXT
'''


class AutoReload(support.Exercise):
    """save a change in routes.py, then GET / -> the changed page, within a second or so"""

    PAGES = page_that_says("one")

    def prepare(self):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]  # a fixed one, because it must stay the same
        self.saved = int(time.time()) - 60  # when a module was saved the last time
        for module in self.folder.glob("*.py"):
            os.utime(module, (self.saved, self.saved))
        # The program inherits it if Ctrl+C is ignored here, as in the background of a shell.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.addCleanup(signal.signal, signal.SIGINT, before)

    def reach_goal(self):
        self.expect("GET /", 200, "one")
        self.edit(page_that_says("one, changed"))
        self.expect_page("one, changed")

    def edit(self, text, seconds=1, name="routes.py"):
        """Save a module, as if so many seconds had passed since the last time."""
        time.sleep(0.1)  # nobody types faster
        self.saved += seconds
        new = self.folder / "new"
        new.write_text(text, encoding="utf-8")
        os.utime(new, (self.saved, self.saved))
        os.replace(new, self.folder / name)  # in one step: nobody sees half of it

    def read_page(self, path="/"):
        """Return the body of a page, or "no answer" while the server restarts."""
        connection = self.connect()
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except OSError:
            return "no answer"
        finally:
            connection.close()

    def expect_page(self, text, path="/", name="routes.py"):
        """Fail unless the page soon says this, after a change in the module of this name."""
        if not support.wait_until(lambda: self.read_page(path) == text, support.SOON):
            self.complain(f"GET {path} after a change in {name}", f"body {text!r}",
                          f"{self.read_page(path)!r}, even after {support.SOON} seconds")
        if self.program.poll() is not None and os.name == "posix":
            self.complain(f"a change in {name}", "a program that goes on", "its end")

    def test_two_changes_of_the_same_length_in_the_same_second_are_seen(self):
        for text, seconds in [("two", 1), ("six", 0.25), ("ten", 0.25)]:
            self.edit(page_that_says(text), seconds)
            self.expect_page(text)

    def test_every_change_in_any_module_is_seen(self):
        self.edit(PAGE_THAT_LISTS_CHANGES)
        self.expect_page("changed:")
        changed = "changed:"
        for module in ("config", "main", "router", "utils"):
            changed += f" {module}"
            code = f"import router\nvars(router).setdefault('CHANGED', []).append('{module}')\n"
            text = (self.folder / f"{module}.py").read_text(encoding="utf-8")
            before, start, after = text.partition("\nif __name__")  # only main.py has it
            self.edit(f"{before}\n{code}{start}{after}", name=f"{module}.py")
            self.expect_page(changed, name=f"{module}.py")

    def test_a_change_in_a_module_of_ones_own_is_seen(self):
        (self.folder / "planets.py").write_text("TEXT = 'a new module'\n", encoding="utf-8")
        self.edit(PAGE_OF_ANOTHER_MODULE)
        self.expect_page("a new module")
        self.edit("TEXT = 'the module, changed'\n", name="planets.py")
        self.expect_page("the module, changed", name="planets.py")

    def test_a_page_that_is_taken_away_is_gone(self):
        self.edit(page_that_says("two pages") + "route('/gone')(homepage)\n")
        self.expect_page("two pages", "/gone")
        self.edit(page_that_says("one page again"))
        self.expect_page("one page again")
        self.expect("GET /gone", 404)

    def test_after_a_mistake_the_mended_page_is_seen(self):
        for mistake, error in [("def broken(:", "SyntaxError"), ("no_such_name", "NameError")]:
            self.edit(page_that_says(error) + mistake)
            support.wait_until(lambda: error in self.read_console(), 2)
            self.edit(page_that_says(f"{error} mended"))
            self.expect_page(f"{error} mended")

    def test_the_file_may_be_missing_for_a_moment(self):
        os.remove(self.folder / "routes.py")  # as some editors do before they save
        time.sleep(0.4)
        self.edit(page_that_says("one that was missing"))
        self.expect_page("one that was missing")

    @unittest.skipIf(os.name == "nt", "on Windows, Ctrl+C would end the tests, too")
    def test_ctrl_c_still_ends_it(self):
        self.edit(page_that_says("one more"))
        self.expect_page("one more")
        os.killpg(self.program.pid, signal.SIGINT)  # as a terminal does, to all that it started
        if not support.wait_until(lambda: self.program.poll() is not None):
            self.complain("Ctrl+C", "the end of the program", "a program that goes on")
        self.expect_on_console("server closed...")
        if not support.wait_until(lambda: self.read_page() == "no answer"):
            self.complain("Ctrl+C", "the end of the server, too", "an answer")
