"""utils.py, last part, and read_request() in main.py: which bytes are a request, and which are not.

No network is needed for that: the bytes come from io.BytesIO. First tables of what is sent and
what is read, then the limits, then thousands of requests made by chance.
"""
import io
import random
import unittest

import main
import utils
from tests.support import CHUNKED, GET, POST, Sandbox


def connection_with(stream):
    """Return a SidhHTTP that reads from this stream and writes into memory, without a socket."""
    connection = object.__new__(main.SidhHTTP)
    connection.rfile = stream
    connection.wfile = io.BytesIO()
    connection.client_address = ("::1", 50000, 0, 0)  # as with IPv6
    return connection


def read(raw):
    """Return the Request that these bytes are."""
    return connection_with(io.BytesIO(raw)).read_request()


def get(target=b"/", version=b"HTTP/1.1", headers=b"Host: a\r\n", method=b"GET"):
    """Return a request without a body."""
    return method + b" " + target + b" " + version + b"\r\n" + headers + b"\r\n"


def with_header(line):
    """Return a request with one more header than Host."""
    return get(headers=b"Host: a\r\n" + line + b"\r\n")


class Reading(Sandbox):
    """Asserts what becomes of bytes."""

    def assert_refused(self, raw, status, reason):
        """Assert that a request is refused with this status and this reason."""
        with self.assertRaises(utils.Refusal) as caught:
            read(raw)
        self.assertEqual((caught.exception.status, caught.exception.reason), (status, reason))


class FirstLine(Reading):
    def test_it_says_method_path_and_query(self):
        for raw, method, path, query in [
            (get(), "GET", "/", ""),
            (b"\r\n" + get(), "GET", "/", ""),
            (get(method=b"HEAD"), "HEAD", "/", ""),
            (get(method=b"POST"), "POST", "/", ""),
            (get(b"*", method=b"OPTIONS"), "OPTIONS", "*", ""),
            (get(b"/home", method=b"OPTIONS"), "OPTIONS", "/home", ""),
            (get(b"/home?x=1"), "GET", "/home", "x=1"),
            (get(b"/home?"), "GET", "/home", ""),
            (get(b"/?a?b"), "GET", "/", "a?b"),
            (get(b"/%68ome%3Fx%23"), "GET", "/home?x#", ""),
            (get(b"/100%2525"), "GET", "/100%25", ""),
            (get(b"/%E6%97%A5%20%e6%9c%ac"), "GET", "/日 本", ""),
            (get(b"/?q=%E6%97%A5"), "GET", "/", "q=%E6%97%A5"),
            (get(b"/?q=[a]{b}|\"<>^`\\"), "GET", "/", "q=[a]{b}|\"<>^`\\"),
            (get(b"/!\"$&'()*+,;=@[]^_`{|}~"), "GET", "/!\"$&'()*+,;=@[]^_`{|}~", ""),
            (get(b"/?to=http://b/?x"), "GET", "/", "to=http://b/?x"),
            (get(b"//home/../x"), "GET", "//home/../x", ""),
            (get(b"/%00"), "GET", "/\0", ""),
            (get(b"/?name=100%"), "GET", "/", "name=100%"),  # as typed into the address bar
            (get(b"/?q=caf%E9"), "GET", "/", "q=caf%E9"),
            (get(b"/100%"), "GET", "/100%", ""),
            (get(b"/%zz%4"), "GET", "/%zz%4", ""),
            (get(b"/caf%E9"), "GET", "/caf\ufffd", ""),
            (get(b"http://other/home"), "GET", "/home", ""),  # which host it is does not count
            (get(b"HTTP://A.b:80/home?x=/?"), "GET", "/home", "x=/?"),
            (get(b"http://a"), "GET", "/", ""),
            (get(b"http://a?x"), "GET", "/", "x"),
            (get(b"http://a/", b"HTTP/1.0", b""), "GET", "/", ""),
            (get(b"http://[::F]:80/home"), "GET", "/home", ""),
        ]:
            with self.subTest(raw=raw):
                request = read(raw)
                self.assertEqual(request[:3], (method, path, query))
                self.assertEqual(request.client_address, ("::1", 50000))

    def test_the_version_is_1_and_1_0_is_closed_and_needs_no_host(self):
        for version, headers, closes in [(b"HTTP/1.1", b"Host: a\r\n", False),
                                         (b"HTTP/1.2", b"Host: a\r\n", False),
                                         (b"HTTP/1.9", b"Host: a\r\n", False),
                                         (b"HTTP/1.0", b"Host: a\r\n", True),
                                         (b"HTTP/1.0", b"", True)]:
            with self.subTest(version=version, headers=headers):
                connection = connection_with(io.BytesIO(get(version=version, headers=headers)))
                self.assertEqual(connection.read_request().path, "/")
                self.assertEqual(connection.close_connection, closes)

    def test_nothing_at_all_is_no_request(self):
        for raw in (b"", b"\r\n"):
            with self.subTest(raw=raw):
                self.assertIsNone(read(raw))

    def test_a_line_in_doubt_is_refused(self):
        for raw in [
            b"\r\n\r\n" + GET, b"\n" + GET, b" " + GET, b"\r" + GET,
            b"GET\r\n", b"GET /\r\n", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r",
            b"GET / HTTP/1.1\nHost: a\n\n", b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
            b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
            b"GET / x HTTP/1.1\r\nHost: a\r\n\r\n",
            get(method=b"G(T"), get(method=b""), get(method=b"G\xc9T"),
            get(version=b"HTTP/0.9"), get(version=b"HTTP/1"), get(version=b"HTTP/1.10"),
            get(version=b"HTTP/01.1"), get(version=b"http/1.1"), get(version=b"HTTP/1.x"),
            get(version=b"HTTP/ 1.1"), get(version=b"HTTP/1,1"), get(version=b""),
            get(b"/\x7f"), get(b"/\x00"), get(b"/\x1f"), get(b"/\xe6\x97\xa5"), get(b"/\xa0"),
        ]:
            with self.subTest(raw=raw):
                self.assert_refused(raw, 400, "Bad Request Line")

    def test_a_version_or_a_method_that_is_not_spoken_here_is_refused(self):
        for raw, status, reason in [
            (get(version=b"HTTP/2.0"), 505, "HTTP Version Not Supported"),
            (get(version=b"HTTP/9.1"), 505, "HTTP Version Not Supported"),
            (get(method=b"PUT"), 501, "Unsupported Method"),
            (get(method=b"get"), 501, "Unsupported Method"),
            (get(method=b"!#$%&'*+-.^_`|~09AZaz"), 501, "Unsupported Method"),
        ]:
            with self.subTest(raw=raw):
                self.assert_refused(raw, status, reason)

    def test_a_target_in_doubt_is_refused(self):
        for target in [b"*", b"home", b"a:80", b"?x", b"/#top", b"/?x#top", b"ftp://a/home",
                       b"http:/a", b"x-http://a/", b"https://a/", b"http:///home", b"http://[x/home",
                       b"http://u@a/home", b"http://a:b/home", b"http://a#x", b"http://?x",
                       b"http://[::1", b"http://a[::1]/"]:
            with self.subTest(target=target):
                self.assert_refused(get(target), 400, "Bad Target")
        self.assert_refused(get(b"a:80", method=b"OPTIONS"), 400, "Bad Target")


class Headers(Reading):
    def test_they_are_read_as_they_were_sent_but_for_space_around_them(self):
        for line, name, value in [
            (b"X: 1", "x", "1"),
            (b"X:1", "X", "1"),
            (b"x-y: \t two words \t", "X-Y", "two words"),
            (b"X:", "X", ""),
            (b"X: tab\tand \x80\xff are text", "X", "tab\tand \x80\xff are text"),
            (b"X: a:b", "X", "a:b"),
            # Only space and tab are cut off: other programs take the rest for a part of the value
            (b"X: \xa0a\xa0", "X", "\xa0a\xa0"), (b"X:\x85a\x85 ", "X", "\x85a\x85"),
            (b"!#$%&'*+-.^_`|~9A: any token is a name", "!#$%&'*+-.^_`|~9A",
             "any token is a name"),
        ]:
            with self.subTest(line=line):
                self.assertEqual(read(with_header(line)).headers[name], value)

    def test_two_lines_of_one_name_are_both_kept(self):
        headers = read(with_header(b"X: 1\r\nx: 2")).headers
        self.assertEqual(headers.get_all("X"), ["1", "2"])
        self.assertIsNone(headers["Y"])

    def test_a_line_in_doubt_is_refused(self):
        for line in [b"X : a", b"X\t: a", b": a", b"X", b" X: a", b"X: a\r\n folded",
                     b"X: a\r\n\tfolded", b"X: a\x00b", b"X: a\rContent-Length: 5",
                     b"X: a\nContent-Length: 5", b"X: a\x0bb", b"X: a\x7fb", b"X: a\x1fb",
                     b"X\xe9: a", b"X(: a", b"X: a\r"]:
            with self.subTest(line=line):
                self.assert_refused(with_header(line), 400, "Bad Header")
        self.assert_refused(get(headers=b" Host: a\r\n"), 400, "Bad Header")
        self.assert_refused(b"GET / HTTP/1.1\r\nHost: a\r\n", 400, "Bad Header")  # and then nothing

    def test_a_connection_persists_until_it_is_asked_to_close(self):
        for line, closes in [
            (b"X: close", False), (b"Connection: keep-alive", False), (b"Connection: closed", False),
            (b"Connection: close", True), (b"connection: Keep-Alive, CLOSE", True),
            (b"Connection: x\r\nConnection: \t close ,y", True),
            (b"Connection: close\xa0", False), (b"Connection: x,\x85close", False),
        ]:
            with self.subTest(line=line):
                connection = connection_with(io.BytesIO(with_header(line)))
                connection.read_request()
                self.assertIs(connection.close_connection, closes)

    def test_a_client_that_waits_for_it_is_told_to_continue(self):
        for line, version, told in [
            (b"Expect: 100-continue", b"HTTP/1.1", True), (b"expect: 100-Continue", b"HTTP/1.2", True),
            (b"Expect: 100-continue", b"HTTP/1.0", False), (b"Expect: something", b"HTTP/1.1", False),
            (b"X: 100-continue", b"HTTP/1.1", False),
        ]:
            with self.subTest(line=line, version=version):
                connection = connection_with(io.BytesIO(
                    get(version=version, headers=b"Host: a\r\n" + line + b"\r\n")))
                connection.read_request()
                self.assertEqual(connection.wfile.getvalue(),
                                 b"HTTP/1.1 100 Continue\r\n\r\n" if told else b"")


class Hosts(Reading):
    def test_a_name_or_an_address_with_or_without_a_port_is_a_host(self):
        for host in ["a", "example.com", "my_host-1.example", "127.0.0.1:9999", "a:", "a:00080",
                     "%41~!$&'()*+;=", "[::1]", "[2001:DB8::aF]:80", "[::ffff:1.2.3.4]:"]:
            with self.subTest(host=host):
                self.assertEqual(read(get(headers=f"Host: {host}\r\n".encode())).headers["Host"],
                                 host)

    def test_anything_else_is_refused(self):
        for host in ["", "a, b", "a b", "u@a", "a/b", "a:b", "a:80:80", "a:-1", "[::1", "::1", "a#b",
                     "a?b", "a\\b", '"a"', "[]", "[x]", "[::1%0]", "[::1]x", "[::1]:x", "a[::1]",
                     ":80", "\xe9"]:
            with self.subTest(host=host):
                self.assert_refused(get(headers=f"Host: {host}\r\n".encode("latin-1")), 400,
                                    "Bad Host")

    def test_there_is_one_host_and_only_1_0_may_leave_it_out(self):
        for raw in [get(headers=b""), get(headers=b"Host: a\r\nHost: a\r\n"),
                    get(headers=b"Host: a\r\nhost: b\r\n"), get(version=b"HTTP/1.2", headers=b""),
                    get(version=b"HTTP/1.0", headers=b"Host: \r\n"),
                    get(version=b"HTTP/1.0", headers=b"Host: a\r\nHost: a\r\n")]:
            with self.subTest(raw=raw):
                self.assert_refused(raw, 400, "Bad Host")


class Bodies(Reading):
    def test_the_body_is_what_its_length_or_its_chunks_say_and_the_rest_is_left(self):
        for raw, body in [
            (GET, b""),
            (with_header(b"Content-Length: 0"), b""),
            (with_header(b"Content-Length: 3") + b"abc", b"abc"),
            (with_header(b"content-length: 003") + b"abc", b"abc"),
            (with_header(b"Content-Length: 000000000000000003") + b"abc", b"abc"),  # 18 digits
            (POST + b"Content-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
             b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"),
            (CHUNKED + b"0\r\n\r\n", b""),
            (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (CHUNKED + b"A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", b"0123456789" * 2),
            (CHUNKED + b"0000000000000001\r\nx\r\n0\r\n\r\n", b"x"),  # 16 digits
            (CHUNKED + b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
            (CHUNKED + b"1;a=b;c=\"d;\\\"e\";f\r\nx\r\n0 ; g\r\n\r\n", b"x"),
            (CHUNKED + b"1\t;\ta\t = \"\x80\t\\\xff\"\r\nx\r\n0\r\n\r\n", b"x"),
            (CHUNKED + b"1;!#$=%&\r\nx\r\n0;a=\"\"\r\n\r\n", b"x"),
            (CHUNKED + b"1\r\nx\r\n0\r\nTrailer: t\r\nContent-Length: 9\r\n\r\n", b"x"),
            (POST + b"TRANSFER-ENCODING: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x"),
        ]:
            with self.subTest(raw=raw):
                stream = io.BytesIO(raw + b"rest")
                self.assertEqual(connection_with(stream).read_request().body, body)
                self.assertEqual(stream.read(), b"rest")

    def test_a_length_in_doubt_is_refused(self):
        for length in [b"", b"+3", b"-3", b"3 ,3", b"3, 3", b"3 3", b"0x3", b"3_0", b"3.0", b"abc",
                       b"\xb3", b"3\r\nContent-Length: 3", b"3\r\nContent-Length: 4", b"3\x85",
                       b"3\xa0", b"\x853", b"\xa03", b"0000000000000000003", b"9" * 5000]:
            with self.subTest(length=length[:60]):
                self.assert_refused(with_header(b"Content-Length: " + length) + b"abc", 400,
                                    "Bad Content-Length")

    def test_any_transfer_coding_but_chunked_alone_is_refused(self):
        for coding in [b"", b"chunked, chunked", b"chunked\r\nTransfer-Encoding: chunked",
                       b", chunked", b"chunked,", b"gzip", b"identity", b"xchunked", b"chunked;a=b",
                       b"chunked\xa0", b"chunked\x85", b"\xa0chunked", b"\x85chunked",
                       b"gzip,\xa0chunked", b"chunked, gzip", b"gzip, chunked",
                       b"gzip\r\nTransfer-Encoding: chunked",
                       b"chunked\r\nTransfer-Encoding: identity"]:
            with self.subTest(coding=coding):
                self.assert_refused(POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n",
                                    400, "Unknown Transfer-Encoding")
        for raw in [get(version=b"HTTP/1.0", headers=b"Transfer-Encoding: chunked\r\n"),
                    with_header(b"Transfer-Encoding: chunked\r\nContent-Length: 5"),
                    with_header(b"Content-Length: 0\r\nTransfer-Encoding: gzip, chunked")]:
            with self.subTest(raw=raw):
                self.assert_refused(raw + b"0\r\n\r\n", 400, "Body Length In Doubt")

    def test_a_chunk_in_doubt_is_refused(self):
        for chunks in [
            b"\r\n\r\n", b"0x1\r\nx\r\n0\r\n\r\n", b"+1\r\nx\r\n0\r\n\r\n", b"-1\r\nx\r\n0\r\n\r\n",
            b" 1\r\nx\r\n0\r\n\r\n", b"1 \r\nx\r\n0\r\n\r\n", b"1_0\r\nx\r\n0\r\n\r\n",
            b"g\r\nx\r\n0\r\n\r\n", b"1\nx\n0\n\n", b"1\r\nx\n0\r\n\r\n", b"1\r\nxy\r\n0\r\n\r\n",
            b"1\r\nxyZ0\r\n\r\n",
            b"2\r\nx\r\n0\r\n\r\n", b"1\r\nx0\r\n\r\n", b"1;a\x00\r\nx\r\n0\r\n\r\n",
            b"1;a\rb\r\nx\r\n0\r\n\r\n", b"1;\r\nx\r\n0\r\n\r\n", b"1; \r\nx\r\n0\r\n\r\n",
            b"1;;\r\nx\r\n0\r\n\r\n", b"1;=x\r\nx\r\n0\r\n\r\n", b"1;a=\r\nx\r\n0\r\n\r\n",
            b"1;a=\"\r\nx\r\n0\r\n\r\n", b"1;a=\"b\r\nx\r\n0\r\n\r\n", b"1;a=b\"\r\nx\r\n0\r\n\r\n",
            b"1;a=\"b\"c\r\nx\r\n0\r\n\r\n", b"1;a=\"\\\"\r\nx\r\n0\r\n\r\n",
            b"1;a=\"\\\x00\"\r\nx\r\n0\r\n\r\n", b"1;a b\r\nx\r\n0\r\n\r\n",
            b"1;bad[=x\r\nx\r\n0\r\n\r\n", b"1;a=\x80\r\nx\r\n0\r\n\r\n", b"1;a=b=c\r\nx\r\n0\r\n\r\n",
            b"1;a;\r\nx\r\n0\r\n\r\n", b"1;a \r\nx\r\n0\r\n\r\n", b"1\xa0;a\r\nx\r\n0\r\n\r\n",
            b"1 a\r\nx\r\n0\r\n\r\n", b"00000000000000001\r\nx\r\n0\r\n\r\n", b"5\r\nhel", b"5\r\nhello",
            b"5\r\nhello\r", b"1\r\nx\r\n",
        ]:
            with self.subTest(chunks=chunks):
                self.assert_refused(CHUNKED + chunks, 400, "Bad Chunk")
        for trailer in [b"bad trailer\r\n\r\n", b"X: a\r\n folded\r\n\r\n", b"", b"X: a\r\n"]:
            with self.subTest(trailer=trailer):
                self.assert_refused(CHUNKED + b"1\r\nx\r\n0\r\n" + trailer, 400, "Bad Header")

    def test_a_body_that_ends_too_early_is_refused(self):
        self.assert_refused(POST + b"Content-Length: 4\r\n\r\nabc", 400, "Body Cut Short")


class Limits(Reading):
    def test_first_line_and_headers_together_have_a_limit(self):
        line = b"GET / HTTP/1.1\r\n"  # 16 bytes
        headers = b"Host: a\r\nX: y\r\n\r\n"  # 17 bytes
        for limit, status in [(33, None), (32, 431), (31, 431), (17, 431), (16, 431), (15, 414)]:
            with self.subTest(limit=limit):
                self.set_config(MAX_HEAD=limit)
                if status is None:
                    self.assertEqual(read(line + headers).headers["X"], "y")
                else:
                    reason = {414: "Target Too Long", 431: "Headers Too Long"}[status]
                    self.assert_refused(line + headers, status, reason)

    def test_no_more_than_the_limit_is_read(self):
        for raw in [get(b"/" + b"a" * 200), with_header(b"X: " + b"a" * 200),
                    get(headers=b"Host: a\r\n" + b"X: y\r\n" * 50)]:
            with self.subTest(raw=raw):
                self.set_config(MAX_HEAD=100)
                stream = io.BytesIO(raw)
                with self.assertRaises(utils.Refusal):
                    connection_with(stream).read_request()
                self.assertEqual(stream.tell(), 101)

    def test_a_hundred_lines_are_the_limit_of_a_header_section(self):
        self.assertIsNotNone(read(get(headers=b"Host: a\r\n" + b"X: a\r\n" * 98)))
        self.assert_refused(get(headers=b"Host: a\r\n" + b"X: a\r\n" * 99), 431, "Too Many Headers")

    def test_a_trailer_has_the_same_limits(self):
        chunks = CHUNKED + b"0\r\n"
        self.assertIsNotNone(read(chunks + b"X: a\r\n" * 99 + b"\r\n"))
        self.assert_refused(chunks + b"X: a\r\n" * 100 + b"\r\n", 431, "Too Many Headers")
        self.set_config(MAX_HEAD=100)
        self.assertIsNotNone(read(chunks + b"X: " + b"a" * 93 + b"\r\n\r\n"))
        self.assert_refused(chunks + b"X: " + b"a" * 94 + b"\r\n\r\n", 431, "Headers Too Long")

    def test_a_body_has_a_limit(self):
        self.set_config(MAX_BODY=100)
        for size, status in [(99, None), (100, None), (101, 413)]:
            whole = POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size
            chunked = CHUNKED + b"32\r\n" + b"x" * 50 + b"\r\n%x\r\n" % (size - 50)
            chunked += b"x" * (size - 50) + b"\r\n0\r\n\r\n"
            for raw in (whole, chunked):
                with self.subTest(size=size, raw=raw[:50]):
                    if status is None:
                        self.assertEqual(read(raw).body, b"x" * size)
                    else:
                        self.assert_refused(raw, status, "Body Too Large")

    def test_a_body_too_large_is_refused_before_it_is_read(self):
        for raw in [with_header(b"Content-Length: 1048577"), CHUNKED + b"100001\r\n",
                    with_header(b"Content-Length: " + b"9" * 18),
                    CHUNKED + b"FFFFFFFFFFFFFFFF\r\n"]:
            with self.subTest(raw=raw):
                self.assert_refused(raw, 413, "Body Too Large")

    def test_the_line_of_a_chunk_has_a_limit(self):
        for length, is_read in [(255, True), (256, True), (257, False), (70000, False)]:
            line = b"1;" + b"a" * (length - 4) + b"\r\n"
            with self.subTest(length=length):
                if is_read:
                    self.assertEqual(read(CHUNKED + line + b"x\r\n0\r\n\r\n").body, b"x")
                else:
                    self.assert_refused(CHUNKED + line + b"x\r\n0\r\n\r\n", 400, "Bad Chunk")


# ---- Requests made by chance ----

TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~0123456789ABCXYZabcxyz"
PATH_CHARACTERS = "abcXYZ019-._~!$&'()*+,;=:@/[]|^{}\""
VALUE_CHARACTERS = "abc XYZ\t019,;:=\"\\()<>@\x80\xe9\xff"


def text(chance, characters, length):
    """Return so many characters at the most, but at least one."""
    return "".join(chance.choices(characters, k=chance.randint(1, length)))


def random_request(chance):
    """Return the bytes of a valid request, and the values that must be read from them."""
    method = chance.choice(["GET", "HEAD", "POST", "OPTIONS"])
    path = "/" + text(chance, PATH_CHARACTERS + "é% ", 12)
    sent_path = path.replace("%", "%25").replace("é", "%C3%A9").replace(" ", "%20")
    query = chance.choice(["", text(chance, PATH_CHARACTERS + "?", 12)])
    host = chance.choice(["a", "a.b:8080", "[::1]", "127.0.0.1:"])
    target = chance.choice(["", "http://" + host]) + sent_path + ("?" + query if query else "")
    headers = [("Host", host)]
    for _ in range(chance.randint(0, 5)):
        headers.append(("X-" + text(chance, TOKEN_CHARACTERS, 8),
                        text(chance, VALUE_CHARACTERS, 20).strip(" \t")))
    body = bytes(chance.choices(range(256), k=chance.choice([0, 0, 1, 20])))
    sent_body = body
    kind = chance.choice(["chunked", "length"] if body else ["chunked", "length", "none"])
    if kind == "chunked":
        headers.append(("Transfer-Encoding", "chunked"))
        sent_body = b""
        cut = chance.randint(0, len(body))
        for chunk in filter(None, (body[:cut], body[cut:])):
            sent_body += b"%x;note\r\n" % len(chunk) + chunk + b"\r\n"
        sent_body += b"0\r\nX-Trailer: t\r\n\r\n"
    elif kind == "length":
        headers.append(("Content-Length", str(len(body))))
    chance.shuffle(headers)
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}:{chance.choice(['', ' '])}{value}"
                                              for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1") + sent_body, (method, path, query, headers, body)


class OneByteAtATime(io.RawIOBase):
    """A stream that has all its bytes, but gives out one at a time."""

    def __init__(self, data):
        super().__init__()
        self.data = io.BytesIO(data)

    def readable(self):
        return True

    def readinto(self, buffer):
        byte = self.data.read(1)
        buffer[:len(byte)] = byte
        return len(byte)


def values(request):
    """Return what is compared of a request."""
    return request.method, request.path, request.query, request.headers.items(), request.body


class ByChance(Reading):
    def test_a_valid_request_has_the_same_values_however_it_arrives(self):
        chance = random.Random(2026)
        previous = (GET, ("GET", "/", "", [("Host", "a")], b""))
        for _ in range(1000):
            raw, expected = random_request(chance)
            with self.subTest(raw=raw):
                self.assertEqual(values(read(raw)), expected)
                slowly = io.BufferedReader(OneByteAtATime(raw))
                self.assertEqual(values(connection_with(slowly).read_request()), expected)
                both = connection_with(io.BytesIO(previous[0] + raw))
                self.assertEqual(values(both.read_request()), previous[1])
                self.assertEqual(values(both.read_request()), expected)
                self.assertIsNone(both.read_request())
            previous = (raw, expected)

    def assert_request_or_refusal(self, raw):
        """Assert that these bytes are refused, or that what is read from them obeys the grammar."""
        try:
            request = read(raw)
        except utils.Refusal as refusal:
            self.assertIn(refusal.status, (400, 413, 414, 431, 501, 505), raw)
            return
        if request is not None:
            self.assertRegex(request.method, rf"\A{utils.TOKEN}\Z", raw)
            self.assertTrue(request.path.startswith("/") or request.path == "*", raw)
            self.assertRegex(request.query, r'\A[!"$-~]*\Z', raw)
            for name, value in request.headers.items():
                self.assertRegex(name, rf"\A{utils.TOKEN}\Z", raw)
                self.assertNotRegex(value, "[\x00-\x08\x0a-\x1f\x7f]", raw)

    def test_a_change_of_any_one_byte_gives_a_request_or_a_refusal(self):
        for head in [b"GET /a%20b?x=%C3%A9 HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 3\r\n\r\nabc",
                     b"POST http://[::1]/ HTTP/1.0\r\nHost: [::1]\r\nConnection: close\r\n\r\n",
                     CHUNKED + b"2;a=b\r\nxy\r\n0\r\nT: t\r\n\r\n"]:
            for at in range(len(head)):
                for byte in range(at % 4, 256, 4):
                    self.assert_request_or_refusal(head[:at] + bytes([byte]) + head[at + 1:])

    def test_requests_that_were_cut_doubled_and_stuffed_give_a_request_or_a_refusal(self):
        chance = random.Random(20)
        for _ in range(3000):
            raw = bytearray(random_request(chance)[0])
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(raw) + 1)
                length = chance.randint(0, 20)
                stuffing = [b"", raw[at:at + length] * 2, b"\r\n", b"\n", b" ", b"\0", b":", b"%",
                            b"0", b"\xff", GET]
                raw[at:at + length] = chance.choice(stuffing)
            self.assert_request_or_refusal(bytes(raw))


class Functions(unittest.TestCase):
    def test_list_members_gives_the_members_of_all_lines_in_lower_case(self):
        headers = utils.read_headers(io.BytesIO(b"A: X, y\r\na:\tz\r\nB: q,,\r\n\r\n"), 100)
        self.assertEqual(utils.list_members(headers, "A"), ["x", "y", "z"])
        self.assertEqual(utils.list_members(headers, "b"), ["q", "", ""])
        self.assertEqual(utils.list_members(headers, "C"), [])
