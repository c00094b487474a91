"""The settings, one constant each. Read next: router.py."""
import os

# Where the server listens: 127.0.0.1 is reached from this computer alone, 0.0.0.0 from all
# networks that this computer is in. Port 0 is any free one. PORT is text, as everything in the
# environment is; main.py makes a number of it. (Thanks to "or", an empty variable counts as
# not set.)
HOST = os.environ.get("MINI_HOST") or "127.0.0.1"
PORT = os.environ.get("MINI_PORT") or "9999"

# The folder that anyone may download from, and the folder of the pages that handlers fill in.
FILE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "files")
TEMPLATE_DIR = os.path.join(os.path.dirname(os.path.abspath(__file__)), "templates")

# The limits on strangers. They are for each connection; how many connections there are is not
# limited. With these, reading a request takes 6 MiB of memory at the most: a part of it is
# there twice, or in many small pieces, while it is taken apart.

# Seconds that a client may be silent, or take nothing of what is sent to it; then its connection
# is closed. Each byte starts them anew: who sends one every 29 seconds is not silent.
TIMEOUT = 30

MAX_HEAD = 64 * 1024  # bytes: the first line of a request and its headers together
MAX_BODY = 1024 * 1024  # bytes: the body of a request
