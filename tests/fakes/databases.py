"""Fixtures: one PostgreSQL for the session; a fresh, migrated database for each test that asks.

A folder whose tests need them imports them in its `conftest.py`.
"""

from collections.abc import Iterator
from itertools import count

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from selfdrive_dagster.adapters.postgres import connect, open_database

NUMBERS = count(1)


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a session-long embedded server, whose database is a migrated template."""
    with open_database(tmp_path_factory.mktemp("pg") / "home") as url:
        yield url


@pytest.fixture
def database_url(database_server: str) -> Iterator[str]:
    """The address of a database of this test's own: migrated and empty."""
    name = f"test_{next(NUMBERS)}"
    admin = connect(str(make_url(database_server).set(database="template1")))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE postgres STRATEGY file_copy"))
    yield str(make_url(database_server).set(database=name))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on this test's own database."""
    made = connect(database_url)
    yield made
    made.dispose()
