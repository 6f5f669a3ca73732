"""Whether ledger, evidence, Dagster's event log and git tell of the same things.

Dagster's log is read as the tables it is, so that no Dagster need run.
"""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Engine, text
from sqlalchemy.exc import ProgrammingError

from selfdrive_dagster.adapters.auditing.cases import asset_of
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.ledger import MADE
from selfdrive_dagster.audit import Case, Link
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.lifecycle import Event, State

Made = tuple[str, str, str]
"""Asset, run id and sha256 of one record."""


def made(row: Link) -> Made:
    """Return which record a row tells of."""
    return asset_of(row), row.entry.run_id, str(row.entry.body.get("sha256", ""))


def of_evidence(case: Case, known: set[Made], evidence: Evidence) -> Iterator[str]:
    """Yield what rows of a change name and nobody has as it was stored."""
    for row in case.rows:
        for name, sha256 in named(row):
            try:
                evidence.read(sha256)
            except SelfdriveError as fault:
                yield f"row {row.seq} names {name}: {fault.message}"
        for pin in row.entry.body.get("inputs", ()) if row.entry.kind == MADE else ():
            told = str(pin.get("asset")), str(pin.get("run_id")), str(pin.get("sha256"))
            if told not in known:
                yield (
                    f"{asset_of(row)} read a {told[0]} {told[2][:16]} that the ledger does not know"
                )
            try:
                evidence.read(told[2])
            except SelfdriveError as fault:
                yield f"{asset_of(row)} read: {fault.message}"


def named(row: Link) -> Iterator[tuple[str, str]]:
    """Yield the name and digest of each piece of evidence that a row names."""
    body = row.entry.body
    if row.entry.kind == MADE:
        yield asset_of(row), str(body.get("sha256", ""))
    for name in ("observed", "thresholds", "statement"):
        if body.get(name):
            yield name, str(body[name])
    digests = body.get("digests")
    if isinstance(digests, dict) and digests.get("statement"):
        yield "a statement", str(digests["statement"])


LOG = """
SELECT asset_key, run_id, event FROM dagster.event_logs
WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition = :change
"""

WIPED = """
SELECT DISTINCT keys.asset_key FROM dagster.asset_keys AS keys
JOIN dagster.event_logs AS logs ON logs.asset_key = keys.asset_key
WHERE logs.dagster_event_type = 'ASSET_MATERIALIZATION' AND logs.partition = :change
AND keys.wipe_timestamp >= logs.timestamp
"""
"""A wipe hides events and leaves them where they are."""

RUNS = "SELECT run_id FROM dagster.runs"


def of_dagster(case: Case, engine: Engine) -> Iterator[str]:
    """Yield records that Dagster and the ledger do not both know."""
    noted = {made(row) for row in case.rows if row.entry.kind == MADE}
    asked = {"change": case.change_id}
    try:
        with engine.connect() as connection:
            rows = connection.execute(text(LOG), asked).all()
            wiped = connection.execute(text(WIPED), asked).scalars().all()
            runs = set(connection.execute(text(RUNS)).scalars())
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
    for key in wiped:
        yield f"Dagster: {'/'.join(json.loads(key))} was wiped after it was made for this change"
    for row in case.rows:
        if row.entry.run_id and row.entry.run_id not in runs:
            yield f"Dagster has no run {row.entry.run_id}, which row {row.seq} names"


def _digest_in(event: Any) -> str:
    """Return the sha256 among an event's metadata entries, "" when it names none."""
    if isinstance(event, dict):
        if event.get("label") == "sha256":
            return str((event.get("entry_data") or {}).get("text", ""))
        event = list(event.values())
    if isinstance(event, list):
        return next((found for one in event if (found := _digest_in(one))), "")
    return ""


def of_git(case: Case, repository: GitRepository) -> Iterator[str]:
    """Yield where a commit is not what was recorded, or not there."""
    for row in case.moves(Event.BUILT, Event.MERGED):
        commit = str(row.entry.body.get("commit", ""))
        if repository.lookup(commit) is None:
            yield f"git: commit {commit[:12]}, which row {row.seq} names, is not there"
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
