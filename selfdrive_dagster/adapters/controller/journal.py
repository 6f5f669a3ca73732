"""The front's own journal, adopted by the ledger: what went back to stable while nobody looked."""

from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.rollout.traffic import Cause, Returned

RETURNED = "traffic.returned"


def returned_for(home: Path, change_id: str, since: datetime) -> Cause | None:
    """Return why a change's traffic went back to stable since a moment, None if it did not."""
    found = [
        one for one in FrontFiles(home).journal() if one.change_id == change_id and one.at >= since
    ]
    return found[0].cause if found else None


def adopt(home: Path, ledger: Ledger, signature_of: Callable[[str], str]) -> Iterator[str]:
    """Write into the ledger what the journal tells and it does not know yet, oldest first."""
    for entry in FrontFiles(home).journal():
        signature = signature_of(entry.change_id) if entry.change_id else ""
        told = {"generation": str(entry.generation)}
        if not signature or ledger.find(RETURNED, entry.change_id, told):
            continue
        ledger.append(as_entry(entry, signature))
        yield f"{entry.change_id}: back to stable, {entry.cause.value}: {entry.reason}"


def as_entry(entry: Returned, signature: str) -> Entry:
    """Return a line of the journal as the ledger keeps it, with the time at which it happened."""
    return Entry(
        at=entry.at,
        actor="front",
        kind=RETURNED,
        change_id=entry.change_id,
        issue_id="",
        body={
            "generation": str(entry.generation),
            "cause": entry.cause.value,
            "reason": entry.reason,
            "share": entry.share,
        },
        run_id="",
        signature=signature,
    )
