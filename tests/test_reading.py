"""Which bytes are a request and which are not: router.py, second part, and next_request().

No network is needed for that: the bytes come from io.BytesIO.
"""
import contextlib
import io

import main
import router
from tests.support import CHUNKED, GET, POST, Sandbox


def connection_with(raw):
    """Return a SidhHTTP that reads these bytes and writes into memory, without a socket."""
    connection = object.__new__(main.SidhHTTP)
    connection.rfile, connection.wfile = io.BytesIO(raw), io.BytesIO()
    connection.client_address = ("::1", 50000, 0, 0)  # as with IPv6
    return connection


def read(raw):
    """Return the Request that these bytes are."""
    return connection_with(raw).next_request()


def head(target=b"/", version=b"HTTP/1.1", headers=b"Host: a\r\n", method=b"GET"):
    """Return a request without a body."""
    return method + b" " + target + b" " + version + b"\r\n" + headers + b"\r\n"


def with_header(line):
    """Return a request with one more header than Host."""
    return head(headers=b"Host: a\r\n" + line + b"\r\n")


class Reading(Sandbox):
    def assert_refused(self, status, reason, raws):
        """Assert that each is refused like this, and that no client is told to continue before."""
        connections = [connection_with(raw) for raw in raws]
        for connection in connections:
            with self.subTest(raw=connection.rfile.getvalue()[:200]):
                with self.assertRaises(router.Refusal) as caught:
                    connection.next_request()
                self.assertEqual(vars(caught.exception), {"status": status, "reason": reason})
                self.assertEqual(connection.wfile.getvalue(), b"")
        return connections


class Heads(Reading):
    def test_it_says_path_and_query(self):
        for target, path, query in [
            (b"/home", "/home", ""), (b"/home?", "/home", ""), (b"/home?x=1", "/home", "x=1"),
            (b"/?a?b", "/", "a?b"), (b"/%68ome%3Fx%23", "/home?x#", ""), (b"/%00", "/\0", ""),
            (b"/100%2525", "/100%25", ""), (b"/100%?name=100%", "/100%", "name=100%"),
            (b"/%E6%97%A5%20%e6%9c%ac?q=%E6%97%A5", "/日 本", "q=%E6%97%A5"),
            (b"/caf%E9%zz%4", "/caf\ufffd%zz%4", ""), (b"/?[]{}|\"<>^`\\", "/", "[]{}|\"<>^`\\"),
            (b"/!\"$&'()*+,;=@[]^_`{|}~", "/!\"$&'()*+,;=@[]^_`{|}~", ""),
            (b"//home/../x?to=http://b/?x", "//home/../x", "to=http://b/?x"),
            (b"http://other/home", "/home", ""),  # which host it is does not count
            (b"HTTP://A.b:80/home?x=/?", "/home", "x=/?"), (b"http://[::F]:80/home", "/home", ""),
        ]:
            self.assertEqual(read(head(target))[1:3], (path, query))

    def test_it_says_the_method_which_may_be_any_word_and_the_version(self):
        for raw, expected in [
            (head(), ("GET", "/", "", "HTTP/1.1")),
            (b"\r\n" + head(), ("GET", "/", "", "HTTP/1.1")),
            (head(b"*", method=b"OPTIONS"), ("OPTIONS", "*", "", "HTTP/1.1")),
            (head(b"/", b"HTTP/1.9", method=b"get"), ("get", "/", "", "HTTP/1.9")),
            (head(b"/", b"HTTP/1.0", b"", b"HEAD"), ("HEAD", "/", "", "HTTP/1.0")),
            (head(method=b"!#$%&'*+-.^_`|~0Az"), ("!#$%&'*+-.^_`|~0Az", "/", "", "HTTP/1.1")),
        ]:
            self.assertEqual(read(raw)[:4], expected)
            self.assertEqual(read(raw).client_address, ("::1", 50000))

    def test_where_the_bytes_end_between_two_lines_there_is_no_request(self):
        for raw in (b"", b"\r\n", b"GET / HTTP/1.1\r\n", GET[:-2], CHUNKED, CHUNKED + b"0\r\n",
                    CHUNKED + b"1\r\nx\r\n", CHUNKED + b"0\r\nX: a\r\n"):
            with self.subTest(raw=raw), self.assertRaises(EOFError):
                read(raw)

    def test_a_line_in_doubt_is_refused(self):
        lines = [
            b"\r\n\r\n" + GET, b"\n" + GET, b" " + GET, b"\r" + GET, b"GET\r\n", b"GET /\r\n",
            b"GET / HTTP/1.1", b"GET / HTTP/1.1\r", GET.replace(b"\r\n", b"\n"),
            GET.replace(b"\r\n", b" \r\n"), GET.replace(b"GET ", b"GET  "),
            GET.replace(b" HTTP", b"  HTTP"), GET.replace(b"GET ", b"GET\t"),
            GET.replace(b"/ ", b"/ x ")]
        versions = [b"HTTP/1", b"HTTP/0.9", b"HTTP/1.10", b"HTTP/01.1", b"http/1.1", b"HTTP/1.x",
                    b"HTTP/1,1", b""]
        targets = [b"", b"/\x7f", b"/\x00", b"/\x1f", b"/\xe6\x97\xa5", b"/\xa0"]
        self.assert_refused(400, "Bad Request Line", [
            *lines, *(head(version=version) for version in versions), *map(head, targets),
            *(head(method=method) for method in (b"", b"G(T", b"G\xc9T"))])
        self.assert_refused(505, "HTTP Version Not Supported",
                            [head(version=b"HTTP/2.0"), head(version=b"HTTP/9.1")])

    def test_a_target_in_doubt_is_refused(self):
        targets = [b"*", b"home", b"a:80", b"?x", b"/#top", b"/?x#top", b"ftp://a/home",
                   b"http:/a", b"x-http://a/", b"https://a/", b"http:///home", b"http://a",
                   b"http://u@a/home", b"http://a:b/home", b"http://a?x", b"http://?x",
                   b"http://[::1", b"http://a[::1]/", b"http://[x/home"]
        self.assert_refused(400, "Bad Target", map(head, targets))
        self.assert_refused(400, "Bad Target", [head(b"a:80", method=b"OPTIONS")])

    def test_headers_are_read_as_they_were_sent_but_for_space_around_them(self):
        for line, name, value in [
            (b"X: XX", "x", "XX"), (b"X:1", "X", "1"), (b"X:", "X", ""), (b"X: a:b", "X", "a:b"),
            (b"x-y: \t two words \t", "X-Y", "two words"), (b"X: 1\r\nx: 2", "Y", None),
            (b"X: tab\tand \x80\xff are text", "X", "tab\tand \x80\xff are text"),
            # Only space and tab are cut off: other programs take the rest for a part of the value
            (b"X: \xa0a\xa0", "X", "\xa0a\xa0"), (b"X:\x85a\x85 ", "X", "\x85a\x85"),
            (b"!#$%&'*+-.^_`|~9A: a token", "!#$%&'*+-.^_`|~9A", "a token"),
        ]:
            self.assertEqual(read(with_header(line)).headers[name], value)
        self.assertEqual(read(with_header(b"X: 1\r\nx: 2")).headers.get_all("X"), ["1", "2"])

    def test_a_header_in_doubt_is_refused(self):
        lines = [b"X : a", b"X\t: a", b": a", b"X", b" X: a", b"X: a\r\n folded", b"X: a\x00b",
                 b"X: a\r\n\tfolded", b"X: a\rContent-Length: 5", b"X: a\nContent-Length: 5",
                 b"X: a\x0bb", b"X: a\x7fb", b"X: a\x1fb", b"X\xe9: a", b"X(: a", b"X: a\r"]
        self.assert_refused(400, "Bad Header", map(with_header, lines))
        self.assert_refused(400, "Bad Header", [
            head(headers=b" Host: a\r\n"), GET[:-4], CHUNKED + b"0\r\nbad trailer\r\n\r\n"])

    def test_a_connection_persists_until_it_is_asked_to_close(self):
        for line, version, closes in [
            (b"X: close", b"HTTP/1.1", False), (b"Connection: keep-alive", b"HTTP/1.9", False),
            (b"Connection: close", b"HTTP/1.1", True), (b"X: y", b"HTTP/1.0", True),
            (b"connection: Keep-Alive, CLOSE", b"HTTP/1.1", True),
            (b"Connection: x\r\nConnection: \t close ,y", b"HTTP/1.1", True),
        ]:
            connection = connection_with(head(b"/", version, b"Host: a\r\n" + line + b"\r\n"))
            connection.next_request()
            self.assertIs(connection.close_connection, closes, line)

    def test_a_client_that_waits_for_it_is_told_to_continue(self):
        for line, version, told in [
            (b"Expect: 100-continue", b"HTTP/1.1", True),
            (b"expect: 100-Continue", b"HTTP/1.2", True),
            (b"Expect: 100-continue", b"HTTP/1.0", False),
            (b"Expect: something", b"HTTP/1.1", False), (b"X: 100-continue", b"HTTP/1.1", False),
        ]:
            connection = connection_with(head(b"/", version, b"Host: a\r\n" + line + b"\r\n"))
            connection.next_request()
            self.assertEqual(connection.wfile.getvalue(),
                             b"HTTP/1.1 100 Continue\r\n\r\n" if told else b"", line)
        self.assert_refused(413, "Body Too Large",
                            [with_header(b"Expect: 100-continue\r\nContent-Length: 9999999")])

    def test_a_host_is_a_name_or_an_address_with_or_without_a_port(self):
        for host in ["a", "example.com", "my_host-1.example", "127.0.0.1:9999", "a:", "a:00080",
                     "%41~!$&'()*+;=", "[::1]", "[2001:DB8::aF]:80", "[::ffff:1.2.3.4]:"]:
            request = read(head(headers=f"Host: {host}\r\n".encode()))
            self.assertEqual(request.headers["Host"], host)
        for version in (b"HTTP/1.1", b"HTTP/1.0"):
            self.assert_refused(400, "Bad Host", [
                head(b"/", version, f"Host: {host}\r\n".encode("latin-1")) for host in (
                    "", "a, b", "a b", "u@a", "a/b", "a:b", "a:80:80", "a:-1", "[::1", "::1",
                    "a#b", "a?b", "a\\b", '"a"', "[]", "[x]", "[::1%0]", "[::1]x", "[::1]:x",
                    "a[::1]", ":80", "\xe9", "a\r\nHost: a", "a\r\nhost: b")])
        self.assert_refused(400, "Bad Host", [head(headers=b""), head(b"/", b"HTTP/1.2", b"")])

    def test_whatever_one_byte_becomes_it_is_a_request_or_a_refusal(self):
        for raw in [b"GET /a%20b?x=%C3 HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 3\r\n\r\nabc",
                    b"POST http://[::1]/ HTTP/1.0\r\nHost: [::1]\r\nConnection: close\r\n\r\n",
                    CHUNKED + b"2;a=b\r\nxy\r\n0\r\nT: t\r\n\r\n"]:
            for at in range(len(raw)):
                for byte in range(at % 7, 256, 7):
                    with contextlib.suppress(EOFError, router.Refusal):
                        request = read(raw[:at] + bytes([byte]) + raw[at + 1:])
                        words = [request.method, request.query, *request.headers.values()]
                        self.assertNotRegex("".join(words), "[\x00-\x08\x0a-\x1f\x7f]")


class Bodies(Reading):
    def test_the_body_is_what_its_length_or_its_chunks_say_and_the_rest_is_left(self):
        for raw, body in [
            (GET, b""), (with_header(b"Content-Length: 3") + b"abc", b"abc"),
            (with_header(b"content-length: 000000000000000003") + b"abc", b"abc"),  # 18 digits
            (POST + b"Content-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
             b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"),
            (CHUNKED + b"0\r\n\r\n", b""), (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (CHUNKED + b"A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", b"0123456789" * 2),
            (CHUNKED + b"2;a=b;c=\"d\"\r\n\r\n\r\n0; ~\r\n\r\n", b"\r\n"),
            (CHUNKED + b"1\r\nx\r\n0\r\nTrailer: t\r\nContent-Length: 9\r\n\r\n", b"x"),
            (POST + b"TRANSFER-ENCODING: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x"),
        ]:
            with self.subTest(raw=raw):
                connection = connection_with(raw + b"rest")
                body_read = connection.next_request().body
                self.assertEqual((type(body_read), body_read), (bytes, body))
                self.assertEqual(connection.rfile.read(), b"rest")

    def test_a_length_in_doubt_is_refused(self):
        lengths = [b"", b"+3", b"-3", b"3 ,3", b"3, 3", b"3 3", b"0x3", b"3_0", b"3.0", b"x",
                   b"3\r\nContent-Length: 3", b"3\r\nContent-Length: 4", b"3\x85", b"\xa03",
                   b"\xb3", b"0000000000000000003", b"9" * 5000]
        self.assert_refused(400, "Bad Content-Length", [
            with_header(b"Content-Length: " + length) + b"abc" for length in lengths])
        self.assert_refused(400, "Body Cut Short", [POST + b"Content-Length: 4\r\n\r\nabc"])

    def test_any_transfer_coding_but_chunked_alone_is_refused(self):
        codings = [b"", b"chunked, chunked", b", chunked", b"chunked,", b"gzip", b"identity",
                   b"xchunked", b"chunked;a=b", b"chunked\xa0", b"\x85chunked", b"chunked, gzip",
                   b"chunked\r\nTransfer-Encoding: chunked", b"gzip\r\nTransfer-Encoding: chunked",
                   b"chunked\r\nTransfer-Encoding: identity"]
        self.assert_refused(400, "Unknown Transfer-Encoding", [
            with_header(b"Transfer-Encoding: " + coding) + b"0\r\n\r\n" for coding in codings])
        self.assert_refused(400, "Body Length In Doubt", [
            head(version=b"HTTP/1.0", headers=b"Transfer-Encoding: chunked\r\n"),
            with_header(b"Transfer-Encoding: chunked\r\nContent-Length: 5"),
            with_header(b"Content-Length: 0\r\nTransfer-Encoding: chunked")])

    def test_a_chunk_in_doubt_is_refused(self):
        lines = [b"", b"0x1", b"+1", b"-1", b" 1", b"1 ", b"1_0", b"g", b";a", b"1;", b"1 ;a",
                 b"1;a\x00", b"1;a\rb", b"1;\ta", b"1;a\x7f", b"1;a=\x80", b"1\xa0;a", b"1 a",
                 b"1\r", b"1,a"]
        self.assert_refused(400, "Bad Chunk", [
            CHUNKED + line + b"\r\nx\r\n0\r\n\r\n" for line in lines])
        self.assert_refused(400, "Bad Chunk", [CHUNKED + chunks for chunks in (
            b"1\nx\n0\n\n", b"1\r\nx\n0\r\n\r\n", b"1\r\nxy\r\n0\r\n\r\n", b"1\r\nxyZ0\r\n\r\n",
            b"2\r\nx\r\n0\r\n\r\n", b"1\r\nx0\r\n\r\n", b"1;a\n", b"5\r\nhello\r", b"5\r\nhello",
            b"5")])
        self.assert_refused(400, "Body Cut Short", [CHUNKED + b"5\r\nhel"])


class Limits(Reading):
    def test_first_line_and_headers_together_have_a_limit_and_no_more_is_read(self):
        raw = b"GET / HTTP/1.1\r\n" + b"Host: a\r\nX: y\r\n\r\n"  # 16 and 17 bytes
        self.set_config(MAX_HEAD=33)
        self.assertEqual(read(raw).headers["X"], "y")
        for limit in (32, 31, 17, 16, 15, 1):
            self.set_config(MAX_HEAD=limit)
            refused, = self.assert_refused(431, "Head Too Long", [raw])
            self.assertEqual(refused.rfile.tell(), limit + 1)

    def test_a_hundred_lines_are_the_limit_of_headers_and_of_those_after_a_body(self):
        for start, free in (GET[:-2], 98), (CHUNKED + b"0\r\n", 99):
            self.assertIsNotNone(read(start + b"X: a\r\n" * free + b"\r\n"))
            self.assert_refused(431, "Too Many Headers", [start + b"X: a\r\n" * (free + 1)])

    def test_headers_after_a_body_and_the_line_of_a_chunk_have_limits(self):
        self.set_config(MAX_HEAD=100)
        for start, line, end in [
            (CHUNKED + b"0\r\n", b"X: " + b"a" * 93 + b"\r\n", b"\r\n"),  # 98 bytes and 2
            (CHUNKED, b"1;" + b"a" * 252 + b"\r\n", b"x\r\n0\r\n\r\n"),  # 256 bytes
        ]:
            self.assertIsNotNone(read(start + line + end))
            self.assert_refused(431, "Head Too Long", [start + line.replace(b"a", b"aa", 1) + end])

    def test_a_body_has_a_limit_and_is_refused_before_it_is_read(self):
        self.set_config(MAX_BODY=100)
        start = CHUNKED + b"32\r\n" + b"x" * 50 + b"\r\n"
        for raw in (with_header(b"Content-Length: 100") + b"x" * 100,
                    start + b"32\r\n" + b"x" * 50 + b"\r\n0\r\n\r\n"):
            self.assertEqual(len(read(raw).body), 100)
        self.assert_refused(413, "Body Too Large", [
            with_header(b"Content-Length: 101"), with_header(b"Content-Length: " + b"9" * 18),
            start + b"33\r\n", CHUNKED + b"65\r\n", CHUNKED + b"F" * 254 + b"\r\n"])
