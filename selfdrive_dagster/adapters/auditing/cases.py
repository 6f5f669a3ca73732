"""A change's case, gathered from ledger and evidence. Nothing is written."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from selfdrive_dagster.adapters.canary import WindowStore
from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.audit import OBSERVED, Case, Kept, Link
from selfdrive_dagster.audit.outcome import Outcome
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.model import Diagnosis, Reproduction, digest
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.approval import Approval
from selfdrive_dagster.rollout.observed import Observed
from selfdrive_dagster.validation import Proof
from selfdrive_dagster.validation.head import HeadProof

BOARD, THRESHOLDS = "issues/ranking", "rollouts/thresholds"
KINDS: Mapping[str, type] = {
    "patches/diagnosis": Diagnosis,
    "patches/reproducer": Reproduction,
    "patches/candidates": Search,
    "validation/report": Proof,
    "rollout/proposal": Proposal,
    "rollout/approval": Approval,
    "rollout/stage": Observed,
    "validation/head": HeadProof,
    "audit/outcome": Outcome,
}
"""The records of a change, and how each is read."""


def case_of(change: Change, ledger: Ledger, evidence: Evidence) -> Case:
    """Gather a change's case: its rows, of each asset the newest record, and what it rested on."""
    rows = ledger.entries(change.change_id)
    kept = {asset_of(row): _kept(row, evidence) for row in rows if row.entry.kind == MADE}
    return Case(
        change_id=change.change_id,
        issue_id=change.issue_id,
        base_revision=change.base_revision,
        state=change.state,
        rows=rows,
        kept=kept,
        issue=_issue(change, rows, evidence),
        observed={one: _observed(one, evidence) for one in looks(rows)},
        thresholds=_thresholds(change.change_id, evidence.home),
    )


def looks(rows: Iterable[Link]) -> tuple[str, ...]:
    """Return the digests of the live evidence that rows rest on, each once."""
    named = (str(row.entry.body[OBSERVED]) for row in rows if row.entry.body.get(OBSERVED))
    return tuple(dict.fromkeys(named))


def _observed(sha256: str, evidence: Evidence) -> Observed | None:
    try:
        return evidence.get(sha256, Observed)
    except SelfdriveError:
        return None  # the audit names it as a gap


def _thresholds(change_id: str, home: Path) -> Kept | None:
    """Return what counted as slow, as it lies beside the windows; None where nothing does."""
    try:
        found = WindowStore(home, change_id).thresholds()
    except SelfdriveError:
        return None  # damaged: what counted as slow cannot be told
    if found is None:
        return None
    return Kept(asset=THRESHOLDS, sha256=digest(found), run_id="", seq=0, record=found)


def asset_of(row: Link) -> str:
    """Return the asset whose record a row tells of."""
    return str(row.entry.body.get("asset", ""))


def _kept(row: Link, evidence: Evidence) -> Kept:
    sha256, record, fault = str(row.entry.body.get("sha256", "")), None, ""
    try:
        kind = KINDS.get(asset_of(row))
        record = evidence.get(sha256, kind) if kind else evidence.read(sha256)
    except SelfdriveError as error:
        fault = error.message
    return Kept(
        asset=asset_of(row),
        sha256=sha256,
        run_id=row.entry.run_id,
        seq=row.seq,
        record=record,
        fault=fault,
    )


def _issue(change: Change, rows: tuple[Link, ...], evidence: Evidence) -> Any:
    """Return the issue as the ranking had it that the diagnosis read, None if it is lost."""
    for row in rows:
        for pin in row.entry.body.get("inputs", ()) if row.entry.kind == MADE else ():
            if pin.get("asset") == BOARD:
                try:
                    return evidence.get(str(pin.get("sha256", "")), Board).issue(change.issue_id)
                except SelfdriveError:
                    return None  # `disagreements` names the record that is gone
    return None
