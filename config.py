"""The settings, one constant each. They need no other module. Read next: router.py."""
import os

# Where the server listens: 127.0.0.1 is reached from this computer alone, 0.0.0.0 from
# every network that it is on. Port 0 is any free one; main() reports one that is no number.
HOST = os.environ.get("MINI_HOST") or "127.0.0.1"
PORT = os.environ.get("MINI_PORT") or "9999"
PORT = int(PORT) if PORT.isdecimal() and len(PORT) < 6 else PORT

# The folder that anyone may download from, and the folder of the pages that handlers fill in.
FILE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
TEMPLATE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")

MAX_BODY = 1024 * 1024  # bytes: what a client may send with one request
TIMEOUT = 30  # seconds: how long a client may neither send nor take anything
