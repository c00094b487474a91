"""config.py: where the settings come from."""
import os
import runpy
import unittest
from unittest import mock

from tests.support import PROJECT


def settings(**environment):
    """Return what config.py sets when these variables, and no other MINI_ ones, are there."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("MINI_")}
    with mock.patch.dict(os.environ, {**others, **environment}, clear=True):
        return runpy.run_path(os.path.relpath(os.path.join(PROJECT, "config.py")))


class Settings(unittest.TestCase):
    def test_host_and_port_have_defaults_which_the_environment_overrides(self):
        for environment, host, port in [
            ({}, "127.0.0.1", "9999"),
            ({"MINI_HOST": "", "MINI_PORT": ""}, "127.0.0.1", "9999"),
            ({"MINI_HOST": "0.0.0.0"}, "0.0.0.0", "9999"),
            ({"MINI_PORT": "8080"}, "127.0.0.1", "8080"),
            ({"MINI_PORT": "0"}, "127.0.0.1", "0"),
            ({"MINI_PORT": "abc"}, "127.0.0.1", "abc"),  # main.py says that it is wrong
        ]:
            with self.subTest(environment):
                found = settings(**environment)
                self.assertEqual((found["HOST"], found["PORT"]), (host, port))

    def test_the_limits_are_those_of_the_readme(self):
        found = settings()
        self.assertEqual((found["TIMEOUT"], found["MAX_HEAD"], found["MAX_BODY"]),
                         (30, 65536, 1048576))

    def test_the_folders_are_beside_the_modules_from_any_working_folder(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(os.path.dirname(PROJECT))
        found = settings()
        os.chdir(PROJECT)
        self.assertEqual(found["FILE_DIR"], os.path.join(PROJECT, "files"))
        self.assertEqual(found["TEMPLATE_DIR"], os.path.join(PROJECT, "templates"))
