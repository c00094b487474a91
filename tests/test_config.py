"""config.py: where the settings come from."""
import os
import runpy
import unittest
from unittest import mock

from tests.support import PROJECT, shipped

SETTINGS = {"HOST": "127.0.0.1", "PORT": "9999", "TIMEOUT": 30, "MAX_HEAD": 65536,
            "MAX_BODY": 1048576, "FOLDER": PROJECT, "FILE_DIR": os.path.join(PROJECT, "files"),
            "TEMPLATE_DIR": os.path.join(PROJECT, "templates")}


class Settings(unittest.TestCase):
    def test_from_any_folder_they_are_those_of_the_file_and_the_environment_overrides_two(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(os.path.join(PROJECT, "tests"))
        for environment, different in [
            ({}, {}),
            ({"MINI_HOST": "", "MINI_PORT": " "}, {}),
            ({"MINI_HOST": "0.0.0.0", "MINI_PORT": "8081"}, {"HOST": "0.0.0.0", "PORT": "8081"}),
            # "set MINI_PORT=8081 && ..." on Windows
            ({"MINI_HOST": "::1 ", "MINI_PORT": "8081 "}, {"HOST": "::1", "PORT": "8081"}),
        ]:
            others = {name: value for name, value in os.environ.items() if name[:5] != "MINI_"}
            with self.subTest(environment), shipped("config.py"), \
                    mock.patch.dict(os.environ, {**others, **environment}, clear=True):
                found = runpy.run_path(os.path.join(os.pardir, "config.py"))
                expected = {**SETTINGS, **different}
                self.assertEqual({name: found[name] for name in expected}, expected)
