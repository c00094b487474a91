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

# The limits on strangers, for each connection. How many connections there are is not limited.

# Seconds. A client that sends nothing for so long, or takes nothing of what is sent to it, is
# disconnected (handle_one_request() in main.py says how). Each byte starts the time anew: one
# that sends a byte every 29 seconds goes on until one of the other limits is reached.
TIMEOUT = 30

# Bytes. A request that is larger is refused. To read one, Python takes 6 MiB of memory at the
# most, for it makes copies of some parts; tests/test_connections.py measures it.
MAX_HEAD = 64 * 1024  # the first line and the headers together
MAX_BODY = 1024 * 1024  # the body
