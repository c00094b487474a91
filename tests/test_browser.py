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
    def browse(self, path):
        """Return the page as Chromium has it in memory after its scripts ran."""
        folder = self.make_folder()
        url = "http://{}:{}".format(*self.address) + path
        return subprocess.run(
            [CHROMIUM, *OPTIONS, "--user-data-dir=" + os.path.join(folder, "profile"), url],
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
