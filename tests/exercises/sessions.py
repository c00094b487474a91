"""Exercise 6: after a POST to /login of your routes.py, /me knows the visitor's name."""
import itertools
from html import unescape

from tests.exercises import support
from tests.exercises.cookies import Browser


class Sessions(support.Exercise):
    """POST /login with the body Ada, then GET /me -> a page with that name"""

    def reach_goal(self):
        self.expect_name(self.log_in("Ada"), "Ada")

    def log_in(self, name, browser=None):
        """Return a Browser that has logged in with this name."""
        browser = browser or Browser(self)
        answer = browser.ask("POST /login", name.encode())
        if answer.status >= 400 or not browser.cookies:
            self.complain(f"POST /login with the body {name}", "a status below 400 and a cookie",
                          f"{answer.status} {answer.reason}, cookies {browser.cookies}")
        return browser

    def expect_name(self, browser, name):
        """Fail unless /me tells this browser this name, escaped if it is HTML."""
        answer = browser.ask("GET /me")
        is_html = "html" in answer.headers.get("Content-Type", "")
        shown = unescape(answer.body) if is_html else answer.body
        is_unsafe = is_html and any(sign in name for sign in "<&") and name in answer.body
        if answer.status != 200 or name not in shown or is_unsafe:
            self.complain(f"GET /me after a login as {name}",
                          "status 200 and that name, escaped if it is HTML",
                          f"{answer.status} {answer.reason}, {answer.body!r:.200}")

    def expect_no_name(self, cookies):
        """Fail if /me is a 500, or tells the name Hypatia to whoever sends these cookies."""
        answer = self.ask("GET /me", headers={"Cookie": cookies})
        if answer.status >= 500 or "Hypatia" in answer.body:
            self.complain(f"GET /me with Cookie: {cookies}", "neither Hypatia's name nor a 500",
                          f"{answer.status} {answer.reason}, {answer.body!r:.200}")

    def test_each_visitor_has_a_session(self):
        visitors = {name: self.log_in(name) for name in ("Ada", "Grace", "Mary")}
        for name, browser in [*visitors.items(), *visitors.items()]:
            self.expect_name(browser, name)

    def test_who_logs_in_again_has_the_new_name(self):
        browser = self.log_in("Ada")
        self.log_in("Grace", browser)
        self.expect_name(browser, "Grace")

    def test_the_same_name_may_log_in_twice(self):
        visitors = [self.log_in("Ada"), self.log_in("Ada")]
        for browser in visitors:
            self.expect_name(browser, "Ada")

    def test_a_login_never_takes_over_the_cookie_of_the_request(self):
        for name in self.log_in("Hypatia").cookies:
            browser = Browser(self)
            browser.cookies[name] = "x" * 43  # a stranger may have planted it
            self.log_in("Hypatia", browser)
            self.expect_no_name(f"{name}={'x' * 43}")

    def test_nobody_can_guess_the_cookie(self):
        values = ["".join(self.log_in("Ada").cookies.values()) for _ in range(5)]
        for one, other in itertools.combinations(values, 2):
            if len(one) < 16 or sum(a != b for a, b in zip(one, other)) < 10:
                self.complain("POST /login, twice", "two random texts of 16 characters or more",
                              f"{one!r} and {other!r}")

    def test_without_the_cookie_there_is_no_name(self):
        for name, value in self.log_in("Hypatia").cookies.items():
            changed = ("B" if value.startswith("A") else "A") + value[1:]
            for cookies in ("", "=", ";;;", "a/b=1", "\xff=\xff", name, value, f"my{name}={value}",
                            f"{name}=", f"{name}=Hypatia", f"{name}=1", f"{name}={changed}",
                            f"{name}={value[:-4]}", f"{name}={value}x"):
                self.expect_no_name(cookies)

    def test_other_cookies_do_not_disturb(self):
        browser = self.log_in("Ada")
        cookies = browser.cookies
        others = {"theme": "dark", "city": "Zürich", **{f"my{name}": "x" for name in cookies}}
        browser.cookies = {**others, **cookies}
        self.expect_name(browser, "Ada")
        browser.cookies = {**cookies, **others}
        self.expect_name(browser, "Ada")

    def test_the_name_is_shown_as_it_came(self):
        for name in ("<b>Ada</b>", "Ada &lt; Eve", "Zoë", "a+b%41=1&name=c", "Ada, Countess of"):
            self.expect_name(self.log_in(name), name)

    def test_whatever_the_body_is_nothing_is_a_500(self):
        for body in (b"", b"\xff\xfe", b"Ada\r\nX-Evil: 1", b"a;b=c,\x00"):
            browser = Browser(self)
            for answer in (browser.ask("POST /login", body), browser.ask("GET /me")):
                if answer.status >= 500 or "X-Evil" in answer.headers:
                    self.complain(f"{answer.request} after a login as {body!r}",
                                  "a status below 500, and no header X-Evil",
                                  f"{answer.status} {answer.reason}")
