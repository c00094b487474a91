"""Exercise 1: a handler may return a fourth item, a dictionary of headers."""
import json

from tests.exercises import support


class Redirects(support.Exercise):
    """GET /old -> 302 Found with Location: /home"""

    PAGES = '''
import json
from router import route

SHARED = {"X-Colour": "green"}

@route("/old")
def old(request):
    return 302, "text/plain", "", {"Location": "/home"}

@route("/shared")
def shared(request):
    return 200, "text/plain", "shared", SHARED

@route("/three")
def three(request):
    return 200, "text/plain", "three"

@route("/two")
def two(request):
    return 200, "text/plain"

@route("/five")
def five(request):
    return 200, "text/plain", "five", {}, {}

@route("/any")
def any_headers(request):
    return 200, "text/plain", "any", json.loads(request.body)
'''

    def reach_goal(self):
        self.expect("GET /old", 302, "", {"Location": "/home"})

    def expect_any(self, returned, status, headers=None, connection=None):
        """Expect this from a handler that returns these headers."""
        about = f", whose handler returns the headers {returned!r}"
        self.expect("GET /any", status, None, headers, json.dumps(returned), None, connection,
                    about)

    def test_the_headers_of_a_handler_are_sent(self):
        several = {"X-Colour": "light green; 50%", "cache-control": "no-store"}
        self.expect_any(several, 200, {**several, "Content-Type": "text/plain; charset=utf-8"})
        printable = "".join(map(chr, range(0x21, 0x7F)))
        self.expect_any({"A-1-z": printable}, 200, {"A-1-z": printable})
        self.expect_any({}, 200)

    def test_head_works(self):
        self.expect("HEAD /old", 302, "", {"Location": "/home"})

    def test_a_handler_may_return_the_same_dictionary_again(self):
        for _ in range(2):
            self.expect("GET /shared", 200, "shared", {"X-Colour": "green"})

    def test_three_items_still_work(self):
        self.expect("GET /three", 200, "three", {"Content-Type": "text/plain; charset=utf-8"})

    def test_another_number_of_items_is_a_500(self):
        self.expect("GET /two", 500)
        self.expect("GET /five", 500)

    def test_headers_that_are_no_dictionary_are_a_500(self):
        for returned in ("Location: /home", [["X-A", "1"]], None):
            self.expect_any(returned, 500)

    def test_what_cannot_be_a_header_is_a_500_and_never_sent(self):
        table = [
            {"X-A": "1\r\nX-Evil: 1"}, {"X-A": "1\nX-Evil: 1"}, {"X-A": "1\n"}, {"X-A": "1\r"},
            {"X-A\r\nX-Evil": "1"}, {"X-A\n": "1"}, {"X-A: 1\r\nX-Evil": "1"},
            {"X-A:": "1"}, {"X A": "1"}, {"": "1"}, {"X-é": "1"},
            {"X-A": "\0"}, {"X-A": "é"}, {"X-A": "日本"}, {"X-A": 1},
            {"X-Evil": "1", "X-A": "1\n"},
        ]
        for returned in table:
            self.expect_any(returned, 500, {"X-Evil": None, "X-A": None})

    def test_a_header_that_the_server_sends_itself_is_a_500(self):
        for name in ("Content-Type", "Content-Length", "Transfer-Encoding", "Connection", "Date",
                     "Server", "content-length", "DATE"):
            self.expect_any({name: "5"}, 500)

    def test_the_connection_goes_on_afterwards(self):
        connection = self.connect()
        self.expect("GET /old", 302, "", {"Location": "/home"}, connection=connection)
        self.expect_any({"X-A": "1\r\nX-Evil: 1"}, 500, connection=connection)
        headers = {"Location": None, "X-A": None}
        self.expect("GET /three", 200, "three", headers, connection=connection)
