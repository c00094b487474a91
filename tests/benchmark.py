"""What a request costs: this server beside the article's design and the standard library.

Run it as `python tests/benchmark.py`; it takes about half a minute and needs nothing installed.
It starts five servers, each as its own process on a free port:

- this server, as a user starts it, and once more with a large file to download;
- the article's design: one thread, and a new connection for each request;
- the bare limit: what http.server needs to read a request and answer fixed bytes, unlogged;
- http.server's file handler, for the download.

They are measured in turn, round after round, so that whatever else slows the computer
down meets all of them. The table has the median of the rounds. Read next: main().

What slow clients cost the others is asked with slowhttptest, where it is installed: 2,000 of
them send a header every 10 seconds, while the server is asked for pages by hand.

    slowhttptest -c 2000 -H -i 10 -r 400 -l 30 -u http://127.0.0.1:9999/
"""
import os
import platform
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import defaultdict, namedtuple
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from itertools import chain
from statistics import median, quantiles

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
ROUNDS = 21  # many and short: the speed of a shared computer changes from second to second
SECONDS = 0.2  # how long a server is asked for pages, each time
MANY = 16  # connections
FILE_MIB = 256  # more than a processor keeps in its cache

THIS, ARTICLE, BARE, FILES = COLUMNS = "this server", "article's design", "bare limit", "http.server files"

BROWSER_HEADERS = """\
Host: 127.0.0.1:{port}
Connection: keep-alive
sec-ch-ua: "Chromium";v="130", "Google Chrome";v="130", "Not?A_Brand";v="99"
sec-ch-ua-mobile: ?0
sec-ch-ua-platform: "Linux"
Upgrade-Insecure-Requests: 1
User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8
Sec-Fetch-Site: none
Sec-Fetch-Mode: navigate
Sec-Fetch-User: ?1
Sec-Fetch-Dest: document
Accept-Encoding: gzip, deflate, br, zstd
Accept-Language: en-US,en;q=0.9
"""

# ---- The servers to compare with ----

PAGE = "<h1>Hello World</h1>"
PAGES = {"/": lambda request: (200, "text/html", PAGE)}
FIXED = f"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: {len(PAGE)}\r\n\r\n{PAGE}".encode()


class ArticleHandler(BaseHTTPRequestHandler):
    """The article's way: HTTP/1.0, head and body in a write each, every request logged."""

    def do_GET(self):
        """Look the path up and send what its function returns."""
        if self.path not in PAGES:
            return self.send_error(404, "Page Not Found")
        status, content_type, body = PAGES[self.path](self)
        self.send_response(status)
        self.send_header("Content-type", content_type)
        self.end_headers()
        self.wfile.write(body.encode())


class BareHandler(BaseHTTPRequestHandler):
    """The least that an answer costs on BaseHTTPRequestHandler: fixed bytes, one write, no log."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Send the same bytes whatever was asked."""
        self.wfile.write(FIXED)

    def log_message(self, *arguments):
        """Log nothing, not even errors."""


def serve(name):
    """Serve as the article or the bare limit does, until killed."""
    kind, handler = {ARTICLE: (HTTPServer, ArticleHandler), BARE: (ThreadingHTTPServer, BareHandler)}[name]
    server = kind(("127.0.0.1", 0), handler)
    print(f"http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()


# ---- Starting the servers ----

Server = namedtuple("Server", "name pid port path")


@contextmanager
def running(name, path, *arguments):
    """Start `python arguments` as a server, and kill it when the with block is left."""
    environment = {**os.environ, "MINI_HOST": "127.0.0.1", "MINI_PORT": "0"}
    process = subprocess.Popen([sys.executable, *arguments], cwd=ROOT, env=environment, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    try:
        url = re.search(r"http://127\.0\.0\.1:(\d+)", process.stdout.readline())
        if not url:
            raise OSError(f"{name} did not start; to see why: python {shlex.join(arguments)}")
        yield Server(name, process.pid, int(url[1]), path)
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def start_all(stack):
    """Return what is measured in a round, as (measure, server); the ExitStack ends the servers."""
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    with open(os.path.join(folder, "large.bin"), "wb") as file:
        for _ in range(FILE_MIB):
            file.write(os.urandom(2**20))
    ours = "import sys, config; config.FILE_DIR = sys.argv[1]; import main; main.main()"
    theirs = "-u -m http.server 0 --bind 127.0.0.1 --directory".split()
    itself = os.path.abspath(__file__)
    pages = [stack.enter_context(running(THIS, "/", "main.py")),
             stack.enter_context(running(ARTICLE, "/", itself, "--serve", ARTICLE)),
             stack.enter_context(running(BARE, "/", itself, "--serve", BARE))]
    files = [stack.enter_context(running(THIS, "/files/large.bin", "-c", ours, folder)),
             stack.enter_context(running(FILES, "/large.bin", *theirs, folder))]
    return ([(measure_one, server) for server in pages] + [(measure_many, server) for server in pages]
            + [(measure_download, server) for server in files])


# ---- The client ----

class Client:
    """A connection to a server, opened anew when the server closes it after an answer."""

    def __init__(self, server):
        """Be ready to ask for the server's path; the first get() connects."""
        lines = f"GET {server.path} HTTP/1.1\n{BROWSER_HEADERS}\n".format(port=server.port)
        self.request = lines.replace("\n", "\r\n").encode()
        self.address, self.timeout, self.socket = ("127.0.0.1", server.port), 10, None
        self.buffer = memoryview(bytearray(2**20))

    def get(self):
        """Send the request, read the whole answer, and return how many bytes its body had."""
        if self.socket is None:
            self.socket = socket.create_connection(self.address, self.timeout)
        self.socket.sendall(self.request)
        head, body = self.read_head()
        length = re.search(rb"(?i)\ncontent-length: *(\d+)", head)
        size = int(length[1]) if length else sys.maxsize  # no length: until the server closes
        while body < size and (count := self.socket.recv_into(self.buffer)):
            body += count
        if length and body != size:
            raise OSError(f"{body} bytes came instead of {size}")
        if not head.startswith(b"HTTP/1.1") or re.search(rb"(?i)\nconnection: *close", head):
            self.close()
        return body

    def read_head(self):
        """Return the answer's head, and how many bytes of its body came along with it."""
        data = b""
        while b"\r\n\r\n" not in data:
            count = self.socket.recv_into(self.buffer)
            data += self.buffer[:count]
            if not count:
                raise OSError(f"the connection was closed after {data!r}")
        head, _, body = data.partition(b"\r\n\r\n")
        if not re.match(rb"HTTP/1\.[01] 200 ", head):
            raise OSError(f"the answer was {head[:80]!r}")
        return head, len(body)

    def close(self):
        """Hang up."""
        if self.socket:
            self.socket.close()
        self.socket = None


def times_until(end, client):
    """Ask again and again until end, and return the seconds that each answer took."""
    times, before = [], time.perf_counter()
    client.timeout = SECONDS  # a new connection that hangs (the server's queue is full) gives up
    try:
        while True:
            client.get()
            now = time.perf_counter()
            if now >= end:
                return times
            times.append(now - before)
            before = now
    except socket.timeout:
        return times


# ---- The measures: each asks one server and returns {row: figure} ----

def cpu_seconds(pid):
    """Return the CPU time of all threads of a process, user and system; None if it cannot be had."""
    if sys.platform != "linux":
        return None
    # What clock_getcpuclockid(3) gives: exact, where /proc/<pid>/stat counts in 10 ms ticks.
    return time.clock_gettime(~pid << 3 | 2)


def ask(server, connections):
    """Return the seconds of each answer, sorted, and the server's CPU seconds per answer."""
    with ExitStack() as stack:
        clients = [stack.enter_context(closing(Client(server))) for _ in range(connections)]
        for client in clients:
            client.get()  # connected and warm before the time starts
        pool = stack.enter_context(ThreadPoolExecutor(connections))
        cpu, end = cpu_seconds(server.pid), time.perf_counter() + SECONDS
        times = sorted(chain(*pool.map(lambda client: times_until(end, client), clients)))
        if not times:
            raise OSError(f"no answer in {SECONDS} s")
        # Each client had one more answer than it counted: the one that came after the end.
        return times, cpu and (cpu_seconds(server.pid) - cpu) / (len(times) + connections)


def measure_one(server):
    """Measure one client, which asks again as soon as it has its answer."""
    times, cpu = ask(server, 1)
    return {"requests/s, 1 connection": len(times) / SECONDS,
            "CPU microseconds/request": cpu and cpu * 1e6,
            "latency p50, ms": times[len(times) // 2] * 1e3,
            "latency p99, ms": times[len(times) * 99 // 100] * 1e3}


def measure_many(server):
    """Measure that many such clients at once."""
    return {f"requests/s, {MANY} connections": len(ask(server, MANY)[0]) / SECONDS}


def measure_download(server):
    """Measure one download of the large file."""
    with closing(Client(server)) as client:
        cpu, start = cpu_seconds(server.pid), time.perf_counter()
        mebibytes = client.get() / 2**20
        seconds = time.perf_counter() - start
        return {"download, MiB/s": mebibytes / seconds,
                "CPU milliseconds/MiB": cpu and (cpu_seconds(server.pid) - cpu) * 1e3 / mebibytes}


def run_rounds(turns):
    """Take the turns round after round; return {row: {column: [a figure per turn]}}."""
    figures = defaultdict(lambda: defaultdict(list))
    begin = time.monotonic()
    for number in range(ROUNDS):
        say_progress(number, time.monotonic() - begin)
        for measure, server in turns:
            try:
                for row, figure in measure(server).items():
                    figures[row][server.name].append(figure)
            except OSError as error:
                raise OSError(f"{server.name}, {measure.__name__}: {error}") from error
    print(file=sys.stderr)
    return figures


def say_progress(done, seconds):
    """Say how many rounds are done and, from the time that they took, how long is left."""
    left = f", {seconds / done * (ROUNDS - done):.0f} seconds left" if done else ""
    start, end = ("\r", "   ") if sys.stderr.isatty() else ("", "\n")
    print(f"{start}measuring: round {done + 1} of {ROUNDS}{left}", end=end, file=sys.stderr, flush=True)


# ---- The table ----

def cell(figures, ours):
    """Return one server's figures as "median ±spread (ratio to this server)"."""
    if not figures or None in figures:
        return "n/a (Linux only)" if figures else "-"
    low, middle, high = quantiles(figures, n=4)
    digits = 0 if middle >= 100 else 1 if middle >= 10 else 3
    ratio = median(figure / our for figure, our in zip(figures, ours))
    return f"{middle:,.{digits}f} ±{(high - low) / 2 / middle:.0%} ({ratio:.2f}x)"


def table(figures):
    """Return the figures as a Markdown table whose columns line up."""
    lines = [[f"median of {ROUNDS} rounds", *COLUMNS]]
    for row, servers in figures.items():
        lines.append([row, *(cell(servers[column], servers[THIS]) for column in COLUMNS)])
    widths = [max(map(len, column)) for column in zip(*lines)]
    lines.insert(1, ["-" * widths[0]] + ["-" * (width - 1) + ":" for width in widths[1:]])
    return "\n".join(f"| {first:{widths[0]}} | " + " | ".join(map(str.rjust, rest, widths[1:])) + " |"
                     for first, *rest in lines)


def machine():
    """Return the date, the Python version and the processor."""
    processor = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = re.search(r"model name\s*: (.+)", file.read())
        processor = model[1] if model else processor
    return (f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, "
            f"{platform.system()}, {os.cpu_count()} x {processor}")


def main():
    """Start the servers, measure, print the table; leave no process behind."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends it as Ctrl+C does
    try:
        with ExitStack() as stack:
            figures = run_rounds(start_all(stack))
    except KeyboardInterrupt:
        sys.exit("\nstopped: no figures")
    except OSError as error:
        sys.exit(f"\nno figures: {error}")
    print(machine(), table(figures), sep="\n\n", end="\n\n")
    print("(0.50x) is half of this server's figure, as the median of the rounds' ratios: below 1.00x this\n"
          "server leads in requests/s and MiB/s, above it in CPU and latency; half of the rounds lie within ±.\n"
          "A ratio is taken within a round, so it may differ from that of the two medians beside it.")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(sys.argv[2])
    else:
        main()
