"""A case: all that is known of one change, as ledger and evidence have it.

Belongs here: looking things up in it. Does not belong: fetching it (`adapters.auditing`), and what
it means (the questions).
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from selfdrive_dagster.audit.ledger import Link
from selfdrive_dagster.issues import RankedIssue
from selfdrive_dagster.model import Report
from selfdrive_dagster.rollout.lifecycle import Event, State
from selfdrive_dagster.rollout.observed import Observed
from selfdrive_dagster.validation import Proof

EXPECTED = {
    State.VALIDATING: ("patches/diagnosis",),
    State.VALIDATED: ("patches/reproducer", "patches/candidates", "validation/report"),
    State.AWAITING_APPROVAL: ("rollout/proposal",),
    State.APPROVED: ("rollout/approval",),
}
"""Which records a change must have once it stood in a state."""

WEIGHED = f"change.{Event.SOAKED.value}"
OBSERVED = "observed"
"""Under this name a row of the ledger names the evidence that it rests on."""


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One record that the ledger names; `record` is None when it cannot be had as stored."""

    asset: str
    sha256: str
    run_id: str
    seq: int
    record: Any
    fault: str = ""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of a change: its ledger rows in order and its newest records by asset.

    `observed` is what rows of its rollout rest on, by digest, None where that is lost.
    `thresholds` are those of latency, as they lie beside the windows of a rollout.
    """

    change_id: str
    issue_id: str
    base_revision: str
    state: State
    rows: tuple[Link, ...]
    kept: Mapping[str, Kept]
    issue: RankedIssue | None = None
    observed: Mapping[str, Observed | None] = {}
    thresholds: Kept | None = None

    def record(self, asset: str) -> Any:
        """Return a record, None when there is none."""
        found = self.kept.get(asset)
        return found.record if found else None

    def digests(self, *assets: str) -> tuple[str, ...]:
        """Return the digests of records, those that are there."""
        return tuple(self.kept[one].sha256 for one in assets if one in self.kept)

    @property
    def visited(self) -> frozenset[State]:
        """Every state the ledger says it stood in, the present one too."""
        told = {str(row.entry.body.get("to", "")) for row in self.rows}
        return frozenset(state for state in State if state.value in told) | {self.state}

    @property
    def expected(self) -> tuple[str, ...]:
        """The records it must have by now."""
        stood = (assets for state, assets in EXPECTED.items() if state in self.visited)
        weighed = ("audit/outcome",) if self.of_kind(WEIGHED) else ()
        return (*(asset for assets in stood for asset in assets), *weighed)

    @property
    def turns(self) -> tuple[Link, ...]:
        """The rows that rest on evidence of a rollout."""
        return tuple(row for row in self.rows if row.entry.body.get(OBSERVED))

    @property
    def newest_look(self) -> Observed | None:
        """The newest evidence of its rollout that can be had as it was stored."""
        found = (self.observed.get(str(row.entry.body[OBSERVED])) for row in reversed(self.turns))
        return next((one for one in found if one is not None), None)

    def of_kind(self, *kinds: str) -> tuple[Link, ...]:
        """Return the rows of these kinds, oldest first."""
        return tuple(row for row in self.rows if row.entry.kind in kinds)

    def moves(self, *events: Event) -> tuple[Link, ...]:
        """Return the rows of these moves, oldest first."""
        return self.of_kind(*(f"change.{event.value}" for event in events))

    @property
    def report(self) -> Report | None:
        """The report of what was proposed, else of the likeliest candidate that was judged."""
        proof: Proof | None = self.record("validation/report")
        if proof is None or not proof.reports:
            return None
        best = proof.best.id if proof.best else proof.reports[0].candidate_id
        return next((one for one in proof.reports if one.candidate_id == best), None)
