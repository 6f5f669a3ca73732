"""Forgetting: what the tables let go as the owner says, and the row of the ledger that tells it.

What goes is listed as evidence and named by the ledger before it goes. Rows that a change under way
may still have to count stay, however old. Does not belong here: how rows go
(`warehouse.retention`), and when it is done (`orchestration.build`).
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.retention import Cuts, Forgotten, forget
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.config import Telemetry

FORGOTTEN = "telemetry.forgotten"
"""The kind of the ledger row."""

LOOKED_BACK = timedelta(days=30)
"""How long before a change's last move its outcome may still look for the old rate."""


def cuts_of(settings: Telemetry, now: datetime, under_way: Iterable[datetime] = ()) -> Cuts:
    """Return what is too old now. `under_way` are the last moves of changes that have not ended."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)

    def cut(days: int) -> datetime | None:
        return midnight - timedelta(days=days) if days else None

    rows = cut(settings.retention_days)
    needed = min(under_way, default=now) - LOOKED_BACK
    if rows and needed < rows:
        rows = needed.replace(hour=0, minute=0, second=0, microsecond=0)
    counts = cut(settings.aggregates_days)
    if counts and rows:
        counts = min(counts, rows)  # what was counted never goes before what it was counted from
    return Cuts(rows=rows, counts=counts, arguments=cut(settings.keep_arguments_days))


def forget_old(
    warehouse: Warehouse,
    ledger: Ledger,
    evidence: Evidence,
    cuts: Cuts,
    now: datetime,
    run_id: str,
) -> Forgotten:
    """Let go what is too old; cheap when nothing is due. `run_id` is who does it."""

    def note(planned: Forgotten) -> None:
        body = {"listed": evidence.put(planned)}
        ledger.append(Entry(at=now, actor="loop", kind=FORGOTTEN, body=body, run_id=run_id))

    return forget(warehouse, cuts, note)
