"""The pages in a real browser: headless Chromium, where this machine has it."""
import os
import shutil
import subprocess
import unittest

import utils
from router import route
from tests.support import LIMIT, PROJECT, LiveServer

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# --no-sandbox: in a container, and for root, Chromium starts in no other way.
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--virtual-time-budget=3000", "--dump-dom"]


@unittest.skipUnless(CHROMIUM, "no chromium, chromium-browser or google-chrome is installed")
class Browser(LiveServer):
    def setUp(self):
        super().setUp()
        self.set_config(TEMPLATE_DIR=os.path.join(PROJECT, "templates"),
                        FILE_DIR=os.path.join(PROJECT, "files"))

    def browse(self, path, *options):
        """Return the page as Chromium has it in memory after its scripts ran."""
        folder = self.make_folder()
        url = "http://{}:{}".format(*self.address) + path
        return subprocess.run(
            [CHROMIUM, *OPTIONS, *options, "--user-data-dir=" + os.path.join(folder, "profile"), url],
            env={**os.environ, "TMPDIR": folder}, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdout=subprocess.PIPE, encoding="utf-8", timeout=LIMIT, check=True).stdout

    def test_home_shows_its_picture_and_its_button_shows_the_time(self):
        @route("/looked-at")
        def looked_at(request):
            script = """<script>
                document.querySelector("button").click();
                addEventListener("load", () => {
                    document.title = "picture " + document.querySelector("img").naturalWidth;
                });
                </script>"""
            return 200, "text/html", utils.render_template("home.html") + script

        page = self.browse("/looked-at")
        changed = "the picture or the button of templates/home.html was changed"
        self.assertRegex(page, r"<title>picture [1-9]\d+</title>", changed)
        self.assertRegex(page, r"<output[^>]*>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d</output>", changed)

    def test_on_a_phone_and_in_the_dark_a_long_request_fits(self):
        @route("/shown")
        def shown(request):
            row = f"<tr><th>{'b' * 300}</th><td>{'c' * 300}</td></tr>"
            return 200, "text/html", utils.render_template(
                "request.html", name="a" * 300, method="GET", path="/" + "d" * 300,
                params=utils.Html(row), headers=utils.Html(row))

        @route("/phone")
        def phone(request):
            return 200, "text/html", """<iframe width="390" src="/shown"></iframe>
                <script>
                document.querySelector("iframe").addEventListener("load", (event) => {
                    const page = event.target.contentDocument;
                    const ink = getComputedStyle(page.body).backgroundColor.match(/\\d+/g);
                    document.title = (page.documentElement.scrollWidth <= 390 ? "fits" : "too wide")
                        + (Math.max(...ink) < 128 ? " and is dark" : " and is light");
                });
                </script>"""

        page = self.browse("/phone", "--blink-settings=preferredColorScheme=0")
        self.assertIn("<title>fits and is dark</title>", page, "templates/request.html was changed")
