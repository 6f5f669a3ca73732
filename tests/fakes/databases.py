"""Fixtures: one PostgreSQL for the session; a fresh, migrated database for each test that asks.

A folder whose tests need them imports them in its `conftest.py`.
"""

import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, text
from sqlalchemy.engine import make_url

from selfdrive_dagster.adapters.postgres import connect, open_database
from selfdrive_dagster.adapters.postgres.binaries import owner_of, programs

NUMBERS = count(1)


@pytest.fixture(scope="session")
def database_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a session-long embedded server, whose database is a migrated template."""
    with open_database(tmp_path_factory.mktemp("pg") / "home") as url:
        yield url


@pytest.fixture
def database_url(database_server: str) -> Iterator[str]:
    """The address of a database of this test's own: migrated and empty."""
    with copied(database_server, "postgres") as url:
        yield url


@contextmanager
def copied(server: str, template: str) -> Iterator[str]:
    """Make a database like another one, and yield its address; nobody may be at the other one."""
    name = f"test_{next(NUMBERS)}"
    admin = connect(str(make_url(server).set(database="template1")))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy"))
    yield str(make_url(server).set(database=name))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    admin.dispose()


@contextmanager
def database_gone(engine: Engine) -> Iterator[None]:
    """Let the server end this database's connections and take no new ones meanwhile."""
    name = engine.url.database
    admin = connect(str(engine.url.set(database="template1").render_as_string(False)))
    with admin.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false"))
        ending = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name"
        connection.execute(text(ending), {"name": name})
        try:
            yield
        finally:
            connection.execute(text(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true"))
    admin.dispose()


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on this test's own database."""
    made = connect(database_url)
    yield made
    made.dispose()


@pytest.fixture
def password_server(tmp_path: Path) -> Iterator[str]:
    """The address of a server as others run theirs: over TCP, with a password."""
    data = tmp_path / "theirs"
    data.mkdir(mode=0o700)
    owner = owner_of(data)
    os.chown(data, owner.uid, owner.gid)
    folder = programs(data, owner)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    there = {"cwd": data, **owner.identity()}
    with tempfile.NamedTemporaryFile() as password:
        password.write(b"s3cr:et\n")
        password.flush()
        os.chown(password.name, owner.uid, owner.gid)
        making = [folder / "initdb", "-D", "/proc/self/cwd", "-U", "owner", "--no-sync"]
        making += ["-A", "scram-sha-256", f"--pwfile={password.name}"]
        subprocess.run(making, **there, capture_output=True, check=True)
    running = [folder / "postgres", "-D", "/proc/self/cwd", "-p", str(port)]
    running += ["-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
    server = subprocess.Popen(running, **there, stderr=subprocess.DEVNULL)
    asking = [folder / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]
    while subprocess.run(asking).returncode:
        time.sleep(0.05)
    yield f"postgresql://owner:s3cr%3Aet@127.0.0.1:{port}/postgres"
    server.send_signal(signal.SIGINT)
    server.wait(30)
