"""Which bytes are a request and which are not: router.py, second part, and next_request().

No network is needed for that: the bytes come from io.BytesIO. First tables of what is sent and
what is read, then the limits, then requests made by chance.
"""
import io
import random

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
    """Asserts what becomes of bytes."""

    def assert_refused(self, raw, status, reason):
        """Assert that a request is refused with this status and this reason."""
        connection = connection_with(raw)
        with self.assertRaises(router.Refusal) as caught:
            connection.next_request()
        self.assertEqual((caught.exception.status, caught.exception.reason), (status, reason))
        return connection


class FirstLine(Reading):
    def test_it_says_method_path_and_query(self):
        for raw, method, path, query in [
            (head(), "GET", "/", ""),
            (b"\r\n" + head(), "GET", "/", ""),
            (head(method=b"HEAD"), "HEAD", "/", ""),
            (head(method=b"get"), "get", "/", ""),
            (head(method=b"!#$%&'*+-.^_`|~09AZaz"), "!#$%&'*+-.^_`|~09AZaz", "/", ""),
            (head(b"*", method=b"OPTIONS"), "OPTIONS", "*", ""),
            (head(b"/home", method=b"OPTIONS"), "OPTIONS", "/home", ""),
            (head(b"/home?x=1"), "GET", "/home", "x=1"),
            (head(b"/home?"), "GET", "/home", ""),
            (head(b"/?a?b"), "GET", "/", "a?b"),
            (head(b"/%68ome%3Fx%23"), "GET", "/home?x#", ""),
            (head(b"/100%2525"), "GET", "/100%25", ""),
            (head(b"/%E6%97%A5%20%e6%9c%ac?q=%E6%97%A5"), "GET", "/日 本", "q=%E6%97%A5"),
            (head(b"/?q=[a]{b}|\"<>^`\\"), "GET", "/", "q=[a]{b}|\"<>^`\\"),
            (head(b"/!\"$&'()*+,;=@[]^_`{|}~"), "GET", "/!\"$&'()*+,;=@[]^_`{|}~", ""),
            (head(b"//home/../x?to=http://b/?x"), "GET", "//home/../x", "to=http://b/?x"),
            (head(b"/%00"), "GET", "/\0", ""),
            (head(b"/100%?name=100%"), "GET", "/100%", "name=100%"),  # as typed by people
            (head(b"/caf%E9%zz%4"), "GET", "/caf\ufffd%zz%4", ""),
            (head(b"http://other/home"), "GET", "/home", ""),  # which host it is does not count
            (head(b"HTTP://A.b:80/home?x=/?"), "GET", "/home", "x=/?"),
            (head(b"http://[::F]:80/home"), "GET", "/home", ""),
        ]:
            with self.subTest(raw=raw):
                request = read(raw)
                self.assertEqual(request[:3], (method, path, query))
                self.assertEqual(request.client_address, ("::1", 50000))

    def test_the_version_is_kept_and_1_0_needs_no_host(self):
        for version, headers in [(b"HTTP/1.1", b"Host: a\r\n"), (b"HTTP/1.9", b"Host: a\r\n"),
                                 (b"HTTP/1.0", b"Host: a\r\n"), (b"HTTP/1.0", b"")]:
            with self.subTest(version=version, headers=headers):
                request = read(head(version=version, headers=headers))
                self.assertEqual(request.version, version.decode())

    def test_where_the_bytes_end_between_two_lines_there_is_no_request(self):
        for raw in (b"", b"\r\n", b"GET / HTTP/1.1\r\n", GET[:-2], CHUNKED, CHUNKED + b"1\r\nx\r\n",
                    CHUNKED + b"0\r\n", CHUNKED + b"0\r\nX: a\r\n"):
            with self.subTest(raw=raw), self.assertRaises(EOFError):
                read(raw)

    def test_a_line_in_doubt_is_refused(self):
        for raw in [
            b"\r\n\r\n" + GET, b"\n" + GET, b" " + GET, b"\r" + GET, b"nonsense\r\n",
            b"GET\r\n", b"GET /\r\n", b"GET / HTTP/1.1", b"GET / HTTP/1.1\r",
            GET.replace(b"\r\n", b"\n"), GET.replace(b"\r\n", b" \r\n"),
            GET.replace(b"GET ", b"GET  "), GET.replace(b" HTTP", b"  HTTP"),
            GET.replace(b"GET ", b"GET\t"), GET.replace(b"/ ", b"/ x "),
            head(method=b"G(T"), head(method=b""), head(method=b"G\xc9T"), head(version=b"HTTP/1"),
            head(version=b"HTTP/0.9"), head(version=b"HTTP/1.10"), head(version=b"HTTP/01.1"),
            head(version=b"http/1.1"), head(version=b"HTTP/1.x"), head(version=b"HTTP/1,1"),
            head(version=b""), head(b""), head(b"/\x7f"), head(b"/\x00"), head(b"/\x1f"),
            head(b"/\xe6\x97\xa5"), head(b"/\xa0"),
        ]:
            with self.subTest(raw=raw):
                self.assert_refused(raw, 400, "Bad Request Line")
        for version in (b"HTTP/2.0", b"HTTP/9.1"):
            self.assert_refused(head(version=version), 505, "HTTP Version Not Supported")

    def test_a_target_in_doubt_is_refused(self):
        for target in [b"*", b"home", b"a:80", b"?x", b"/#top", b"/?x#top", b"ftp://a/home",
                       b"http:/a", b"x-http://a/", b"https://a/", b"http:///home", b"http://[x/home",
                       b"http://u@a/home", b"http://a:b/home", b"http://a", b"http://a?x",
                       b"http://?x", b"http://[::1", b"http://a[::1]/"]:
            with self.subTest(target=target):
                self.assert_refused(head(target), 400, "Bad Target")
        self.assert_refused(head(b"a:80", method=b"OPTIONS"), 400, "Bad Target")


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
            (b"!#$%&'*+-.^_`|~9A: a token", "!#$%&'*+-.^_`|~9A", "a token"),
            (b"X: 1\r\nx: 2", "Y", None),
        ]:
            with self.subTest(line=line):
                self.assertEqual(read(with_header(line)).headers[name], value)
        self.assertEqual(read(with_header(b"X: 1\r\nx: 2")).headers.get_all("X"), ["1", "2"])

    def test_a_line_in_doubt_is_refused(self):
        for line in [b"X : a", b"X\t: a", b": a", b"X", b" X: a", b"X: a\r\n folded",
                     b"X: a\r\n\tfolded", b"X: a\x00b", b"X: a\rContent-Length: 5",
                     b"X: a\nContent-Length: 5", b"X: a\x0bb", b"X: a\x7fb", b"X: a\x1fb",
                     b"X\xe9: a", b"X(: a", b"X: a\r"]:
            with self.subTest(line=line):
                self.assert_refused(with_header(line), 400, "Bad Header")
        for raw in (head(headers=b" Host: a\r\n"), b"GET / HTTP/1.1\r\nHost: a",
                    CHUNKED + b"0\r\nbad trailer\r\n\r\n"):
            self.assert_refused(raw, 400, "Bad Header")

    def test_a_connection_persists_until_it_is_asked_to_close(self):
        for line, version, closes in [
            (b"X: close", b"HTTP/1.1", False), (b"Connection: keep-alive", b"HTTP/1.9", False),
            (b"Connection: close", b"HTTP/1.1", True), (b"X: y", b"HTTP/1.0", True),
            (b"connection: Keep-Alive, CLOSE", b"HTTP/1.1", True),
            (b"Connection: x\r\nConnection: \t close ,y", b"HTTP/1.1", True),
        ]:
            with self.subTest(line=line):
                connection = connection_with(head(b"/", version, b"Host: a\r\n" + line + b"\r\n"))
                connection.next_request()
                self.assertIs(connection.close_connection, closes)

    def test_a_client_that_waits_for_it_is_told_to_continue(self):
        for line, version, told in [
            (b"Expect: 100-continue", b"HTTP/1.1", True), (b"expect: 100-Continue", b"HTTP/1.2", True),
            (b"Expect: 100-continue", b"HTTP/1.0", False), (b"Expect: something", b"HTTP/1.1", False),
            (b"X: 100-continue", b"HTTP/1.1", False),
        ]:
            with self.subTest(line=line, version=version):
                connection = connection_with(head(b"/", version, b"Host: a\r\n" + line + b"\r\n"))
                connection.next_request()
                self.assertEqual(connection.wfile.getvalue(),
                                 b"HTTP/1.1 100 Continue\r\n\r\n" if told else b"")

    def test_whoever_is_refused_is_not_told_to_continue(self):
        for line, status, reason in [(b"Content-Length: 9999999", 413, "Body Too Large"),
                                     (b"Content-Length: x", 400, "Bad Content-Length"),
                                     (b"Transfer-Encoding: x", 400, "Unknown Transfer-Encoding")]:
            raw = with_header(b"Expect: 100-continue\r\n" + line)
            self.assertEqual(self.assert_refused(raw, status, reason).wfile.getvalue(), b"")


class Hosts(Reading):
    def test_a_name_or_an_address_with_or_without_a_port_is_a_host(self):
        for host in ["a", "example.com", "my_host-1.example", "127.0.0.1:9999", "a:", "a:00080",
                     "%41~!$&'()*+;=", "[::1]", "[2001:DB8::aF]:80", "[::ffff:1.2.3.4]:"]:
            with self.subTest(host=host):
                request = read(head(headers=f"Host: {host}\r\n".encode()))
                self.assertEqual(request.headers["Host"], host)

    def test_anything_else_is_refused(self):
        for host in ["", "a, b", "a b", "u@a", "a/b", "a:b", "a:80:80", "a:-1", "[::1", "::1", "a#b",
                     "a?b", "a\\b", '"a"', "[]", "[x]", "[::1%0]", "[::1]x", "[::1]:x", "a[::1]",
                     ":80", "\xe9", "a\r\nHost: a", "a\r\nhost: b"]:
            for version in (b"HTTP/1.1", b"HTTP/1.0"):
                with self.subTest(host=host, version=version):
                    headers = f"Host: {host}\r\n".encode("latin-1")
                    self.assert_refused(head(b"/", version, headers), 400, "Bad Host")
        for version in (b"HTTP/1.1", b"HTTP/1.2"):
            self.assert_refused(head(version=version, headers=b""), 400, "Bad Host")


class Bodies(Reading):
    def test_the_body_is_what_its_length_or_its_chunks_say_and_the_rest_is_left(self):
        for raw, body in [
            (GET, b""),
            (with_header(b"Content-Length: 0"), b""),
            (with_header(b"Content-Length: 3") + b"abc", b"abc"),
            (with_header(b"content-length: 000000000000000003") + b"abc", b"abc"),  # 18 digits
            (POST + b"Content-Length: 27\r\n\r\nGET / HTTP/1.1\r\nHost: b\r\n\r\n",
             b"GET / HTTP/1.1\r\nHost: b\r\n\r\n"),
            (CHUNKED + b"0\r\n\r\n", b""),
            (CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", b"hello"),
            (CHUNKED + b"A\r\n0123456789\r\na\r\n0123456789\r\n000\r\n\r\n", b"0123456789" * 2),
            (CHUNKED + b"2\r\n\r\n\r\n0\r\n\r\n", b"\r\n"),
            (CHUNKED + b"1;a=b;c=\"d;\\\"e\";f\r\nx\r\n0; g\r\n\r\n", b"x"),
            (CHUNKED + b"1; ~\r\nx\r\n0\r\n\r\n", b"x"),
            (CHUNKED + b"1\r\nx\r\n0\r\nTrailer: t\r\nContent-Length: 9\r\n\r\n", b"x"),
            (POST + b"TRANSFER-ENCODING: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", b"x"),
        ]:
            with self.subTest(raw=raw):
                connection = connection_with(raw + b"rest")
                body_read = connection.next_request().body
                self.assertEqual((type(body_read), body_read), (bytes, body))
                self.assertEqual(connection.rfile.read(), b"rest")

    def test_a_length_in_doubt_is_refused(self):
        for length in [b"", b"+3", b"-3", b"3 ,3", b"3, 3", b"3 3", b"0x3", b"3_0", b"3.0", b"abc",
                       b"\xb3", b"3\r\nContent-Length: 3", b"3\r\nContent-Length: 4", b"3\x85",
                       b"\xa03", b"0000000000000000003", b"9" * 5000]:
            with self.subTest(length=length[:60]):
                self.assert_refused(with_header(b"Content-Length: " + length) + b"abc", 400,
                                    "Bad Content-Length")
        self.assert_refused(POST + b"Content-Length: 4\r\n\r\nabc", 400, "Body Cut Short")

    def test_any_transfer_coding_but_chunked_alone_is_refused(self):
        for coding in [b"", b"chunked, chunked", b"chunked\r\nTransfer-Encoding: chunked",
                       b", chunked", b"chunked,", b"gzip", b"identity", b"xchunked", b"chunked;a=b",
                       b"chunked\xa0", b"\x85chunked", b"chunked, gzip", b"gzip, chunked",
                       b"gzip\r\nTransfer-Encoding: chunked",
                       b"chunked\r\nTransfer-Encoding: identity"]:
            with self.subTest(coding=coding):
                self.assert_refused(POST + b"Transfer-Encoding: " + coding + b"\r\n\r\n0\r\n\r\n",
                                    400, "Unknown Transfer-Encoding")
        for raw in [head(version=b"HTTP/1.0", headers=b"Transfer-Encoding: chunked\r\n"),
                    with_header(b"Transfer-Encoding: chunked\r\nContent-Length: 5"),
                    with_header(b"Content-Length: 0\r\nTransfer-Encoding: chunked")]:
            with self.subTest(raw=raw):
                self.assert_refused(raw + b"0\r\n\r\n", 400, "Body Length In Doubt")

    def test_a_chunk_in_doubt_is_refused(self):
        for line in [b"", b"0x1", b"+1", b"-1", b" 1", b"1 ", b"1_0", b"g", b";a", b"1;", b"1 ;a",
                     b"1;a\x00", b"1;a\rb", b"1;\ta", b"1;a\x7f", b"1;a=\x80", b"1\xa0;a", b"1 a",
                     b"1\r", b"1,a"]:
            with self.subTest(line=line):
                self.assert_refused(CHUNKED + line + b"\r\nx\r\n0\r\n\r\n", 400, "Bad Chunk")
        for chunks in [b"1\nx\n0\n\n", b"1\r\nx\n0\r\n\r\n", b"1\r\nxy\r\n0\r\n\r\n",
                       b"1\r\nxyZ0\r\n\r\n", b"2\r\nx\r\n0\r\n\r\n", b"1\r\nx0\r\n\r\n", b"1;a\n",
                       b"5\r\nhello", b"5\r\nhello\r", b"5"]:
            with self.subTest(chunks=chunks):
                self.assert_refused(CHUNKED + chunks, 400, "Bad Chunk")
        self.assert_refused(CHUNKED + b"5\r\nhel", 400, "Body Cut Short")


class Limits(Reading):
    def test_first_line_and_headers_together_have_a_limit_and_no_more_is_read(self):
        raw = b"GET / HTTP/1.1\r\n" + b"Host: a\r\nX: y\r\n\r\n"  # 16 and 17 bytes
        self.set_config(MAX_HEAD=33)
        self.assertEqual(read(raw).headers["X"], "y")
        for limit in (32, 31, 17, 16, 15, 1):
            with self.subTest(limit=limit):
                self.set_config(MAX_HEAD=limit)
                refused = self.assert_refused(raw, 431, "Head Too Long")
                self.assertEqual(refused.rfile.tell(), limit + 1)

    def test_a_hundred_lines_are_the_limit_of_headers_and_of_those_after_a_body(self):
        for start, free in (GET[:-2], 98), (CHUNKED + b"0\r\n", 99):
            self.assertIsNotNone(read(start + b"X: a\r\n" * free + b"\r\n"))
            raw = start + b"X: a\r\n" * (free + 1) + b"\r\n"
            self.assert_refused(raw, 431, "Too Many Headers")

    def test_headers_after_a_body_and_the_line_of_a_chunk_have_limits(self):
        self.set_config(MAX_HEAD=100)
        for start, line, end in [
            (CHUNKED + b"0\r\n", b"X: " + b"a" * 93 + b"\r\n", b"\r\n"),  # 98 bytes and 2
            (CHUNKED, b"1;" + b"a" * 252 + b"\r\n", b"x\r\n0\r\n\r\n"),  # 256 bytes
        ]:
            with self.subTest(line=line):
                self.assertIsNotNone(read(start + line + end))
                self.assert_refused(start + line.replace(b"aa", b"aaa", 1) + end, 431,
                                    "Head Too Long")

    def test_a_body_has_a_limit(self):
        self.set_config(MAX_BODY=100)
        for size in (99, 100, 101):
            for raw in [POST + b"Content-Length: %d\r\n\r\n" % size + b"x" * size,
                        CHUNKED + b"32\r\n" + b"x" * 50 + b"\r\n%x\r\n" % (size - 50)
                        + b"x" * (size - 50) + b"\r\n0\r\n\r\n"]:
                with self.subTest(size=size, raw=raw[:50]):
                    if size <= 100:
                        self.assertEqual(read(raw).body, b"x" * size)
                    else:
                        self.assert_refused(raw, 413, "Body Too Large")

    def test_a_body_too_large_is_refused_before_it_is_read(self):
        for raw in [with_header(b"Content-Length: 1048577"), CHUNKED + b"100001\r\n",
                    with_header(b"Content-Length: " + b"9" * 18),
                    CHUNKED + b"F" * 254 + b"\r\n"]:
            with self.subTest(raw=raw):
                self.assert_refused(raw, 413, "Body Too Large")


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
    body = sent_body = bytes(chance.choices(range(256), k=chance.choice([0, 0, 1, 20])))
    if chance.choice([True, False]):
        headers.append(("Transfer-Encoding", "chunked"))
        cut = chance.randint(0, len(body))
        chunks = filter(None, (body[:cut], body[cut:]))
        sent_body = b"".join(b"%x;note\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
        sent_body += b"0\r\nX-Trailer: t\r\n\r\n"
    else:
        headers.append(("Content-Length", str(len(body))))
    chance.shuffle(headers)
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}:{chance.choice(['', ' '])}{value}"
                                              for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1") + sent_body, (method, path, query, headers, body)


class ByChance(Reading):
    def test_a_valid_request_has_its_values_and_so_has_the_next_on_its_connection(self):
        chance = random.Random(2026)
        requests = [random_request(chance) for _ in range(500)]
        connection = connection_with(b"".join(raw for raw, _ in requests))
        for raw, expected in requests:
            request = connection.next_request()
            values = (request.method, request.path, request.query, request.headers.items(),
                      request.body)
            self.assertEqual(values, expected, raw)

    def assert_request_or_refusal(self, raw):
        """Assert that these bytes are refused, or that what is read from them obeys the grammar."""
        try:
            request = read(raw)
        except EOFError:
            return
        except router.Refusal as refusal:
            self.assertIn(refusal.status, (400, 413, 431, 505), raw)
            return
        self.assertRegex(request.method, rf"\A{router.TOKEN}\Z", raw)
        self.assertTrue(request.path.startswith("/") or request.path == "*", raw)
        self.assertRegex(request.query, r'\A[!"$-~]*\Z', raw)
        for name, value in request.headers.items():
            self.assertRegex(name, rf"\A{router.TOKEN}\Z", raw)
            self.assertNotRegex(value, "[\x00-\x08\x0a-\x1f\x7f]", raw)

    def test_whatever_comes_is_a_request_or_refused(self):
        for raw in [b"GET /a%20b?x=%C3%A9 HTTP/1.1\r\nHost: a.b:80\r\nContent-Length: 3\r\n\r\nabc",
                    b"POST http://[::1]/ HTTP/1.0\r\nHost: [::1]\r\nConnection: close\r\n\r\n",
                    CHUNKED + b"2;a=b\r\nxy\r\n0\r\nT: t\r\n\r\n"]:
            for at in range(len(raw)):
                for byte in range(at % 7, 256, 7):
                    self.assert_request_or_refusal(raw[:at] + bytes([byte]) + raw[at + 1:])
        chance = random.Random(20)
        for _ in range(2000):
            raw = bytearray(random_request(chance)[0])
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(raw) + 1)
                length = chance.randint(0, 20)
                stuffing = [b"", raw[at:at + length] * 2, b"\r\n", b"\n", b" ", b"\0", b":", b"%",
                            b"0", b"\xff", GET]
                raw[at:at + length] = chance.choice(stuffing)
            self.assert_request_or_refusal(bytes(raw))
