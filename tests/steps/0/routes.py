"""The pages of this site. Edit this file: write a handler, restart the server, browse.

main.py handles the rest: a POST, which is how a browser sends data, gets the time as its answer.
Read next: utils.py.
"""
import os

import config
from router import route
from utils import render_template


@route("/")
def homepage(request):
    """Return a one-line page."""
    return 200, "text/html", "<h1>Hello World</h1>"


@route("/files/")
def list_files(request):
    """Return a page with a link to each file that can be downloaded."""
    try:
        names = sorted(os.listdir(config.FILE_DIR))
    except OSError:
        return 500, "text/plain", "Directory not found"
    links = ""
    for name in names:
        links += f'<li><a href="/files/{name}">{name}</a></li>'
    html = f"<h1>Files in server</h1><ul>{links}</ul>"
    return 200, "text/html", html


@route("/home")
def home_page(request):
    """Return a page that is kept in templates/."""
    html = render_template("home.html")
    return 200, "text/html", html
