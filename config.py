"""The settings, one constant each. They need no other module of ours. Read next: router.py."""
import os

# Where the server listens: 127.0.0.1 is reached from this computer alone, 0.0.0.0 from
# every network that it is on. PORT is text, as everything in the environment is; main.py
# makes a number of it. Port 0 is any free one. ("or": an empty variable counts as not set.)
HOST = os.environ.get("MINI_HOST") or "127.0.0.1"
PORT = os.environ.get("MINI_PORT") or "9999"

# The folder that anyone may download from, and the folder of the pages that handlers fill in.
FILE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
TEMPLATE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")

# The limits on strangers, for each of their connections; the number of connections has none.
# To read a request takes memory for about MAX_HEAD and four times MAX_BODY at the most.
TIMEOUT = 30  # seconds without a byte to or from the client; each byte starts them anew
MAX_HEAD = 64 * 1024  # bytes: the first line of a request and its headers together
MAX_BODY = 1024 * 1024  # bytes: the body of a request
