"""A change as it can be told: where it stands, its records, its moves, what people decided.

Read from the changes, the ledger and the evidence; nothing is written. What should be there
and is not is told as NOT RECORDED. Does not belong here: judging the chain (`audit`).
"""

from collections.abc import Mapping
from datetime import datetime
from typing import TypeVar

import msgspec
from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import Change, Changes
from selfdrive_dagster.adapters.decisions import Decision, Decisions
from selfdrive_dagster.adapters.evidence import Evidence, EvidenceAltered, EvidenceNotRecorded
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.audit import Link
from selfdrive_dagster.audit.outcome import Outcome
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Diagnosis
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.approval import Approval
from selfdrive_dagster.rollout.custody import Custody
from selfdrive_dagster.rollout.lifecycle import Event

T = TypeVar("T")

DIAGNOSIS, PROPOSAL = "patches/diagnosis", "rollout/proposal"
STAGES = (DIAGNOSIS, "patches/reproducer", "patches/candidates", "validation/report", PROPOSAL)
"""The records that every proposed change has, in the order in which they are made."""

APPROVAL = "rollout/approval"
APPROVED = f"change.{Event.APPROVE.value}"

OUTCOME = "audit/outcome"
RESTORED = f"change.{Event.RESTORED.value}"

SHOWN = 12


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """One record of the chain of evidence. What is None was NOT RECORDED.

    `kept` says whether the evidence is there: "sound", "NOT RECORDED" or "ALTERED".
    """

    asset: str
    sha256: str | None = None
    run_id: str | None = None
    at: datetime | None = None
    seq: int | None = None
    kept: str = "NOT RECORDED"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One ledger row of a change that is not a record: a move, a decision set aside."""

    seq: int
    at: datetime
    kind: str
    actor: str
    run_id: str
    signature: str
    body: dict[str, object]


class Approved(msgspec.Struct, frozen=True, kw_only=True):
    """What the ledger tells of an approval, not verified here.

    `expires` and `custody` are None when its record cannot be had as it was stored.
    """

    approver: str
    at: datetime
    reason: str
    fingerprint: str
    expires: datetime | None
    custody: Custody | None


class Story(msgspec.Struct, frozen=True, kw_only=True):
    """All that can be told of one change. `title` is None when nothing tells it.

    `outcome` is what came of it with users: the outcome's kind, or "rolled back".
    """

    change: Change
    title: str | None
    proposal: Proposal | None
    pieces: tuple[Piece, ...]
    steps: tuple[Step, ...]
    waiting: tuple[Decision, ...]
    approval: Approved | None = None
    outcome: str | None = None


class Storyteller:
    """Tells the changes of one database and home."""

    def __init__(self, engine: Engine, evidence: Evidence) -> None:
        self._changes = Changes(engine)
        self._ledger = Ledger(engine)
        self._decisions = Decisions(engine)
        self._evidence = evidence

    def all(self, *, active: bool | None = True) -> tuple[Story, ...]:
        """Return the changes, newest state first; `active=None` with those that have ended."""
        waiting = self._decisions.waiting(limit=1_000)
        known = self._changes.all(active=active)
        return tuple(self.tell(change, waiting) for change in reversed(known))

    def find(self, wanted: str) -> Story:
        """Return the one change whose id starts so. Raises BadInput that lists the known ones."""
        known = self._changes.all()
        ids = [change.change_id for change in known]
        found = [c for c in known if c.change_id.startswith((wanted, f"chg_{wanted}")) and wanted]
        if len(found) == 1:
            return self.tell(found[0], self._decisions.waiting(limit=1_000))
        what = f"{len(found)} changes start with" if found else "There is no change"
        some = [change.change_id for change in found] or ids
        more = f" and {len(some) - SHOWN} more" if len(some) > SHOWN else ""
        listed = ", ".join(some[:SHOWN]) + more if some else "none yet; `selfdrive issues`"
        raise BadInput(f"{what} {wanted!r}.", remedy=f"choose one of: {listed}")

    def tell(self, change: Change, waiting: tuple[Decision, ...]) -> Story:
        """Gather what is known of a change."""
        rows = self._ledger.entries(change.change_id)
        made = {str(row.entry.body.get("asset", "")): row for row in rows if row.entry.kind == MADE}
        proposal = self._record(made, PROPOSAL, Proposal)
        return Story(
            change=change,
            title=proposal.title if proposal else self._sentence(made),
            proposal=proposal,
            pieces=tuple(self._piece(asset, made.get(asset)) for asset in (*STAGES, *other(made))),
            steps=tuple(as_step(row) for row in rows if row.entry.kind != MADE),
            waiting=tuple(d for d in waiting if d.change_id == change.change_id),
            approval=self._approval(rows, self._record(made, APPROVAL, Approval)),
            outcome=self._outcome(rows, made),
        )

    def _outcome(self, rows: tuple[Link, ...], made: Mapping[str, Link]) -> str | None:
        found = self._record(made, OUTCOME, Outcome)
        if found is not None:
            return found.kind.value
        return "rolled back" if any(row.entry.kind == RESTORED for row in rows) else None

    def _approval(self, rows: tuple[Link, ...], kept: Approval | None) -> Approved | None:
        """Return the newest approval that the ledger tells of, None when there is none."""
        row = next((one for one in reversed(rows) if one.entry.kind == APPROVED), None)
        if row is None:
            return None
        told = row.entry.body
        digests = told.get("digests")
        named = digests if isinstance(digests, dict) else {}
        is_same = kept is not None and kept.signature == row.entry.signature
        return Approved(
            approver=row.entry.actor,
            at=row.entry.at,
            reason=str(told.get("reason", "")),
            fingerprint=str(named.get("fingerprint", "")),
            expires=kept.statement.expires if kept and is_same else None,
            custody=kept.statement.custody if kept and is_same else None,
        )

    def _piece(self, asset: str, row: Link | None) -> Piece:
        if row is None:
            return Piece(asset=asset)
        sha256 = str(row.entry.body.get("sha256", ""))
        entry = row.entry
        return Piece(
            asset=asset,
            sha256=sha256 or None,
            run_id=entry.run_id or None,
            at=entry.at,
            seq=row.seq,
            kept=self._kept(sha256),
        )

    def _kept(self, sha256: str) -> str:
        try:
            self._evidence.read(sha256)
        except EvidenceAltered:
            return "ALTERED"
        except (EvidenceNotRecorded, BadInput):  # BadInput: the row names no digest
            return "NOT RECORDED"
        return "sound"

    def _sentence(self, made: Mapping[str, Link]) -> str | None:
        diagnosis = self._record(made, DIAGNOSIS, Diagnosis)
        return diagnosis.sentence if diagnosis else None

    def _record(self, made: Mapping[str, Link], asset: str, kind: type[T]) -> T | None:
        """Return the newest record of an asset, None when it cannot be had as it was stored."""
        row = made.get(asset)
        if row is None:
            return None
        try:
            return self._evidence.get(str(row.entry.body.get("sha256", "")), kind)
        except (EvidenceNotRecorded, EvidenceAltered, BadInput):
            return None  # `kept` of its piece says which


def other(made: Mapping[str, Link]) -> tuple[str, ...]:
    """Return assets beyond the usual stages, in the order of the ledger."""
    return tuple(asset for asset in made if asset not in STAGES)


def as_step(row: Link) -> Step:
    """Return a ledger row as a step of the story."""
    entry = row.entry
    return Step(
        seq=row.seq,
        at=entry.at,
        kind=entry.kind,
        actor=entry.actor,
        run_id=entry.run_id,
        signature=entry.signature,
        body=entry.body,
    )
