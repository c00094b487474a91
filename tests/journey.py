"""Follow one request on its way through the modules.

    python tests/journey.py                      a GET of /
    python tests/journey.py "/request?name=Ada"  a GET of any target
    python tests/journey.py -H "Cookie: a=b" /   with another header; -H can be repeated
    python tests/journey.py -X POST -d hello /   a POST
    python tests/journey.py --all /              with every step of the reading
    printf 'GET / HTTP/1.1\\r\\n\\r\\n' | python tests/journey.py -    any bytes at all

It starts the server on a free port, sends the request, and prints the bytes that came, each call
of a function in a .py file of the project's folder, with what went in and what came out, and the
bytes that went. An exception is shown where it is raised. Of several calls of one function in a
row, only the first is shown, and the steps of read_request only if it refuses the request.

Python itself reports each call and each return to a function of ours, see sys.settrace: the
modules know nothing of this.
"""
import argparse
import contextlib
import dataclasses
import dis
import inspect
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
HIDDEN = {"require", "__init__", "<listcomp>", "<dictcomp>", "<setcomp>", "<genexpr>"}
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
    frame: object
    start: int  # how many lines were written before it
    is_repeated: bool  # its caller called it just before, too
    error: object = None  # the last exception in it, which it may have caught
    last_code: object = None  # of the function that it called last
    repeats: int = 0  # how often it has called that one again, directly afterwards


class Journey:
    """Writes down the calls and returns of one thread, as lines of text."""

    def __init__(self, shows_all):
        self.shows_all = shows_all
        self.lines = []
        self.calls = [Call(None, 0, False)]  # from the outermost to the innermost
        self.raised = None  # the last exception that is shown

    def listen(self, frame, event, value):
        """Get what Python reports: a function's frame, and what it returns or (class, error)."""
        if frame.f_code.co_filename not in MODULES or frame.f_code.co_name in HIDDEN:
            return None
        if event == "call":
            self.enter(frame)
        elif event == "exception":
            self.calls[-1].error = value[1]
        elif event == "return":
            self.leave(frame, value)
        return self.listen  # to which Python reports the rest of this function

    def enter(self, frame):
        """Write down that a function begins."""
        code = frame.f_code
        caller = self.calls[-1]
        is_repeated = code is caller.last_code and code.co_name != "answer_request"
        if not is_repeated:
            self.tell_repeats()
            caller.last_code = code
        self.calls.append(Call(frame, len(self.lines), is_repeated))
        self.write(show_call(frame), MODULES[code.co_filename])

    def leave(self, frame, value):
        """Write down what a function returns or raises."""
        self.tell_repeats()
        call = self.calls[-1]
        is_reading = frame.f_code.co_name == "read_request"
        last_step = dis.opname[frame.f_code.co_code[frame.f_lasti]]
        if call.is_repeated:
            del self.lines[call.start:]
            self.calls[-2].repeats += 1
        # A generator is left when it yields; for Python 3.13, its last step is RESUME then.
        elif not last_step.startswith(("RETURN", "YIELD", "RESUME")):
            if call.error is not self.raised:
                self.write(f"  raises {show(call.error)}")
            self.raised = call.error
        elif value is not None:
            if is_reading and not self.shows_all:
                del self.lines[call.start + 1:]
            self.write(f"  -> {show(value)}")
            if is_reading:
                for name in getattr(value, "_fields", ()):
                    self.write(f"       {name}={show(getattr(value, name))}")
        self.calls.pop()

    def tell_repeats(self):
        """Write down how often the innermost function has called another one again."""
        call = self.calls[-1]
        if call.repeats:
            self.write(f"  (and {call.last_code.co_name} again: {call.repeats} more)")
        call.repeats = 0

    def write(self, text, module=""):
        """Add a line at the depth of the innermost function."""
        if len(self.lines) < MOST:
            indent = 8 + 2 * len(self.calls)
            self.lines.append(cut(f"{module} ".ljust(indent) + text))
        elif len(self.lines) == MOST:
            self.lines.append("...")


# ---- Showing values ----

def show_call(frame):
    """Return a function and its arguments, without self and what leads to the client."""
    names, more, keywords, values = inspect.getargvalues(frame)
    shown = [f"{name}={show(values[name])}" for name in [*names, more, keywords]
             if name not in ("self", None)
             and not isinstance(values[name], (io.IOBase, socket.socket))]
    return f"{frame.f_code.co_name}({', '.join(shown)})"


def show(value):
    """Return a value as it would stand in code, without addresses of objects."""
    if isinstance(value, FunctionType):
        return value.__name__
    if type(value).__name__ == "Request":
        return "Request(...)"  # what it holds is shown where read_request returns it
    if isinstance(value, Message):
        return "{" + ", ".join(f"{name!r}: {text!r}" for name, text in value.items()) + "}"
    return re.sub(" at 0x[0-9A-Fa-f]+", "", repr(value))


def cut(line):
    """Return a line that fits the width."""
    return line if len(line) <= WIDTH else line[:WIDTH - 3] + "..."


def show_bytes(data):
    """Return the lines of some bytes, with their line breaks visible; of many, first and last."""
    lines = data.splitlines(keepends=True)
    shown = [line.decode("latin-1").encode("unicode_escape").decode() for line in lines]
    if len(lines) > FIRST + LAST + 1:
        count = len(b"".join(lines[FIRST:-LAST]))
        shown[FIRST:-LAST] = [f"... ({count:,} bytes are left out here)"]
    return shown


def describe(raw, calls, said, answer):
    """Return all that is to be printed: what came, the calls, what was said, and what went."""
    parts = [("the bytes that came:", show_bytes(raw)), ("the calls:", calls),
             ("the console:", said[-SAID:]), ("the bytes that went:", show_bytes(answer))]
    return "\n\n".join("\n".join([title, *(cut(f"  {line}".rstrip()) for line in lines)])
                       for title, lines in parts if lines)


# ---- Sending the request ----

def parse_arguments():
    """Return the options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n\nIt ")[0],
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", default="/", metavar="TARGET")
    parser.add_argument("-X", dest="method")
    parser.add_argument("-H", dest="headers", action="append", default=[], metavar="HEADER")
    parser.add_argument("-d", dest="body")
    parser.add_argument("--all", action="store_true")
    return parser.parse_args()


def make_request(options):
    """Return the bytes to send."""
    if options.target == "-":
        return sys.stdin.buffer.read()
    if not options.target.startswith("/"):
        sys.exit(f'a target starts with "/", such as /home, unlike {options.target!r}')
    method = options.method or ("GET" if options.body is None else "POST")
    # As browsers send it: with escapes, and without what follows a "#"
    target = quote(os.fsencode(options.target.partition("#")[0]), safe="/?%&=+:;,@!$'()*~[]")
    lines = [f"{method} {target} HTTP/1.1", "Host: 127.0.0.1", "Connection: close",
             *options.headers]
    body = os.fsencode(options.body or "")
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return os.fsencode("\r\n".join([*lines, "", ""])) + body


def travel(raw, journey):
    """Send the bytes to a server and return those that come back.

    None if that takes too long, or if Ctrl+C ends the waiting.
    """
    import main

    class Server(main.Server):
        address_family = socket.AF_INET  # that of 127.0.0.1, whatever config.py says

        def process_request_thread(self, *arguments):  # the thread of the connection begins here
            self.thread = threading.current_thread()
            sys.settrace(journey.listen)
            super().process_request_thread(*arguments)

    with Server(("127.0.0.1", 0), main.SidhHTTP) as server, \
            socket.create_connection(server.server_address, timeout=LIMIT) as client:
        server.handle_request()  # accepts the connection, and starts a thread for it
        try:
            with contextlib.suppress(ConnectionError):  # it need not read all that is sent
                client.sendall(raw)
                client.shutdown(socket.SHUT_WR)
            answer = b"".join(iter(lambda: client.recv(65536), b""))
        except (socket.timeout, KeyboardInterrupt):
            return None
    server.thread.join()
    return answer


def follow(raw, shows_all):
    """Print the journey of these bytes."""
    journey = Journey(shows_all)
    console = io.StringIO()
    stdout = sys.stdout
    stderr = sys.stderr
    with contextlib.redirect_stdout(console), contextlib.redirect_stderr(console):
        answer = travel(raw, journey)
        said = console.getvalue().splitlines()
        print(describe(raw, journey.lines, said, answer or b""), file=stdout, flush=True)
        if answer is None:
            frame = journey.calls[-1].frame
            code = frame.f_code
            where = f"{code.co_name}() in {MODULES[code.co_filename]}, line {frame.f_lineno},"
            print(f"no answer yet: {where} has not returned", file=stderr, flush=True)
            os._exit(1)  # at once, because the handler may go on printing


if __name__ == "__main__":
    sys.path.insert(0, PROJECT)  # so that the modules are found from any folder
    sys.stdout.reconfigure(errors="backslashreplace")  # not every console can show all values
    arguments = parse_arguments()
    follow(make_request(arguments), arguments.all)
