"""What a controller works with, opened once from the environment that `up` gives."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import Engine

from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.git.waiting import Waiting
from selfdrive_dagster.adapters.postgres import connect
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.config import Settings, home_path, load
from selfdrive_dagster.errors import MissingTool

NETWORK_SECONDS, REST_SECONDS = 10.0, 20.0
"""What remotes may take of one look, and how long one that took it all is not asked: far less than
a lease lasts, and harm is looked for in between."""

URL, PRODUCT = "SELFDRIVE_DATABASE_URL", "SELFDRIVE_PRODUCT"


class Stores(NamedTuple):
    """The home, the product and the database of one loop."""

    home: Path
    settings: Settings
    engine: Engine
    repository: GitRepository
    warehouse: Warehouse


@contextmanager
def opened(environ: Mapping[str, str] = os.environ) -> Iterator[Stores]:
    """Open what the environment names. Raises MissingTool when it names none."""
    absent = [name for name in (URL, PRODUCT) if not environ.get(name)]
    if absent:
        told = f"{' and '.join(absent)} must be set."
        raise MissingTool(told, remedy="the controller is started by `selfdrive up`")
    home, repo = home_path(environ), Path(environ[PRODUCT])
    repository = GitRepository(repo)
    repository.shadow.waiting = Waiting(NETWORK_SECONDS, REST_SECONDS)
    engine = connect(environ[URL])
    try:
        yield Stores(home, load(repo), engine, repository, Warehouse(home))
    finally:
        engine.dispose()
