"""Exercise 5: each response of a handler says in a header how long the handler took."""
import re
import time

from tests.exercises import support


class Middleware(support.Exercise):
    """GET / -> the page as before, and the header X-Time: 0.8 ms"""

    PAGES = '''
import time
from router import route

SHARED = {"X-Colour": "green"}

@route("/")
def homepage(request):
    return 200, "text/html", "<b>page</b>"

@route("/four")
def four(request):
    return 302, "text/plain", "", {"Location": "/home"}

@route("/shared")
def shared(request):
    return 200, "text/plain", str(SHARED), SHARED

@route("/missing")
def missing(request):
    return 404, "text/plain", "There is no such planet."

@route("/gif")
def gif(request):
    return 200, "image/gif", b"GIF", {"X-Colour": "red"}

CALLS = []

@route("/calls")
def calls(request):
    CALLS.append(request)
    return 200, "text/plain", str(len(CALLS))

@route("/slow")
def slow(request):
    time.sleep(0.05)
    return 200, "text/plain", "slow"

@route("/raises")
def raises(request):
    raise KeyError("raised by the handler")

@route("/none")
def nothing(request):
    pass

@route("/five")
def one_too_many(request):
    return 200, "text/plain", "five", {}, {}

@route("/text")
def no_dictionary(request):
    return 200, "text/plain", "text", "Location: /home"

@route("/evil")
def evil(request):
    return 200, "text/plain", "evil", {"Location": "/home\\r\\nX-Evil: 1"}
'''

    def reach_goal(self):
        self.read_time(self.expect("GET /", 200, "<b>page</b>"))

    def read_time(self, answer):
        """Return the milliseconds that X-Time says; fail if there is not one such header."""
        times = answer.headers.get_all("X-Time", [])
        match = re.fullmatch(r"([0-9]+(\.[0-9]+)?) ms", times[0]) if len(times) == 1 else None
        if not match:
            got = [f"X-Time: {value}" for value in times] or "no X-Time"
            self.complain(answer.request, "a header such as X-Time: 0.8 ms", got)
        return float(match[1])

    def test_each_response_of_a_handler_has_the_header(self):
        for request in ("HEAD /", "GET /four", "GET /missing", "GET /gif", "GET /"):
            self.read_time(self.ask(request))

    def test_nothing_else_changes(self):
        self.expect("GET /", 200, "<b>page</b>", {"Content-Type": "text/html; charset=utf-8"})
        self.expect("GET /four", 302, "", {"Location": "/home"})
        self.expect("GET /missing", 404, "There is no such planet.")
        self.expect("GET /gif", 200, "GIF", {"Content-Type": "image/gif", "X-Colour": "red"})
        for count in ("1", "2"):
            self.expect("GET /calls", 200, count)

    def test_the_dictionary_of_the_handler_does_not_change(self):
        for _ in range(2):
            answer = self.expect("GET /shared", 200, "{'X-Colour': 'green'}")
            self.read_time(answer)

    def test_the_time_is_that_of_the_handler(self):
        connection = self.connect()
        self.read_time(self.ask("GET /", connection=connection))
        time.sleep(0.1)  # the pause between two requests is not the handler's time
        start = time.perf_counter()
        told = self.read_time(self.ask("GET /slow", connection=connection))
        passed = (time.perf_counter() - start) * 1000
        if not 40 <= told <= passed + 20:  # clocks differ a little
            self.complain("GET /slow, whose handler sleeps for 50 ms",
                          f"an X-Time from 50 to {passed:.0f} ms", f"{told} ms")

    def test_a_handler_that_fails_is_a_500_as_before(self):
        self.expect("GET /raises", 500)
        self.expect_on_console("raised by the handler")
        self.expect("GET /evil", 500, headers={"X-Evil": None})

    def test_the_console_still_names_the_handler_of_a_wrong_response(self):
        for path, text in [("/none", "nothing: response"), ("/five", "one_too_many: "),
                           ("/text", "no_dictionary: ")]:
            self.expect(f"GET {path}", 500)
            self.expect_on_console(text)

    def test_what_no_handler_answers_is_answered_as_before(self):
        self.expect("GET /nowhere", 404)
        self.expect("GET /files/hello.txt", 200, "Hello!")
