"""utils.py: templates that escape, the console, files found only where they may be.

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

# Names that lead from the folder "files" to the secret beside it, if nobody looks.
OUTWARD_NAMES = ["../" + SECRET, "./../" + SECRET, "sub/../../" + SECRET, "..//" + SECRET,
                 "..\\" + SECRET.replace("/", "\\"), "../" + SECRET + "\0", "../" + SECRET + "\0.txt"]


class Templates(Sandbox):
    def template(self, content, name="page.html"):
        """Make a template with this content, the only one there is."""
        self.set_config(TEMPLATE_DIR=self.make_folder())
        self.add_template(content, name)

    def add_template(self, content, name):
        """Make one more template."""
        with open(os.path.join(config.TEMPLATE_DIR, name), "wb") as file:
            file.write(content)

    def test_a_missing_template_answers_as_in_the_article(self):
        self.assertEqual(utils.render_template("missing.html"), NOT_FOUND)

    def test_a_missing_template_is_named_in_one_line_on_the_console(self):
        utils.render_template("missing\n.html")
        expected = os.path.join(config.TEMPLATE_DIR, "missing\n.html")
        self.assertEqual(self.console.getvalue(), f"template not found: {expected!r}\n")

    def test_without_values_the_file_comes_back_to_the_byte(self):
        content = "<p>$name $$ é\r\n${x}\n\r</p>".encode()
        self.template(content)
        self.assertEqual(utils.render_template("page.html").encode(), content)

    def test_values_replace_their_names(self):
        self.template(b"$name is ${age}\r\n")
        self.assertEqual(utils.render_template("page.html", name="Ann", age=7), "Ann is 7\r\n")

    def test_a_value_may_have_any_name(self):
        for name in ("filename", "self", "path", "values"):
            with self.subTest(name):
                self.template(b"<$" + name.encode() + b">")
                self.assertEqual(utils.render_template("page.html", **{name: "a"}), "<a>")

    def test_values_are_escaped(self):
        value = """<script>"&'"""
        self.template(b"<p title='$value'>")
        self.assertEqual(utils.render_template("page.html", value=value),
                         f"<p title='{html.escape(value)}'>")

    def test_html_is_put_in_as_it_is_whoever_made_it(self):
        class Markup:  # as MarkupSafe and Django have it
            def __html__(self):
                return "<i>theirs</i>"

        self.template(b"$value")
        for value, expected in [(utils.Html("<b>&</b>"), "<b>&</b>"), (Markup(), "<i>theirs</i>"),
                                (utils.Html("<b>") + "</b>", "&lt;b&gt;&lt;/b&gt;")]:
            with self.subTest(value=value):
                self.assertEqual(utils.render_template("page.html", value=value), expected)

    def test_a_template_can_be_a_value_in_another(self):
        self.template(b"<ul>$rows</ul>")
        self.add_template(b"<li>$name</li>", "row.html")
        rows = "".join(utils.render_template("row.html", name=name) for name in ("a", "<b>"))
        self.assertEqual(utils.render_template("page.html", rows=utils.Html(rows)),
                         "<ul><li>a</li><li>&lt;b&gt;</li></ul>")
        self.assertEqual(utils.render_template("page.html", rows=utils.render_template("row.html")),
                         "<ul><li>$name</li></ul>")
        self.assertEqual(utils.render_template("page.html", rows=utils.render_template("none.html")),
                         f"<ul>{NOT_FOUND}</ul>")

    def test_a_name_inside_a_value_is_left_alone(self):
        self.template(b"$a $b")
        self.assertEqual(utils.render_template("page.html", a="$b", b="$a"), "$b $a")

    def test_unknown_words_and_stray_dollars_stay(self):
        content = "a[href$='.css'] { } let $el = `${price}` + '$5' + $(x) $"
        self.template(content.encode() + b" $name $$")
        self.assertEqual(utils.render_template("page.html", name="Ann"), content + " Ann $")

    def test_the_mark_that_some_editors_write_first_is_left_out(self):
        self.template("\ufeff<p>$name</p>\ufeff".encode())
        self.assertEqual(utils.render_template("page.html"), "<p>$name</p>\ufeff")
        self.assertEqual(utils.render_template("page.html", name="é"), "<p>é</p>\ufeff")

    def test_a_template_that_is_not_utf8_is_named_with_the_reason(self):
        self.template(b"<p>\xe9</p>")
        with self.assertRaises(ValueError) as caught:
            utils.render_template("page.html")
        self.assertRegex(str(caught.exception),
                         r"\Atemplate '.*page\.html' is not UTF-8: .* at byte 3\Z")
        self.assertTrue(caught.exception.__suppress_context__)  # one short traceback, not two

    def test_a_template_may_lie_in_a_folder_below(self):
        self.set_config(TEMPLATE_DIR=self.make_folder(["sub/page.html"]))
        self.assertEqual(utils.render_template("sub/page.html"), "content of sub/page.html")

    def test_a_name_that_leaves_the_folder_is_not_found(self):
        base = self.make_folder(["files/sub/in.txt", SECRET])
        self.set_config(TEMPLATE_DIR=os.path.join(base, "files"))
        for name in [*OUTWARD_NAMES, os.path.join(base, SECRET)]:
            with self.subTest(name=name):
                self.assertEqual(utils.render_template(name), NOT_FOUND)

    def test_a_link_that_leads_out_is_not_found(self):
        base = self.make_folder(["files/in.txt", SECRET])
        self.set_config(TEMPLATE_DIR=os.path.join(base, "files"))
        self.make_link(os.path.join(base, SECRET), os.path.join(base, "files", "page.html"))
        self.assertEqual(utils.render_template("page.html"), NOT_FOUND)


class ErrorPages(Sandbox):
    def test_an_error_page_is_its_template_with_both_texts_escaped(self):
        self.set_config(TEMPLATE_DIR=self.make_folder())
        with open(os.path.join(config.TEMPLATE_DIR, "error.html"), "w", encoding="utf-8") as file:
            file.write("<title>$title</title>$text")
        self.assertEqual(utils.render_error("404 <b>", "<i>"),
                         "<title>404 &lt;b&gt;</title>&lt;i&gt;")
        self.assertEqual(utils.render_error("404", utils.Html("<a>")), "<title>404</title><a>")
        self.assertEqual(self.console.getvalue(), "")

    def test_without_a_sound_template_the_texts_are_there_and_the_console_names_it(self):
        for trouble in ("it is missing", "it is not UTF-8", "no file can be opened"):
            with self.subTest(trouble), contextlib.ExitStack() as stack:
                self.set_config(TEMPLATE_DIR=self.make_folder())
                path = os.path.join(config.TEMPLATE_DIR, "error.html")
                if trouble != "it is missing":
                    with open(path, "wb") as file:
                        file.write(b"<h1>\xe9</h1>")
                if trouble == "no file can be opened":
                    error = OSError(errno.EMFILE, "Too many open files", path)
                    stack.enter_context(mock.patch("utils.open", side_effect=error, create=True))
                page = utils.render_error("404 <b>", "<i>")
                self.assertEqual(page, "<h1>404 &lt;b&gt;</h1>\n<p>&lt;i&gt;</p>\n")
                self.assertRegex(self.console.getvalue(), r"\A.*error\.html.*\n\Z")
                self.console.truncate(self.console.seek(0))


class Queries(unittest.TestCase):
    def test_query_params_gives_the_first_value_of_each_name_decoded(self):
        for query, expected in [
            ("", {}),
            ("x=1", {"x": "1"}),
            ("x=1&x=2&y=3", {"x": "1", "y": "3"}),
            ("x=&y=2&z", {"x": "", "y": "2", "z": ""}),
            ("x=&x=2", {"x": ""}),
            ("q=a+b%20c%2Bd", {"q": "a b c+d"}),
            ("q=%C3%A9%26%3D%2525", {"q": "é&=%25"}),
            ("na%20me=1", {"na me": "1"}),
            ("url=/a?b=c", {"url": "/a?b=c"}),
        ]:
            with self.subTest(query=query):
                self.assertEqual(utils.query_params(make_request(query=query)), expected)


class Console(Sandbox):
    def test_a_text_is_written_with_a_line_break_to_the_stream_named(self):
        with mock.patch.object(sys, "stdout", io.StringIO()) as stdout:
            utils.say("to stderr\nin two lines")
            utils.say("to stdout", "stdout")
        self.assertEqual(self.console.getvalue(), "to stderr\nin two lines\n")
        self.assertEqual(stdout.getvalue(), "to stdout\n")

    def test_it_is_written_at_once(self):
        written = io.BytesIO()
        self.change(mock.patch.object(sys, "stderr", io.TextIOWrapper(written, "utf-8")))
        utils.say("now")
        self.assertEqual(written.getvalue().split(), [b"now"])

    def test_control_characters_are_shown_as_escapes(self):
        utils.say("".join(map(chr, range(0xA1))))
        shown = self.console.getvalue()
        self.assertNotRegex(shown, "[\x00-\x09\x0b-\x1f\x7f-\x9f]")
        self.assertEqual(shown.count("\n"), 2)
        for escape in (r"\x00", r"\x09", r"\x1b", r"\x1f", r"\x7f", r"\x9f"):
            self.assertIn(escape, shown)
        self.assertIn("}~\\x7f", shown)
        self.assertTrue(shown.endswith("\xa0\n"))

    def test_a_console_that_never_was_costs_nothing(self):
        with mock.patch.object(sys, "stderr", None):
            utils.say("lost")

    def test_a_pipe_that_nobody_reads_any_more_is_led_nowhere(self):
        reading, writing = os.pipe()
        os.close(reading)
        free = os.dup(writing)  # the number of the next file that is opened
        os.close(free)
        with open(writing, "w", encoding="utf-8") as stream:
            with mock.patch.object(sys, "stderr", stream):
                utils.say("lost")
                print("nobody is disturbed", file=sys.stderr, flush=True)
        self.assertRaises(OSError, os.fstat, free)  # nothing was left open

    def test_a_write_that_fails_drops_that_one_text(self):
        class FullForOnce(io.StringIO):
            failed = False

            def flush(self):
                if not self.failed:
                    self.failed = True
                    self.truncate(self.seek(0))
                    raise OSError(errno.ENOSPC, "No space left on device")

        self.console = self.change(mock.patch.object(sys, "stderr", FullForOnce()))
        utils.say("lost")
        utils.say("there is space again")
        self.assertEqual(self.console.getvalue(), "there is space again\n")

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
        self.base = self.make_folder(["files/a.txt", "files/sub/in.txt", "files/.hidden",
                                      "files/.git/config", "files/..dots", SECRET])
        self.folder = os.path.join(os.path.realpath(self.base), "files")
        self.secret = os.path.join(self.base, SECRET)
        self.set_config(FILE_DIR=self.folder)

    def path(self, name):
        """Return the path of this name in the folder."""
        return os.path.join(self.folder, name)

    def test_find_file_gives_the_real_path_of_a_file_in_the_folder_or_below(self):
        for name, expected in [("a.txt", "a.txt"), ("sub/in.txt", os.path.join("sub", "in.txt")),
                               ("sub/../a.txt", "a.txt")]:
            with self.subTest(name=name):
                self.assertEqual(utils.find_file(self.folder, name), self.path(expected))

    def test_find_file_finds_nothing_outside_the_folder(self):
        for name in OUTWARD_NAMES + [self.secret, os.path.abspath(__file__)]:
            with self.subTest(name=name):
                self.assertIsNone(utils.find_file(self.folder, name))

    def test_find_file_finds_nothing_hidden_and_no_folder(self):
        for name in (".hidden", ".git/config", "..dots", "sub", "sub/", "", ".", ".."):
            with self.subTest(name=name):
                self.assertIsNone(utils.find_file(self.folder, name))

    def test_names_that_no_file_can_have_are_not_found(self):
        for name in ("missing.txt", "x" * 5000, "a.txt\0", "\0", "\ud800"):
            with self.subTest(name=name[:9]):
                self.assertIsNone(utils.find_file(self.folder, name))
                self.assertIsNone(utils.find_download(name))

    def test_find_download_gives_the_real_path_of_a_plain_name(self):
        self.assertEqual(utils.find_download("a.txt"), self.path("a.txt"))

    def test_find_download_takes_no_way_through_folders(self):
        for name in OUTWARD_NAMES + [self.secret, self.path("a.txt"), "sub/in.txt", "./a.txt",
                                     "sub/../a.txt", "a.txt/", "../files/a.txt", "/a.txt"]:
            with self.subTest(name=name):
                self.assertIsNone(utils.find_download(name))

    def test_open_download_gives_the_open_file_or_none(self):
        with utils.open_download("a.txt") as file:
            self.assertEqual(file.read(), b"content of files/a.txt")
        self.assertIsNone(utils.open_download("../" + SECRET))

    def test_a_file_that_is_gone_or_locked_meanwhile_is_none_and_other_trouble_is_told(self):
        for error, expected in [(FileNotFoundError, None), (PermissionError, None),
                                (OSError(errno.EMFILE, "Too many open files"), OSError)]:
            with self.subTest(error=error), mock.patch("utils.open", side_effect=error, create=True):
                if expected is None:
                    self.assertIsNone(utils.open_download("a.txt"))
                else:
                    with self.assertRaises(expected):
                        utils.open_download("a.txt")

    def test_a_link_is_followed_only_when_it_stays_inside(self):
        for target, expected in [(self.path("a.txt"), self.path("a.txt")), (self.secret, None),
                                 (self.path(".hidden"), None), (self.path("missing"), None)]:
            with self.subTest(target=target):
                self.make_link(target, self.path("link.txt"))
                self.assertEqual(utils.find_download("link.txt"), expected)
                os.remove(self.path("link.txt"))

    def test_a_link_to_a_visible_file_may_not_have_a_hidden_name(self):
        self.make_link(self.path("a.txt"), self.path(".link"))
        self.assertIsNone(utils.find_download(".link"))

    def test_a_folder_reached_by_a_link_leads_nowhere_outside(self):
        self.make_link(os.path.dirname(self.secret), self.path("way"))
        self.assertIsNone(utils.find_file(self.folder, "way/secret.txt"))

    def test_the_folder_itself_may_be_a_link(self):
        self.make_link(self.folder, os.path.join(self.base, "link"))
        self.set_config(FILE_DIR=os.path.join(self.base, "link"))
        self.assertEqual(utils.find_download("a.txt"), self.path("a.txt"))

    @unittest.skipUnless(hasattr(os, "mkfifo"), "this system has no named pipes")
    def test_a_pipe_is_no_file(self):
        os.mkfifo(self.path("pipe.txt"))
        self.assertIsNone(utils.find_download("pipe.txt"))

    def test_odd_names_are_found(self):
        for name in ODD_NAMES:
            with self.subTest(name=name):
                self.set_config(FILE_DIR=self.make_folder([name]))
                self.assertIsNotNone(utils.find_download(name))

    def test_a_name_that_is_not_utf8_is_not_found(self):
        self.set_config(FILE_DIR=self.make_folder([b"bad\xff.txt"]))
        name, = os.listdir(config.FILE_DIR)
        self.assertIsNone(utils.find_download(name))

    def test_a_file_that_may_not_be_read_is_not_found(self):
        with mock.patch("os.access", return_value=False):
            self.assertIsNone(utils.find_download("a.txt"))

    def test_on_windows_a_stream_inside_a_file_is_not_found(self):
        self.set_config(FILE_DIR=self.make_folder(["a.txt:stream"]))
        self.assertEqual(utils.find_download("a.txt:stream") is None, os.name == "nt")
        with mock.patch("os.name", "nt"):
            self.assertIsNone(utils.find_download("a.txt:stream"))
            self.set_config(FILE_DIR=self.folder)
            self.assertEqual(utils.find_download("a.txt"), self.path("a.txt"))


class DownloadHeaders(unittest.TestCase):
    def test_the_type_follows_from_the_ending_alone(self):
        for name, expected in [("a.js", "text/javascript"), ("a.css", "text/css"),
                               ("a.html", "text/html"), ("a.svg", "image/svg+xml"),
                               ("a.json", "application/json"), ("A.B.JS", "text/javascript"),
                               ("a.txt", "text/plain"), ("a.PNG", "image/png"),
                               ("a.nonsense", "application/octet-stream"),
                               ("README", "application/octet-stream"),
                               ("data:text/html,x", "application/octet-stream")]:
            with self.subTest(name=name):
                self.assertEqual(utils.download_headers(name)["Content-Type"], expected)

    def test_a_compressed_file_is_not_sent_as_what_is_in_it(self):
        for name, expected in [("a.tar.gz", "application/gzip"), ("a.svg.gz", "application/gzip"),
                               ("a.svgz", "application/octet-stream"),
                               ("a.tgz", "application/octet-stream"),
                               ("a.txt.bz2", "application/octet-stream")]:
            with self.subTest(name=name):
                self.assertEqual(utils.download_headers(name)["Content-Type"], expected)

    def test_the_types_of_this_computer_do_not_count(self):
        with mock.patch.dict("mimetypes.types_map", {".nonsense": "text/wrong", ".css": "text/wrong"}):
            for name, expected in [("a.nonsense", "application/octet-stream"), ("a.css", "text/css")]:
                with self.subTest(name=name):
                    self.assertEqual(utils.download_headers(name)["Content-Type"], expected)

    def test_the_browser_must_save_and_may_not_sniff(self):
        headers = utils.download_headers("a.html")
        self.assertTrue(headers["Content-Disposition"].startswith("attachment;"))
        self.assertEqual(headers["X-Content-Type-Options"], "nosniff")

    def test_the_name_survives_in_full_and_in_a_plain_form(self):
        for name, plain in [("a.txt", "a.txt"), ("my file-2.txt", "my file-2.txt"),
                            ("日本語.txt", "___.txt"), ('a"b\\c.txt', "a_b_c.txt"),
                            ("a;b=c%20'd.txt", "a_b_c_20_d.txt"), ("a\r\nb.txt", "a__b.txt")]:
            with self.subTest(name=name):
                value = utils.download_headers(name)["Content-Disposition"]
                # RFC 8187: the value after UTF-8'' is made of these characters alone
                parts = re.fullmatch(
                    r"""attachment; filename="([^"\\]*)"; filename\*=UTF-8''([\w!#$&+.^`|~%-]*)""",
                    value, re.ASCII)
                self.assertIsNotNone(parts, value)
                self.assertEqual((parts[1], unquote(parts[2], errors="strict")), (plain, name))

    def test_no_name_puts_a_line_break_or_a_strange_character_in_a_header(self):
        for name in ODD_NAMES + ["data:text/html\r\nX: y,a.js", "data:text/html\r\nX: y,a",
                                 "a.b\r\nX: y", "\x00\x7f\x1b.txt"]:
            with self.subTest(name=name):
                for value in utils.download_headers(name).values():
                    self.assertRegex(value, r"\A[ -~]+\Z")
