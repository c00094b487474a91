"""The settings, one constant each, with the reason for its value. Read next: router.py."""
import os

_HERE = os.path.dirname(os.path.abspath(__file__))

# Where the server listens: 127.0.0.1 is reached from this computer alone,
# 0.0.0.0 from every network that the computer is on.
HOST = os.environ.get("MINI_HOST") or "127.0.0.1"

# A number; 0 takes any free port. Anything else stays text, for main.py to refuse.
PORT = os.environ.get("MINI_PORT") or "9999"
PORT = int(PORT) if PORT.isdecimal() and len(PORT) < 6 else PORT

# The files that anyone may download, and the pages that handlers fill in.
FILE_DIR = os.path.join(_HERE, "files")
TEMPLATE_DIR = os.path.join(_HERE, "templates")
