"""The pages in a real browser: headless Chromium, where this machine has it."""
import os
import re
import shutil
import subprocess
import unittest

import utils
from router import route
from tests.support import LIMIT, PROJECT, LiveServer, shipped

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

# --no-sandbox: in a container, and for root, Chromium starts in no other way.
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
           "--blink-settings=preferredColorScheme=0", "--virtual-time-budget=3000", "--dump-dom"]

# It looks at two pages that are as wide as a phone, and writes down what it finds.
SCRIPT = """<iframe width="390" src="/home"></iframe><iframe width="390" src="/shown"></iframe>
<script>
addEventListener("load", () => {
    const [home, shown] = Array.from(frames, (frame) => frame.document);
    home.querySelector("button").click();
    const light = getComputedStyle(shown.body).backgroundColor.match(/\\d+/g);
    setInterval(() => {
        document.title = [home.querySelector("img").naturalWidth, Math.max(...light),
            shown.documentElement.scrollWidth, home.querySelector("output").textContent];
    }, 10);
});
</script>"""


@unittest.skipUnless(CHROMIUM, "neither chromium nor google-chrome is installed")
class Browser(LiveServer):
    @shipped("templates/home.html, templates/request.html or files/style.css")
    def test_the_button_shows_the_time_and_a_long_request_fits_a_phone_in_the_dark(self):
        self.set_config(TEMPLATE_DIR=os.path.join(PROJECT, "templates"),
                        FILE_DIR=os.path.join(PROJECT, "files"))
        self.add_page("/home", (200, "text/html", utils.render_template("home.html")))
        self.add_page("/phone", (200, "text/html", SCRIPT))

        @route("/shown")
        def shown(request):
            names = "name method path query params headers".split()
            values = dict.fromkeys(names, "a" * 300)
            return 200, "text/html", utils.render_template("request.html", **values)

        folder = self.make_folder()
        done = subprocess.run(
            [CHROMIUM, *OPTIONS, "--user-data-dir=" + os.path.join(folder, "profile"),
             "http://{}:{}/phone".format(*self.address)],
            env={**os.environ, "TMPDIR": folder}, stdin=subprocess.DEVNULL, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=LIMIT, check=False)
        if done.returncode != 0:
            self.skipTest(f"{CHROMIUM} does not run here")
        found = re.search("<title>(.*),(.*),(.*),(.*)</title>", done.stdout)
        self.assertGreater(int(found[1]), 100)  # the picture
        self.assertLess(int(found[2]), 128)
        self.assertLessEqual(int(found[3]), 390)
        self.assertRegex(found[4], r"\A\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\Z")
