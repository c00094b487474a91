"""The pages of this site, and the file to edit: add a handler, restart the server, browse.

A handler is called with a request when somebody asks for its path with GET or HEAD; it returns
(status, content type, body). A request has a method, a path, a query, headers, a body and a
client_address (see router.py). Each connection has a thread of its own, so several handlers may
run at the same time. All else is answered by main.py alone, such as every POST, with the time, or
a download, with the file ("/files/", below, is only the list of them).

The first three pages are from the article that README.md names. The last one uses its request,
and shows all that a page can do. Read next: utils.py.
"""
import os
from html import escape
from urllib.parse import quote

import config
from router import route
from utils import Html, find_download, query_params, render_template


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
        if find_download(name):  # folders and hidden files are left out
            # A name may hold any character: quoted for the address, escaped for the page.
            html += f'<li><a href="/files/{quote(name)}">{escape(name)}</a></li>'
    html += "</ul>"
    return 200, "text/html", html


@route("/home")
def home_page(request):
    """Return a page that is kept in templates/."""
    html = render_template("home.html")
    return 200, "text/html", html


@route("/request")
def show_request(request):
    """Return a page that shows this very request; "/request?name=Ada" greets Ada, too."""
    params = query_params(request)  # {"name": "Ada"}
    name = params.get("name") or "stranger"  # there may be none, or an empty one
    html = render_template(
        "request.html",
        # Each value takes the place of a $word in the file. What a visitor sent may be anything,
        # even a script: render_template() escapes it, so that it is shown and does not run.
        name=name,
        method=request.method,
        path=request.path,
        params=make_rows(params.items()),
        headers=make_rows(request.headers.items()),
    )
    return 200, "text/html", html


def make_rows(pairs):
    """Return a row of a table for each (name, value)."""
    rows = [render_template("row.html", name=name, value=value) for name, value in pairs]
    # Each row is HTML, with its values escaped. But what join() returns is ordinary text, and
    # render_template() would escape that: the page would show "<tr>" instead of a table. Html(),
    # which is in utils.py, says that this text is HTML already.
    return Html("".join(rows))
