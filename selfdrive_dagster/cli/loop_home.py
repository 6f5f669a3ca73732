"""What commands need of the loop: its database, and whether one runs.

They read the database of the loop that runs, or start it for the moment. Does not belong here: what
they read there.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from selfdrive_dagster.cli.render import progress
from selfdrive_dagster.config import home_path, open_home
from selfdrive_dagster.errors import BadInput

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from selfdrive_dagster.adapters.story import Storyteller

URL = "SELFDRIVE_DATABASE_URL"
Wanted = Annotated[str, typer.Argument(metavar="CHANGE", help="chg_… or the start of one.")]


def is_there() -> bool:
    """Say whether there is a database to look into; nothing is made to find out."""
    return bool(os.environ.get(URL)) or (home_path(os.environ) / "postgres").is_dir()


def require_home(wanted: str) -> None:
    """Refuse a change's name where no loop ever ran."""
    if not is_there():
        raise BadInput(
            f"There is no change {wanted!r}: no loop has run on {home_path(os.environ)}.",
            remedy="run `selfdrive up`, or set SELFDRIVE_HOME to the loop's home",
        )


@contextmanager
def opened() -> "Iterator[tuple[Storyteller, Engine]]":
    """Open the loop's database, joining the running one."""
    from selfdrive_dagster.adapters.evidence import Evidence
    from selfdrive_dagster.adapters.postgres import connect, open_database
    from selfdrive_dagster.adapters.story import Storyteller

    home = open_home(os.environ)
    with (
        progress("Opening the database") as say,
        open_database(home, os.environ.get(URL), progress=say) as url,
    ):
        engine = connect(url)
        try:
            yield Storyteller(engine, Evidence(home)), engine
        finally:
            engine.dispose()


def loop_is_running() -> bool:
    """Say whether a `selfdrive up` holds this home."""
    from selfdrive_dagster.adapters.processes.holding import LOCK

    try:
        descriptor = os.open(home_path(os.environ) / LOCK, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
