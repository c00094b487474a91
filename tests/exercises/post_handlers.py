"""Exercise 2: @route(path, method="POST") registers a handler for POST."""
import re

from tests.exercises import support


class PostHandlers(support.Exercise):
    """POST /shout with the body hello -> HELLO"""

    PAGES = '''
from urllib.parse import parse_qs
from router import route

@route("/shout", method="POST")
def shout(request):
    return 200, "text/plain", request.body.decode(errors="replace").upper()

@route("/seen", method="POST")
def seen(request):
    return 200, "text/plain", f"{request.method} {request.path} {request.query} {request.body}"

@route("/form", method="POST")
def form(request):
    fields = parse_qs(request.body.decode(errors="replace"), keep_blank_values=True)
    return 200, "text/plain", str(fields)

@route("/both")
def both_get(request):
    return 200, "text/plain", "for GET"

@route("/both", method="POST")
def both_post(request):
    return 200, "text/plain", "for POST"

@route("/turned", method="POST")
def turned_post(request):
    return 200, "text/plain", "for POST"

@route("/turned", method="GET")
def turned_get(request):
    return 200, "text/plain", "for GET"

@route("/page")
def page(request):
    return 200, "text/plain", "a page"

@route("/raises", method="POST")
def raises(request):
    raise KeyError("raised by the handler")

@route("/nothing", method="POST")
def forgetful(request):
    pass

@route("/register", method="POST")
def register(request):
    path, method = request.body.decode(errors="replace").split(" ")
    try:
        route(path, method=method)(page)
    except ValueError:
        return 200, "text/plain", "ValueError"
    return 200, "text/plain", "registered"
'''

    def reach_goal(self):
        self.post("/shout", 200, "HELLO")

    def post(self, path, status, body=None, headers=None, connection=None):
        """Expect this for a POST with the body hello."""
        return self.expect(f"POST {path}", status, body, headers, b"hello", None, connection)

    def test_the_handler_gets_the_whole_request(self):
        self.expect("POST /seen?x=1", 200, "POST /seen x=1 b' he\\xffo\\n'",
                    sent_body=b" he\xffo\n")
        self.expect("POST /shout", 200, "", sent_body=b"")

    def test_a_handler_can_read_a_form(self):
        self.expect("POST /form", 200, "{'name': ['Ada & Zoë'], 'town': ['']}",
                    sent_body="name=Ada+%26+Zo%C3%AB&town=",
                    sent_headers={"Content-Type": "application/x-www-form-urlencoded"})

    def test_a_query_does_not_hide_the_handler(self):
        self.post("/shout?x=1", 200, "HELLO")

    def test_a_post_to_any_other_path_still_tells_the_time(self):
        for path in ("/", "/page", "/shout/", "/files/hello.txt"):
            answer = self.post(path, 200, headers={"Content-Type": "application/json"})
            if not re.fullmatch(r'\{"time": "[\d: -]+"\}', answer.body):
                self.complain(answer.request, "the time as JSON", repr(answer.body))

    def test_a_handler_for_post_does_not_answer_get(self):
        for request in ("GET /shout", "HEAD /shout"):
            answer = self.ask(request)
            if answer.status not in (404, 405):
                self.complain(request, "status 404 or 405", f"{answer.status} {answer.reason}")

    def test_a_path_may_have_a_handler_for_each_method(self):
        for path in ("/both", "/turned"):
            self.expect(f"GET {path}", 200, "for GET")
            self.expect(f"HEAD {path}", 200, "", {"Content-Length": "7"})
            self.post(path, 200, "for POST")

    def test_a_second_handler_or_another_method_is_a_value_error(self):
        table = [("/new", "POST", "registered"), ("/new", "GET", "registered"),
                 ("/seen", "POST", "ValueError"), ("/page", "GET", "ValueError"),
                 ("no-slash", "POST", "ValueError"), ("/other", "PUT", "ValueError"),
                 ("/other", "HEAD", "ValueError"), ("/other", "", "ValueError")]
        for path, method, result in table:
            self.expect("POST /register", 200, result, sent_body=f"{path} {method}",
                        about=f", which calls route({path!r}, method={method!r})")

    def test_a_handler_that_fails_is_a_500(self):
        self.post("/raises", 500)
        self.expect_on_console("raised by the handler")
        self.post("/nothing", 500)
        self.expect_on_console("forgetful")

    def test_the_connection_goes_on_afterwards(self):
        connection = self.connect()
        self.post("/shout", 200, "HELLO", connection=connection)
        self.post("/raises", 500, connection=connection)
        self.expect("GET /page", 200, "a page", connection=connection)
