"""The pages that come with the project: routes.py, templates/ and files/.

Change them as you like: a test that no longer fits is skipped, and says what was changed.
"""
import os
import re
from email.message import Message
from html import unescape
from unittest import mock
from urllib.parse import quote, urljoin

import config
import main
import router
import routes
import utils
from tests.support import ODD_NAMES, PROJECT, SHIPPED, LiveServer, make_request, shipped


class ShippedPages(LiveServer):
    def setUp(self):
        super().setUp()
        self.set_config(TEMPLATE_DIR=os.path.join(PROJECT, "templates"))
        self.change(mock.patch.dict(router.ROUTES, SHIPPED, clear=True))

    def test_the_pages_answer_as_those_of_the_article(self):
        self.set_config(FILE_DIR=self.make_folder("b.txt", "a.txt", "folder/c.txt"))
        for path, status, text in [
            ("/", 200, r"\A<h1>Hello World</h1>\Z"),
            ("/files/", 200, '<h1>Files in server</h1><ul><li><a href="/files/a.txt">a.txt</a>'
                             '</li><li><a href="/files/b.txt">b.txt</a></li></ul>'),
            ("/home", 200, "<code>templates/home.html</code>"),
            ("/no/such/page", 404, "<h1>404 Page Not Found</h1>\n  <p>There is no page at this"),
        ]:
            with self.subTest(path), shipped("routes.py or templates/"):
                response = self.get(path)
                self.assertEqual(response.headers["Content-Type"], "text/html; charset=utf-8")
                self.assertEqual(response.status, status)
                self.assertRegex(response.content.decode(), text)

    def test_what_a_page_links_to_is_there(self):
        self.set_config(FILE_DIR=os.path.join(PROJECT, "files"))
        for path in ("/files/", "/home", "/request", "/no/such/page"):
            with self.subTest(path), shipped("routes.py or templates/"):
                page = self.get(path).content.decode()
                for link in re.findall('(?:href|src|action)="(/[^"]*)"', page):
                    self.assertEqual(self.get(link).status, 200, link)

    @shipped("templates/request.html or the page /request in routes.py")
    def test_the_page_request_shows_the_request_as_text_and_greets_the_visitor(self):
        headers = Message()
        for name, value in [("X-Mood", "good"), ("Cookie", "a=1"), ("Cookie", "b=<script>")]:
            headers.add_header(name, value)
        query = "name=Ada&x=100%&" + quote("<script>") + "=" + quote("</pre>'\"")
        request = make_request("/request", query)._replace(headers=headers)
        *start, page = router.ROUTES["/request"](request)
        self.assertEqual(start, [200, "text/html"])
        for text in ("Hello, Ada!", "method: GET\npath: /request\nquery: " + query,
                     "name = Ada\nx = 100%\n<script> = </pre>'\"",
                     "X-Mood: good\nCookie: a=1\nCookie: b=<script>"):
            self.assertIn(text, unescape(page))
        self.assertNotIn("<script>", page)
        page = router.ROUTES["/request"](make_request(query="name="))[2]
        self.assertIn("Hello, stranger!", page)

    @shipped("files/request-journey.svg, or what it names,")
    def test_the_picture_names_functions_that_exist(self):
        with open(os.path.join(PROJECT, "files", "request-journey.svg"), encoding="utf-8") as file:
            picture = re.sub("<style>.*</style>|<[^>]*>", " ", file.read(), flags=re.DOTALL)
        names = set(re.findall(r"\b[a-z]+_\w+|\b[A-Z][a-z]+[A-Z]\w+", picture))
        self.assertGreater(len(names), 5)
        owners = (config, router, routes, utils, main, main.SidhHTTP)
        self.assertEqual(names - {name for owner in owners for name in vars(owner)}, set())


class Listing(LiveServer):
    def setUp(self):
        super().setUp()
        self.write("files.html", b"$links")
        router.ROUTES["/files/"] = SHIPPED.get("/files/")

    def listing(self):
        """Return the links of the page /files/, as {text: href}."""
        page = self.get("/files/").content.decode()
        links = re.findall('<li><a href="([^"<>]*)">([^"<>]*)</a></li>', page)
        self.assertEqual(page.count("<"), 4 * len(links))
        return {unescape(text): unescape(href) for href, text in links}

    def test_an_odd_name_is_listed_as_text_and_its_link_downloads_that_file(self):
        for name in ODD_NAMES:
            with self.subTest(name=name), shipped("the page /files/ in routes.py"):
                # Decoys: what a link that is not quoted or is decoded twice would lead to.
                decoys = ["a", "100%.txt", "plus and space.txt", "&.txt"]
                self.set_config(FILE_DIR=self.make_folder(name, *decoys))
                # What a browser makes of a link (URL Standard, 4.4)
                url = re.sub("[\t\r\n]|#.*", "", self.listing()[name]).replace("\\", "/")
                target = quote(urljoin("/files/", url), safe="/?%&'()*+,:;=@!$|~")
                self.assertEqual(self.get(target).content, b"content of " + os.fsencode(name))

    @shipped("the page /files/ in routes.py")
    def test_only_what_can_be_downloaded_is_listed(self):
        base = self.make_folder("files/a.txt", "files/.hidden", "files/sub/in.txt", "secret.txt")
        self.set_config(FILE_DIR=os.path.join(base, "files"))
        self.make_link(os.path.join(base, "secret.txt"), os.path.join(base, "files", "link.txt"))
        self.assertEqual(self.listing(), {"a.txt": "/files/a.txt"})
        self.set_config(FILE_DIR=self.make_folder(b"bad\xff.txt", "good.txt"))
        self.assertEqual(self.listing(), {"good.txt": "/files/good.txt"})

    @shipped("the page /files/ in routes.py")
    def test_without_its_folder_it_is_a_plain_500_and_the_console_says_why(self):
        for path in (os.path.join(self.make_folder(), "missing"), __file__):
            self.set_config(FILE_DIR=path)
            response = self.get("/files/")
            self.assertEqual((response.status, response.content), (500, b"Directory not found"))
            self.assertEqual(response.headers["Content-Type"], "text/plain; charset=utf-8")
            self.assertIn(repr(config.FILE_DIR), self.said())
