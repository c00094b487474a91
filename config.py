"""The settings, one constant each. Read next: router.py."""
import os

# Where the server listens. On 127.0.0.1, only this computer can reach it; on 0.0.0.0, so can all
# others in its networks. Both can be set for one start, without a change here:
# MINI_HOST=0.0.0.0 python main.py (README.md has this for Windows). Port 0 means any free one; a
# port is text here, because whatever comes from the environment is text.
HOST = os.environ.get("MINI_HOST") or "127.0.0.1"
PORT = os.environ.get("MINI_PORT") or "9999"

# The folder that anyone may download from, and the folder of the pages that handlers fill in.
FILE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
TEMPLATE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")

# The limits on strangers. How many connections they open is not limited.

# Seconds. A client that is silent for this long is disconnected. (Silent means that it sends
# nothing, or that it takes nothing of what is sent to it.) Each byte starts the clock again: so a
# client that is slow, but never silent, is not disconnected.
TIMEOUT = 30

# Bytes, for each request: a larger one is refused. To read one, Python takes more memory than
# this, because it makes copies of some parts: 6 MiB at the most. (tests/test_connections.py
# measures it.)
MAX_HEAD = 64 * 1024  # the first line and the headers together
MAX_BODY = 1024 * 1024  # the body
