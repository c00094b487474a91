"""Take one safeguard out of the modules, and see what it was for.

    python tests/why.py              the list: each safeguard, its function, and what it does
    python tests/why.py escape       the change, a request, and the answer with and without it
    python tests/why.py find_file    the list for one function

It makes two copies of the modules, takes the safeguard out of one of them, starts
`python main.py` in both, and asks both the same. The copies have the pages, files and settings
below, so yours do not matter. Nothing in the project changes.

The tool comes first, then the clients, what the copies have, and the table.
"""
import argparse
import contextlib
import difflib
import functools
import os
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Dict, NamedTuple, Union

try:
    from journey import PROJECT, WIDTH, below, cut, show_bytes
except ImportError:  # it is the tests that use this
    from tests.journey import PROJECT, WIDTH, below, cut, show_bytes

PATIENCE = 2  # seconds to wait for an answer that may never come
LIMIT = 20  # seconds to wait for what must come, however busy the computer is
MOST = 9  # lines of an answer that are shown


class CannotShow(Exception):
    """Says why a safeguard cannot be shown."""


class Misfit(CannotShow):
    """Says that a safeguard no longer fits the modules."""


# ---- The change ----

@functools.lru_cache(maxsize=None)
def read_module(name):
    """Return the text of a module, "" if there is none."""
    try:
        with open(os.path.join(PROJECT, name), encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def take_out(safeguard):
    """Return the text of the module without a safeguard, or raise Misfit."""
    original = text = read_module(safeguard.module)
    for old, new in safeguard.change.items():
        count = original.count(old)
        if count != 1:
            raise Misfit(f"{safeguard.name} no longer fits: {safeguard.module} has {old!r} "
                         f"{count} times instead of once")
        start = text.index(old)
        if isinstance(new, int):
            start = text.rfind("\n", 0, start) + 1
            rest = "".join(text[start:].splitlines(keepends=True)[new:])
        else:
            rest = new + re.sub(r"\A  #.*", "", text[start + len(old):])  # and its comment
        text = text[:start] + rest
    return text


# ---- The copies ----

def make_environment():
    """Return the environment of a program: it prints UTF-8, and leaves no __pycache__."""
    environment = {**os.environ, "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    for name in "PYTHONUNBUFFERED", "PYTHONIOENCODING":
        environment.pop(name, None)
    return environment


class Copy:
    """A copy of the modules in a folder of its own, and the program that runs in it."""
    def __init__(self, patience, settings="", routes="", changed=None):
        """Make the copy, with other texts for the modules in changed. It has to be closed."""
        self.patience = patience  # seconds to wait for an answer
        self.temporary = tempfile.TemporaryDirectory(prefix="why-")
        self.folder = os.path.realpath(self.temporary.name)
        self.address = None
        self.process = None
        self.heard = 0  # characters of the console that new_lines() has returned
        names = [name for name in os.listdir(PROJECT) if os.path.isfile(os.path.join(PROJECT, name))]
        for name in names:
            shutil.copyfile(os.path.join(PROJECT, name), os.path.join(self.folder, name))
        texts = {name: read_module(name) for name in ("config.py", "routes.py")}
        texts.update(changed or {})
        texts["config.py"] += SETTINGS + settings
        texts["routes.py"] += routes + "\n\nimport why_pages\n"
        texts["why_pages.py"] = PAGES
        for name, text in texts.items():
            with open(os.path.join(self.folder, name), "w", encoding="utf-8") as file:
                file.write(text)
        make_files(self.folder)

    def start(self, host="127.0.0.1"):
        """Start the program, and return what it says until it listens or ends."""
        environment = {**make_environment(), "MINI_HOST": host, "MINI_PORT": "0"}
        with open(os.path.join(self.folder, "console"), "wb") as console:
            self.process = subprocess.Popen(
                [sys.executable, "main.py"], cwd=self.folder, env=environment,
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + LIMIT
        while not self.address and self.process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.005)
            match = re.search(r"http://127\.0\.0\.1:([0-9]+)", self.console())
            if match:
                self.address = "127.0.0.1", int(match[1])
        return self.console()

    def console(self):
        """Return what the program has said so far."""
        with open(os.path.join(self.folder, "console"), "rb") as file:
            text = file.read().decode(errors="replace")
        return text.replace(os.linesep, "\n").replace(self.folder + os.sep, "").rstrip()

    def new_lines(self):
        """Return what the program has said since the last time, without addresses and times."""
        text = self.console()
        lines = [line for line in text[self.heard:].splitlines() if "http://127" not in line]
        self.heard = len(text)
        return re.sub(r"127\.0\.0\.1 - - \[.*?\] ", "", "\n".join(lines)).strip()

    def connect(self):
        """Return a client's socket. The first one starts the program."""
        if self.address is None:
            last_line = self.start().rpartition("\n")[2]
            if self.address is None:
                raise CannotShow(f"python main.py does not start: {last_line}")
        return socket.create_connection(self.address, timeout=self.patience)

    def ask(self, raw, until=None):
        """Return what comes back for these bytes: all of it, or until it has a text."""
        with self.connect() as client:
            with contextlib.suppress(ConnectionError):  # it need not read all of them
                client.sendall(raw)
                if until is None:
                    client.shutdown(socket.SHUT_WR)
            answer = self.receive(client, until)
        return answer if until else answer.replace("\n(the connection is closed)", "")

    def receive(self, client, until=None):
        """Return what comes as text, and how it ended unless that was by the text to wait for."""
        data = bytearray()
        ending = ""
        while not ending and not (until and until.encode() in data):
            try:
                piece = client.recv(1 << 20)
            except socket.timeout:
                ending = f"nothing within {self.patience} seconds"
            except ConnectionError:
                ending = "the connection breaks"
            else:
                data += piece
                ending = "" if piece else "the connection is closed"
        if not data:
            return f"no answer: {ending}"
        text = re.sub(rb"\r\nDate: .*", b"", data).decode("utf-8", "backslashreplace")
        text = text.replace("\r\n", "\n").rstrip("\n")
        return f"{text}\n({ending})" if ending else text

    def close(self):
        """End the program and remove the folder."""
        if self.process:
            self.process.kill()
            self.process.wait()
        self.temporary.cleanup()


def compare(safeguard, complete=None):
    """Return what comes of the request with a safeguard, and without it, or raise CannotShow.

    complete is a copy with the safeguard, if there is one already.
    """
    extras = safeguard.settings, safeguard.routes
    changed = {safeguard.module: take_out(safeguard)}
    with contextlib.ExitStack() as stack:
        if complete is None:
            complete = stack.enter_context(contextlib.closing(Copy(LIMIT, *extras)))
        if safeguard.needs and not os.path.lexists(file_path(complete.folder, safeguard.needs)):
            raise CannotShow(f"{safeguard.name} cannot be shown here: this system allows no file "
                             f"like {safeguard.needs!r}")
        harmed = stack.enter_context(contextlib.closing(Copy(PATIENCE, *extras, changed)))
        with ThreadPoolExecutor(2) as pool:
            with_it, without = pool.map(safeguard.client, [complete, harmed], [safeguard] * 2)
    if safeguard.safe not in with_it:
        raise Misfit(f"{safeguard.name} no longer fits: with it, {safeguard.safe!r} is not in "
                     f"{with_it[:200]!r}")
    return with_it, without


# ---- What is printed ----

# Headers that are shown only where they matter
COMMON = re.compile("(Server|Content-Type|Content-Length|Connection): ")


def differences(safeguard, text, other):
    """Return the lines of a text that another text does not have, and "..." for the others."""
    shown = []
    lines, others = split(text), split(other)
    matcher = difflib.SequenceMatcher(None, lines, others, autojunk=False)
    for tag, start, end, other_start, other_end in matcher.get_opcodes():
        for number in range(start, end):
            line = lines[number]
            marks = safeguard.safe, safeguard.harm
            matters = any(line in mark or mark.strip() in line for mark in marks)
            is_dull = tag == "equal" or COMMON.match(line) and not matters
            if number and is_dull and not line.startswith("HTTP/1.1"):
                shown += ["..."] if shown[-1] != "..." else []
            else:
                partner = others[other_start:other_end][number - start:number - start + 1]
                shown.append(visible(line, *partner))
    if shown[-1] == "...":
        shown.pop()
    return shown if len(shown) <= MOST else [*shown[:3], "...", *shown[4 - MOST:]]


def split(text):
    """Return the lines of some answers. Each answer begins a line."""
    return re.sub(r"\n+|(?<=[^\n])(?=HTTP/1\.1 [0-9])", "\n", text).split("\n")


def visible(line, partner=""):
    """Return a line from shortly before it differs from another; no terminal obeys what it has."""
    same = 0
    while line[same:same + 1] == partner[same:same + 1] != "":
        same += 1
    if len(line) > WIDTH and same > 20:
        line = "..." + line[same - 20:]
    return "".join(character if character.isprintable() else f"<{ord(character):02X}>"
                   for character in line)


def describe(safeguard, with_it, without):
    """Return all that is to be printed about a safeguard."""
    before = read_module(safeguard.module).splitlines()
    after = take_out(safeguard).splitlines()
    diff = difflib.unified_diff(before, after, safeguard.module, "without it", n=1, lineterm="")
    request = show_bytes(safeguard.request)
    page = safeguard.routes.strip().splitlines() or find_page(" ".join(request))
    what = [safeguard.client.__doc__] if safeguard.client is not exchange else []
    parts = [
        [f"{safeguard.name}: {safeguard.function} in {safeguard.module} {safeguard.purpose}"],
        map(cut, diff),
        below("the request:", request) if request else [],
        what,
        below("the page:", page) if page else [],
        below("with it:", differences(safeguard, with_it, without)),
        below("without it:", differences(safeguard, without, with_it)),
        textwrap.wrap(safeguard.gain, WIDTH),
    ]
    return "\n\n".join("\n".join(part) for part in parts if part)


def find_page(request):
    """Return the lines of the page of PAGES that is asked for, unless there is little to see."""
    for path in re.findall(r"/\w+(?![.\w])", request):
        for page in PAGES.split("\n\n"):
            if page.startswith(f'@page("{path}")') and path not in ("/hello", "/secret"):
                return page.replace("@page", "@route").splitlines()
    return []


def main():
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(description="Take out a safeguard, and see what it was for.")
    parser.add_argument("name", nargs="?", help="of a safeguard or a function; without: the list")
    name = parser.parse_args().name
    for safeguard in SAFEGUARDS:
        if safeguard.name == name:
            print(describe(safeguard, *compare(safeguard)))
            return
    found = [one for one in SAFEGUARDS if name in (None, one.function)]
    if not found:
        known = [text for one in SAFEGUARDS for text in (one.name, one.function)]
        nearest = difflib.get_close_matches(name, known, 1) or ["one of python tests/why.py"]
        raise CannotShow(f"there is no safeguard {name!r}: did you mean {nearest[0]}?")
    misfits = []
    for number, safeguard in enumerate(found):
        if number == 0 or safeguard.module != found[number - 1].module:
            print(f"{safeguard.module}:")
        print(f"  {safeguard.name:16} {safeguard.function:18} {safeguard.purpose}")
        try:
            take_out(safeguard)
        except Misfit as misfit:
            misfits.append(str(misfit))
    if misfits:
        raise Misfit("\n".join(misfits))


# ---- The clients ----
#
# Each gets a copy and a row of the table, and returns what comes of the request.

def exchange(copy, safeguard):
    """The client sends the request and reads the answer."""
    return copy.ask(safeguard.request)


def wait(copy, safeguard):
    """The client keeps the connection open, and waits."""
    return copy.ask(safeguard.request, until=safeguard.safe)


def watch(copy, safeguard):
    """See what the console says."""
    copy.ask(safeguard.request)
    return copy.new_lines()


def leave(copy, safeguard):
    """The client leaves as soon as the answer begins. See what the console says."""
    client = copy.connect()
    client.sendall(safeguard.request)
    client.recv(1000)
    at_once = struct.pack("hh" if os.name == "nt" else "ii", 1, 0)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    client.close()
    deadline = time.monotonic() + LIMIT
    while "threads: 1" not in copy.ask(get("/threads")) and time.monotonic() < deadline:
        time.sleep(0.01)
    return re.sub("\n?.*GET /threads.*", "", copy.new_lines())


def weigh(copy, safeguard):
    """See how much memory the server needs for it."""
    make_big(copy)
    copy.ask(get("/memory"))
    answer = copy.ask(safeguard.request)
    peak = int(copy.ask(get("/memory")).splitlines()[-1]) >> 20
    return f"{answer.splitlines()[0]}\nmemory: {f'{peak} MiB' if peak > 6 else 'next to none'}"


def make_big(copy):
    """Make files/big.bin, and return its path."""
    path = os.path.join(copy.folder, "files", "big.bin")
    with open(path, "wb") as file:
        file.truncate(24 << 20)
    return path


def flood(copy, safeguard):
    """12 MiB follow. See how much memory the server needs for them."""
    return weigh(copy, safeguard._replace(request=safeguard.request + b"x" * (12 << 20)))


def upload(copy, safeguard):
    """8 MiB follow. Only then, the client looks for an answer."""
    with copy.connect() as client:
        try:
            client.sendall(safeguard.request + bytes(8 << 20))
            client.shutdown(socket.SHUT_WR)
        except ConnectionError:
            return "the connection breaks before the client has seen an answer"
        return copy.receive(client)


def insist(copy, safeguard):
    """The client goes on sending. TIMEOUT is one second."""
    start = time.monotonic()
    with copy.connect() as client, contextlib.suppress(ConnectionError):
        client.sendall(safeguard.request)
        while time.monotonic() - start < copy.patience:
            client.sendall(b"more")
            time.sleep(0.05)
        return f"the server still listens after {copy.patience} seconds"
    return "the server ends the connection"


def be_second(copy, safeguard):
    """Another client has connected before, and says nothing."""
    with copy.connect():
        return exchange(copy, safeguard)


def be_silent(copy, safeguard):
    """A client connects and says nothing. TIMEOUT is one second."""
    with copy.connect() as client:
        return copy.receive(client)


def start(copy, safeguard):
    """The program starts with this page, and the client asks for it."""
    text = copy.start()
    return exchange(copy, safeguard) if copy.address else text


def start_elsewhere(copy, safeguard):
    """MINI_HOST=192.0.2.1 python main.py (this is the address of another computer)"""
    return copy.start(host="192.0.2.1")


def interrupt(copy, safeguard):
    """Ctrl+C, while a browser keeps its connection."""
    need_posix()
    with copy.connect() as client:
        client.sendall(get("/hello"))
        client.recv(1000)
        copy.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            copy.process.wait(copy.patience)
            return copy.new_lines()
        return f"it still runs after {copy.patience} seconds"


def need_posix():
    """Raise CannotShow on Windows."""
    if os.name != "posix":
        raise CannotShow("this cannot be shown on Windows")


class Safeguard(NamedTuple):
    """A row of the table."""
    name: str
    module: str  # "utils.py"
    function: str  # "find_file"
    purpose: str  # "finds no hidden files"
    # What the module says, and what it says without the safeguard. A number is that of the lines
    # to take out, from the one that says it.
    change: Dict[str, Union[str, int]]
    safe: str  # what the answer with the safeguard has
    harm: str  # what only the answer without it has
    gain: str  # what that means to whom
    request: bytes = b""
    client: Callable = exchange
    needs: str = ""  # a file that not every system allows
    settings: str = ""  # lines for config.py
    routes: str = ""  # lines for routes.py


# ---- What the copies have ----

SETTINGS = """
HOST, PORT = os.environ.get("MINI_HOST"), os.environ.get("MINI_PORT")
FILE_DIR = os.path.join(FOLDER, "files")
TEMPLATE_DIR = os.path.join(FOLDER, "templates")
TIMEOUT, MAX_HEAD, MAX_BODY = 30, 64 * 1024, 1024 * 1024
"""

PAGES = '''"""The pages of tests/why.py."""
import os
import sys
import threading
import time
import tracemalloc
from urllib.parse import quote, unquote

import config
import routes
from router import ROUTES
from utils import find_file, query_params, render_template

def page(path):  # like @route, but routes.py may have the path, too
    return lambda handler: ROUTES.update({path: handler})

@page("/hello")
def hello(request):
    return 200, "text/plain", "hello"

@page("/secret")
def secret(request):
    return 200, "text/plain", "THE SECRET"

@page("/user")
def user(request):
    name = request.headers["X-User"]  # set by the proxy in front, which asks for the password
    return 200, "text/plain", f"Hello, {name or 'stranger'}"

@page("/echo")
def echo(request):
    return 200, "text/plain", request.body

@page("/reset")
def reset(request):
    host = request.headers["Host"]
    return 200, "text/html", f'<a href="http://{host}/new-password">New password</a>'

@page("/list")
def list_files(request):
    return routes.list_files(request)

@page("/rows")
def rows(request):
    return 200, "text/html", routes.make_rows(query_params(request).items())

@page("/odd")
def odd(request):
    folder = os.path.join(config.FILE_DIR, "odd")
    names = [name for name in os.listdir(folder) if find_file(folder, name)]
    return 200, "text/plain", ", ".join(quote(name) for name in names)

@page("/greet")
def greet(request):
    name = query_params(request)["name"]
    return 200, "text/html", render_template("greet.html", name=name)

@page("/show")
def show(request):
    return 200, "text/plain", render_template(request.query)

@page("/type")
def typed(request):
    return 200, unquote(request.query), "hello"

@page("/german")
def german(request):
    return 200, "text/plain", "Grüße"

@page("/forgotten")
def forgotten(request):
    "hello"

@page("/raise")
def raises(request):
    raise KeyError("name")

@page("/exit")
def exits(request):
    sys.exit("that is all")

@page("/mood")
def mood(request):
    request.send_header("X-Mood", "good")
    return 200, "text/plain", "hello"

@page("/nothing")
def nothing(request):
    return 204, "text/plain", "oops"

@page("/big")
def big(request):
    return 200, "text/plain", "x" * 20000000

@page('/tom & "jerry"')
def jerry(request):
    return 200, "text/plain", "hello"

@page("/memory")
def memory(request):
    if not tracemalloc.is_tracing():
        tracemalloc.start()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    return 200, "text/plain", str(peak)

@page("/threads")
def threads(request):
    names = [thread.name for thread in threading.enumerate()]
    return 200, "text/plain", f"threads: {sum(name.startswith('Thread') for name in names)}"
'''

SCRIPT_NAME = "<img src=x onerror=alert(1)>.txt"

FILES = {
    "templates/error.html": b"<h1>$title</h1><p>$text</p>",
    "templates/greet.html": b"<h1>Hello $name</h1>",
    "files/hello.txt": b"hello",
    "files/page.html": b"<script>send(document.cookie)</script>",
    "files/#1.txt": b"hello",
    "files/.password": b"swordfish",
    "files/日本.txt": b"hello",
    "files/" + SCRIPT_NAME: b"hello",
    "files/odd/bad\udcff.txt": b"hello",
}


def file_path(folder, name):
    """Return the path of a file, as bytes: not all names are text."""
    return os.path.join(os.fsencode(folder), name.encode("utf-8", "surrogateescape"))


def make_files(folder):
    """Make these files, as far as the system allows them."""
    for name in "templates", "files", "files/odd":
        os.mkdir(os.path.join(folder, name))
    for name, content in FILES.items():
        with contextlib.suppress(OSError, ValueError):
            with open(file_path(folder, name), "wb") as file:
                file.write(content)
    with contextlib.suppress(OSError, NotImplementedError):
        os.symlink(os.path.join(os.pardir, "config.py"), os.path.join(folder, "files/link.txt"))
    with contextlib.suppress(OSError, AttributeError):
        os.mkfifo(os.path.join(folder, "files", "pipe"))


def get(target, *headers, version="HTTP/1.1"):
    """Return a GET."""
    lines = [f"GET {target} {version}", "Host: a", *headers, "", ""]
    return "\r\n".join(lines).encode("latin-1")


def post(*headers, body=b""):
    """Return a POST."""
    return "\r\n".join(["POST / HTTP/1.1", "Host: a", *headers, "", ""]).encode("latin-1") + body


SECRET = get("/secret")
HIDDEN = f"Content-Length: {len(SECRET)}"  # for a proxy that reads it, SECRET is only a body


# ---- The table, in the order of the modules ----

SAFEGUARDS = [
    # ---- router.py ----
    Safeguard(
        "path", "router.py", "route",
        "refuses a path that no browser can ask for",
        {'if not isinstance(path, str) or not re.fullmatch("/[^?#]*", path):':
         "if not isinstance(path, str):"},
        request=get("/why-no-slash"), client=start,
        routes='\n@route("why-no-slash")\ndef page(request):\n    return 200, "text/plain", "hello"\n',
        safe="ValueError", harm="404",
        gain="You forgot the slash, so your page is never found, and nothing tells you why."),
    Safeguard(
        "duplicate", "router.py", "route",
        "refuses a second handler for a path",
        {"if path in ROUTES:": 3},
        request=get("/why-twice"), client=start,
        routes='\n@route("/why-twice")\ndef one(request):\n    return 200, "text/plain", "one"\n'
               '\n@route("/why-twice")\ndef two(request):\n    return 200, "text/plain", "two"\n',
        safe="ValueError", harm="HTTP/1.1 200",
        gain="Your first page has vanished, and nothing tells you why."),
    Safeguard(
        "tuple", "router.py", "check_response",
        "says which handler returned the wrong thing, and what is right",
        {"if not isinstance(response, tuple):": 3},
        request=get("/forgotten"), client=watch,
        safe="forgotten: response is None", harm="Traceback",
        gain="You forgot `return`, and the traceback does not even name your handler."),
    Safeguard(
        "content-type", "router.py", "check_response",
        "refuses a content type with a line break in it",
        {"if not isinstance(content_type, str) or not MEDIA_TYPE": 3},
        request=get("/type?text/plain%0D%0ASet-Cookie:%20session=mine"),
        safe="HTTP/1.1 500", harm="\nSet-Cookie: session=mine",
        gain="A stranger's link sets a cookie of the stranger's choice in the browser of "
             "whoever follows it."),
    Safeguard(
        "charset", "router.py", "with_charset",
        "tells the browser that text is UTF-8",
        {'if content_type.lower().startswith("text/") and not match:': 2},
        request=get("/german"),
        safe="charset=utf-8", harm="Content-Type: text/plain\n",
        gain="The browser has to guess the encoding, and may show GrÃ¼ÃŸe."),

    # ---- routes.py ----
    Safeguard(
        "escape", "routes.py", "list_files",
        "shows a file name as text, not as HTML",
        {"{escape(name)}</a>": "{name}</a>"},
        request=get("/list"), needs="files/" + SCRIPT_NAME,
        safe="&lt;img src=x", harm=">" + SCRIPT_NAME,
        gain="Whoever opens the list runs the script in this file name."),
    Safeguard(
        "quote", "routes.py", "list_files",
        "quotes a file name in its link",
        {'<a href="/files/{quote(name)}">': '<a href="/files/{name}">'},
        request=get("/list"),
        safe='"/files/%231.txt"', harm='"/files/#1.txt"',
        gain="Everything after a # is left out of a request, so this link leads back to the "
             "list."),
    Safeguard(
        "listed", "routes.py", "list_files",
        "leaves hidden files and folders out of the list",
        {"if find_file(config.FILE_DIR, name):": "if name:"},
        request=get("/list"),
        safe="#1.txt", harm=".password",
        gain="Strangers learn which hidden files there are."),
    Safeguard(
        "rows", "routes.py", "make_rows",
        "shows what a visitor sent as text, not as HTML",
        {"<th>{escape(name)}</th><td>{escape(value)}</td>": "<th>{name}</th><td>{value}</td>"},
        request=get("/rows?name=%3Cscript%3Ealert(1)%3C/script%3E"),
        safe="&lt;script&gt;", harm="<script>",
        gain="A stranger's link runs a script in the browser of whoever follows it."),

    # ---- utils.py ----
    Safeguard(
        "template", "utils.py", "to_html",
        "shows a value in a template as text, not as HTML",
        {"return html.escape(str(value))": "return str(value)"},
        request=get("/greet?name=%3Cscript%3Ealert(1)%3C/script%3E"),
        safe="&lt;script&gt;", harm="<script>",
        gain="A stranger's link runs a script in the browser of whoever follows it."),
    Safeguard(
        "template-path", "utils.py", "render_template",
        "looks for templates only in their folder",
        {"= find_file(config.TEMPLATE_DIR": "= os.path.join(config.TEMPLATE_DIR"},
        request=get("/show?../config.py"),
        safe="Template Not Found", harm="TEMPLATE_DIR",
        gain="A page that lets visitors choose the template lets them read any file on this "
             "computer."),
    Safeguard(
        "error-page", "utils.py", "render_error",
        "shows an error even if error.html is missing",
        {"if page != TEMPLATE_NOT_FOUND:\n            return page": "return page"},
        request=get("/why-nowhere"), settings='TEMPLATE_DIR = os.path.join(FOLDER, "nowhere")\n',
        safe="<h1>404", harm="Template Not Found",
        gain="Every error page says Template Not Found, whatever the error was."),
    Safeguard(
        "console", "utils.py", "say",
        "keeps control characters away from the terminal",
        {"text.translate(CONTROLS)": "text"},
        request=get("/\x1b[2J\x1b[31mHacked"), client=watch,
        safe="\\x1b[2J", harm="\x1b[2J",
        gain="The terminal obeys a stranger: it clears its screen and writes in red."),
    Safeguard(
        "dots", "utils.py", "find_file",
        "looks for a leading dot, in the name and again in the path",
        {'if any(part == "" or part.startswith(".")': 2, 'if any(part.startswith(".")': 2},
        request=get("/files/../config.py"),
        safe="HTTP/1.1 404", harm='filename="config.py"',
        gain="A stranger reads config.py, or any other file on this computer."),
    Safeguard(
        "hidden", "utils.py", "find_file",
        "finds no hidden files",
        {'part == "" or part.startswith(".")': 'part in ("", "..")',
         'any(part.startswith(".")': 'any(part == ".."'},
        request=get("/files/.password"),
        safe="HTTP/1.1 404", harm="swordfish",
        gain="A stranger downloads what you hid: .password, .env, .git/config."),
    Safeguard(
        "link", "utils.py", "find_file",
        "follows no link out of the folder",
        {'if any(part.startswith(".")': 2},
        request=get("/files/link.txt"), needs="files/link.txt",
        safe="HTTP/1.1 404", harm="TEMPLATE_DIR",
        gain="One careless link in files/, and a stranger reads what it points to."),
    Safeguard(
        "surrogate", "utils.py", "find_file",
        "finds no file whose name is not text",
        {"name.encode()": 1},
        request=get("/odd"), needs="files/odd/bad\udcff.txt",
        safe="HTTP/1.1 200", harm="HTTP/1.1 500",
        gain="One oddly named file, from an old archive, and the list of all files is gone."),
    Safeguard(
        "pipe", "utils.py", "find_file",
        "finds files only, not folders or pipes",
        {"os.path.isfile(file_path) and ": ""},
        request=get("/files/pipe"), needs="files/pipe",
        safe="HTTP/1.1 404", harm="no answer: nothing within",
        gain="Opening a pipe waits for somebody to write into it, so this thread hangs for "
             "ever."),
    Safeguard(
        "attachment", "utils.py", "download_headers",
        "makes the browser save a download instead of showing it",
        {"\"Content-Disposition\": f'attachment": 2},
        request=get("/files/page.html"),
        safe="attachment", harm="Content-Type: text/html\nX-Content",
        gain="Whoever gets a page into files/ can run scripts in the name of your site."),
    Safeguard(
        "filename", "utils.py", "download_headers",
        "keeps characters out of a header that it cannot hold",
        {r're.sub(r"[^\w .-]", "_", name, flags=re.ASCII)': "name"},
        request=get("/files/%E6%97%A5%E6%9C%AC.txt"), needs="files/日本.txt",
        safe="HTTP/1.1 200", harm="no answer",
        gain="A file with a Japanese name cannot be downloaded."),
    Safeguard(
        "nosniff", "utils.py", "download_headers",
        "stops the browser from guessing another content type",
        {',\n            "X-Content-Type-Options": "nosniff"}': "}"},
        request=get("/files/hello.txt"),
        safe="nosniff", harm="hello.txt\nContent-Length",
        gain="Another site can load this text as a script, and the browser runs it."),

    # ---- utils.py, the bytes of a request ----
    Safeguard(
        "long-line", "utils.py", "read_line",
        "stops reading a line that is too long",
        {"stream.readline(limit + 1)": "stream.readline()"},
        request=b"GET /", client=flood,
        safe="next to none", harm=" MiB",
        gain="A stranger sends a line without end, until the memory is full."),
    Safeguard(
        "request-line", "utils.py", "parse_request_line",
        "refuses a request line of four words",
        {r"([!-~]+) (HTTP/": r"(.+) (HTTP/"},
        request=get("/hello?", version="HTTP/1.0 HTTP/1.1"),
        safe="HTTP/1.1 400", harm="hello",
        gain="A proxy may read HTTP/1.0 here, and believe that the connection ends after "
             "this request."),
    Safeguard(
        "request-line-end", "utils.py", "parse_request_line",
        r"refuses a request line that ends with \n alone",
        {r"\.[0-9])\r\n": r"\.[0-9])\r?\n"},
        request=b"GET /user HTTP/1.1\nX-User: admin\r\nHost: a\r\n\r\n",
        safe="HTTP/1.1 400", harm="Hello, admin",
        gain=r"A proxy that ends lines only at \r\n sees no X-User to remove, so a stranger "
             "is the admin."),
    Safeguard(
        "query", "utils.py", "parse_target",
        "cuts the query off the path",
        {r"(/[^?#]*)?(?:\?([^#]*))?": "(/[^#]*)?()"},
        request=get("/hello?x=1"),
        safe="HTTP/1.1 200", harm="HTTP/1.1 404",
        gain="No page can have parameters."),
    Safeguard(
        "long-headers", "utils.py", "read_headers",
        "limits the size of all headers together",
        {"limit -= len(line)": 1},
        request=get("/hello", *[f"X-{number}: {'x' * 60000}" for number in range(90)]),
        safe="HTTP/1.1 431", harm="HTTP/1.1 200",
        gain="One request takes 5 MB of memory, and 200 of them take 1 GB."),
    Safeguard(
        "many-headers", "utils.py", "read_headers",
        "limits the number of headers",
        {"for _ in range(MAX_LINES):": "while True:"},
        request=get("/hello", *["a:"] * 15000),
        safe="HTTP/1.1 431", harm="HTTP/1.1 200",
        gain="Such a request takes 50 times as long as others, and a few dozen a second stop "
             "the site."),
    Safeguard(
        "bad-header", "utils.py", "read_headers",
        "refuses a line that is not a header, instead of skipping it",
        {'require(match, 400, "Bad Header")': "if not match:\n            continue"},
        request=post(HIDDEN.replace(":", " :"), body=SECRET),
        safe="HTTP/1.1 400", harm="THE SECRET",
        gain="A proxy that overlooks the space sees a POST with a body. The server sees two "
             "requests, and answers the second one, which nobody has checked: request "
             "smuggling."),
    Safeguard(
        "colon", "utils.py", "read_headers",
        "refuses a space before the colon",
        {r'rf"({TOKEN}):': r'rf"({TOKEN}) ?:'},
        request=get("/user", "X-User : admin"),
        safe="HTTP/1.1 400", harm="Hello, admin",
        gain='A proxy that removes X-User does not know "X-User ", so a stranger is the admin.'),
    Safeguard(
        "header-end", "utils.py", "read_headers",
        r"refuses a header that ends with \n alone",
        {r"\x80-\xff]*)\r\n": r"\x80-\xff]*)\r?\n"},
        request=get("/user", "X-Note: 1\nX-User: admin"),
        safe="HTTP/1.1 400", harm="Hello, admin",
        gain=r"A proxy that ends lines only at \r\n sees no X-User to remove, so a stranger "
             "is the admin."),
    Safeguard(
        "control", "utils.py", "read_headers",
        "refuses control characters in a header",
        {r':([\t -~\x80-\xff]*)': ":(.*)"},
        request=get("/user", "X-User: admin\0Ada"),
        safe="HTTP/1.1 400", harm="Hello, admin\0",
        gain=r"To a program written in C, this name ends at \x00: it checks the rights of "
             "somebody else."),
    Safeguard(
        "nbsp", "utils.py", "read_headers",
        "strips only spaces and tabs from a header",
        {r'match[2].strip(" \t")': "match[2].strip()"},
        request=post(HIDDEN + "\xa0", body=SECRET),
        safe="HTTP/1.1 400", harm="HTTP/1.1 200",
        gain=r"Python's strip() removes \xa0, too, but a proxy does not: it sees no length, "
             "and two requests."),
    Safeguard(
        "nbsp-in-list", "utils.py", "list_members",
        "strips only spaces and tabs from the members of a list",
        {r'member.strip(" \t")': "member.strip()"},
        request=post("Transfer-Encoding: chunked\xa0", body=b"0\r\n\r\n"),
        safe="HTTP/1.1 400", harm="HTTP/1.1 200",
        gain=r"Python's strip() removes \xa0, too, but a proxy does not: it sees no chunks."),
    Safeguard(
        "two-codings", "utils.py", "list_members",
        "reads every header of a name, not just the first",
        {"headers.get_all(name, [])": "headers.get_all(name, [])[:1]"},
        request=post("Transfer-Encoding: chunked", "Transfer-Encoding: identity",
                     body=b"0\r\n\r\n" + SECRET),
        safe="HTTP/1.1 400", harm="THE SECRET",
        gain="A proxy that believes the last header sees no chunks, and another end of this "
             "request."),
    Safeguard(
        "host", "utils.py", "check_host",
        "refuses a Host that cannot be one",
        {" and re.fullmatch(URI_HOST, hosts[0], re.ASCII)": ""},
        request=b"GET /reset HTTP/1.1\r\nHost: evil.example/?\"><script>alert(1)</script>\r\n\r\n",
        safe="HTTP/1.1 400", harm="<script>",
        gain="A page that shows its own address runs a stranger's script."),
    Safeguard(
        "two-hosts", "utils.py", "check_host",
        "refuses two Host headers",
        {"len(hosts) == 1 and re.fullmatch(URI_HOST": "hosts and re.fullmatch(URI_HOST"},
        request=b"GET /reset HTTP/1.1\r\nHost: evil.example\r\nHost: shop.example\r\n\r\n",
        safe="HTTP/1.1 400", harm="evil.example",
        gain="A proxy that believes the second one stores this page for the visitors of "
             "shop.example. Their link for a new password leads to a stranger's server."),
    Safeguard(
        "two-lengths", "utils.py", "body_length",
        "refuses a body with two lengths",
        {"require(not lengths and version": 1},
        request=post(f"Content-Length: {len(SECRET) + 5}", "Transfer-Encoding: chunked",
                     body=b"0\r\n\r\n" + SECRET),
        safe="HTTP/1.1 400", harm="THE SECRET",
        gain="A proxy that believes Content-Length sees a POST with a body. The server sees "
             "two requests, and answers the second one, which nobody has checked: request "
             "smuggling."),
    Safeguard(
        "coding", "utils.py", "body_length",
        "refuses a coding that it does not know",
        {'require(codings == ["chunked"]': 1},
        request=post("Transfer-Encoding: identity", body=b"0\r\n\r\n" + SECRET),
        safe="HTTP/1.1 400", harm="THE SECRET",
        gain="This header means that there are no chunks, but the server reads chunks."),
    Safeguard(
        "lengths", "utils.py", "body_length",
        "refuses two Content-Length headers",
        {"len(lengths) == 1 and ": ""},
        request=post("Content-Length: 0", HIDDEN, body=SECRET),
        safe="HTTP/1.1 400", harm="THE SECRET",
        gain="A proxy that believes the second one sees a POST with a body. The server sees "
             "two requests, and answers the last one, which nobody has checked: request "
             "smuggling."),
    Safeguard(
        "digits", "utils.py", "body_length",
        "refuses a length that is not a number",
        {' and re.fullmatch("[0-9]{1,18}", lengths[0])': ""},
        request=post("Content-Length: -1"), client=wait,
        safe="HTTP/1.1 400", harm="no answer: nothing within",
        gain="read(-1) reads until the client stops, and keeps all of it in memory."),
    Safeguard(
        "big-body", "main.py", "read_request",
        "limits the size of the body",
        {"require(length is None or length <= config.MAX_BODY": 1},
        request=post("Content-Length: 12582912"), client=flood,
        safe="next to none", harm=" MiB",
        gain="A stranger decides how much memory your computer has left."),
    Safeguard(
        "cut-short", "utils.py", "read_body",
        "refuses a body that breaks off",
        {"require(len(body) == length": 1},
        request=get("/echo", "Content-Length: 10") + b"pay 100",
        safe="HTTP/1.1 400", harm="pay 100",
        gain="The connection broke before the rest came: it was to be pay 100.50."),
    Safeguard(
        "chunk-size", "utils.py", "read_chunks",
        "refuses a chunk size that is not a number",
        {"([0-9A-Fa-f]{{1,16}})": "([^;]+)"},
        request=post("Transfer-Encoding: chunked", body=b"-1\r\n"), client=wait,
        safe="HTTP/1.1 400", harm="no answer: nothing within",
        gain="read(-1) reads until the client stops, and keeps all of it in memory."),
    Safeguard(
        "extension", "utils.py", "read_chunks",
        "refuses anything odd behind a chunk size",
        {r"({EXTENSION})*\r\n": r"(;.*)?\r\n"},
        request=post("Transfer-Encoding: chunked",
                     body=b"2;\rAB\r\n26\r\n0\r\n\r\n" + SECRET + b"\r\n0\r\n\r\n"),
        safe="HTTP/1.1 400", harm="THE SECRET",
        gain=r"A proxy that ends lines at \r, too, sees AB and then a chunk of 38 bytes. The "
             "server sees a request in that chunk, and answers it: request smuggling."),
    Safeguard(
        "chunk-line-end", "utils.py", "read_chunks",
        r"refuses a chunk size that ends with \n alone",
        {r"({EXTENSION})*\r\n": r"({EXTENSION})*\r?\n"},
        request=post("Transfer-Encoding: chunked", body=b"0;a\n\r\n" + SECRET),
        safe="HTTP/1.1 400", harm="THE SECRET",
        gain=r"A proxy that ends lines only at \r\n takes the rest for headers behind the "
             "body. The server takes it for a request, and answers it: request smuggling."),
    Safeguard(
        "chunk-end", "utils.py", "read_chunks",
        "refuses a chunk that is longer than its size",
        {r'require(stream.read(2) == b"\r\n", 400, "Bad Chunk")': "stream.read(2)"},
        request=post("Transfer-Encoding: chunked", body=b"5\r\nhelloXX0\r\n\r\n" + SECRET),
        safe="HTTP/1.1 400", harm="THE SECRET",
        gain="A proxy that reads on to the end of the line sees another end of this body."),
    Safeguard(
        "big-chunks", "utils.py", "read_chunks",
        "limits the size of a body in chunks",
        {"require(len(body) + size <= limit": 1},
        request=post("Transfer-Encoding: chunked", body=b"C00000\r\n"), client=flood,
        safe="next to none", harm=" MiB",
        gain="A stranger decides how much memory your computer has left."),
    Safeguard(
        "trailers", "utils.py", "read_chunks",
        "reads the headers that may follow the chunks",
        {"read_headers(stream, config.MAX_HEAD)": 1},
        request=post("Transfer-Encoding: chunked", body=b"0\r\n" + SECRET),
        safe="HTTP/1.1 400", harm="THE SECRET",
        gain="What a proxy takes for headers behind the body, the server answers: request "
             "smuggling."),

    # ---- main.py ----
    Safeguard(
        "refusal", "main.py", "handle_one_request",
        "closes the connection after a refusal",
        {"except Refusal as refusal:\n            self.close_connection = True":
         "except Refusal as refusal:"},
        request=get("/hello") + post("Host: b", HIDDEN, body=SECRET),
        safe="Connection: close", harm="THE SECRET",
        gain="The server refuses the request, and then answers what is hidden in its body."),
    Safeguard(
        "download", "main.py", "do_GET",
        "sends the files that the list links to",
        {'elif path.startswith("/files/"):': 2},
        request=get("/files/hello.txt"),
        safe="HTTP/1.1 200", harm="HTTP/1.1 404",
        gain="Every link in the list is dead."),
    Safeguard(
        "head", "main.py", "do_HEAD",
        "answers HEAD, which asks for the headers of a GET",
        {"def do_HEAD(self):": 3},
        request=b"HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n",
        safe="HTTP/1.1 200", harm="HTTP/1.1 501",
        gain="A program that checks links reports your pages as broken."),
    Safeguard(
        "raises", "main.py", "call_handler",
        "turns whatever a handler raises into a 500",
        {"except BaseException:": 3},
        request=get("/raise"),
        safe="HTTP/1.1 500", harm="no answer",
        gain="The visitor sees the browser's own error, as if there was no server."),
    Safeguard(
        "exits", "main.py", "call_handler",
        "turns even exit() into a 500",
        {"except BaseException:": "except Exception:"},
        request=get("/exit"),
        safe="HTTP/1.1 500", harm="no answer",
        gain="The visitor gets no answer, and you get no traceback."),
    Safeguard(
        "value", "main.py", "call_handler",
        "gives a handler a value, not the connection",
        {"handler(self.current_request)": "handler(self)"},
        request=get("/mood"),
        safe="HTTP/1.1 500", harm="X-Mood: good\nHTTP/1.1 200",
        gain="The answer begins with a header instead of its status, and no browser "
             "understands it."),
    Safeguard(
        "gone", "main.py", "call_handler",
        "does not blame the handler when the client has gone",
        {"check_response(handler(self.current_request))":
         "check_response(handler(self.current_request))\n"
         '            self.send_page(status, {"Content-Type": content_type}, body)',
         "        else:  #": 2},
        request=get("/big"), client=leave,
        safe='" 200 -', harm="Traceback",
        gain="Every visitor who does not wait leaves a traceback that looks like your bug."),
    Safeguard(
        "suggestion", "main.py", "send_not_found",
        "quotes and escapes the path that it suggests",
        {'"{quote(matches[0])}">{escape(matches[0])}': '"{matches[0]}">{matches[0]}'},
        request=get("/tom%20&%20%22jery%22"),
        safe="%20%26%20%22jerry%22", harm='"/tom & "jerry""',
        gain="The link ends at the first quote, and leads to /tom & instead."),
    Safeguard(
        "no-body", "main.py", "send_page",
        "sends no body with 204 (No Content)",
        {"if status in (204, 205, 304):": 2},
        request=get("/nothing") + get("/hello"),
        safe="\nHTTP/1.1 200", harm="oopsHTTP/1.1 200",
        gain="The browser takes oops for the beginning of the next answer."),
    Safeguard(
        "head-body", "main.py", "send_page",
        "sends no body in answer to HEAD",
        {"if not self.is_head:\n            self.wfile.write(body)": "self.wfile.write(body)"},
        request=b"HEAD /hello HTTP/1.1\r\nHost: a\r\n\r\n" + get("/secret"),
        safe="\nHTTP/1.1 200", harm="helloHTTP/1.1 200",
        gain="The client takes hello for the beginning of the next answer."),
    Safeguard(
        "flush", "main.py", "send_page",
        "sends what wfile has collected",
        {"self.wfile.write(body)\n        self.wfile.flush()": "self.wfile.write(body)"},
        request=get("/hello"), client=wait,
        safe="hello", harm="no answer: nothing within",
        gain="The answer waits in the server for more to come, and the visitor waits for the "
             "answer."),
    Safeguard(
        "order", "main.py", "send_file",
        "sends the head of a download before the file",
        {"self.send_head(200, headers, length)\n        self.wfile.flush()":
         "self.send_head(200, headers, length)"},
        request=get("/files/hello.txt"),
        safe="keep-alive\n\nhello", harm="helloHTTP/1.1",
        gain="The client takes the file for the head, and understands nothing."),
    Safeguard(
        "memory", "main.py", "send_file",
        "sends a file without having all of it in memory",
        {"self.connection.sendfile(file, 0, length)": "self.wfile.write(file.read())"},
        request=get("/files/big.bin"), client=weigh,
        safe="next to none", harm=" MiB",
        gain="Ten visitors who download a film of 1 GB take 10 GB of memory."),
    Safeguard(
        "length", "main.py", "send_head",
        "says how long the body is",
        {"if status not in (204, 304):": 2},
        request=get("/hello"), client=wait,
        safe="Content-Length: 5", harm="(nothing within",
        gain="The browser cannot tell half a page from a whole one, and waits for more."),
    Safeguard(
        "continue", "main.py", "read_request",
        "tells a client that waits for it to send the body",
        {'if "100-continue" in': 3},
        request=post("Content-Length: 5", "Expect: 100-continue"), client=wait,
        safe="HTTP/1.1 100", harm="no answer: nothing within",
        gain="curl waits a second before each large POST, and other clients wait for ever."),
    Safeguard(
        "get-body", "main.py", "read_request",
        "reads the body of a GET, too",
        {"utils.read_body(self.rfile, length, config.MAX_BODY)":
         'utils.read_body(self.rfile, length, config.MAX_BODY) if method == "POST" else b""'},
        request=get("/hello", HIDDEN) + SECRET,
        safe="hello", harm="THE SECRET",
        gain="A proxy sees one GET with a body. The server sees two requests, and answers "
             "the second one, which nobody has checked: request smuggling."),
    Safeguard(
        "linger", "main.py", "finish",
        "gives a client time to read why it is refused",
        {"deadline = time.monotonic()": 8},
        request=post("Content-Length: 8388608"), client=upload,
        safe="HTTP/1.1 413", harm="breaks",
        gain="The visitor never learns that the upload was too large."),
    Safeguard(
        "deadline", "main.py", "finish",
        "stops reading from a client that never stops sending",
        {" and time.monotonic() < deadline": ""},
        request=b"nonsense\r\n", client=insist, settings="TIMEOUT = 1\n",
        safe="ends", harm="still listens",
        gain="Each such client keeps a thread busy for as long as it likes."),
    Safeguard(
        "log", "main.py", "log_request",
        "cuts a long request line in the log",
        {"if len(line) > 200:": 2},
        request=get("/" + "a" * 60000), client=watch,
        safe='aaa..." 404', harm="a" * 1000,
        gain="A stranger fills your screen, or your disk."),
    Safeguard(
        "timeout", "main.py", "SidhHTTP",
        "disconnects a silent client",
        {"timeout = config.TIMEOUT": 1},
        client=be_silent, settings="TIMEOUT = 1\n",
        safe="closed", harm="no answer: nothing within",
        gain="Each client that falls silent keeps a thread for ever."),
    Safeguard(
        "threads", "main.py", "Server",
        "gives each connection its own thread",
        {"import ThreadingTCPServer": "import TCPServer",
         "Server(ThreadingTCPServer)": "Server(TCPServer)"},
        request=get("/hello"), client=be_second,
        safe="hello", harm="no answer: nothing within",
        gain="One visitor who says nothing stops the site for everybody."),
    Safeguard(
        "daemon", "main.py", "Server",
        "lets the program end while connections are open",
        {"daemon_threads = True": 1},
        client=interrupt,
        safe="server closed", harm="still runs",
        gain="After Ctrl+C, the program goes on until the last browser has closed its connection."),
    Safeguard(
        "leaving", "main.py", "handle_error",
        "says nothing when a client leaves",
        {"def handle_error(self, connection": 7},
        request=get("/hello"), client=leave,
        safe='" 200 -', harm="Traceback",
        gain="The console fills with tracebacks that are no bugs, and hides the real ones."),
    Safeguard(
        "listen", "main.py", "main",
        "says in one sentence why the server cannot start",
        {"except (OSError, ValueError, OverflowError, TypeError) as error:":
         "except EOFError as error:"},
        client=start_elsewhere,
        safe="MINI_HOST", harm="Traceback",
        gain="Whoever starts it for the first time meets a wall of text."),
    Safeguard(
        "control-c", "main.py", "main",
        "makes Ctrl+C a normal end",
        {"except KeyboardInterrupt:": "except EOFError:"},
        client=interrupt,
        safe="server closed...", harm="Traceback",
        gain="Stopping the server looks like a crash."),
]


if __name__ == "__main__":
    for number in signal.SIGTERM, signal.SIGINT:  # not ignored, as in the background of a shell
        signal.signal(number, signal.default_int_handler)
    sys.stdout.reconfigure(errors="backslashreplace")  # not every console can show all of it
    try:
        main()
    except (CannotShow, KeyboardInterrupt) as error:
        sys.exit(str(error) or "stopped")
