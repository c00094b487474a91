"""Follow one request on its way through the modules.

    python tests/journey.py                      a GET of /
    python tests/journey.py "/request?name=Ada"  a GET of any target
    python tests/journey.py -H "Cookie: a=b" /   with another header; -H can be repeated
    python tests/journey.py -X POST -d hello /   a POST
    python tests/journey.py --all /              with every step of the reading
    printf 'GET / HTTP/1.1\\r\\n\\r\\n' | python tests/journey.py -    any bytes at all

It starts the server on a free port, sends the request, and prints the bytes that came, each
function that was called in a .py file of the project's folder, in order, with what went in and
what came out, and the bytes that went. A function that is called several times in a row stands
there once. Reading a request is one line, unless the request is refused.

Python itself reports each call and each return to a function of ours (see sys.setprofile): the
modules know nothing of this.
"""
import argparse
import contextlib
import dataclasses
import dis
import io
import os
import re
import socket
import sys
import threading
from email.message import Message
from types import FunctionType
from urllib.parse import quote

PROJECT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
MODULES = {os.path.join(PROJECT, name): name for name in os.listdir(PROJECT)
           if name.endswith(".py")}
WIDTH = 100  # columns: a longer line is cut
FIRST = 10  # lines of bytes are shown from the beginning
LAST = 5  # and from the end: what is between them is only counted
MOST = 1000  # lines of the journey: those after them are left out
SAID = 50  # lines of the console: the last ones
LIMIT = 10  # seconds to wait for the answer


# ---- Listening to Python ----

@dataclasses.dataclass
class Call:
    """A function that has been called and has not returned yet."""
    code: object
    start: int  # how many lines were written before it
    is_repeated: bool  # its caller called it just before, too
    last_code: object = None  # of the function that it called last
    repeats: int = 0  # how often it has called that one again, directly afterwards


class Journey:
    """Writes down the calls and returns of one thread, as lines of text."""

    def __init__(self, shows_all):
        self.shows_all = shows_all
        self.lines = []
        self.calls = [Call(None, 0, False)]  # from the outermost to the innermost
        self.thread = None  # the identifier of the one that is followed

    def whereabouts(self):
        """Return where the thread is just now, in which function of the modules."""
        frame = sys._current_frames().get(self.thread)
        while frame is not None and frame.f_code.co_filename not in MODULES:
            frame = frame.f_back
        if frame is None:
            return "the server"
        code = frame.f_code
        return f"{code.co_name}() in {MODULES[code.co_filename]}, line {frame.f_lineno},"

    def listen(self, frame, event, value):
        """Get what Python reports: the frame is that of the function, value what it returns."""
        code = frame.f_code
        if self.thread is None:  # that of the connection comes first, then those of handlers
            self.thread = threading.get_ident()
        if threading.get_ident() != self.thread or code.co_filename not in MODULES:
            return
        if code.co_name == "require" or re.match("<.*comp>|<genexpr>", code.co_name):
            return
        if event == "call":
            self.enter(frame, code)
        elif event == "return":
            self.leave(frame, value)

    def enter(self, frame, code):
        """Write down that a function begins."""
        caller = self.calls[-1]
        is_repeated = code is caller.last_code and caller.code is not None  # each request counts
        if not is_repeated:
            self.tell_repeats()
            caller.last_code = code
        start = len(self.lines)
        self.write(show_call(frame, code), MODULES[code.co_filename])
        self.calls.append(Call(code, start, is_repeated))

    def leave(self, frame, value):
        """Write down what a function returns, or that it was left in another way."""
        self.tell_repeats()
        call = self.calls.pop()
        last_step = dis.opname[call.code.co_code[frame.f_lasti]]
        if call.is_repeated:
            del self.lines[call.start:]
            self.calls[-1].repeats += 1
        # A generator is left when it yields; for Python 3.13, its last step is RESUME then.
        elif not last_step.startswith(("RETURN", "YIELD", "RESUME")):
            self.write("  (left by an exception)")
        elif call.code.co_name == "read_request" and not self.shows_all:
            del self.lines[call.start:]
            self.write(f"read_request() -> {show(value)}", MODULES[call.code.co_filename])
        elif value is not None:
            self.write(f"  -> {show(value)}")

    def tell_repeats(self):
        """Write down how often the innermost function has called another one again."""
        call = self.calls[-1]
        if call.repeats:
            self.write(f"  (and {call.last_code.co_name} again: {call.repeats} more)")
        call.repeats = 0

    def write(self, text, module=""):
        """Add a line at the depth of the calls."""
        if len(self.lines) < MOST:
            indent = 10 + 2 * len(self.calls)
            self.lines.append(cut(f"{module} ".ljust(indent) + text))
        elif len(self.lines) == MOST:
            self.lines.append("...")


# ---- Showing values ----

def show_call(frame, code):
    """Return a function and its arguments, without self and the stream that is read."""
    name = code.co_name
    if name == "__init__":
        name = type(frame.f_locals["self"]).__name__
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & 0x04) + bool(code.co_flags & 0x08)  # it has *args, **kwargs
    arguments = [f"{argument}={cut(show(frame.f_locals[argument]), 70)}"
                 for argument in code.co_varnames[:count] if argument not in ("self", "stream")]
    return f"{name}({', '.join(arguments)})"


def show(value):
    """Return a value as it would stand in code, without addresses of objects."""
    if isinstance(value, FunctionType):
        return value.__name__
    if hasattr(value, "_fields"):  # a NamedTuple, such as Request
        fields = [f"{name}={show(getattr(value, name))}" for name in value._fields]
        return f"{type(value).__name__}({', '.join(fields)})"
    if isinstance(value, Message):
        return "{" + ", ".join(f"{name!r}: {text!r}" for name, text in value.items()) + "}"
    return re.sub(" at 0x[0-9A-Fa-f]+", "", repr(value))


def cut(text, width=WIDTH):
    """Return a text that fits the width."""
    return text if len(text) <= width else text[:width - 3] + "..."


def show_bytes(data):
    """Return the lines of some bytes, with their line breaks visible; of many, first and last."""
    lines = data.splitlines(keepends=True)
    shown = [line.decode("latin-1").encode("unicode_escape").decode() for line in lines]
    if len(lines) > FIRST + LAST + 1:
        count = len(b"".join(lines[FIRST:-LAST]))
        shown[FIRST:-LAST] = [f"... ({count:,} bytes are left out here)"]
    return shown


def below(title, lines):
    """Return the title, and the lines indented below it."""
    return [title, *(cut(f"  {line}".rstrip()) for line in lines)]


# ---- Sending the request ----

def parse_arguments():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description="Follow one request through the modules.")
    parser.add_argument("target", nargs="?", default="/", metavar="TARGET",
                        help='such as "/request?name=Ada"; - reads the bytes from standard input')
    parser.add_argument("-X", dest="method", help="the method: GET, HEAD, POST, OPTIONS")
    parser.add_argument("-H", dest="headers", action="append", default=[], metavar="HEADER",
                        help='a header, such as "Cookie: a=b"; can be repeated')
    parser.add_argument("-d", dest="body", help="the body; the method is POST if it is not given")
    parser.add_argument("--all", action="store_true", help="show every step of the reading")
    return parser.parse_args()


def make_request(options):
    """Return the bytes to send."""
    if options.target == "-":
        return sys.stdin.buffer.read()
    if not options.target.startswith("/"):
        sys.exit(f'a target starts with "/", such as /home, unlike {options.target!r}')
    for header in options.headers:
        if ":" not in header:
            sys.exit(f'a header has a colon, such as "Cookie: a=b", unlike {header!r}')
    method = options.method or ("GET" if options.body is None else "POST")
    # As browsers send it: with escapes, and without what follows a "#"
    target = quote(os.fsencode(options.target.partition("#")[0]), safe="/?%&=+:;,@!$'()*~[]")
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", *options.headers]
    body = os.fsencode(options.body or "")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return os.fsencode("\r\n".join([*lines, "", ""])) + body


def travel(raw, journey):
    """Send the bytes to a server and return those that come back.

    None if that takes too long, or if Ctrl+C ends the waiting.
    """
    import main
    server = main.Server(("127.0.0.1", 0), main.SidhHTTP)
    with server, socket.create_connection(server.server_address, timeout=LIMIT) as client:
        threading.setprofile(journey.listen)  # for each thread that starts from now on
        server.handle_request()  # accepts the connection, and starts a thread for it
        try:
            with contextlib.suppress(ConnectionError):  # it need not read all that is sent
                client.sendall(raw)
                client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        except (socket.timeout, TimeoutError, KeyboardInterrupt):
            return None
    for thread in threading.enumerate():
        if thread.ident == journey.thread:
            thread.join()
    return answer


def follow(raw, shows_all):
    """Print the journey of these bytes."""
    journey = Journey(shows_all)
    console = io.StringIO()
    stdout = sys.stdout
    stderr = sys.stderr
    with contextlib.redirect_stdout(console), contextlib.redirect_stderr(console):
        answer = travel(raw, journey)
        text = describe(raw, journey.lines, console.getvalue().splitlines(), answer)
        if answer is None:
            where = journey.whereabouts()
            print(text, file=stdout, flush=True)
            print(f"no answer yet: {where} has not returned", file=stderr, flush=True)
            os._exit(1)  # at once, because the handler may go on printing
    print(text)


def describe(raw, calls, said, answer):
    """Return all that is to be printed: what came, the calls, what was said, and what went."""
    lines = [*below("the bytes that came:", show_bytes(raw)), "", *calls, ""]
    if not all(re.search('" [0-9]{3} -$', line) for line in said):  # not only lines of the log
        lines += [*below("the console:", said[-SAID:]), ""]
    if answer is not None:
        lines += below("the bytes that went:", show_bytes(answer))
    return "\n".join(lines)


if __name__ == "__main__":
    sys.path.insert(0, PROJECT)  # so that the modules are found from any folder
    sys.stdout.reconfigure(errors="backslashreplace")  # not every console can show all values
    arguments = parse_arguments()
    follow(make_request(arguments), arguments.all)
