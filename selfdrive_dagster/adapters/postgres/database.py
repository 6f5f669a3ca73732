"""The one database of a home: embedded, or the real server that was named; ready for use.

`open_database` is the door. Only the programs that own a loop's life (`up`, single commands)
go through it; their children get the address and `connect` to it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
from sqlalchemy import Engine, create_engine

from selfdrive_dagster.adapters.postgres.migrations import migrate
from selfdrive_dagster.adapters.postgres.server import embedded
from selfdrive_dagster.adapters.postgres.urls import normalised, require_reachable
from selfdrive_dagster.model import Progress, canonical, silent


@contextmanager
def open_database(
    home: Path, url: str | None = None, *, progress: Progress = silent, seconds: float = 60.0
) -> Iterator[str]:
    """Give the address of the database, migrated, until the block ends.

    Without `url` the embedded server of `home` is started or joined; it ends with its last
    user. The address is `postgresql+psycopg2://…` and fits `connect`, Dagster's storage and
    SELFDRIVE_DATABASE_URL of child processes. `seconds` bounds the waits.
    """
    if url:
        address = normalised(url)
        require_reachable(address)
        ready(address)
        yield address
    else:
        with embedded(home, progress=progress, seconds=seconds) as address:
            ready(address)
            yield address


def ready(url: str) -> None:
    """Bring our tables up to date."""
    engine = connect(url)
    try:
        migrate(engine)
    finally:
        engine.dispose()


def connect(url: str) -> Engine:
    """Return an engine of at most five connections; JSON goes in canonical and comes out plain.

    Dispose of it when done, and before a fork.
    """
    return create_engine(
        normalised(url),
        pool_size=2,
        max_overflow=3,
        pool_pre_ping=True,
        json_serializer=lambda value: canonical(value).decode(),
        json_deserializer=msgspec.json.decode,
    )
