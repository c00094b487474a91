"""utils.py: templates that escape, files found only where they may be, and the console."""
import errno
import os
import re
import sys
from html import escape
from unittest import mock
from urllib.parse import unquote

import config
import utils
from tests.support import ODD_NAMES, Sandbox, make_request

NOT_FOUND = "<h1>Template Not Found</h1>"


class Templates(Sandbox):
    def test_values_replace_their_names_and_are_escaped_unless_they_are_html(self):
        evil = """<script>"&'$b"""
        self.write("inner.html", b"<i>$value</i>")
        for template, values, page in [
            ("<p>$name é ${x}\n</p>", {}, "<p>$name é ${x}\n</p>"),
            ("$a is ${b}", {"a": evil, "b": 7}, escape(evil) + " is 7"),
            ("$$5 $$name $name", {"name": "x"}, "$5 $name x"),
            ("a[href$='.css'] { } let $el = `${price}` + '$5' + $(x) $", {}, None),
            ("\ufeff<p>$name</p>\ufeff", {"name": "é"}, "<p>é</p>\ufeff"),  # as some editors do
            ("$values", {"values": utils.Html("<b>&</b>")}, "<b>&</b>"),
            ("$a", {"a": utils.Html("<b>") + "</b>"}, "&lt;b&gt;&lt;/b&gt;"),
            ("$a", {"a": utils.render_template("inner.html", value="<")}, "<i>&lt;</i>"),
        ]:
            self.write("page.html", template.encode())
            self.assertEqual(utils.render_template("page.html", **values), page or template)
        self.assertEqual(self.said(), "")

    def test_one_that_is_missing_or_outside_is_told_on_the_page_and_on_the_console(self):
        base = self.make_folder("templates/sub/page.html", "templates-private/page.html")
        self.set_config(TEMPLATE_DIR=os.path.join(base, "templates"))
        self.assertIn("content of", utils.render_template("sub/page.html"))
        for name in ("missing\n.html", "../templates-private/page.html"):
            page = utils.render_template(name)
            self.assertEqual((page, utils.to_html(page)), (NOT_FOUND, NOT_FOUND))
            path = os.path.join(config.TEMPLATE_DIR, name)
            self.assertEqual(self.said(), f"template not found: {path!r}\n")

    def test_one_that_is_not_utf8_is_shown_as_far_as_possible_and_named(self):
        path = os.path.join(config.TEMPLATE_DIR, "page.html")
        for encoding in ("latin-1", "utf-16"):
            self.write("page.html", "<p>é</p>".encode(encoding))
            self.assertIn("\ufffd", utils.render_template("page.html"))
            self.assertEqual(self.said(), f"{path} is not UTF-8: save it as UTF-8\n")

    def test_an_error_page_is_its_template_with_both_texts_escaped_unless_they_are_html(self):
        self.assertEqual(utils.render_error("404 <b>", "<i>"),
                         "<title>404 &lt;b&gt;</title>\n<p>&lt;i&gt;</p>\n")
        self.assertEqual(utils.render_error("404", utils.Html("<a>")),
                         "<title>404</title>\n<p><a></p>\n")

    def test_without_the_template_of_errors_both_texts_are_there_and_the_console_names_it(self):
        path = os.path.join(config.TEMPLATE_DIR, "error.html")
        trouble = OSError(errno.EMFILE, "Too many open files", path)
        with mock.patch("utils.open", side_effect=trouble, create=True):
            page = utils.render_error("404 <b>", "<i>")
        os.remove(path)
        for page in (page, utils.render_error("404 <b>", "<i>")):
            self.assertEqual(page, "<h1>404 &lt;b&gt;</h1><p>&lt;i&gt;</p>")
        self.assertRegex(self.said(), r"\A.* open files: .*error\.html'\n.*error\.html'\n\Z")

    def test_query_params_gives_the_first_value_of_each_name_decoded(self):
        for query, expected in [
            ("", {}), ("x=1&x=2&y=&z", {"x": "1", "y": "", "z": ""}),
            ("na%20me=a+b%20%C3%A9%26%3D%2B%2525", {"na me": "a b é&=+%25"}),
            ("name=100%&x=%zz%4&town=caf%E9", {"name": "100%", "x": "%zz%4", "town": "caf\ufffd"}),
        ]:
            self.assertEqual(utils.query_params(make_request(query=query)), expected)


class Files(Sandbox):
    def setUp(self):
        super().setUp()
        self.base = self.make_folder("files/a.txt", "files/sub/in.txt", "files/.hidden",
                                     "files/.git/config", "files/..dots",
                                     "files-private/secret.txt")
        self.folder = os.path.join(self.base, "files")

    def path(self, *names):
        """Return a path in the folder."""
        return os.path.join(self.folder, *names)

    def find(self, name):
        """Return what find_file() finds in the folder."""
        return utils.find_file(self.folder, name)

    def test_a_file_in_the_folder_or_below_is_found_even_if_the_folder_is_a_link(self):
        link = os.path.join(self.base, "link")
        self.make_link(self.folder, link)
        for folder in (self.folder, link):
            for name in ("a.txt", "sub/in.txt"):
                self.assertEqual(utils.find_file(folder, name), os.path.join(folder, name))

    def test_nothing_outside_nothing_hidden_and_no_folder_is_found(self):
        for name in ["../files-private/secret.txt", "./../files-private/secret.txt",
                     "..\\files-private\\secret.txt",
                     "sub/../../files-private/secret.txt",
                     "sub\\..\\..\\files-private\\secret.txt",
                     "../files-private/secret.txt\0", "..//files-private/secret.txt",
                     os.path.join(self.base, "files-private", "secret.txt"), "sub/../a.txt",
                     "./a.txt", "/a.txt", "//a.txt", "sub//in.txt", "a.txt/",
                     ".hidden", ".git/config", "..dots", "sub", "sub/", "", ".", "..", "\\",
                     "a.txt\0", "\0", "missing.txt", "x" * 5000, "\ud800"]:
            self.assertIsNone(self.find(name), name[:60])

    def test_a_name_that_leads_outside_is_refused_before_the_disk_is_asked(self):
        with mock.patch("os.path.isfile", side_effect=AssertionError("asked")):
            for name in (r"\\evil\share\x", "//evil/share/x", r"sub\\x", "../x", r"..\x"):
                self.assertIsNone(self.find(name))

    def test_a_missing_file_costs_no_look_at_each_part_of_its_name(self):
        with mock.patch("os.path.realpath", side_effect=AssertionError("slow for many parts")):
            self.assertIsNone(self.find("a/" * 32000 + "a"))

    def test_a_link_is_followed_only_to_a_file_inside(self):
        self.make_link(self.path("a.txt"), self.path("link.txt"))
        self.assertEqual(self.find("link.txt"), self.path("link.txt"))
        private = os.path.join(self.base, "files-private")
        for link, target in [("out.txt", os.path.join(private, "secret.txt")), ("way", private),
                             ("dead.txt", self.path("none")), (".link", self.path("a.txt"))]:
            self.make_link(target, self.path(link))
            self.assertIsNone(self.find(link), link)
        self.assertIsNone(self.find("way/secret.txt"))

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

    def test_the_type_follows_from_the_suffix_and_browsers_may_not_guess_another(self):
        for name, expected in [
            ("a.js", "text/javascript"), ("a.css", "text/css"), ("a.html", "text/html"),
            ("a.svg", "image/svg+xml"), ("A.B.TXT", "text/plain"), ("a.t.gz", "application/gzip"),
            *((name, "application/octet-stream") for name in ("README", "a.svg.zzz", "js")),
        ]:
            headers = utils.download_headers(name)
            self.assertEqual(headers["Content-Type"], expected, name)
            self.assertEqual(headers["X-Content-Type-Options"], "nosniff")

    def test_a_download_is_saved_under_its_name_or_by_old_clients_under_a_plain_one(self):
        for name, plain in [("my file-2.txt", "my file-2.txt"), ("日本語.txt", "___.txt"),
                            ('a"b\\c.txt', "a_b_c.txt"), ("a;b=c%20'd.txt", "a_b_c_20_d.txt"),
                            ("a\r\nb.txt", "a__b.txt"), ("\x00\x7f\x1b.txt", "___.txt")]:
            with self.subTest(name=name):
                value = utils.download_headers(name)["Content-Disposition"]
                # RFC 8187: the value after UTF-8'' is made of these characters alone
                found = re.fullmatch(r"""attachment; filename="([^"\\]*)"; """
                                     r"filename\*=UTF-8''([\w!#$&+.^`|~%-]*)", value, re.ASCII)
                self.assertEqual((found[1], unquote(found[2], errors="strict")), (plain, name))


class Console(Sandbox):
    def test_control_characters_are_shown_as_escapes_and_line_breaks_stay(self):
        utils.say("".join(map(chr, range(0xA1))) + "é")
        self.assertRegex(self.said(), r"\A\\x00[ -~]*\\x09\n\\x0b[ -~]*\\x1b[ -~]*\\x1f !"
                                      r"[ -~]*}~\\x7f[ -~]*\\x9f\xa0é\n\Z")

    def test_two_texts_never_mix_and_one_that_cannot_be_printed_disturbs_nobody(self):
        def write(text):
            self.assertTrue(utils.CONSOLE_LOCK.locked())
            written.append(text)
            raise trouble

        for trouble in (OSError(errno.ENOSPC, "No space left on device"), ValueError("closed")):
            written = []
            with mock.patch.object(sys, "stderr", mock.Mock(write=write)):
                utils.say("é")
            self.assertEqual((written, utils.CONSOLE_LOCK.locked()), (["é"], False))

    def test_the_welcome_says_what_can_be_opened_and_on_all_networks_who_can_and_where(self):
        self.add_page("/日 本", None)
        everyone = "everyone on your network can open these pages, and everything in files/"
        phone = "  on a phone: http://192.168.1.7:80"
        for host, url, address, more in [
            ("0.0.0.0", "http://127.0.0.1:80", "192.168.1.7", [everyone, phone]),
            ("0.0.0.0", "http://127.0.0.1:80", None, [everyone]),
            ("::", "http://[::1]:80", "192.168.1.7", [everyone]),
            ("::1", "http://[::1]:80", "192.168.1.7", []),
            ("10.0.0.0", "http://10.0.0.0:80", "192.168.1.7", []),
        ]:
            with self.subTest(host), mock.patch("utils.own_address", lambda: address):
                self.assertEqual(utils.welcome(host, 80).splitlines(), [
                    f"server running on {url} (Ctrl+C stops it)", f"  {url}/", f"  {url}/next",
                    f"  {url}/echo", f"  {url}/%E6%97%A5%20%E6%9C%AC", *more])

    def test_the_own_address_is_that_of_the_way_out_if_there_is_one(self):
        with mock.patch("utils.socket.socket") as make_socket:
            probe = make_socket.return_value.__enter__.return_value
            probe.getsockname.return_value = ("192.168.1.7", 50000)
            self.assertEqual(utils.own_address(), "192.168.1.7")
            probe.connect.assert_called_once_with(("192.0.2.1", 9))
            probe.connect.side_effect = OSError(errno.ENETUNREACH, "Network is unreachable")
            self.assertIsNone(utils.own_address())
