"""What a request costs: this server beside the article's design and the bare limit.

Run it as `python tests/benchmark.py`; it takes about 15 seconds. It starts three servers, each as
a process, which answer with the same small page: this server; the article's design, which has one
thread and takes a new connection for each request; and the bare limit, which is what http.server
needs to read a request and send fixed bytes, without a log.

The client sends a request on each of its connections, reads the answers, and starts over. It asks
the servers in turn, round after round, so whatever else slows the computer down affects them all.
The table shows the median of the rounds, and in brackets the median of its ratios to this server
in the same round. On Linux, the client has one processor to itself; the servers share the others.
"""
import os
import platform
import socket
import subprocess
import sys
import threading
import time
from contextlib import redirect_stdout
from http.server import BaseHTTPRequestHandler, HTTPServer, ThreadingHTTPServer
from statistics import median

NAMES = "this server", "article's design", "bare limit"
ROUNDS = 21  # many and short: the speed of a computer changes from second to second
SECONDS = 0.1  # how long a server is asked, each time

PAGE = b"<h1>Hello World</h1>"
REQUEST = (b"GET / HTTP/1.1\r\nHost: 127.0.0.1:9999\r\n"
           b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128\r\n"
           b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8\r\n"
           b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br, zstd\r\n\r\n")


class ArticleHandler(BaseHTTPRequestHandler):
    """The article's way: HTTP/1.0, and a log line for each request."""

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-type", "text/html")
        self.end_headers()
        self.wfile.write(PAGE)


class BareHandler(BaseHTTPRequestHandler):
    """The least that an answer costs with http.server."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(PAGE), PAGE))


def serve(name):
    """Print the port, serve, and print the CPU seconds used so far for each line of input."""
    sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    with redirect_stdout(sys.stderr):  # pages may print something when they are imported
        import main
    main.ROUTES["/"] = lambda request: (200, "text/html", PAGE)
    HTTPServer.request_queue_size = 512  # as in main.py: if it is full, clients wait for a second
    server_class, handler_class = {"this server": (main.Server, main.SidhHTTP),
                                   "article's design": (HTTPServer, ArticleHandler),
                                   "bare limit": (ThreadingHTTPServer, BareHandler)}[name]
    server = server_class(("127.0.0.1", 0), handler_class)
    print(server.server_address[1], flush=True)
    sys.stderr = open(os.devnull, "w", buffering=1)  # for the log
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for _ in sys.stdin:  # it ends when the client does
        print(time.process_time(), flush=True)


def start(name):
    """Start a server as a process, which ends with this one, and return it and its port."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, __file__, name], text=True,
                               stdin=pipe, stdout=pipe, stderr=pipe)
    port = process.stdout.readline()
    if not port:
        sys.exit(f"{name} did not start: " + process.stderr.read().strip().rpartition("\n")[2])
    return process, int(port)


def cpu_seconds(process):
    """Return the CPU time that a server has used."""
    print(file=process.stdin, flush=True)
    return float(process.stdout.readline())


def send(client, port):
    """Send a request on a connection, or on a new one if it is None, and return that."""
    if client is None:
        client = socket.create_connection(("127.0.0.1", port), timeout=10)
    client.sendall(REQUEST)
    return client


def receive(client):
    """Receive the answer, and return the connection, or None if the server has closed it."""
    answer = b""
    while not answer.startswith(b"HTTP/1.1") or not answer.endswith(PAGE):
        data = client.recv(65536)
        if not data:
            client.close()
            return None
        answer += data
    return client


def measure(process, port, connections):
    """Ask a server for SECONDS, and return {row of the table: figure}."""
    clients = [None] * connections
    count = 0
    cpu = cpu_seconds(process)
    begin = time.perf_counter()
    while time.perf_counter() < begin + SECONDS:
        clients = [send(client, port) for client in clients]
        clients = [receive(client) for client in clients]
        count += connections
    seconds = time.perf_counter() - begin
    cpu = cpu_seconds(process) - cpu
    for client in filter(None, clients):
        client.close()
    load = f"{connections} connections" if connections > 1 else "1 connection"
    return {f"requests/s, {load}": count / seconds, f"CPU µs/request, {load}": cpu / count * 1e6}


def compare():
    """Start the servers, measure, and print the table."""
    processors = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else []
    if processors:
        os.sched_setaffinity(0, processors[1:] or processors)  # the servers inherit this
    servers = {name: start(name) for name in NAMES}
    if processors:
        os.sched_setaffinity(0, processors[:1])
    figures = {}  # {(row, name): [a figure of each round]}
    for turn in range(2 * ROUNDS):
        for name, server in servers.items():
            for row, figure in measure(*server, connections=[1, 16][turn % 2]).items():
                figures.setdefault((row, name), []).append(figure)
    for process, _ in servers.values():
        process.communicate()  # closes its input, which ends it
    table = {f"median of {ROUNDS} rounds": NAMES, "-" * 30: ["-" * 15 + ":"] * len(NAMES)}
    for (row, name), theirs in figures.items():
        ratios = [their / our for their, our in zip(theirs, figures[row, "this server"]) if our]
        table.setdefault(row, []).append(f"{median(theirs):,.0f} ({median(ratios):.2f}x)")
    print(f"{time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {platform.system()}, "
          f"{os.cpu_count()} x {platform.machine()}\n")
    for title, cells in table.items():
        print(f"| {title:30} | " + " | ".join(f"{cell:>16}" for cell in cells) + " |")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        serve(sys.argv[1])
    else:
        try:
            compare()
        except (KeyboardInterrupt, OSError) as error:
            sys.exit(f"no figures: {str(error) or 'stopped'}")
