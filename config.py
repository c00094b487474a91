"""The settings. Read next: router.py."""
import os

# Where the server listens: on 127.0.0.1, only this computer can reach it; on 0.0.0.0, so can its
# whole network. MINI_HOST and MINI_PORT override these for one run: MINI_PORT=8080 python main.py
# (README.md has it for Windows). Port 0 means any free one.
HOST = os.environ.get("MINI_HOST", "").strip() or "127.0.0.1"
PORT = os.environ.get("MINI_PORT", "").strip() or "9999"

FOLDER = os.path.dirname(os.path.abspath(__file__))
FILE_DIR = os.path.join(FOLDER, "files")  # anyone may download what is in here
TEMPLATE_DIR = os.path.join(FOLDER, "templates")  # the pages that handlers fill in

# What one connection can take: time, and memory for its request
TIMEOUT = 30  # seconds of silence, after which a client is disconnected; a slow one never is
MAX_HEAD = 64 * 1024  # bytes: the first line and the headers
MAX_BODY = 1024 * 1024  # bytes: the body
