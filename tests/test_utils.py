"""utils.py: templates that escape, the console, and files found only where they may be.

Its last part, which reads requests, is tested in test_reading.py.
"""
import contextlib
import errno
import html
import io
import os
import re
import sys
import threading
import time
import unittest
from unittest import mock
from urllib.parse import unquote

import config
import utils
from tests.support import ODD_NAMES, Sandbox, make_request

NOT_FOUND = "<h1>Template Not Found</h1>"
SECRET = "files-private/secret.txt"


class Templates(Sandbox):
    def test_without_values_the_file_comes_back_as_it_is(self):
        content = "<p>$name $$ é ${x}\n</p>"
        self.write("page.html", content.encode())
        self.assertEqual(utils.render_template("page.html"), content)

    def test_values_replace_their_names_and_are_escaped(self):
        evil = """<script>"&'$b"""
        self.write("page.html", b"$a is ${b}")
        self.assertEqual(utils.render_template("page.html", a=evil, b=7),
                         f"{html.escape(evil)} is 7")

    def test_a_value_may_have_any_name(self):
        for name in ("filename", "self", "values"):
            self.write("page.html", b"<$" + name.encode() + b">")
            self.assertEqual(utils.render_template("page.html", **{name: "a"}), "<a>")

    def test_html_is_put_in_as_it_is_whoever_made_it(self):
        class Markup:  # as MarkupSafe and Django have it
            def __html__(self):
                return "<i>theirs</i>"

        self.write("page.html", b"$value")
        for value, expected in [(utils.Html("<b>&</b>"), "<b>&</b>"), (Markup(), "<i>theirs</i>"),
                                (utils.Html("<b>") + "</b>", "&lt;b&gt;&lt;/b&gt;"),
                                (utils.render_template("page.html", value="<"), "&lt;"),
                                (utils.render_template("none.html"), NOT_FOUND)]:
            with self.subTest(value=value):
                self.assertEqual(utils.render_template("page.html", value=value), expected)

    def test_words_without_a_value_and_stray_dollars_stay(self):
        content = "a[href$='.css'] { } let $el = `${price}` + '$5' + $(x) $"
        self.write("page.html", content.encode() + b" $name $$")
        self.assertEqual(utils.render_template("page.html", name="Ann"), content + " Ann $")

    def test_the_mark_that_some_editors_write_first_is_left_out(self):
        self.write("page.html", "\ufeff<p>$name</p>\ufeff".encode())
        self.assertEqual(utils.render_template("page.html", name="é"), "<p>é</p>\ufeff")

    def test_a_missing_template_is_told_on_the_page_and_in_one_line_on_the_console(self):
        self.assertEqual(utils.render_template("missing\n.html"), NOT_FOUND)
        path = os.path.join(config.TEMPLATE_DIR, "missing\n.html")
        self.assertEqual(self.said(), f"template not found: {path!r}\n")

    def test_a_template_may_lie_in_a_subfolder_but_not_outside(self):
        base = self.make_folder("templates/sub/page.html", "templates-private/page.html")
        self.set_config(TEMPLATE_DIR=os.path.join(base, "templates"))
        self.assertEqual(utils.render_template("sub/page.html"),
                         "content of templates/sub/page.html")
        self.assertEqual(utils.render_template("../templates-private/page.html"), NOT_FOUND)


class ErrorPages(Sandbox):
    def test_an_error_page_is_its_template_with_both_texts_escaped_unless_they_are_html(self):
        self.assertEqual(utils.render_error("404 <b>", "<i>"),
                         "<title>404 &lt;b&gt;</title>\n<p>&lt;i&gt;</p>\n")
        self.assertEqual(utils.render_error("404", utils.Html("<a>")),
                         "<title>404</title>\n<p><a></p>\n")
        self.assertEqual(self.said(), "")

    def test_without_a_sound_template_the_texts_are_there_and_the_console_names_it(self):
        for trouble in ("it is missing", "it is not UTF-8", "no file can be opened"):
            with self.subTest(trouble), contextlib.ExitStack() as stack:
                self.set_config(TEMPLATE_DIR=self.make_folder())
                if trouble != "it is missing":
                    self.write("error.html", b"<h1>\xe9</h1>")
                if trouble == "no file can be opened":
                    error = OSError(errno.EMFILE, "Too many open files")
                    stack.enter_context(mock.patch("utils.open", side_effect=error, create=True))
                self.assertEqual(utils.render_error("404 <b>", "<i>"),
                                 "<h1>404 &lt;b&gt;</h1><p>&lt;i&gt;</p>")
                self.assertRegex(self.said(), r"\A.*error\.html.*\n\Z")


class Queries(unittest.TestCase):
    def test_query_params_gives_the_first_value_of_each_name_decoded(self):
        for query, expected in [
            ("", {}),
            ("x=1&x=2&y=3", {"x": "1", "y": "3"}),
            ("x=&y=2&z", {"x": "", "y": "2", "z": ""}),
            ("q=a+b%20c%2Bd", {"q": "a b c+d"}),
            ("na%20me=%C3%A9%26%3D%2525", {"na me": "é&=%25"}),
            ("name=100%&x=%zz%4", {"name": "100%", "x": "%zz%4"}),
            ("town=caf%E9", {"town": "caf\ufffd"}),
        ]:
            with self.subTest(query=query):
                self.assertEqual(utils.query_params(make_request(query=query)), expected)


class Console(Sandbox):
    def test_control_characters_are_shown_as_escapes_and_line_breaks_stay(self):
        utils.say("".join(map(chr, range(0xA1))) + "é")
        shown = self.said()
        self.assertNotRegex(shown, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        self.assertRegex(shown, r"\A\\x00.*\\x09\n\\x0b.*\\x1b.*\\x1f !.*}~\\x7f.*\\x9f\xa0é\n\Z")

    def test_a_console_that_cannot_take_a_text_loses_it_and_disturbs_nobody(self):
        class OnlyWrites:
            text = ""

            def write(self, text):
                self.text += text

        class Gone:
            def write(self, text):
                raise OSError(errno.ENOSPC, "No space left on device")

        closed = io.StringIO()
        closed.close()
        only_writes = OnlyWrites()
        for stderr in (only_writes, Gone(), closed, io.TextIOWrapper(io.BytesIO(), "ascii")):
            with self.subTest(stderr=stderr), mock.patch.object(sys, "stderr", stderr):
                utils.say("é")
        self.assertEqual(only_writes.text, "é\n")

    def test_two_texts_never_mix(self):
        class Slow(io.StringIO):
            def write(self, text):
                for character in text:
                    super().write(character)
                    time.sleep(0)  # lets another thread go on

        console = self.change(mock.patch.object(sys, "stderr", Slow()))
        threads = [threading.Thread(target=utils.say, args=[letter * 50]) for letter in "abcdefgh"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(sorted(console.getvalue().split("\n")),
                         ["", *(letter * 50 for letter in "abcdefgh")])


class Files(Sandbox):
    def setUp(self):
        super().setUp()
        self.base = self.make_folder("files/a.txt", "files/sub/in.txt", "files/.hidden",
                                     "files/.git/config", "files/..dots", SECRET)
        self.folder = os.path.join(os.path.realpath(self.base), "files")
        self.secret = os.path.join(self.base, SECRET)

    def find(self, name):
        """Return what find_file finds, as a path relative to the folder, with slashes."""
        path = utils.find_file(self.folder, name)
        return path and os.path.relpath(path, self.folder).replace(os.sep, "/")

    def path(self, name):
        """Return the path of this name in the folder."""
        return os.path.join(self.folder, name)

    def test_a_file_in_the_folder_or_below_is_found(self):
        for name in ("a.txt", "sub/in.txt"):
            self.assertEqual(self.find(name), name)

    def test_nothing_outside_nothing_hidden_and_no_folder_is_found(self):
        back = SECRET.replace("/", "\\")
        for name in ["../" + SECRET, "./../" + SECRET, "sub/../../" + SECRET, "..//" + SECRET,
                     "..\\" + back, "sub\\..\\..\\" + back, "../" + SECRET + "\0", self.secret,
                     os.path.abspath(__file__), "sub/../a.txt", "./a.txt", "/a.txt", "//a.txt",
                     "sub//in.txt", "a.txt/", ".hidden", ".git/config", "..dots", "sub", "sub/",
                     "", ".", "..", "\\", "a.txt\0", "\0", "missing.txt", "x" * 5000, "\ud800"]:
            with self.subTest(name=name[:60]):
                self.assertIsNone(self.find(name))

    def test_a_name_that_leads_outside_is_refused_before_the_disk_is_asked(self):
        with mock.patch("os.path.realpath", side_effect=AssertionError("asked")):
            for name in (r"\\evil\share\x", "//evil/share/x", r"sub\\x", "../x", r"..\x"):
                with self.subTest(name=name):
                    self.assertIsNone(utils.find_file(self.folder, name))

    def test_a_link_is_followed_only_to_a_visible_file_inside(self):
        for link, target, found in [("link.txt", self.path("a.txt"), "a.txt"),
                                    ("link.txt", self.secret, None),
                                    ("link.txt", self.path(".hidden"), None),
                                    ("link.txt", self.path("missing"), None),
                                    (".link", self.path("a.txt"), None)]:
            with self.subTest(link=link, target=target):
                self.make_link(target, self.path(link))
                self.assertEqual(self.find(link), found)
                os.remove(self.path(link))
        self.make_link(os.path.dirname(self.secret), self.path("way"))
        self.assertIsNone(self.find("way/secret.txt"))

    def test_the_folder_itself_may_be_a_link(self):
        link = os.path.join(self.base, "link")
        self.make_link(self.folder, link)
        self.assertEqual(utils.find_file(link, "a.txt"), self.path("a.txt"))

    def test_odd_names_are_found_and_those_that_are_not_utf8_are_not(self):
        for name in ODD_NAMES:
            with self.subTest(name=name):
                self.assertIsNotNone(utils.find_file(self.make_folder(name), name))
        folder = self.make_folder(b"bad\xff.txt")
        self.assertIsNone(utils.find_file(folder, os.listdir(folder)[0]))

    def test_what_cannot_be_read_is_not_found(self):
        if hasattr(os, "mkfifo"):
            os.mkfifo(self.path("pipe.txt"))
            self.assertIsNone(self.find("pipe.txt"))
        with mock.patch("os.access", return_value=False):
            self.assertIsNone(self.find("a.txt"))


class DownloadHeaders(unittest.TestCase):
    def test_the_type_follows_from_the_suffix_alone_on_every_computer(self):
        with mock.patch.dict("mimetypes.types_map", {".zzz": "text/wrong", ".css": "text/wrong"}):
            for name, expected in [
                ("a.js", "text/javascript"), ("a.css", "text/css"), ("a.html", "text/html"),
                ("a.svg", "image/svg+xml"), ("A.B.JS", "text/javascript"), ("a.txt", "text/plain"),
                ("a.tar.gz", "application/gzip"), ("a.svg.gz", "application/gzip"),
                ("a.svgz", "application/octet-stream"), ("a.zzz", "application/octet-stream"),
                ("README", "application/octet-stream"),
                ("data:text/html,x", "application/octet-stream"),
            ]:
                with self.subTest(name=name):
                    self.assertEqual(utils.download_headers(name)["Content-Type"], expected)

    def test_the_name_survives_in_full_and_in_a_plain_form(self):
        for name, plain in [("my file-2.txt", "my file-2.txt"), ("日本語.txt", "___.txt"),
                            ('a"b\\c.txt', "a_b_c.txt"), ("a;b=c%20'd.txt", "a_b_c_20_d.txt"),
                            ("a\r\nb.txt", "a__b.txt"), ("\x00\x7f\x1b.txt", "___.txt")]:
            with self.subTest(name=name):
                value = utils.download_headers(name)["Content-Disposition"]
                # RFC 8187: the value after UTF-8'' is made of these characters alone
                parts = re.fullmatch(
                    r"""attachment; filename="([^"\\]*)"; filename\*=UTF-8''([\w!#$&+.^`|~%-]*)""",
                    value, re.ASCII)
                self.assertIsNotNone(parts, value)
                self.assertEqual((parts[1], unquote(parts[2], errors="strict")), (plain, name))
