"""Where the settings come from."""
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
    def test_the_server_listens_to_this_computer_alone_on_port_9999(self):
        self.assertEqual((settings()["HOST"], settings()["PORT"]), ("127.0.0.1", 9999))

    def test_the_environment_overrides_host_and_port(self):
        found = settings(MINI_HOST="0.0.0.0", MINI_PORT="8080")
        self.assertEqual((found["HOST"], found["PORT"]), ("0.0.0.0", 8080))

    def test_port_0_is_a_port(self):
        self.assertEqual(settings(MINI_PORT="0")["PORT"], 0)

    def test_an_empty_variable_means_the_default(self):
        found = settings(MINI_HOST="", MINI_PORT="")
        self.assertEqual((found["HOST"], found["PORT"]), ("127.0.0.1", 9999))

    def test_a_port_that_is_no_number_raises_nothing_here(self):
        for port in ("abc", "-1", "8.5", "²", "9" * 5000):
            with self.subTest(port=port[:9]):
                self.assertEqual(settings(MINI_PORT=port)["PORT"], port)

    def test_the_folders_are_beside_the_modules_from_any_working_folder(self):
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(os.path.dirname(PROJECT))
        found = settings()
        os.chdir(PROJECT)
        self.assertEqual(found["FILE_DIR"], os.path.join(PROJECT, "files"))
        self.assertEqual(found["TEMPLATE_DIR"], os.path.join(PROJECT, "templates"))
