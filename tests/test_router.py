"""router.py: what @route registers and refuses, and what counts as a response."""
import functools
import unittest
from http import HTTPStatus

import router
from tests.support import Sandbox, make_request

# (what a handler returned, the status, content type and body that are sent)
RESPONSES = [
    ((200, "text/html", "<p>é</p>"), (200, "text/html; charset=utf-8", b"<p>\xc3\xa9</p>")),
    ((200, "TEXT/plain", "x"), (200, "TEXT/plain; charset=utf-8", b"x")),
    ((200, "text/plain; charset=utf-8", "é"), (200, "text/plain; charset=utf-8", b"\xc3\xa9")),
    ((200, 'text/plain;Charset="UTF-8"', "x"), (200, 'text/plain;Charset="UTF-8"', b"x")),
    ((200, "text/plain; charset = utf-8", "x"), (200, "text/plain; charset = utf-8", b"x")),
    ((200, "text/plain; charset=utf8; x=y", "x"), (200, "text/plain; charset=utf8; x=y", b"x")),
    ((200, "text/x; charsets=7", "x"), (200, "text/x; charsets=7; charset=utf-8", b"x")),
    ((200, "text/plain; charset=us-ascii", b"x"), (200, "text/plain; charset=us-ascii", b"x")),
    ((200, "application/json", '"é"'), (200, "application/json", b'"\xc3\xa9"')),
    ((200, "application/vnd.a+b-c_d", ""), (200, "application/vnd.a+b-c_d", b"")),
    ((200, "text/csv", b"\xff"), (200, "text/csv", b"\xff")),
    ((HTTPStatus.NOT_FOUND, "image/png", b""), (404, "image/png", b"")),
    ((599, "text/css", ""), (599, "text/css; charset=utf-8", b"")),
]

# (what a handler returned, what is said about it)
WRONG_RESPONSES = [
    (None, "response is None, not a tuple"),
    ("<h1>Hello</h1>", "response is '<h1>Hello</h1>', not a tuple (status, content type, body)"),
    ([200, "text/html", "x"], "response is [200, 'text/html', 'x'], not a tuple"),
    ((), "response has 0 items, not"),
    ((200, "text/html"), "response has 2 items, not"),
    ((200, "text/html", "x", {}, "y"), "response has 5 items, not"),
    ((None, "text/html", "x"), "status is None, not a number from 200 to 599"),
    (("200", "text/html", "x"), "status is '200', not a number from 200 to 599"),
    ((200.0, "text/html", "x"), "status is 200.0, not"),
    ((199, "text/html", "x"), "status is 199, not"),
    ((600, "text/html", "x"), "status is 600, not"),
    ((200, None, "x"), "content type is None, not text of the form 'text/html'"),
    ((200, "html", "x"), "content type is 'html', not"),
    ((200, "<h1>Hello</h1>", "text/html"), "content type is '<h1>Hello</h1>', not"),
    ((200, "text/html\r\nX-Evil: 1", "x"), "content type is 'text/html\\r\\nX-Evil: 1', not"),
    ((200, "text/html\n", "x"), "content type is 'text/html\\n', not"),
    ((200, "text/html; x=\x1b", "x"), "content type is 'text/html; x=\\x1b', not"),
    ((200, "text/é", "x"), "content type is 'text/é', not"),
    ((200, "text/html", None), "body is None, not text (str) or bytes"),
    ((200, "text/html; charset=iso-8859-1", "é"), "content type is 'text/html; "
     "charset=iso-8859-1', but text is sent as UTF-8: for another charset, return bytes"),
    ((200, 'text/html;x=y ; CHARSET="utf-16"', "é"),
     "content type is 'text/html;x=y ; CHARSET=\"utf-16\"', but text is sent as UTF-8"),
    ("<p>" * 1000000, "response is '" + "<p>" * 33 + ", not a tuple"),
    ((200, "x" * 1000, ""), "content type is '" + "x" * 99 + ", not"),
]


class Routes(Sandbox):
    def test_a_handler_is_registered_and_given_back_unchanged(self):
        def about(request):
            return 200, "text/plain", "about"

        for path in ("/about", "/a b/ü%/", "/100%", "/two\nlines"):
            with self.subTest(path):
                self.assertIs(router.route(path)(about), about)
                self.assertIs(router.ROUTES[path], about)

    def test_a_second_handler_for_a_path_is_refused_and_both_are_named(self):
        def second(request):
            return 200, "text/plain", "second"

        for first, name in [(second, "second"), (functools.partial(print), "functools.partial")]:
            path = f"/about/{name}"
            router.route(path)(first)
            with self.assertRaises(ValueError) as caught:
                router.route(path)(second)
            self.assertRegex(str(caught.exception),
                             rf"\Asecond: '{path}' already has the handler {name}")
            self.assertIs(router.ROUTES[path], first)

    def test_a_path_that_no_request_can_have_is_refused_with_the_right_form(self):
        for path in ("about", "", " /about", "/about?x=1", "/about#top", "/a\n?", None, b"/about"):
            with self.subTest(path=path):
                with self.assertRaises(ValueError) as caught:
                    router.route(path)
                for words in ('@route("/path")', 'without "?" and "#"', repr(path)):
                    self.assertIn(words, str(caught.exception))

    def test_without_parentheses_the_right_form_is_shown(self):
        with self.assertRaisesRegex(ValueError, r'@route\("/path"\).*forgetful'):
            @router.route
            def forgetful(request):
                return 200, "text/plain", "x"


class Requests(unittest.TestCase):
    def test_a_request_is_plain_data_that_cannot_be_changed(self):
        request = make_request("/a", "x=1", "GET", b"abc")
        self.assertEqual(request._fields,
                         ("method", "path", "query", "headers", "body", "client_address"))
        with self.assertRaises(AttributeError):
            request.path = "/b"


class Responses(unittest.TestCase):
    def test_a_response_is_made_ready_to_send(self):
        for response, expected in RESPONSES:
            with self.subTest(response=response):
                ready = router.check_response(response)
                self.assertEqual(ready[:3], expected)
                self.assertIs(type(ready[0]), int)

    def test_of_anything_else_it_is_said_what_is_wrong(self):
        for response, message in WRONG_RESPONSES:
            with self.subTest(message):
                with self.assertRaises(router.WrongResponse) as caught:
                    router.check_response(response)
                self.assertTrue(str(caught.exception).startswith(message), caught.exception)
