"""The guestbook of README.md: no entry is lost, and none can spoil the page."""
import re
import subprocess
import unittest
from concurrent.futures import ThreadPoolExecutor
from html import escape
from urllib.parse import urlencode

from tests.exercises import support

# A page that makes the program die in the middle of the next write
CRASH = '''

@route("/crash")
def prepare_crash(request):
    def write_half(value, file):
        file.write(json.dumps(value)[:-9])
        file.flush()
        os._exit(1)
    json.dump = write_half
    return 200, "text/plain", "The next write is the last one."
'''


class Guestbook(support.Exercise):
    """GET /guestbook -> a page with the entries and a form"""

    def prepare(self):
        """Follow README.md in the copy."""
        for name in ("redirects", "post_handlers"):
            self.apply_solution(name)
        readme = (support.PROJECT / "tests/exercises/README.md").read_text(encoding="utf-8")
        section = readme.partition("### A guestbook\n")[2].partition("\n## ")[0]
        [template] = re.findall("```html\n(.*?)```", section, re.DOTALL)
        [code] = re.findall("```python\n(.*?)```", section, re.DOTALL)
        (self.folder / "templates/guestbook.html").write_text(template, encoding="utf-8")
        routes = self.folder / "routes.py"
        pages = routes.read_text(encoding="utf-8")
        if code not in pages:
            pages = f"{pages}\n\n{code}"
        routes.write_text(pages + CRASH, encoding="utf-8")
        self.file = self.folder / "guestbook.json"
        if self.file.exists():  # that of the reader
            self.file.unlink()

    def apply_solution(self, name):
        """Apply the solution of an exercise, unless the project has one already."""
        diff = support.PROJECT / f"tests/exercises/{name}.diff"
        try:
            subprocess.run(["git", "apply", "--ignore-whitespace", str(diff)], cwd=self.folder,
                           capture_output=True, check=False)
        except FileNotFoundError:
            raise unittest.SkipTest("git is not installed") from None

    def reach_goal(self):
        page = self.expect("GET /guestbook", 200).body
        fields = re.findall('<input name="(.*?)"', page)
        if '<form method="post">' not in page or fields != ["name", "text"]:
            self.complain("GET /guestbook", "a form with name and text", page)

    def sign(self, name, text):
        """Send the form, and expect to be sent back to the page."""
        self.expect("POST /guestbook", 303, "", {"Location": "/guestbook"},
                    urlencode({"name": name, "text": text}))

    def expect_entries(self, *entries):
        """Fail unless the page has these entries in some order, and no others."""
        expected = sorted(f"{escape(name)}: {escape(text)}" for name, text in entries)
        page = self.expect("GET /guestbook", 200).body
        shown = sorted(re.findall("<li>(.*?)</li>", page, re.DOTALL))
        if shown != expected:
            self.complain("GET /guestbook", f"{len(expected)} entries, {expected!r:.200}",
                          f"{len(shown)}, {shown!r:.200}")

    def test_whoever_signs_is_on_the_page(self):
        self.expect_entries()
        self.sign("Ada", "Hello!")
        self.expect_entries(("Ada", "Hello!"))
        self.sign("Zoë & Ren", "日本\nsecond line")
        self.expect_entries(("Ada", "Hello!"), ("Zoë & Ren", "日本\nsecond line"))

    def test_an_entry_is_text_and_never_html(self):
        self.sign("<script>alert(1)</script>", "</ul>$entries&lt;")
        self.expect_entries(("<script>alert(1)</script>", "</ul>$entries&lt;"))

    def test_whatever_the_body_is_nothing_is_a_500(self):
        for body in (b"", b"\xff\xfe", b"name=", b"name=%FF&text=%00", b"&&==", b"text=1;2"):
            self.expect("POST /guestbook", 303, sent_body=body, about=f" with the body {body!r}")
        self.expect("GET /guestbook", 200)

    def test_visitors_at_the_same_time_lose_no_entry(self):
        entries = [(f"visitor {number}", "Hello! " * 50) for number in range(200)]
        with ThreadPoolExecutor(20) as pool:
            list(pool.map(lambda entry: self.sign(*entry), entries))
        self.expect_entries(*entries)

    def test_a_crash_loses_no_entry(self):
        self.sign("Ada", "Hello!")
        self.expect("GET /crash", 200)
        with self.assertRaises(self.failureException):  # there is no answer
            self.sign("Grace", "Good bye!")
        self.program.wait()
        (self.folder / ".console").unlink()
        self.start()
        self.expect_entries(("Ada", "Hello!"))
        self.sign("Mary", "Hello again!")
        self.expect_entries(("Ada", "Hello!"), ("Mary", "Hello again!"))
        self.assertEqual([path.name for path in self.folder.glob("guestbook.json*")],
                         [self.file.name])
