"""The pages that come with the project: routes.py, templates/ and files/.

Change them as you like. Each test here is about one page or file, and says which one was changed.
"""
import os
import re
import time
import unittest
from html import unescape
from html.parser import HTMLParser
from unittest import mock
from urllib.parse import quote, urljoin
from xml.etree import ElementTree

import router
from tests.support import ODD_NAMES, PROJECT, SHIPPED, LiveServer, Sandbox, make_request

TEMPLATES = os.path.join(PROJECT, "templates")


class ShippedPages(LiveServer):
    def setUp(self):
        super().setUp()
        self.set_config(TEMPLATE_DIR=TEMPLATES)
        self.change(mock.patch.dict(router.ROUTES, SHIPPED, clear=True))

    def test_the_pages_answer_as_those_of_the_article(self):
        with open(os.path.join(TEMPLATES, "home.html"), encoding="utf-8") as file:
            home = file.read()
        self.set_config(FILE_DIR=self.make_folder("b.txt", "a.txt", "folder/c.txt"))
        listing = ('<h1>Files in server</h1><ul><li><a href="/files/a.txt">a.txt</a></li>'
                   '<li><a href="/files/b.txt">b.txt</a></li></ul>')
        for path, page in [("/", "<h1>Hello World</h1>"), ("/files/", listing), ("/home", home)]:
            with self.subTest(f"the page {path} was changed"):
                response = self.get(path)
                self.assertEqual((response.status, response.content.decode()), (200, page))
                self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")

    def test_the_page_request_shows_the_request_and_greets_the_visitor(self):
        page = self.ask("GET", "/request?name=Ada&x=100%", headers={"X-Mood": "good"}).content.decode()
        for text in ("Hello, Ada!", "<tr><th>name</th><td>Ada</td></tr>", "<td>GET</td>",
                     "<tr><th>x</th><td>100%</td></tr>", "<tr><th>X-Mood</th><td>good</td></tr>",
                     "<td>/request</td>", '<form action="/request">'):
            self.assertIn(text, page, "the page /request was changed")
        self.assertIn("Hello, stranger!", self.get("/request?name=").content.decode())

    def test_the_error_page_shows_title_and_text(self):
        page = self.get("/no/such/page").content.decode()
        for text in ("404 Page Not Found", "There is no page at this address."):
            self.assertIn(text, page, "templates/error.html was changed")

    def test_the_picture_names_what_exists(self):
        with open(os.path.join(PROJECT, "files", "request-journey.svg"), encoding="utf-8") as file:
            picture = file.read()
        words = re.findall(r"\w+\.py|\w+", " ".join(ElementTree.fromstring(picture).itertext()))
        names = {word for word in words if re.fullmatch(r"[a-z]+_\w+|[A-Z]+[a-z]+[A-Z]\w+", word)}
        code = ""
        for name in ("main.py", "router.py", "routes.py", "utils.py"):
            with open(os.path.join(PROJECT, name), encoding="utf-8") as file:
                code += file.read()
        self.assertGreater(len(names), 5)
        names.discard("home_page")  # which may have been removed
        missing = {name for name in names if not re.search(rf"(def|class) {name}\b", code)}
        self.assertEqual(missing, set(), "the picture files/request-journey.svg names these")


class Links(HTMLParser):
    """The links of a page as (text, href), and the name of every element in it."""

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


@unittest.skipUnless("/files/" in SHIPPED, "the page /files/ was removed")
class Listing(LiveServer):
    def setUp(self):
        super().setUp()
        router.ROUTES["/files/"] = SHIPPED["/files/"]

    def listing(self):
        """Return the parsed page /files/."""
        return Links(self.get("/files/").content.decode())

    def test_an_odd_name_is_listed_as_text_and_its_link_downloads_that_file(self):
        for name in ODD_NAMES:
            with self.subTest(name=name):
                # Decoys: what a link that is not quoted or is decoded twice would lead to.
                decoys = ["a", "100%.txt", "plus and space.txt", "&.txt"]
                self.set_config(FILE_DIR=self.make_folder(name, *decoys))
                page = self.listing()
                self.assertFalse({"img", "b"} & set(page.elements))
                self.assertIn(name, dict(page.links))
                response = self.get(browser_target(dict(page.links)[name]))
                self.assertEqual(response.status, 200)
                self.assertEqual(response.content, b"content of " + os.fsencode(name))

    def test_what_cannot_be_downloaded_is_not_listed(self):
        base = self.make_folder("files/a.txt", "files/.hidden", "files/folder/in.txt", "secret.txt")
        self.set_config(FILE_DIR=os.path.join(base, "files"))
        if hasattr(os, "mkfifo"):
            os.mkfifo(os.path.join(base, "files", "pipe.txt"))
        self.make_link(os.path.join(base, "secret.txt"), os.path.join(base, "files", "link.txt"))
        self.assertEqual([text for text, _ in self.listing().links], ["a.txt"])

    def test_a_name_that_is_not_utf8_does_not_break_it(self):
        self.set_config(FILE_DIR=self.make_folder(b"bad\xff.txt", "good.txt"))
        self.assertEqual(self.listing().links, [("good.txt", "/files/good.txt")])

    def test_it_is_sorted_and_fast(self):
        names = sorted(f"{number}.txt" for number in range(500))
        self.set_config(FILE_DIR=self.make_folder(*reversed(names)))
        start = time.thread_time()  # the processor's time for this: other programs do not count
        page = SHIPPED["/files/"](make_request("/files/"))[2]
        self.assertLess(time.thread_time() - start, 0.2)
        self.assertEqual([text for text, _ in Links(page).links], names)

    def test_without_its_folder_it_is_a_plain_500(self):
        for path in (os.path.join(self.make_folder(), "missing"), __file__):
            with self.subTest(path=path):
                self.set_config(FILE_DIR=path)
                response = self.get("/files/")
                self.assertEqual((response.status, response.content), (500, b"Directory not found"))
                self.assertEqual(response.headers["Content-Type"], "text/plain; charset=utf-8")


@unittest.skipUnless("/request" in SHIPPED, "the page /request was removed")
class ShownRequest(Sandbox):
    def show(self, query):
        """Return the values in the page's table."""
        self.write("request.html", b"$name|$method|$path|$params|$headers")
        return SHIPPED["/request"](make_request("/request", query))[2]

    def test_whatever_a_visitor_sends_stays_text(self):
        evil = "<script>alert(1)</script>\"'&$name"
        page = self.show(f"{quote(evil)}={quote(evil)}&name={quote(evil)}")
        self.assertNotIn("<script", page)
        self.assertEqual(unescape(page).count(evil), 4)
        self.assertIn("<tr>", page)

    def test_many_parameters_cost_little_time(self):
        query = "&".join(f"{number:x}=" for number in range(16000))
        start = time.thread_time()
        self.assertEqual(self.show(query).count("<tr>"), 16000)
        self.assertLess(time.thread_time() - start, 0.2)
