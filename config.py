"""The settings. Read next: router.py."""
import os

# Where the server listens: on 127.0.0.1, only this computer can reach it; on 0.0.0.0, so can
# everyone on its network. MINI_HOST and MINI_PORT override these for one run, as in
# MINI_PORT=8080 python main.py (README.md shows how on Windows). Port 0 means any free one.
HOST = os.environ.get("MINI_HOST", "").strip() or "127.0.0.1"
PORT = os.environ.get("MINI_PORT", "").strip() or "9999"

FOLDER = os.path.dirname(os.path.abspath(__file__))
FILE_DIR = os.path.join(FOLDER, "files")  # anyone may download what is in here
TEMPLATE_DIR = os.path.join(FOLDER, "templates")  # the pages that handlers fill in

# Limits for each connection: time, and memory for its request
TIMEOUT = 30  # seconds of silence before a client is disconnected; a slow one may stay
MAX_HEAD = 64 * 1024  # bytes: the first line and the headers
MAX_BODY = 1024 * 1024  # bytes: the body
