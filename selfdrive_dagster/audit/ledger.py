"""The ledger's chain: each row is sealed over its content and the seal of the row before.

Whoever alters, deletes, inserts or reorders rows must seal every later row anew, and then
the newest seal differs from the one that was anchored elsewhere. `verify` names the first
thing wrong. Seals are sha256 over canonical JSON; the scheme's name is part of each seal, so
a later scheme can follow without touching a published row.

Does not belong here: storage, and what an entry means to the loop.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import canonical, digest

SCHEME = "selfdrive-ledger-1"
GENESIS = digest([SCHEME, "genesis"])
"""What the first row names as the seal before it."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One decision or effect, by whom, and on which authority.

    `run_id` is the Dagster run that did it, `signature` a person's signature; at least one is
    given. `kind` is a word like `change.opened`; `body` is JSON, evidence named by sha256.
    Raises BadInput for an entry that names nobody, nothing, no time zone or no authority.
    """

    at: datetime
    actor: str
    kind: str
    change_id: str = ""
    issue_id: str = ""
    body: dict[str, Any] = {}
    run_id: str = ""
    signature: str = ""

    def __post_init__(self) -> None:
        if not (self.run_id or self.signature):
            raise BadInput(f"Ledger entry {self.kind!r} names neither a run nor a signature.")
        if not (self.actor and self.kind):
            raise BadInput("A ledger entry needs an actor and a kind.")
        if self.at.tzinfo is None:
            raise BadInput(f"Ledger entry {self.kind!r} has a time without a zone.")
        words = (self.actor, self.kind, self.change_id, self.issue_id, self.run_id, self.signature)
        if any("\0" in word for word in words):
            raise BadInput(f"Ledger entry {self.kind!r} holds a NUL character.")


class Link(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the ledger: an entry at its place. `seq` counts from 1 without gaps."""

    seq: int
    entry: Entry
    prev_hash: str
    hash: str


class Head(msgspec.Struct, frozen=True):
    """The newest row's place and seal: what is anchored outside, to be compared later."""

    seq: int
    hash: str


class FaultKind(Enum):
    """What was done to a ledger."""

    ALTERED = "altered"
    DELETED = "deleted"
    INSERTED = "inserted"
    REORDERED = "reordered"
    TRUNCATED = "truncated"


class Fault(msgspec.Struct, frozen=True, kw_only=True):
    """The first row that is wrong, and how."""

    seq: int
    kind: FaultKind
    says: str


def seal(seq: int, prev_hash: str, entry: Entry) -> str:
    """Return the seal of an entry at a place. Times are sealed in UTC, to the microsecond."""
    at = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    fields = {**msgspec.structs.asdict(entry), "at": at}
    return digest([SCHEME, seq, prev_hash, fields])


def link(previous: Head | None, entry: Entry) -> Link:
    """Chain an entry to the row before it (None: it is the first)."""
    before = previous or Head(0, GENESIS)
    # The body as it will be read back: plain JSON, so that the seal can be made again.
    plain = msgspec.structs.replace(entry, body=msgspec.json.decode(canonical(entry.body)))
    seq = before.seq + 1
    return Link(seq=seq, entry=plain, prev_hash=before.hash, hash=seal(seq, before.hash, plain))


def verify(links: Iterable[Link], anchor: Head | None = None) -> Fault | None:
    """Return the first fault of a whole ledger in stored order, None when it is sound.

    `anchor` is a head that was noted elsewhere: without one, rows missing at the end and a
    ledger sealed anew from some row on cannot be seen.
    """
    rows = tuple(links)
    before = Head(0, GENESIS)
    for row in rows:
        sound = row.seq == before.seq + 1 and row.prev_hash == before.hash and is_sealed(row)
        if not sound:
            return named(row, before, rows)
        before = Head(row.seq, row.hash)
    return against_anchor(rows, anchor)


def is_sealed(row: Link, seq: int | None = None) -> bool:
    """Say whether a row's seal fits its content, at its own place or at another one."""
    return row.hash == seal(row.seq if seq is None else seq, row.prev_hash, row.entry)


def named(row: Link, before: Head, rows: tuple[Link, ...]) -> Fault:
    """Tell what was done where `row` does not follow `before`."""
    expected = before.seq + 1
    if not is_sealed(row):
        return renumbered(row, before, rows)
    if row.seq > expected:
        later = any(other.seq == expected for other in rows)
        kind = FaultKind.REORDERED if later else FaultKind.DELETED
        return Fault(seq=expected, kind=kind, says=f"row {row.seq} stands where {expected} should")
    if row.seq < expected:
        return Fault(
            seq=row.seq, kind=FaultKind.INSERTED, says=f"there is more than one row {row.seq}"
        )
    seq = max(before.seq, 1)
    return Fault(
        seq=seq,
        kind=FaultKind.ALTERED,
        says=f"row {row.seq} was chained to another row {before.seq} than the one that is there",
    )


def renumbered(row: Link, before: Head, rows: tuple[Link, ...]) -> Fault:
    """Tell altered content from a sound row that was given another number.

    If the row that belongs here still exists, the two changed places; else one is missing
    before this row, or one too many. What is named is the place: a number may be forged.
    """
    expected = before.seq + 1
    true_seq = next((seq for seq in possible_places(rows) if is_sealed(row, seq)), None)
    if true_seq is None:
        says = f"the content of row {row.seq} does not fit its seal"
        return Fault(seq=expected, kind=FaultKind.ALTERED, says=says)
    says = f"row {row.seq} was sealed as row {true_seq}"
    if true_seq == expected and row.prev_hash == before.hash:
        return Fault(seq=expected, kind=FaultKind.ALTERED, says=says)
    if any(other.prev_hash == before.hash and is_sealed(other, expected) for other in rows):
        return Fault(seq=expected, kind=FaultKind.REORDERED, says=says)
    if true_seq > expected:
        return Fault(seq=expected, kind=FaultKind.DELETED, says=says)
    return Fault(seq=max(before.seq, 1), kind=FaultKind.INSERTED, says=says)


def possible_places(rows: tuple[Link, ...]) -> list[int]:
    """Return the numbers that a row may have been sealed under.

    They are counted by the rows, never by a stored number: whoever may write to the ledger
    could make it 2**63.
    """
    told = {row.seq + step for row in rows for step in (-1, 0, 1)}
    return sorted(seq for seq in told.union(range(1, 2 * len(rows) + 2)) if seq > 0)


def against_anchor(rows: tuple[Link, ...], anchor: Head | None) -> Fault | None:
    """Compare a sound chain with a head that was noted elsewhere."""
    if anchor is None:
        return None
    if len(rows) < anchor.seq:
        return Fault(
            seq=len(rows) + 1,
            kind=FaultKind.TRUNCATED,
            says=f"the anchor knows {anchor.seq} rows, {len(rows)} are there",
        )
    if anchor.seq and rows[anchor.seq - 1].hash != anchor.hash:
        return Fault(
            seq=anchor.seq,
            kind=FaultKind.ALTERED,
            says="the ledger was sealed anew: the anchor knows another row here",
        )
    return None
