"""config.py: where the settings come from, and that README.md names them."""
import os
import re
import runpy
import unittest
from unittest import mock

from tests.support import PROJECT


def read_settings(**environment):
    """Return what config.py sets when these variables, and no other MINI_ ones, are there."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("MINI_")}
    with mock.patch.dict(os.environ, {**others, **environment}, clear=True):
        return runpy.run_path(os.path.relpath(os.path.join(PROJECT, "config.py")))


class Settings(unittest.TestCase):
    def test_the_settings_are_those_of_the_readme_and_the_environment_overrides_two(self):
        with open(os.path.join(PROJECT, "README.md"), encoding="utf-8") as file:
            table = dict(re.findall(r"^\| `([A-Z_]+)` \| `([^`]*)`", file.read(), re.MULTILINE))
        settings = read_settings()
        for name, value in table.items():
            with self.subTest(f"{name} was changed in config.py, or in the table of README.md"):
                if name.endswith("_DIR"):
                    value = repr(os.path.join(PROJECT, value))
                self.assertEqual(settings[name], eval(value))
        self.assertLessEqual({"HOST", "PORT", "FILE_DIR", "TEMPLATE_DIR", "TIMEOUT", "MAX_HEAD",
                              "MAX_BODY"}, set(table))
        for environment, host, port in [
            ({"MINI_HOST": "", "MINI_PORT": ""}, settings["HOST"], settings["PORT"]),
            ({"MINI_HOST": " ", "MINI_PORT": " "}, settings["HOST"], settings["PORT"]),
            ({"MINI_HOST": "0.0.0.0"}, "0.0.0.0", settings["PORT"]),
            ({"MINI_HOST": "127.0.0.2 "}, "127.0.0.2", settings["PORT"]),  # set ... && on Windows
            ({"MINI_PORT": " 8081 "}, settings["HOST"], "8081"),
        ]:
            with self.subTest("the environment does not override config.py", **environment):
                found = read_settings(**environment)
                self.assertEqual((found["HOST"], found["PORT"]), (host, port))
