"""The tests: run `python -m unittest` in the project's folder."""
try:
    import main  # if one of the modules is broken, this says so once, before all tests
except ImportError as error:  # unittest would try again, and find the routes taken
    raise RuntimeError(error) from error
