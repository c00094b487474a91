"""The pages of this site, and the file to edit: add a handler, restart the server, browse.

A handler is called with a request when somebody asks for its path with GET or HEAD; it returns
(status, content type, body). A request has a method, a path, a query, headers, a body and a
client_address (see router.py). A POST never comes here: main.py answers every POST with the
time. Nor does a download: "/files/" below lists the files, main.py sends them. Read next:
utils.py.
"""
import os
from html import escape
from urllib.parse import quote

import config
from router import route
from utils import find_download, render_template


@route("/")
def homepage(request):
    """Return the shortest page there is."""
    return 200, "text/html", "<h1>Hello World</h1>"


@route("/files/")
def list_files(request):
    """Return a page with a link to each file that can be downloaded."""
    try:
        names = os.listdir(config.FILE_DIR)
    except (FileNotFoundError, NotADirectoryError):
        return 500, "text/plain", "Directory not found"
    html = "<h1>Files in server</h1><ul>"
    for name in sorted(names):
        if find_download(name):  # no folder, and nothing hidden
            # A name may hold any character: quoted for the address, escaped for the page.
            html += f'<li><a href="/files/{quote(name, safe="")}">{escape(name)}</a></li>'
    html += "</ul>"
    return 200, "text/html", html


@route("/home")
def home_page(request):
    """Return a page that is kept in templates/."""
    html = render_template("home.html")
    return 200, "text/html", html
