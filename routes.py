"""The pages of this site, and the file to edit: add a handler, restart, browse.

A handler gets the request and returns (status, content type, body). Read next: utils.py.
"""
import os
from html import escape
from urllib.parse import quote

import config
from router import route
from utils import find_download, render_template


@route("/")
def homepage(request):
    """The shortest page there is."""
    return 200, "text/html", "<h1>Hello World</h1>"


@route("/files/")
def list_files(request):
    """A link to each file that can be downloaded; main.py answers the links themselves."""
    try:
        files = sorted(filter(find_download, os.listdir(config.FILE_DIR)))
    except OSError:
        return 500, "text/plain", "Directory not found"
    html = "<h1>Files in server</h1><ul>"
    for name in files:  # a name may hold any character, so it is quoted and escaped
        html += f'<li><a href="/files/{quote(name, safe="")}">{escape(name)}</a></li>'
    return 200, "text/html", html + "</ul>"


@route("/home")
def home_page(request):
    """A page that is kept in templates/."""
    html = render_template("home.html")
    return 200, "text/html", html
