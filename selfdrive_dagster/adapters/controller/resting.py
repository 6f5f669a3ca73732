"""Resting: whether the evidence on the disk still holds what the ledger's rows rest on.

Each look that a row names is evidence with the digest of the file of windows as it was then; that
file only ever grows. So one that does not begin with a named state of it was cut, rewritten or
deleted, and what is left of it proves nothing safe, ever again. Does not belong here: the verdict
(`rollout.canary`), and the audit, which asks the same and more (`adapters.auditing.files`).
"""

from collections.abc import Iterator
from typing import NamedTuple

from selfdrive_dagster.adapters.canary import WindowStore
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.audit import OBSERVED
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.rollout.observed import Observed


class Named(NamedTuple):
    """What a row of the ledger rests on: a digest of the windows, "" where nobody has it any more.

    `lost` says what was missing already when it was judged.
    """

    seq: int
    windows: str
    lost: str = ""


class Resting:
    """The looks that the ledger names, each read once."""

    def __init__(self, ledger: Ledger, evidence: Evidence) -> None:
        self._ledger = ledger
        self._evidence = evidence
        self._known: dict[str, Named] = {}

    def named(self, change_id: str) -> tuple[Named, ...]:
        """Return what the rows of a change rest on, oldest first."""
        return tuple(self._named(change_id))

    def _named(self, change_id: str) -> Iterator[Named]:
        for row in self._ledger.entries(change_id):
            if not (sha256 := str(row.entry.body.get(OBSERVED) or "")):
                continue
            if sha256 not in self._known:
                self._known[sha256] = self._read(row.seq, sha256)
            yield self._known[sha256]

    def _read(self, seq: int, sha256: str) -> Named:
        try:
            found = self._evidence.get(sha256, Observed)
        except SelfdriveError:
            return Named(seq, "")
        return Named(seq, found.windows_sha256, found.lost)


def lost_of(named: tuple[Named, ...], store: WindowStore, seen: str = "") -> str:
    """Return what is missing on the disk of what rows rest on, "" where nothing is.

    `seen` is the digest of the windows as they were read last, "" for none.
    """
    begun = store.beginnings()
    for one in named:
        if one.lost:
            return one.lost
        if not one.windows:
            return f"evidence is lost: what row {one.seq} of the ledger rests on cannot be had"
        if one.windows not in begun:
            return (
                "evidence is lost: windows.jsonl does not begin with the windows that row "
                f"{one.seq} of the ledger rests on"
            )
    if seen and seen not in begun:
        return "evidence is lost: windows.jsonl is no longer what it was a moment ago"
    return ""
