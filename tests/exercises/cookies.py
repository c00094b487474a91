"""Exercise 4: the page /visits of your routes.py counts the visits of each browser."""
from tests.exercises import support


class Browser:
    """Keeps the cookies that a server sets, and sends them back."""

    def __init__(self, exercise):
        self.exercise = exercise
        self.cookies = {}

    def ask(self, request, body=None):
        """Send a request with all cookies, keep those that come back, and return the Answer."""
        cookies = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        answer = self.exercise.ask(request, body, {"Cookie": cookies} if cookies else {})
        for cookie in answer.headers.get_all("Set-Cookie", []):
            name, _, value = cookie.partition(";")[0].partition("=")
            self.cookies[name.strip()] = value.strip()
        return answer


class Cookies(support.Exercise):
    """GET /visits -> 1, then 2, then 3 in the same browser"""

    def reach_goal(self):
        browser = Browser(self)
        self.visit(browser, 1)
        if len(browser.cookies) != 1:
            self.complain("GET /visits", "one header Set-Cookie", f"cookies {browser.cookies}")
        self.visit(browser, 2)
        self.visit(browser, 3)

    def visit(self, browser, count):
        """Expect this count for this browser."""
        self.check(browser.ask("GET /visits"), 200, str(count))

    def expect_count(self, cookies, count):
        """Expect this count for these cookies; in them, NAME is the name of the right one."""
        browser = Browser(self)
        self.visit(browser, 1)
        cookies = cookies.replace("NAME", next(iter(browser.cookies)))
        self.expect("GET /visits", 200, str(count), sent_headers={"Cookie": cookies},
                    about=f" with Cookie: {cookies:.80}")

    def test_two_browsers_are_counted_apart(self):
        one, other = Browser(self), Browser(self)
        self.visit(one, 1)
        self.visit(one, 2)
        self.visit(other, 1)
        self.visit(one, 3)
        self.visit(other, 2)

    def test_the_value_of_the_cookie_is_the_number(self):
        for value, count in [("1", 2), ("007", 8), ("999999999", 1000000000)]:
            self.expect_count(f"NAME={value}", count)

    def test_other_cookies_do_not_disturb(self):
        self.expect_count("theme=dark", 1)
        for other in ("theme=dark", "myNAME=70", "my-NAME=70", "NAMEs=70", "city=Zürich",
                      'cart={"a": 1, "b": [2]}', "a=b=c", "a/b=1", "lonely", "=1", "="):
            self.expect_count(f"{other}; NAME=1", 2)
            self.expect_count(f"NAME=1; {other}", 2)

    def test_any_other_value_counts_from_1_again(self):
        for value in ("", "abc", "-5", "1.5", "1e3", "1_0", "²", "9" * 10, "9" * 5000):
            self.expect_count(f"NAME={value}", 1)

    def test_a_header_without_the_cookie_counts_from_1_again(self):
        for cookies in ("", "NAME", "=1", ";;;", "ÿ=ÿ"):
            self.expect_count(cookies, 1)
