"""routes.py: the pages of the site, as a browser gets them."""
import errno
import os
import re
import time
import unittest
from html.parser import HTMLParser
from unittest import mock
from urllib.parse import quote, urlencode, urljoin

import config
import routes
from tests.support import ODD_NAMES, LiveServer, make_request


class Table(HTMLParser):
    """Each row of the tables of a page, as (th, td), and all that is in other places."""

    def __init__(self, page):
        super().__init__()
        self.cells, self.elsewhere = [], ""
        self.tag = None
        self.feed(page)
        self.close()
        self.rows = list(zip(self.cells[::2], self.cells[1::2]))

    def handle_starttag(self, tag, attrs):
        self.tag = tag
        if tag in ("th", "td"):
            self.cells.append("")

    def handle_endtag(self, tag):
        self.tag = None

    def handle_data(self, data):
        if self.tag in ("th", "td"):
            self.cells[-1] += data
        elif self.tag != "style":
            self.elsewhere += data


class Links(HTMLParser):
    """The page's links as (text, href), and the name of every element in it."""

    def __init__(self, page):
        super().__init__()
        self.links, self.elements = [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append(tag)
        if tag == "a":
            self.links.append(("", dict(attrs)["href"]))

    def handle_data(self, data):
        if self.elements[-1] == "a":
            text, href = self.links.pop()
            self.links.append((text + data, href))


def browser_target(href):
    """Return what a browser on /files/ asks for when this link is clicked (URL Standard, 4.4)."""
    url = re.sub("[\t\r\n]", "", href.strip()).partition("#")[0].replace("\\", "/")
    return quote(urljoin("/files/", url), safe="/?%&'()*+,:;=@!$[]|~")


class Pages(LiveServer):
    def listing(self):
        """Return the parsed page /files/."""
        return Links(self.get("/files/").content.decode())

    def test_the_root_says_hello_world(self):
        response = self.get("/")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertEqual(response.content, b"<h1>Hello World</h1>")

    def test_home_is_its_template_to_the_byte(self):
        response = self.get("/home")
        with open(os.path.join(config.TEMPLATE_DIR, "home.html"), "rb") as file:
            self.assertEqual(response.content, file.read())
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")

    def test_the_listing_is_a_heading_and_a_list_with_a_link_for_each_file(self):
        self.set_config(FILE_DIR=self.make_folder(["b.txt", "a.txt"]))
        response = self.get("/files/")
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")
        self.assertEqual(response.content.decode(),
                         '<h1>Files in server</h1><ul><li><a href="/files/a.txt">a.txt</a></li>'
                         '<li><a href="/files/b.txt">b.txt</a></li></ul>')

    def test_the_listing_is_sorted(self):
        names = [f"{letter}.txt" for letter in "mzcxqhokebwa"]
        self.set_config(FILE_DIR=self.make_folder(names))
        self.assertEqual([text for text, href in self.listing().links], sorted(names))

    def test_a_listing_of_many_files_takes_little_time(self):
        self.set_config(FILE_DIR=self.make_folder([f"{number}.txt" for number in range(500)]))
        start = time.thread_time()  # the processor's time for this: other programs do not count
        status, content_type, body = routes.list_files(make_request("/files/"))
        self.assertLess(time.thread_time() - start, 0.2)
        self.assertEqual(body.count("<li>"), 500)

    def test_the_samples_are_listed(self):
        names = [text for text, href in self.listing().links]
        self.assertLessEqual({"hello.txt", "planets.csv", "request-journey.svg"}, set(names))

    def test_an_odd_name_is_listed_as_text_and_its_link_downloads_that_file(self):
        for name in ODD_NAMES:
            with self.subTest(name=name):
                # Decoys: what a link that is not quoted or is decoded twice would lead to.
                decoys = ["a", "100%.txt", "plus and space.txt", "&.txt"]
                self.set_config(FILE_DIR=self.make_folder([name, *decoys]))
                page = self.listing()
                self.assertLessEqual(set(page.elements), {"h1", "ul", "li", "a"})
                self.assertIn(name, dict(page.links))
                response = self.get(browser_target(dict(page.links)[name]))
                self.assertEqual(response.status, 200)
                self.assertEqual(response.content, b"content of " + os.fsencode(name))

    def test_a_name_that_is_not_utf8_does_not_break_the_listing(self):
        self.set_config(FILE_DIR=self.make_folder([b"bad\xff.txt", "good.txt"]))
        self.assertEqual(self.listing().links, [("good.txt", "/files/good.txt")])

    def test_hidden_files_and_folders_are_neither_listed_nor_served(self):
        self.set_config(FILE_DIR=self.make_folder([".hidden", "folder/in.txt"]))
        self.assertEqual(self.listing().links, [])
        for target in ("/files/.hidden", "/files/folder", "/files/folder/", "/files/folder/in.txt"):
            with self.subTest(target=target):
                self.assertEqual(self.get(target).status, 404)

    @unittest.skipUnless(hasattr(os, "mkfifo"), "this system has no named pipes")
    def test_a_pipe_is_neither_listed_nor_served(self):
        folder = self.make_folder()
        os.mkfifo(os.path.join(folder, "pipe.txt"))
        self.set_config(FILE_DIR=folder)
        self.assertEqual(self.listing().links, [])
        self.assertEqual(self.get("/files/pipe.txt").status, 404)

    def test_a_link_that_leads_outside_is_neither_listed_nor_served(self):
        base = self.make_folder(["files/a.txt", "files-private/secret.txt"])
        self.set_config(FILE_DIR=os.path.join(base, "files"))
        for target in ("secret.txt", ""):
            with self.subTest(target=target):
                link = os.path.join(base, "files", "link")
                self.make_link(os.path.join(base, "files-private", target), link)
                self.assertEqual(self.listing().links, [("a.txt", "/files/a.txt")])
                self.assertEqual(self.get("/files/link").status, 404)
                self.assertEqual(self.get("/files/link/secret.txt").status, 404)
                os.remove(link)

    def test_a_link_that_stays_inside_is_listed_and_served(self):
        folder = self.make_folder(["a.txt"])
        self.set_config(FILE_DIR=folder)
        self.make_link(os.path.join(folder, "a.txt"), os.path.join(folder, "link.txt"))
        self.assertIn(("link.txt", "/files/link.txt"), self.listing().links)
        self.assertEqual(self.get("/files/link.txt").content, b"content of a.txt")

    def test_the_listing_of_a_missing_folder_is_a_plain_500(self):
        for path in (os.path.join(self.make_folder(), "missing"), __file__):
            with self.subTest(path=path):
                self.set_config(FILE_DIR=path)
                response = self.get("/files/")
                self.assertEqual(response.status, 500)
                self.assertEqual(response.headers["Content-Type"], "text/plain; charset=utf-8")
                self.assertEqual(response.content, b"Directory not found")

    def test_other_trouble_with_the_folder_is_a_bug_that_the_console_names(self):
        with mock.patch("os.listdir", side_effect=OSError(errno.EMFILE, "Too many open files")):
            response = self.get("/files/")
        self.assertEqual(response.status, 500)
        self.assertNotIn(b"Directory not found", response.content)
        self.assertIn("Too many open files", self.console.getvalue())

    def test_the_article_s_routes_come_first(self):
        with open(routes.__file__, encoding="utf-8") as file:
            paths = re.findall(r'^@route\("(.*)"\)$', file.read(), re.MULTILINE)
        self.assertEqual(paths[:4], ["/", "/files/", "/home", "/request"])

    def test_a_handler_can_be_called_without_a_server(self):
        self.assertEqual(routes.homepage(make_request()),
                         (200, "text/html", "<h1>Hello World</h1>"))


class ShownRequest(LiveServer):
    def test_it_shows_method_path_parameters_and_headers_in_their_order(self):
        response = self.ask("GET", "/request?x=1&y=&x=2&na%20me=a+b%26", headers={"X-Mood": "good"})
        self.assertEqual(response.status, 200)
        self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")
        rows = Table(response.content.decode()).rows
        self.assertEqual(rows[:5], [("method", "GET"), ("path", "/request"),
                                    ("x", "1"), ("y", ""), ("na me", "a b&")])
        self.assertEqual([name for name, value in rows[5:]],
                         ["Host", "Accept-Encoding", "X-Mood", "Connection"])
        self.assertIn(("X-Mood", "good"), rows)

    def test_it_greets_whom_the_query_names(self):
        for query, name in [("?name=Ada", "Ada"), ("?name=A+%26+B", "A & B"), ("", "stranger"),
                            ("?name=", "stranger"), ("?x=1", "stranger")]:
            with self.subTest(query=query):
                page = Table(self.get("/request" + query).content.decode())
                self.assertIn(f"Hello, {name}!", page.elsewhere)

    def test_whatever_a_visitor_sends_stays_text(self):
        evil = "<script>alert(1)</script>\"'&$name"
        page = self.ask("GET", "/request?" + urlencode({"name": evil, evil: evil}),
                        headers={"X-Mood": evil}).content.decode()
        self.assertNotIn("<script", page)
        rows = Table(page).rows
        for row in (("name", evil), (evil, evil), ("X-Mood", evil)):
            self.assertIn(row, rows)
        self.assertIn(f"Hello, {evil}!", Table(page).elsewhere)

    def test_its_form_sends_another_one_and_home_leads_to_it(self):
        page = self.get("/request").content.decode()
        self.assertRegex(page, '<form action="/request">')
        self.assertRegex(page, '<input [^>]*name="name"')
        self.assertIn(b'<a href="/request">', self.get("/home").content)
