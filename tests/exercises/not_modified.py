"""Exercise 8: a download that the client already has is not sent again."""
import os
import socket
from email.utils import formatdate

from tests.exercises import support


class NotModified(support.Exercise):
    """GET /files/hello.txt -> Last-Modified: DATE; the same with If-Modified-Since: DATE -> 304"""

    PAGES = ""
    TIME = 1_600_000_000  # seconds since 1970: a day in 2020, when the file was changed
    REQUESTS = ("GET /files/hello.txt", "HEAD /files/hello.txt")

    def prepare(self):
        self.set_time(self.TIME)

    def reach_goal(self):
        self.expect_304(self.read_date())

    def set_time(self, seconds):
        """Set when the file was changed: most of a second later, which a date leaves out."""
        os.utime(self.download, (seconds + 0.75, seconds + 0.75))

    def read_date(self):
        """Return the Last-Modified of the file; fail if there is none."""
        answer = self.expect("GET /files/hello.txt", 200, "Hello!")
        if "Last-Modified" not in answer.headers:
            self.complain(answer.request, "a header Last-Modified", "none")
        return answer.headers["Last-Modified"]

    def expect_304(self, date):
        """Fail unless the answer to this If-Modified-Since is 304."""
        self.expect_both(date, 304, "", None)

    def expect_200(self, date):
        """Fail unless the answer to this If-Modified-Since is the file."""
        self.expect_both(date, 200, "Hello!", "6")

    def expect_both(self, date, status, body, length):
        """Expect this for GET and HEAD."""
        for request in self.REQUESTS:
            self.expect(request, status, body if request.startswith("GET") else "",
                        {"Content-Length": length}, sent_headers={"If-Modified-Since": date},
                        about=f" with If-Modified-Since: {date}")

    def test_a_download_says_when_it_was_changed(self):
        for request in self.REQUESTS:
            date = formatdate(self.TIME, usegmt=True)
            self.expect(request, 200, headers={"Last-Modified": date})

    def test_the_answer_to_head_has_the_headers_of_that_to_get(self):
        for sent in ({}, {"If-Modified-Since": self.read_date()}):
            get, head = (self.ask(request, headers=sent) for request in self.REQUESTS)
            if set(get.headers) != set(head.headers):
                self.complain(head.request, f"headers {list(get.headers)}", list(head.headers))

    def test_the_client_must_ask_before_it_uses_its_copy(self):
        for request in self.REQUESTS:
            for sent in ({}, {"If-Modified-Since": self.read_date()}):
                answer = self.ask(request, headers=sent)
                if "no-cache" not in answer.headers.get("Cache-Control", "").lower():
                    self.complain(f"{request}, which is a {answer.status}",
                                  "Cache-Control: no-cache",
                                  support.show_header("Cache-Control",
                                                      answer.headers["Cache-Control"]))

    def test_a_later_date_is_a_304(self):
        for date in (self.TIME + 1, self.TIME + 400 * 86400):
            self.expect_304(formatdate(date, usegmt=True))

    def test_an_earlier_date_is_a_200(self):
        for date in (self.TIME - 1, 0):
            self.expect_200(formatdate(date, usegmt=True))

    def test_what_is_no_date_is_a_200(self):
        for date in ("", "yesterday", "0", "Thu, 99 Foo 2021 25:61:61 GMT", "Thu, 01 Jan 2099",
                     "Fri, 01 Jan 99999 00:00:00 GMT", "\xb2", "Thu, 01 Jan 2099 25:00:00 GMT",
                     f"Thu, 01 Jan {'9' * 30} 00:00:00 GMT", "Thu, 01 Jan , 00:00:00 GMT",
                     "Thu, 01 Jan 2099 00:00:00 +9999", f"Thu, 01 Jan 2099 00:00:00 +{'9' * 30}"):
            self.expect_200(date)

    def test_after_a_change_it_is_sent_again(self):
        date = self.read_date()
        self.set_time(self.TIME + 60)
        self.expect_200(date)
        self.expect_304(self.read_date())

    def test_a_304_has_no_body(self):
        head = f"Host: a\r\nConnection: close\r\nIf-Modified-Since: {self.read_date()}\r\n\r\n"
        for request in self.REQUESTS:
            address = ("127.0.0.1", self.port)
            with socket.create_connection(address, timeout=support.SOON) as client:
                client.sendall(f"{request} HTTP/1.1\r\n{head}".encode())
                answer = client.makefile("rb").read()  # http.client would drop a body unseen
            body = answer.partition(b"\r\n\r\n")[2]
            if body:
                self.complain(request, "a 304 that ends with its headers", f"the body {body!r}")
