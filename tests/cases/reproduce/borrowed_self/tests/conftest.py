import pytest


class Connection:
    def rows(self):
        return [("ann", 1, 500, "EUR"), ("ann", 2, -20, "EUR"), ("bob", 1, 40, "EUR")]


@pytest.fixture
def connection():
    return Connection()
