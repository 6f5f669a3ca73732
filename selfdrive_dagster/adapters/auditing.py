"""The audit's eyes: a change's case from ledger and evidence, and whether all records agree.

Ledger, evidence, Dagster's event log and git tell of the same things; `disagreements` names each
place where one of them knows what another does not. Dagster's log is read as the table it is,
so that no Dagster need run. Nothing is written.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.audit import Case, Kept, Link, verify
from selfdrive_dagster.audit.outcome import Outcome
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.model import Diagnosis, Reproduction
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.approval import Approval
from selfdrive_dagster.rollout.lifecycle import State
from selfdrive_dagster.validation import Proof

BOARD = "issues/ranking"
KINDS: Mapping[str, type] = {
    "patches/diagnosis": Diagnosis,
    "patches/reproducer": Reproduction,
    "patches/candidates": Search,
    "validation/report": Proof,
    "rollout/proposal": Proposal,
    "rollout/approval": Approval,
    "audit/outcome": Outcome,
}
"""The records of a change, and how each is read."""

Made = tuple[str, str, str]
"""Asset, run id and sha256 of one record."""


def case_of(change: Change, ledger: Ledger, evidence: Evidence) -> Case:
    """Gather a change's case: its rows, and of each asset the newest record."""
    rows = ledger.entries(change.change_id)
    kept = {_asset(row): _kept(row, evidence) for row in rows if row.entry.kind == MADE}
    return Case(
        change_id=change.change_id,
        issue_id=change.issue_id,
        base_revision=change.base_revision,
        state=change.state,
        rows=rows,
        kept=kept,
        issue=_issue(change, rows, evidence),
    )


def _asset(row: Link) -> str:
    return str(row.entry.body.get("asset", ""))


def _kept(row: Link, evidence: Evidence) -> Kept:
    sha256, record, fault = str(row.entry.body.get("sha256", "")), None, ""
    try:
        kind = KINDS.get(_asset(row))
        record = evidence.get(sha256, kind) if kind else evidence.read(sha256)
    except SelfdriveError as error:
        fault = error.message
    return Kept(
        asset=_asset(row),
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


def disagreements(
    case: Case, engine: Engine, evidence: Evidence, repository: GitRepository | None
) -> Iterator[str]:
    """Yield what ledger, evidence, Dagster and git do not tell alike about a change."""
    ledger = Ledger(engine).entries()
    if (fault := verify(ledger)) is not None:
        yield f"the ledger: {fault.says}"
    known: set[Made] = {_made(row) for row in ledger if row.entry.kind == MADE}
    for row in case.rows:
        if row.entry.kind == MADE:
            yield from _of_inputs(row, known, evidence)
    yield from _of_dagster(case, engine)
    if repository is None:
        yield "git: no repository of the product was given, so its branch was not compared"
    else:
        yield from _of_git(case, repository)


def _made(row: Link) -> Made:
    return _asset(row), row.entry.run_id, str(row.entry.body.get("sha256", ""))


def _of_inputs(row: Link, known: set[Made], evidence: Evidence) -> Iterator[str]:
    """Yield inputs of a record that the ledger does not know or the evidence lost."""
    for pin in row.entry.body.get("inputs", ()):
        told = str(pin.get("asset")), str(pin.get("run_id")), str(pin.get("sha256"))
        if told not in known:
            yield f"{_asset(row)} read a {told[0]} {told[2][:16]} that the ledger does not know"
        try:
            evidence.read(told[2])
        except SelfdriveError as fault:
            yield f"{_asset(row)} read: {fault.message}"


LOG = """
SELECT asset_key, run_id, event FROM dagster.event_logs
WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition = :change
"""


def _of_dagster(case: Case, engine: Engine) -> Iterator[str]:
    """Yield records that Dagster and the ledger do not both know."""
    noted = {_made(row) for row in case.rows if row.entry.kind == MADE}
    try:
        with engine.connect() as connection:
            rows = connection.execute(text(LOG), {"change": case.change_id}).all()
    except ProgrammingError:
        yield "Dagster: there is no event log in this database"
        return
    told = {
        ("/".join(json.loads(key)), run, _digest_in(json.loads(event))) for key, run, event in rows
    }
    for asset, run, sha256 in sorted(noted - told):
        yield f"Dagster knows no {asset} {sha256[:16]} of run {run}"
    for asset, run, sha256 in sorted(told - noted):
        yield f"Dagster tells of a {asset} {sha256[:16]} of run {run} that the ledger does not know"


def _digest_in(event: Any) -> str:
    """Return the sha256 among an event's metadata entries, "" when it names none."""
    if isinstance(event, dict):
        if event.get("label") == "sha256":
            return str((event.get("entry_data") or {}).get("text", ""))
        event = list(event.values())
    if isinstance(event, list):
        return next((found for one in event if (found := _digest_in(one))), "")
    return ""


def _of_git(case: Case, repository: GitRepository) -> Iterator[str]:
    """Yield where the proposal's commit is not what was recorded."""
    proposal: Proposal | None = case.record("rollout/proposal")
    if proposal is None or case.state not in (
        State.AWAITING_APPROVAL,
        State.APPROVED,
    ):
        return  # once decided on, a branch may go
    try:
        if proposal.pushed_to:
            there = repository.fetch(proposal.pushed_to, proposal.branch)
        else:
            there = repository.revision(proposal.branch)
    except SelfdriveError as fault:
        yield f"git: {fault.message}"
        return
    if there != proposal.commit:
        yield f"git: {proposal.branch} is at {there[:12]}, not at {proposal.commit[:12]}"
