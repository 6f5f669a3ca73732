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


class Adoption:
    """Brings the journal of one home into the ledger, once each line, whoever began with it."""

    def __init__(self, home: Path, ledger: Ledger, signature_of: Callable[[str], str]) -> None:
        self._files = FrontFiles(home)
        self._ledger = ledger
        self._signature_of = signature_of
        self._passed = 0

    def look(self) -> Iterator[str]:
        """Write into the ledger what the journal tells and it does not know yet, oldest first.

        What belongs to no approved change stays in the journal alone.
        """
        entries = self._files.journal()
        if len(entries) < self._passed:
            self._passed = 0  # another journal
        for entry in entries[self._passed :]:
            signature = self._signature_of(entry.change_id) if entry.change_id else ""
            if signature and not self._ledger.find(RETURNED, entry.change_id, name_of(entry)):
                self._ledger.append(as_entry(entry, signature))
                yield f"{entry.change_id}: back to stable, {entry.cause.value}: {entry.reason}"
            self._passed += 1


def name_of(entry: Returned) -> dict[str, str]:
    """Return what tells a line from all others. A front that lost its files counts anew."""
    return {"generation": str(entry.generation), "returned_at": entry.at.isoformat()}


def as_entry(entry: Returned, signature: str) -> Entry:
    """Return a line of the journal as the ledger keeps it, with the time at which it happened."""
    return Entry(
        at=entry.at,
        actor="front",
        kind=RETURNED,
        change_id=entry.change_id,
        issue_id="",
        body={
            **name_of(entry),
            "cause": entry.cause.value,
            "reason": entry.reason,
            "share": entry.share,
        },
        run_id="",
        signature=signature,
    )
