"""What @route registers, what it refuses, and what counts as a response."""
import unittest
from unittest import mock

import router


class Routes(unittest.TestCase):
    def setUp(self):
        patch = mock.patch.dict(router.ROUTES, clear=True)
        patch.start()
        self.addCleanup(patch.stop)

    def test_a_handler_is_registered_and_given_back_unchanged(self):
        def about(request):
            return 200, "text/plain", "about"

        self.assertIs(router.route("/about")(about), about)
        self.assertEqual(router.ROUTES, {"/about": about})
