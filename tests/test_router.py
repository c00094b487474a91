"""router.py, first part: what @route registers and refuses, and what counts as a response."""
import functools
import unittest
from http import HTTPStatus

import router
from tests.support import Sandbox, shipped

# (what a handler returned, the status, content type and body that are sent)
RESPONSES = [
    ((200, "text/html", "<p>é</p>"), (200, "text/html; charset=utf-8", b"<p>\xc3\xa9</p>")),
    ((200, "text/plain;charset=latin-1", "é"), (200, "text/plain; charset=utf-8", b"\xc3\xa9")),
    ((200, "text/plain; charset=latin-1", b"\xe9"), (200, "text/plain; charset=latin-1", b"\xe9")),
    ((200, "application/json", '"é"'), (200, "application/json", b'"\xc3\xa9"')),
    ((200, "application/vnd.a+b-c_d ; x", ""), (200, "application/vnd.a+b-c_d ; x", b"")),
    ((HTTPStatus.NOT_FOUND, "image/svg+xml", b"\xff"), (404, "image/svg+xml", b"\xff")),
    ((599, "a/b", b""), (599, "a/b", b"")),
]

# (what a handler returned, the beginning of what is said about it)
WRONG_RESPONSES = [
    (None, "response is None, not a tuple of three"),
    ("x" * 1000000, "response is 'xxxxx"),
    ("<h1>Hello</h1>", "response is '<h1>Hello</h1>', not a tuple"),
    ([200, "text/html", "x"], "response is [200, 'text/html', 'x'], not a tuple"),
    ((200, "text/html"), "response "),
    ((200, "text/html", "x", "y"), ""),  # a fourth item is exercise 1
    ((200, "text/html", "x", {}, "y"), "response "),
    ((None, "text/html", "x"), "status is None, not a number from 200 to 599"),
    (("200", "text/html", "x"), "status is '200', not a number from 200 to 599"),
    (("x" * 1000000, "text/html", "x"), "status is 'xxxxx"),
    ((199, "text/html", "x"), "status is 199, not"),
    ((600, "text/html", "x"), "status is 600, not"),
    ((200, None, "x"), "content type is None, not like 'text/html'"),
    ((200, "x" * 1000000, "x"), "content type is 'xxxxx"),
    ((200, "<h1>Hello</h1>", "text/html"), "content type is '<h1>Hello</h1>', not"),
    ((200, "text/html\r\nX-Evil: 1", "x"), "content type is 'text/html\\r\\nX-Evil: 1', not"),
    ((200, "text/html;\n", "x"), "content type is 'text/html;\\n', not"),
    ((200, "text/html; x=\x1b", "x"), "content type is 'text/html; x=\\x1b', not"),
    ((200, "text/é", "x"), "content type is 'text/é', not"),
    ((200, "text/html", None), "body is None, not text (str) or bytes"),
    ((200, "text/html", bytearray(b"x")), "body is bytearray(b'x'), not"),
    ((200, "text/html", ["x" * 1000000]), "body is ['xxxxx"),
]


class Routes(Sandbox):
    def test_a_handler_is_registered_and_given_back_unchanged(self):
        for path in ("/about", "/a b/ü%/", "/100%"):
            self.assertIs(router.route(path)(print), print)
            self.assertIs(router.ROUTES[path], print)

    def test_a_second_handler_for_a_path_is_refused_and_the_first_stays(self):
        router.route("/about")(functools.partial(print, "first"))
        with self.assertRaisesRegex(ValueError, "'/about' already has the handler f.*first"):
            router.route("/about")(print)
        self.assertIn("first", repr(router.ROUTES["/about"]))

    def test_what_is_no_path_is_refused_and_shown(self):
        for path in ("about", "", " /about", "/about?x=1", "/about#top", "/a\n?", None, b"/about",
                     self.setUp):  # as from @route without parentheses
            with self.assertRaises(ValueError) as caught:
                router.route(path)
            self.assertIn(repr(path), str(caught.exception))

    @shipped("router.py")
    def test_whoever_tries_a_path_parameter_learns_that_it_is_an_exercise(self):
        for path in ("/<name>", "/b>", "/{name}", "/b}"):
            with self.assertRaisesRegex(ValueError, f'exact path such as "/home", not {path!r}'
                                                    r" \(exercise 3 adds path parameters\)"):
                router.route(path)


class Responses(unittest.TestCase):
    def test_a_response_is_made_ready_to_send(self):
        for response, expected in RESPONSES:
            ready = router.check_response(response)
            self.assertEqual((ready[:3], type(ready[0])), (expected, int))

    def test_of_anything_else_it_is_said_in_short_what_is_wrong(self):
        for response, message in WRONG_RESPONSES:
            with self.subTest(message):
                with self.assertRaises(router.WrongResponse) as caught:
                    router.check_response(response)
                said = str(caught.exception)
                self.assertTrue(said.startswith(message) and len(said) < 150, said)
