"""The tests: run `python -m unittest` in the project's folder."""
