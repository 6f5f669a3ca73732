"""Puts `tests/` on the path, so that every test can say `from fakes.… import …`."""
