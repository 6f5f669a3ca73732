"""Naming: every stored exception gets its fingerprint and the issue that this is in.

New exceptions are named once. What is known of each fingerprint stands in the table `fingerprints`,
and in `issue_members` which of them are one issue, by whose word. When that changes, only the hours
of the events concerned are written anew. When the fingerprint itself or its settings change, old
events keep the issue they have, and new ones of the same kind join them: nothing is renamed but
what a rule of the operator names.

Belongs here: tables in and out. Does not belong: what makes two fingerprints one (`members`).
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import msgspec

from selfdrive_dagster.adapters.warehouse.files import ALL, by_hour
from selfdrive_dagster.adapters.warehouse.pointers import (
    keep_carried,
    note_followed,
    read_carried,
    read_verdicts,
)
from selfdrive_dagster.adapters.warehouse.store import Warehouse
from selfdrive_dagster.adapters.warehouse.tables import frame_like, frame_of
from selfdrive_dagster.issues import Grouping, IssueEventRow, named_event
from selfdrive_dagster.issues.align import ALIGNMENT
from selfdrive_dagster.issues.members import VERSION, Member, Members, current, merged
from selfdrive_dagster.issues.traces import Trace, earliest
from selfdrive_dagster.model import digest
from selfdrive_dagster.telemetry.rows import ExceptionRow

if TYPE_CHECKING:
    import polars

EVENTS, FINGERPRINTS, MEMBERS = "issue_events", "fingerprints", "issue_members"
BATCH = 20_000
MOST_TRACES = 20_000
"""Fingerprints that are compared at all; who sends more of them has nothing in common to find."""

_Record = TypeVar("_Record", Member, Trace)
_SKIPPED = ("frames", "exception_stacktrace", "attributes_json")

_CONCERNED = """
SELECT * FROM issue_events WHERE date_trunc('hour', timestamp) IN (
    SELECT DISTINCT date_trunc('hour', timestamp) FROM issue_events
    WHERE list_contains($names, coalesce(fp_key, issue_id))
)
"""


def name_new(warehouse: Warehouse, grouping: Grouping, seen: int) -> None:
    """Name the exceptions of files above a sequence number."""
    members = members_of(warehouse)
    for rows in _exceptions(warehouse, seen):
        named = [named_event(row, grouping) for row in rows]
        _learn(warehouse, [trace for _, trace in named])
        warehouse.append(EVENTS, [_placed(event, members) for event, _ in named])


def name_all(warehouse: Warehouse, grouping: Grouping) -> None:
    """Name every exception, after the fingerprint or its settings changed or events were lost.

    An event that has an issue keeps it, and its fingerprint of today points there.
    """
    named = [named_event(row, grouping) for rows in _exceptions(warehouse, 0) for row in rows]
    before = {row.event_id: row for row in _events(warehouse) if row.fp_rule != "custom"}
    _learn(warehouse, [trace for _, trace in named], clear=True)
    carried = {each.fingerprint: each for each in read_carried(warehouse.root)}
    # What people said is not carried: it holds for the names they knew, and can be taken back.
    known = Members([*carried.values(), *(m for m in read_members(warehouse) if not m.is_personal)])
    carried |= {each.fingerprint: each for each in _carried([e for e, _ in named], before, known)}
    keep_carried(warehouse.root, tuple(carried.values()))
    members = Members(carried.values(), read_verdicts(warehouse.root))
    events = [_kept(_placed(event, members), before.get(event.event_id)) for event, _ in named]
    frames = by_hour(frame_of(EVENTS, events), "timestamp")
    warehouse.replace_partitions(EVENTS, frames, clear=True)


def standing_of(warehouse: Warehouse, *, merges: bool) -> str:
    """Return what `point` depends on besides the fingerprints, as a digest."""
    carried, verdicts = read_carried(warehouse.root), read_verdicts(warehouse.root)
    return digest(msgspec.json.encode([ALIGNMENT, merges, carried, verdicts]))


def point(warehouse: Warehouse, *, merges: bool) -> int:
    """Decide anew which fingerprints are one issue; return how many hours had to be written anew.

    `merges` says whether what is alike enough is put together without asking.
    """
    verdicts, carried = read_verdicts(warehouse.root), read_carried(warehouse.root)
    pointers = merged(read_traces(warehouse), verdicts, carried, merges=merges)
    concerned = _concerned(warehouse, Members(pointers, verdicts))
    if concerned:
        warehouse.replace_partitions(EVENTS, concerned)
    warehouse.replace_partitions(MEMBERS, {ALL: frame_like(Member, pointers)}, clear=True)
    note_followed(warehouse.root, verdicts)
    return len(concerned)


def members_of(warehouse: Warehouse) -> Members:
    """Return the pointers as they were decided last, without what was taken back since."""
    return current(read_members(warehouse), read_verdicts(warehouse.root))


def read_members(warehouse: Warehouse) -> tuple[Member, ...]:
    """Return the pointers as the tables follow them."""
    return tuple(_read(warehouse, MEMBERS, Member))


def read_traces(warehouse: Warehouse) -> tuple[Trace, ...]:
    """Return what is known of each fingerprint."""
    return tuple(_read(warehouse, FINGERPRINTS, Trace))


def _placed(event: IssueEventRow, members: Members) -> IssueEventRow:
    issue_id = members.issue_of(event.fp_key or event.issue_id)
    return msgspec.structs.replace(event, issue_id=issue_id)


def _kept(event: IssueEventRow, before: IssueEventRow | None) -> IssueEventRow:
    """Return an event as it is now, or as it was where it would move to another issue."""
    if before is None or event.fp_rule == "custom" or event.issue_id == before.issue_id:
        return event
    return before


def _carried(
    events: Sequence[IssueEventRow], before: Mapping[str, IssueEventRow], known: Members
) -> tuple[Member, ...]:
    """Return the pointers of fingerprints to the issues that their earliest events were in."""
    pointers: dict[str, Member] = {}
    for event in sorted(events, key=lambda each: (each.timestamp, each.event_id)):
        if not (old := before.get(event.event_id)):
            continue
        old_name = old.fp_key or old.issue_id
        for name in (event.fp_key or event.issue_id, old_name):
            pointer = Member(
                fingerprint=name,
                issue_id=known.issue_of(old_name),
                merged_by=VERSION,
                reason="named so before the fingerprint or its settings changed",
                valid_from=event.timestamp,
            )
            pointers.setdefault(name, pointer)
    return tuple(each for name, each in sorted(pointers.items()) if name != each.issue_id)


def _concerned(warehouse: Warehouse, members: Members) -> dict[str, "polars.DataFrame"]:
    """Return the hours with events in another issue than they should be, put right."""
    import polars

    found = warehouse.query(
        "SELECT DISTINCT coalesce(fp_key, issue_id) AS name, issue_id FROM issue_events"
    )
    wrong = {name for name, issue_id in found.rows() if members.issue_of(name) != issue_id}
    if not wrong:
        return {}
    frame = warehouse.query(_CONCERNED, {"names": sorted(wrong)})
    name = polars.coalesce("fp_key", "issue_id")
    targets = {each: members.issue_of(each) for each in wrong}
    right = name.replace(targets)
    frame = frame.with_columns(
        issue_id=polars.when(name.is_in(sorted(wrong))).then(right).otherwise("issue_id"),
        fp_key=name,
    )
    return by_hour(frame.select(frame_of(EVENTS, ()).columns), "timestamp")


def _learn(warehouse: Warehouse, traces: Iterable[Trace], *, clear: bool = False) -> None:
    """Keep the earliest trace of each fingerprint."""
    known = () if clear else read_traces(warehouse)
    fresh = earliest((*known, *traces))[:MOST_TRACES]
    if fresh != known or FINGERPRINTS not in warehouse.tables():
        warehouse.replace_partitions(FINGERPRINTS, {ALL: frame_like(Trace, fresh)}, clear=True)


def _read(warehouse: Warehouse, table: str, kind: type[_Record]) -> list[_Record]:
    if table not in warehouse.tables():
        return []
    rows = warehouse.query(f"SELECT * FROM {table}").to_dicts()  # noqa: S608 - our own names
    return [msgspec.convert(row, kind) for row in rows]


def _events(warehouse: Warehouse) -> Iterable[IssueEventRow]:
    found = warehouse.query("SELECT * FROM issue_events")
    return msgspec.convert(
        found.select(frame_of(EVENTS, ()).columns).to_dicts(), list[IssueEventRow]
    )


def _exceptions(warehouse: Warehouse, seen: int) -> Iterable[list[ExceptionRow]]:
    """Yield the exceptions of files above a sequence number, in batches."""
    columns = ", ".join(name for name in ExceptionRow.__struct_fields__ if name not in _SKIPPED)
    if not warehouse.live("exceptions").since(seen):
        return
    found = warehouse.query(
        f"SELECT {columns} FROM exceptions",  # noqa: S608 - our own column names
        pick=lambda _, file: file.sequence > seen,
    )
    for part in found.iter_slices(BATCH):
        yield msgspec.convert(part.to_dicts(), list[ExceptionRow])
