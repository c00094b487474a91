"""The pages of this site. Edit this file: write a handler, restart the server, browse.

main.py handles the rest: a POST, which is how a browser sends data, gets the time as its answer;
/files/<name> is a download. Several handlers may run at the same time, in different threads.
Read next: utils.py.
"""
import os
from html import escape
from urllib.parse import quote

import config
from router import route
from utils import Html, find_file, query_params, render_template, say


@route("/")
def homepage(request):
    """Return a one-line page."""
    return 200, "text/html", "<h1>Hello World</h1>"


@route("/files/")
def list_files(request):
    """Return a page with a link to each file that can be downloaded."""
    try:
        names = sorted(os.listdir(config.FILE_DIR))
    except OSError as error:
        say(str(error))  # on the console
        return 500, "text/plain", "Directory not found"
    links = ""
    for name in names:
        if find_file(config.FILE_DIR, name):  # folders and hidden files are left out
            # A name may contain anything: quote it in the address, escape it in the page.
            links += f'<li><a href="/files/{quote(name)}">{escape(name)}</a></li>'
    html = render_template("files.html", links=Html(links))  # Html: it is escaped already
    return 200, "text/html", html


@route("/home")
def home_page(request):
    """Return a page that is kept in templates/."""
    html = render_template("home.html")
    return 200, "text/html", html


@route("/request")
def show_request(request):
    """Return a page that shows the request itself; "/request?name=Ada" greets Ada, too."""
    params = query_params(request)  # {"name": "Ada"}
    html = render_template(
        "request.html",
        # Each value replaces the $word of the same name. A visitor may send anything, even a
        # script: render_template() escapes it, so that it is shown and does not run.
        name=params.get("name") or "stranger",
        method=request.method,
        path=request.path,
        query=request.query,
        params="\n".join(f"{name} = {value}" for name, value in params.items()),
        headers="\n".join(f"{name}: {value}" for name, value in request.headers.items()),
    )
    return 200, "text/html", html
