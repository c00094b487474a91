"""The pages in a real browser: headless Chromium, where this machine has it."""
import os
import shutil
import subprocess
import unittest

import utils
from router import route
from tests.support import LIMIT, PROJECT, LiveServer, may_open, shipped

NAMES = ["chromium", "chromium-browser", "google-chrome"]
CHROMIUM = next(filter(None, map(shutil.which, NAMES)), None)

# --no-sandbox: in a container, and for root, Chromium starts in no other way.
OPTIONS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
           "--disable-background-networking", "--disable-component-update", "--disable-sync",
           "--blink-settings=preferredColorScheme=0", "--virtual-time-budget=3000", "--dump-dom"]

# It looks at two pages that are as wide as a phone, and writes down what it finds.
SCRIPT = """<iframe width="390" src="/home"></iframe><iframe width="390" src="/shown"></iframe>
<script>
addEventListener("load", () => {
    const [home, shown] = Array.from(frames, (frame) => frame.document);
    home.querySelector("button").click();
    const ink = getComputedStyle(shown.body).backgroundColor.match(/\\d+/g);
    const picture = home.querySelector("img").naturalWidth;
    const width = shown.documentElement.scrollWidth;
    setInterval(() => {
        const time = home.querySelector("output").textContent;
        document.title = `${picture} wide, ${time}, ${width <= 390}, ${Math.max(...ink) < 128}`;
    }, 10);
});
</script>"""


@unittest.skipUnless(CHROMIUM, f"none of these is installed: {', '.join(NAMES)}")
@unittest.skipUnless(may_open(1000), "a browser needs more open files")
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
        page = subprocess.run(
            [CHROMIUM, *OPTIONS, "--user-data-dir=" + os.path.join(folder, "profile"),
             "http://{}:{}/phone".format(*self.address)],
            env={**os.environ, "TMPDIR": folder}, stdin=subprocess.DEVNULL, encoding="utf-8",
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=LIMIT, check=True).stdout
        self.assertRegex(page, r"<title>[1-9]\d+ wide, \d{4}-[\d-]{5} [\d:]{8}, true, true</title>")
