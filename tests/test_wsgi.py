"""Tests of wsgi.py: it is called as a server calls it, watched by the library's validator."""
import io
import sys
from unittest import mock
from wsgiref.util import FileWrapper, setup_testing_defaults
from wsgiref.validate import validator

import router
from tests import wsgi
from tests.support import Sandbox


class Wsgi(Sandbox):

    def setUp(self):
        super().setUp()
        self.set_config(FILE_DIR=self.make_folder("hello.txt"), MAX_BODY=5)
        self.add_page("/page", (200, "text/plain", "content"))
        router.route("/é\ufffd")(self.see)

    def see(self, request):
        self.seen = request
        return 200, "text/plain", ""

    def ask(self, method, path, body=b"", **environ):
        """Return the status line, the headers and the body of the response."""
        self.input = io.BytesIO(body)
        environ = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path,
                   "QUERY_STRING": "", "wsgi.input": self.input, **environ}
        setup_testing_defaults(environ)
        start_response = mock.Mock()
        response = validator(wsgi.application)(environ, start_response)
        content = b"".join(response)
        response.close()
        status, headers = start_response.call_args[0]
        headers = {name: text for name, text in headers if name != "X-Time"}  # exercise 5 adds it
        return status, headers, content

    def test_each_method_is_answered_as_by_main(self):
        headers = {"Content-Type": "text/plain; charset=utf-8", "Content-Length": "7"}
        self.assertEqual(self.ask("GET", "/page"), ("200 OK", headers, b"content"))
        self.assertEqual(self.ask("HEAD", "/page"), ("200 OK", headers, b""))
        self.assertIn(b'{"time": "', self.ask("POST", "/page")[2])
        self.assertEqual(self.ask("OPTIONS", "/page")[1], {"Allow": "GET, HEAD, POST, OPTIONS"})
        self.assertEqual(self.ask("PUT", "/page")[0], "501 Unsupported Method")

    def test_a_handler_gets_the_request_as_the_client_sent_it(self):
        self.ask("GET", "/\xc3\xa9\xff", b"abc", QUERY_STRING="a=%20", SERVER_PROTOCOL="HTTP/1.1",
                 CONTENT_TYPE="text/x", CONTENT_LENGTH="3", HTTP_X_ODD="\xe9", HTTP_X_EMPTY="",
                 REMOTE_ADDR="192.0.2.1", REMOTE_PORT="50312")
        self.assertEqual(dict(self.seen.headers), {
            "X-Odd": "\xe9", "X-Empty": "", "Host": "127.0.0.1", "Content-Type": "text/x",
            "Content-Length": "3"})
        self.assertEqual(self.seen._replace(headers=None), (
            "GET", "/é\ufffd", "a=%20", "HTTP/1.1", None, b"abc", ("192.0.2.1", 50312)))

    def test_no_more_of_a_body_is_read_than_a_handler_may_get(self):
        in_chunks = {"wsgi.input_terminated": True}
        for environ, sent, status, body, read in [
                ({"CONTENT_LENGTH": "6"}, b"123456", "413 Body Too Large", None, 0),
                ({"CONTENT_LENGTH": "5"}, b"123", "400 Body Cut Short", None, 3),
                ({"CONTENT_LENGTH": ""}, b"the next request", "200 OK", b"", 0),
                ({**in_chunks, "CONTENT_LENGTH": "5"}, b"123", "400 Body Cut Short", None, 3),
                (in_chunks, b"12345", "200 OK", b"12345", 5),
                (in_chunks, b"1234567", "413 Body Too Large", None, 6)]:
            with self.subTest(environ, sent=sent):
                self.seen = None
                self.assertEqual(self.ask("GET", "/\xc3\xa9\xff", sent, **environ)[0], status)
                self.assertEqual(self.input.tell(), read)
                self.assertEqual(getattr(self.seen, "body", None), body)

    def test_a_status_that_has_no_body_is_sent_without_one(self):
        for status, length in [(204, None), (304, None), (205, "0")]:
            self.add_page(f"/{status}", (status, "text/plain", "text"))
            _, headers, body = self.ask("GET", f"/{status}")
            self.assertEqual((headers.get("Content-Length"), body), (length, b""))

    def test_exit_in_a_handler_is_a_500_and_a_traceback(self):
        router.route("/exit")(sys.exit)
        with mock.patch("sys.stderr", io.StringIO()) as console:
            self.assertEqual(self.ask("GET", "/exit")[0], "500 Internal Server Error")
        self.assertIn("Traceback", console.getvalue())

    def test_a_file_goes_through_a_wrapper_and_is_closed_afterwards(self):
        own, servers = mock.Mock(side_effect=FileWrapper), mock.Mock(side_effect=FileWrapper)
        with mock.patch.object(wsgi, "FileWrapper", own):
            for wrapper, environ in [(own, {}), (servers, {"wsgi.file_wrapper": servers})]:
                status, headers, body = self.ask("GET", "/files/hello.txt", **environ)
                self.assertEqual(body, b"content of hello.txt")
                self.assertTrue(wrapper.call_args[0][0].closed)
        self.assertEqual(self.ask("HEAD", "/files/hello.txt"), (status, headers, b""))
        self.assertIn("attachment", headers["Content-Disposition"])
