"""The tests: run `python -m unittest` in the project's folder."""
import main  # noqa: F401 (if one of the modules is broken, this says so once, before all tests)
