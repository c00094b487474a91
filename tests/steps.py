"""See this framework built: from the article's idea to these modules, one reason at a time.

    python tests/steps.py                   the steps, a line each
    python tests/steps.py 4                 why step 4, both answers, and the lines that change
    python tests/steps.py 4 --serve         serve step 4 on MINI_PORT, to browse it
    python tests/steps.py 4 --write FOLDER  write its files to a new folder, to play with them

tests/steps/0 has the files of the idea, 1.diff leads from there to step 1, and so on; the modules
of the last step are those of this project. tests/steps/README.md is the tutorial: each box in it
says what to do, and which answers come before and after the step.
"""
import argparse
import contextlib
import difflib
import os
import pathlib
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import namedtuple

PROJECT = pathlib.Path(__file__).resolve().parent.parent
STEPS = PROJECT / "tests" / "steps"
MODULES = ["config.py", "router.py", "routes.py", "utils.py", "main.py"]  # in reading order
LIMIT = 30  # seconds to wait for what must come, however busy the computer is


# ---- The files of a step ----

def read_lines(path):
    """Return the lines of a file, [] if there is none."""
    return path.read_text("utf-8").split("\n")[:-1] if path.is_file() else []


def read_folder(folder):
    """Return the files of a step in a folder, as {name: lines}, in reading order."""
    paths = [path for pattern in (*MODULES, "templates/*", "files/*")
             for path in sorted(folder.glob(pattern))]
    return {path.relative_to(folder).as_posix(): read_lines(path) for path in paths}


def read_steps():
    """Return the files of each step, or raise ValueError."""
    steps = [read_folder(STEPS / "0")]
    while diff := read_lines(STEPS / f"{len(steps)}.diff"):
        steps.append(apply(diff, steps[-1], f"{len(steps)}.diff"))
    return steps


def apply(diff, files, title):
    """Return the files with a diff applied, or raise ValueError."""
    files = dict(files)
    parts = re.split(r"(?m)^--- \S+\n\+\+\+ b/(\S+)\n", "\n".join([*diff, ""]))
    for name, hunks in zip(parts[1::2], parts[2::2]):
        lines = files[name] = list(files.get(name, []))
        for start, hunk in re.findall(r"(?m)^@@ -\S+ \+(\d+).*\n((?:[ +-].*\n|\n)+)", hunks):
            old = [text[1:] for text in hunk.split("\n")[:-1] if text[:1] != "+"]
            new = [text[1:] for text in hunk.split("\n")[:-1] if text[:1] != "-"]
            at = max(int(start) - 1, 0)
            if lines[at:at + len(old)] != old:
                raise ValueError(f"{title} does not fit {name} at line {start}")
            lines[at:at + len(old)] = new
    return files


def write_step(files, folder):
    """Write the files of a step into a folder."""
    for name, lines in files.items():
        path = pathlib.Path(folder, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes("".join(f"{line}\n" for line in lines).encode())


# ---- The tutorial ----

Demo = namedtuple("Demo", "what before after")  # each is a list of lines
Section = namedtuple("Section", "title text page demos")


def read_sections():
    """Return the sections of the tutorial; the one about step 4 is number 4."""
    tutorial = "\n".join(read_lines(STEPS / "README.md"))
    sections = []
    for part in re.split(r"\n## \d+\. ", tutorial)[1:]:
        title, _, body = part.partition("\n")
        demos = [read_demo(box) for box in re.findall(r"```diff\n(.*?)\n```", body, re.DOTALL)]
        page = "".join(re.findall(r"```python\n(.*?)```", body, re.DOTALL)).splitlines()
        text = re.sub(r"```(diff|py)\n.*?```\n*|\[The .*?\)\n*", "", body, flags=re.DOTALL)
        sections.append(Section(title, text.strip(), page, demos))
    return sections


def read_demo(box):
    """Return the Demo of a box: what is done, an empty line, and the lines of both answers."""
    what, _, answers = box.partition("\n\n")
    before, after = ([line[2:] for line in answers.split("\n") if line[:1] != other]
                     for other in "+-")
    return Demo(what.split("\n"), before, after)


# ---- Doing what a box says ----

@contextlib.contextmanager
def running(files, page=(), port=None):
    """Run a step with one more page, and give its process as soon as it listens or has ended."""
    port = port or free_port()
    files = {**files, "routes.py": [*files["routes.py"], "", "", *page]}
    with tempfile.TemporaryDirectory(prefix="steps-") as folder, \
            subprocess.Popen(**prepare(files, port, folder), stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT) as program:
        watch = threading.Timer(LIMIT, program.kill)
        watch.start()
        try:
            program.port, program.folder, program.printed = port, folder, ""
            for line in program.stdout:
                program.printed += line
                if line.startswith("server running"):
                    break
            yield program
        finally:
            watch.cancel()
            program.kill()


def prepare(files, port, folder):
    """Write a step into a folder, for this computer alone, and return what runs it."""
    config = "\n".join([*files["config.py"], ""])
    config = re.sub("(?m)^HOST = .*", 'HOST = "127.0.0.1"', config)
    config = re.sub("(?m)^PORT = .*", f"PORT = {int(port)}", config)
    write_step({**files, "config.py": config.split("\n")[:-1]}, folder)
    return {"args": [sys.executable, "-u", "main.py"],  # -u: print at once, as in a terminal
            "env": {**os.environ, "PYTHONUTF8": "1"}, "cwd": folder, "encoding": "utf-8"}


def connect(program):
    """Return a client's socket, or raise ValueError."""
    if "server running" not in program.printed:
        raise ValueError(f"python main.py does not listen:\n{program.printed}")
    return socket.create_connection(("127.0.0.1", program.port), timeout=LIMIT)


def free_port():
    """Return a port on which nobody listens, and that no client gets from the system."""
    while True:
        port = random.randrange(20000, 32000)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def perform(what, files, page=()):
    """Do what a box says with a step, and return the lines that come of it."""
    raw = bytes_to_send(what)
    remark = what[1] if len(what) == 2 else ""
    text = ""
    if os.name != "posix" and (raw == b"" or "halfway" in remark):
        return ["(this cannot be shown on Windows)"]
    with running(files, page) as program:
        if remark == "press Ctrl+C":
            with connect(program) as client:
                client.shutdown(socket.SHUT_WR)
                client.recv(1)  # the program closes this connection, so it is serving
            program.send_signal(signal.SIGINT)
        elif remark == "in a second terminal":
            with running(files, page, program.port) as second:
                text = second.printed + second.stdout.read()
        elif remark == "and the server is stopped halfway":
            text = cut_download(program, raw)
        elif remark == "while another client says nothing":
            with connect(program):
                text = ask(program, raw, 2)
        elif raw:
            text = ask(program, raw)
        if remark == "and look at the console" or raw == b"" and remark == "":
            program.kill()
            text = ""
        text = text or program.printed + program.stdout.read()
    text = re.sub("(?m)^(Date|Server): .*\n", "", text.replace(str(program.port), "9999"))
    text = re.sub(r"(?<=[^\n])(?=HTTP/1\.[01] \d)", "\n", text)  # each answer begins a line
    text = text.replace("\x1b", "(ESC)")  # your own console stays as it is
    return text.rstrip("\n").split("\n")


def bytes_to_send(what):
    """Return the bytes of a request that is written out, or that a curl command sends."""
    if not what[0].startswith("$"):
        return "".join(what).encode().decode("unicode_escape").encode("latin-1")
    if not what[0].startswith("$ curl "):
        return b""
    words = shlex.split(what[0])
    method = "HEAD" if "-I" in words else "GET"
    target = re.sub("^http://[^/]*", "", words[-1])
    return f"{method} {target} HTTP/1.1\r\nHost: 127.0.0.1:9999\r\nAccept: */*\r\n\r\n".encode()


def ask(program, raw, patience=LIMIT):
    """Send bytes, and return what comes back until the server closes, or curl's complaint."""
    data = bytearray()
    with connect(program) as client, contextlib.suppress(ConnectionError):
        client.settimeout(patience)
        client.sendall(raw)
        client.shutdown(socket.SHUT_WR)
        try:
            for piece in iter(lambda: client.recv(65536), b""):
                data += piece
        except socket.timeout:
            waited = f"after {patience * 1000} milliseconds with 0 bytes received"
            return f"curl: (28) Operation timed out {waited}"
    text = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    return text or "curl: (52) Empty reply from server"


def cut_download(program, raw):
    """Stop the program in the middle of a download, and return curl's complaint, if any."""
    with open(os.path.join(program.folder, "files", "large.bin"), "wb") as file:
        file.truncate(200 << 20)
    data = bytearray()
    with connect(program) as client:
        client.sendall(raw)
        for piece in iter(lambda: client.recv(1 << 20), b""):
            data += piece
            if len(data) > 10 << 20:
                program.kill()
    head, _, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"Content-Length: (\d+)", head)
    missing = int(length[1]) - len(body) if length else 0
    complaint = f"curl: (18) transfer closed with {missing} bytes remaining to read"
    return complaint if missing else "(nothing: the file looks whole)"


# ---- What is printed ----

def mark(before, after, demo):
    """Return the lines of both answers as a diff, without those that neither differ nor matter."""
    matter = tuple(line.split("...")[0] for line in demo.before + demo.after
                   if line and not line.startswith("..."))
    shown = []
    for text in list(difflib.unified_diff(before, after, n=999, lineterm=""))[3:] or before:
        sign, line = text[:1], text[1:]
        is_dull = sign == " " or re.fullmatch(" *<[^>]*>", line)
        if line == "" or line.strip().startswith(matter) or not is_dull:
            shown.append(f"{sign} {line}")
        elif shown[-1:] != ["  ..."]:
            shown.append("  ...")
    return shown


def show(steps, step):
    """Print all about a step."""
    section = read_sections()[step]
    print(f"{step}. {section.title}\n\n{section.text}\n\n-: step {step - 1}, +: step {step}")
    for demo in section.demos:
        print("", *demo.what, "", sep="\n")
        before = perform(demo.what, steps[step - 1], section.page) if step else []
        answers = before, perform(demo.what, steps[step], section.page)
        print(*(f"    {line}".rstrip() for line in mark(*answers, demo)), sep="\n")
    print("", *read_lines(STEPS / f"{step}.diff"), sep="\n")


def main():
    """Do what the command line asks for."""
    steps = read_steps()
    parser = argparse.ArgumentParser(description="See this framework built, step by step.")
    parser.add_argument("step", nargs="?", help=f"0 to {len(steps) - 1}")
    parser.add_argument("--serve", action="store_true", help="serve the step on MINI_PORT")
    parser.add_argument("--write", metavar="FOLDER", help="write the step's files to a new folder")
    options = parser.parse_args()
    if options.step is None:
        for step, section in enumerate(read_sections()):
            print(f"{step:3}  {section.title}")
        print("tests/steps/README.md is the tutorial; python tests/steps.py 4 does step 4")
    elif options.step not in map(str, range(len(steps))):
        raise ValueError(f"There is no step {options.step}, only 0 to {len(steps) - 1}.")
    elif options.write:
        os.makedirs(options.write)
        write_step(steps[int(options.step)], options.write)
    elif options.serve:
        port = os.environ.get("MINI_PORT") or "9999"
        with tempfile.TemporaryDirectory(prefix="steps-") as folder:
            sys.exit(subprocess.run(**prepare(steps[int(options.step)], port, folder)).returncode)
    else:
        show(steps, int(options.step))


if __name__ == "__main__":
    for number in signal.SIGINT, signal.SIGTERM:
        signal.signal(number, signal.default_int_handler)
    try:
        main()
    except (ValueError, OSError, KeyboardInterrupt) as error:
        sys.exit(str(error))
