"""Bases: the suite's run on a revision, kept for an hour, so that ten changes on it run it once.

A run that did not end by itself, or did not find all tests, is measured anew each time. What is
installed beside the product may change while its revision does not: hence the hour. Does not
belong here: measuring (`validation.repair`), and runs with a patch, which are never kept.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from selfdrive_dagster import __version__
from selfdrive_dagster.adapters.durable import write_whole
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import Product, SandboxLevel, digest
from selfdrive_dagster.patches.suite import SuiteRun

KEPT_FOR = timedelta(hours=1)


class _Kept(msgspec.Struct, frozen=True):
    """Which evidence holds the run, and when it was measured."""

    sha256: str
    at: datetime


class Bases:
    """The kept runs of one home."""

    def __init__(self, home: Path) -> None:
        self._evidence = Evidence(home)
        self._folder = home / "bases"

    def measured(
        self,
        product: Product,
        level: SandboxLevel,
        now: datetime,
        measure: Callable[[], SuiteRun],
    ) -> SuiteRun:
        """Return the run of a product's suite on its revision: the kept one, or a new one."""
        path = self._folder / f"{_key(product, level)}.json"
        known = self._kept(path, now)
        if known is not None:
            return known
        run = measure()
        if run.complete and run.tests and not run.errors:
            self._folder.mkdir(mode=0o700, exist_ok=True)
            kept = _Kept(sha256=self._evidence.put(run), at=now)
            write_whole(path, msgspec.json.encode(kept))
        return run

    def _kept(self, path: Path, now: datetime) -> SuiteRun | None:
        try:
            kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
            is_fresh = timedelta() <= now - kept.at < KEPT_FOR
            return self._evidence.get(kept.sha256, SuiteRun) if is_fresh else None
        except (OSError, msgspec.DecodeError, SelfdriveError):
            return None  # it is only a saving: measure again


def _key(product: Product, level: SandboxLevel) -> str:
    """Return the digest of all that a run on the base depends on and that we can name."""
    told = (product.revision, product.python, product.source, product.tests)
    return digest([__version__, level.value, *told])
