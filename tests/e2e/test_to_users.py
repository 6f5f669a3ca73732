"""To users and back, as the demo shows it: one change harms and returns, one stays and helps.

Two defects of the shop, the stock SDKs, a real proxy, real approvals by a key of this test. For
the first defect a patch is handed in that passes every check and breaks what no check asks.
"""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.postgres import connect, open_database
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.audit import Link, verify
from selfdrive_dagster.cli.demo.board import Row, rows_of, settled
from selfdrive_dagster.cli.demo.theatre import Theatre
from selfdrive_dagster.model import SandboxLevel

ROOT = Path(__file__).resolve().parent.parent.parent
DEFECTS = ("01-unknown-zone", "02-no-reviews")
PATIENCE = 840

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


class End:
    """How it ended: the rows of the board, and what git and the ledger tell."""

    def __init__(self, theatre: Theatre, rows: list[Row]) -> None:
        self.theatre = theatre
        outcomes = {row.outcome: row for row in rows}
        assert {"rolled back", "verified"} <= outcomes.keys(), rows
        self.harmful, self.good = outcomes["rolled back"], outcomes["verified"]

    def remote(self, *arguments: str) -> str:
        folder = str(self.theatre.folder / "remote.git")
        done = subprocess.run(
            ["git", "-C", folder, *arguments], capture_output=True, text=True, check=True
        )
        return done.stdout

    def ledger(self) -> tuple[Link, ...]:
        with open_database(self.theatre.folder / "home") as url:
            engine = connect(url)
            try:
                return Ledger(engine).entries()
            finally:
                engine.dispose()

    def audit(self, change_id: str) -> dict[str, Any]:
        (found,) = self.theatre.ask("audit", change_id, "--verify", "--json")
        return dict(found)


@pytest.fixture(scope="module")
def end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[End]:
    if BwrapSandbox(tmp_path_factory.mktemp("probes")).level() is not SandboxLevel.FULL:
        pytest.skip("no full sandbox here: nothing gets to users")
    with Theatre(ROOT, None, observe=False, drive=True, only=DEFECTS) as theatre:
        theatre.open(print)
        until = time.monotonic() + PATIENCE
        rows: list[Row] = []
        while time.monotonic() < until and not settled(rows, theatre):
            time.sleep(3)
            rows = rows_of(theatre.issues(), theatre.changes())
            for change in {row.change for row in rows if row.waits_for_a_key} - theatre.signed:
                assert theatre.approve(change) == ""
                theatre.signed.add(change)
        assert settled(rows, theatre), f"not settled in {PATIENCE} s: {rows}"
        yield End(theatre, rows)


def test_harm_is_found_by_its_evidence_and_nobody_is_left_with_it(end: End) -> None:
    rows = [row for row in end.ledger() if row.entry.change_id == end.harmful.change]
    (harm,) = [row.entry for row in rows if row.entry.kind == "change.harm"]
    assert "canary sessions" in harm.body["says"]
    assert "fuse" not in harm.body["says"]
    assert any(row.entry.kind == "traffic.returned" for row in rows)
    assert "TOLL" not in end.remote("show", "main:shop/shipping.py").upper()


def test_what_helped_is_in_the_products_branch_as_the_very_commit_that_users_met(end: End) -> None:
    rows = {row.entry.kind: row.entry for row in end.ledger()
            if row.entry.change_id == end.good.change}  # fmt: skip
    assert rows["change.baked"].body["to"] == "promoted"
    assert end.remote("rev-parse", "main").strip() == rows["change.built"].body["commit"]
    assert end.good.outcome == "verified"


def test_each_row_names_a_run_or_the_signature_it_was_done_under(end: End) -> None:
    rows = end.ledger()
    assert verify(rows) is None
    assert [row.seq for row in rows if not (row.entry.run_id or row.entry.signature)] == []


@pytest.mark.parametrize("which", ["harmful", "good"])
def test_the_audit_of_either_has_no_gap(which: str, end: End) -> None:
    found = end.audit(getattr(end, which).change)
    assert found["gaps"] == []
    assert all(answer["says"] for answer in found["answers"])
