"""What became of the changes that met users, as the ledger tells it, for the breaker."""

from collections.abc import Iterable
from datetime import datetime

from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.audit import Link
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.breaker import Ended, Standing, stand
from selfdrive_dagster.rollout.lifecycle import Event

HARM, STAYED = f"change.{Event.HARM.value}", f"change.{Event.BAKED.value}"
CAME_BACK, EXPOSED = f"change.{Event.RESTORED.value}", f"change.{Event.EXPOSED.value}"


def standing(
    ledger: Ledger, evidence: Evidence, change: Change, now: datetime, *, rests: bool
) -> Standing:
    """Say whether a change may go on, by what became of those before it."""
    return stand(
        tuple(ended_in(ledger.entries(), ledger, evidence, change.service)),
        service=change.service,
        module=module_of(ledger, evidence, change.change_id),
        fingerprint=change.issue_id,
        now=now,
        rests=rests,
    )


def ended_in(
    rows: Iterable[Link], ledger: Ledger, evidence: Evidence, service: str
) -> Iterable[Ended]:
    """Yield how each change ended that users had met, in the order of the ledger."""
    met: set[str] = set()
    harmed: set[str] = set()
    for row in rows:
        change_id, kind = row.entry.change_id, row.entry.kind
        if kind == EXPOSED:
            met.add(change_id)
        elif kind == HARM:
            harmed.add(change_id)
        elif kind in (STAYED, CAME_BACK) and change_id in met:
            yield Ended(
                change_id=change_id,
                service=service,
                module=module_of(ledger, evidence, change_id),
                fingerprint=row.entry.issue_id,
                at=row.entry.at,
                came_back=kind == CAME_BACK,
                by_harm=change_id in harmed,
            )


def module_of(ledger: Ledger, evidence: Evidence, change_id: str) -> str:
    """Return the file that a change's patch is in, "" when nobody recorded it."""
    rows = ledger.find(MADE, change_id, {"asset": "rollout/proposal"})
    if not rows:
        return ""
    patch = evidence.get(str(rows[0].entry.body["sha256"]), Proposal).patch or ""
    return next((line[6:] for line in patch.splitlines() if line.startswith("+++ b/")), "")
