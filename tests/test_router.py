"""What @route registers, what it refuses, and what counts as a response."""
import unittest
from unittest import mock

import router

# (what a handler returned, what is sent)
RESPONSES = [
    ((200, "text/html", "<p>é</p>"), (200, "text/html; charset=utf-8", b"<p>\xc3\xa9</p>")),
    ((200, "TEXT/plain", "x"), (200, "TEXT/plain; charset=utf-8", b"x")),
    ((200, "text/plain; charset=utf-8", "x"), (200, "text/plain; charset=utf-8", b"x")),
    ((200, "text/plain; Charset=us-ascii", "x"), (200, "text/plain; Charset=us-ascii", b"x")),
    ((200, "application/json", '"é"'), (200, "application/json", b'"\xc3\xa9"')),
    ((200, "text/csv", b"\xff"), (200, "text/csv", b"\xff")),
    ((404, "image/png", b""), (404, "image/png", b"")),
    ((599, "text/css", ""), (599, "text/css; charset=utf-8", b"")),
]

NO_RESPONSES = [
    None, "<h1>Hello</h1>", 200, (), (200, "text/html"), (200, "text/html", "x", "y"),
    [200, "text/html", "x"],
    (200, "text/html", None), (200, "text/html", 5), (200, "text/html", ["x"]),
    (None, "text/html", "x"), ("200", "text/html", "x"), (200.0, "text/html", "x"),
    (True, "text/html", "x"), (99, "text/html", "x"), (199, "text/html", "x"), (600, "text/html", "x"),
    (200, None, "x"), (200, b"text/html", "x"), (200, "", "x"),
    (200, "text/html\r\nX-Evil: 1", "x"), (200, "text/html\n", "x"), (200, "text/html\r", "x"),
    (200, "text/é", "x"), (200, "text/\x00", "x"),
]


class Routes(unittest.TestCase):
    def setUp(self):
        patch = mock.patch.dict(router.ROUTES, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def test_a_handler_is_registered_and_given_back_unchanged(self):
        def about(request):
            return 200, "text/plain", "about"

        self.assertIs(router.route("/about")(about), about)
        self.assertEqual(router.ROUTES, {"/about": about})

    def test_a_second_handler_for_a_path_is_refused_and_both_are_named(self):
        def first(request):
            return 200, "text/plain", "first"

        def second(request):
            return 200, "text/plain", "second"

        router.route("/about")(first)
        with self.assertRaises(ValueError) as caught:
            router.route("/about")(second)
        for word in ("'/about'", "first", "second", "already"):
            self.assertIn(word, str(caught.exception))
        self.assertIs(router.ROUTES["/about"], first)

    def test_a_path_that_no_request_can_have_is_refused_with_the_reason(self):
        for path in ("about", "", " /about", "http://host/about", "/about?x=1", "/about#top", "/a\n?"):
            with self.subTest(path=path):
                with self.assertRaises(ValueError) as caught:
                    router.route(path)
                for word in (repr(path), 'starts with "/"', 'no "?" or "#"'):
                    self.assertIn(word, str(caught.exception))

    def test_route_without_parentheses_is_refused_by_name(self):
        with self.assertRaisesRegex(ValueError, 'starts with "/".*forgetful'):
            @router.route
            def forgetful(request):
                return 200, "text/plain", "x"


class Responses(unittest.TestCase):
    def test_a_response_is_made_ready_to_send(self):
        for response, expected in RESPONSES:
            with self.subTest(response=response):
                self.assertEqual(router.prepare(response), expected)

    def test_anything_else_is_no_response(self):
        for response in NO_RESPONSES:
            with self.subTest(response=response):
                self.assertIsNone(router.prepare(response))
