"""The workshop: everything a run needs, opened once and closed with the run.

It is the composition root of the loop: the only place that turns a home, a product and an
address into stores, tables and a sandbox. Assets receive it; nothing else builds adapters.
"""

import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

from sqlalchemy import Engine

from selfdrive_dagster.adapters.approving import Approvals, Desk
from selfdrive_dagster.adapters.approving.amending import amended
from selfdrive_dagster.adapters.bases import Bases
from selfdrive_dagster.adapters.changes import Changes
from selfdrive_dagster.adapters.claude.opening import caps_of, open_claude
from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.adapters.drafts import handed_in
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.postgres import connect
from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.adapters.proposals import released_head
from selfdrive_dagster.adapters.recorded import recorded_calls
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.adapters.spark import Spark
from selfdrive_dagster.adapters.spending import Spending
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import SqlModel, load_models
from selfdrive_dagster.adapters.warehouse.refresh import Answer, on_duckdb
from selfdrive_dagster.config import Settings, home_path, load
from selfdrive_dagster.errors import MissingTool
from selfdrive_dagster.model import GoodCall, History, Product, Progress
from selfdrive_dagster.orchestration.instance import booted_at
from selfdrive_dagster.patches.asking.proposer import Claude
from selfdrive_dagster.patches.proposers import Proposer, Templates
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.validation.repair import measure_base

URL = "SELFDRIVE_DATABASE_URL"
PRODUCT = "SELFDRIVE_PRODUCT"


class Workshop:
    """The stores and tools of one home and one product. Close it, or use `opened`."""

    def __init__(self, home: Path, repo: Path, url: str, sql_dir: Path) -> None:
        self.home = home
        self.repo = repo
        self._url = url
        self._sql_dir = sql_dir
        self._stack = ExitStack()
        self._products: dict[str, tuple[Product, History]] = {}
        self._bases: dict[str, SuiteRun] = {}

    @cached_property
    def settings(self) -> Settings:
        """The product's settings, read once."""
        return load(self.repo)

    @cached_property
    def engine(self) -> Engine:
        """The database."""
        engine = connect(self._url)
        self._stack.callback(engine.dispose)
        return engine

    @cached_property
    def models(self) -> tuple[SqlModel, ...]:
        """The SQL models, each after those it depends on."""
        return load_models(self._sql_dir, self.settings.detect)

    @cached_property
    def warehouse(self) -> Warehouse:
        """The tables."""
        return Warehouse(self.home)

    @cached_property
    def answer(self) -> Answer:
        """The engine that makes the models."""
        chosen = self.settings.warehouse
        if chosen.engine == "duckdb":
            return on_duckdb
        spark = Spark(chosen.spark_master, chosen.spark_memory)
        self._stack.callback(spark.close)
        return spark

    @cached_property
    def evidence(self) -> Evidence:
        """The content-addressed store."""
        return Evidence(self.home)

    @cached_property
    def ledger(self) -> Ledger:
        """The hash chain."""
        return Ledger(self.engine)

    @cached_property
    def changes(self) -> Changes:
        """Where each change stands."""
        return Changes(self.engine)

    @cached_property
    def decisions(self) -> Decisions:
        """What people decided."""
        return Decisions(self.engine)

    @cached_property
    def sandbox(self) -> BwrapSandbox:
        """Where untrusted code runs."""
        return BwrapSandbox(self.home / "sandbox")

    @property
    def up_since(self) -> datetime:
        """When the loop was started last; before all time where no start was noted."""
        return booted_at(self.home)

    @property
    def segments(self) -> tuple[Path, ...]:
        """Where the receiver and `selfdrive ingest` put their segments, each its own folder."""
        return self.home / "segments" / "receiver", self.home / "segments" / "ingest"

    def repository(self) -> GitRepository:
        """The product's repository. Raises MissingTool when the product is not in git."""
        found = GitRepository.find(self.repo)
        if found is None:
            raise MissingTool(f"{self.repo} is no git repository.", remedy="git init")
        return found

    def head(self) -> str:
        """Return the commit that the product's released branch is at.

        Where we land changes ourselves that is the branch where the team looks, not our copy.
        """
        repository = self.repository()
        if self.settings.drives():
            return released_head(repository, self.settings.service)
        return repository.revision(self.settings.service.branch or "HEAD")

    def approvals(self) -> Approvals:
        """Return what tells whether a change is approved, as ledger and git are now."""
        return Approvals(Desk(self.ledger, self.evidence, self.repository(), self.settings))

    def product(self, revision: str) -> tuple[Product, History]:
        """Return the product at a revision, exported once for this run."""
        if revision not in self._products:
            folder = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="selfdrive-"))
            self._products[revision] = open_product(
                self.repo, self.settings, Path(folder), revision
            )
        return self._products[revision]

    def base(self, revision: str, progress: Progress) -> SuiteRun:
        """Return the suite's run on a revision, measured once for the changes of an hour."""
        if revision not in self._bases:
            product, _ = self.product(revision)
            self._bases[revision] = Bases(self.home).measured(
                product,
                self.sandbox.level(),
                datetime.now(UTC),
                lambda: measure_base(product, self.sandbox, progress),
            )
        return self._bases[revision]

    def calls(self) -> tuple[GoodCall, ...]:
        """Return what production answered well, if the product records it."""
        return recorded_calls(self.repo, self.settings)

    def proposers(self, change_id: str) -> tuple[Proposer, ...]:
        """Return who drafts a change's patches: who amended it alone, else as the settings name."""
        by_hand = amended(change_id, self.ledger, self.evidence, self.repository())
        if by_hand is not None:
            return (by_hand,)
        makers: dict[str, Callable[[], Proposer]] = {
            "builtin": Templates,
            "drafts": lambda: handed_in(self.home),
            "claude": lambda: self.claude(change_id),
        }
        return tuple(makers[name]() for name in self.settings.patches.generators)

    def claude(self, change_id: str) -> Claude:
        """Return Claude with the purse of one change."""
        patches, change = self.settings.patches, self.changes.get(change_id)
        issue_id = change.issue_id if change else ""
        purse = Spending(self.engine).purse(change_id, issue_id, caps_of(patches))
        return open_claude(patches, purse, os.environ)

    def close(self) -> None:
        """Give back connections and remove exported trees."""
        self._stack.close()


@contextmanager
def opened(sql_dir: Path, environ: Mapping[str, str] = os.environ) -> Iterator[Workshop]:
    """Open the workshop that the environment names. Raises MissingTool when it names none."""
    absent = [name for name in (URL, PRODUCT) if not environ.get(name)]
    if absent:
        raise MissingTool(
            f"{' and '.join(absent)} must be set.", remedy="start Dagster with `selfdrive up`"
        )
    workshop = Workshop(home_path(environ), Path(environ[PRODUCT]), environ[URL], sql_dir)
    try:
        yield workshop
    finally:
        workshop.close()
