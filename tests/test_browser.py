"""The pages in a real browser: headless Chromium, where this machine has it."""
import os
import shutil
import subprocess
import unittest

import utils
from router import route
from tests.support import LiveServer

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)

# --no-sandbox: in a container, and for root, Chromium starts in no other way.
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--virtual-time-budget=3000", "--dump-dom"]


@unittest.skipUnless(CHROMIUM, "no chromium, chromium-browser or google-chrome is installed")
class Browser(LiveServer):
    def browse(self, path, *options):
        """Return the page as Chromium has it in memory after its scripts ran."""
        folder = self.make_folder()
        url = "http://{}:{}".format(*self.address) + path
        return subprocess.run(
            [CHROMIUM, *OPTIONS, *options, "--user-data-dir=" + os.path.join(folder, "profile"), url],
            env={**os.environ, "TMPDIR": folder}, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            stdout=subprocess.PIPE, encoding="utf-8", timeout=30, check=True).stdout

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
        self.assertIn("<h1>A web framework in five files</h1>", page)
        self.assertRegex(page, r"<title>picture [1-9]\d+</title>")
        self.assertRegex(page, r"<output[^>]*>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d</output>")

    def test_on_a_phone_and_in_the_dark_a_long_request_fits(self):
        @route("/phone")
        def phone(request):
            return 200, "text/html", f"""<iframe width="390" src="/request?{request.query}"></iframe>
                <script>
                document.querySelector("iframe").addEventListener("load", (event) => {{
                    const page = event.target.contentDocument;
                    document.title = (page.documentElement.scrollWidth <= 390 ? "fits" : "too wide")
                        + " on " + getComputedStyle(page.body).backgroundColor;
                }});
                </script>"""

        page = self.browse(f"/phone?name={'a' * 300}&{'b' * 300}=1",
                           "--blink-settings=preferredColorScheme=0")
        self.assertIn("<title>fits on rgb(21, 26, 33)</title>", page)
