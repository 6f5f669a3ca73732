"""From closed segments to tables: every delivery's rows, appended once whatever happens.

What came too late (`telemetry.late`) goes to a table of its own, unless it is known already.
A segment is removed only after all its rows are in the warehouse; a kill in between means
that it is read again, and the warehouse knows what it has. What cannot be read, or holds what no
table takes, is set aside beside the others, never dropped, and keeps no other out.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from selfdrive_dagster.adapters.intake import read_deliveries
from selfdrive_dagster.adapters.segments import closed_segments, set_aside
from selfdrive_dagster.adapters.warehouse import Appended, Warehouse
from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.telemetry import TABLES
from selfdrive_dagster.telemetry.late import Window, late_row

HELD_BYTES = 64 * 2**20
"""Segments that are decoded together; one alone may be larger."""

LATE = "late_events"
FILLED = (*TABLES, LATE)
"""The tables that a pass fills."""

ANY_TIME = Window()

Rows = dict[str, list[msgspec.Struct]]
"""Table → its rows."""


class Ingested(msgspec.Struct, frozen=True, kw_only=True):
    """What a pass did, in rows by table. `unreadable` names segments that were set aside."""

    segments: int
    stored: dict[str, int]
    duplicate: dict[str, int]
    unreadable: tuple[str, ...] = ()


def waiting_segments(folders: Iterable[Path]) -> tuple[Path, ...]:
    """Return the closed segments of these folders, the oldest of each first."""
    there = (folder for folder in folders if folder.is_dir())
    return tuple(segment for folder in there for segment in closed_segments(folder))


def ingest_segments(
    folders: Iterable[Path],
    warehouse: Warehouse,
    limit: int = 64,
    held_bytes: int = HELD_BYTES,
    windows: Mapping[Path, Window] = MappingProxyType({}),
) -> Ingested:
    """Append the rows of at most `limit` closed segments, about `held_bytes` of them at a time.

    `windows` says of a folder when what lies in it is too late.
    """
    segments = waiting_segments(folders)[:limit]
    work = _Pass(warehouse, windows)
    for group in _groups(segments, held_bytes):
        work.take(group)
    return Ingested(
        segments=len(segments),
        stored=dict(work.stored),
        duplicate=dict(work.duplicate),
        unreadable=tuple(work.unreadable),
    )


class _Pass:
    """One pass: what it counted so far."""

    def __init__(self, warehouse: Warehouse, windows: Mapping[Path, Window]) -> None:
        self._warehouse = warehouse
        self._windows = windows
        self.stored = Counter(dict.fromkeys(FILLED, 0))
        self.duplicate = Counter(dict.fromkeys(FILLED, 0))
        self.unreadable: list[str] = []

    def take(self, group: Sequence[Path]) -> None:
        """Append the rows of some segments together, or one by one to find the one at fault."""
        rows: Rows = {table: [] for table in TABLES}
        late: Rows = {table: [] for table in TABLES}
        sound = [segment for segment in group if self._read(segment, rows, late)]
        counted = self.stored + self.duplicate
        try:
            self._append(rows)
            self._append_late(late)
        except (SelfdriveError, OSError, MemoryError):
            raise  # the warehouse's trouble, not the segments'
        except Exception:
            if len(sound) == 1:
                self._set_aside(sound[0])
                return
            # The rows that got in are duplicates when they come again: they count once.
            self.duplicate.subtract(self.stored + self.duplicate - counted)
            rows.clear()
            late.clear()
            for segment in sound:
                self.take([segment])
            return
        for segment in sound:
            segment.unlink(missing_ok=True)

    def _read(self, segment: Path, rows: Rows, late: Rows) -> bool:
        is_late = self._windows.get(segment.parent, ANY_TIME).is_late
        try:
            deliveries = tuple(read_deliveries(segment))
        except (BadInput, msgspec.DecodeError):
            self._set_aside(segment)
            return False
        for delivery in deliveries:
            for table in TABLES:
                for row in getattr(delivery.records, table):
                    (late if is_late(row) else rows)[table].append(row)
        return True

    def _append(self, rows: Rows) -> None:
        for table, records in rows.items():
            if records:
                self._count(table, self._warehouse.append(table, records))

    def _append_late(self, late: Rows) -> None:
        """Keep late rows apart; one that came in time as well is a duplicate of that."""
        for table, records in late.items():
            if not records:
                continue
            fresh = self._warehouse.unknown(table, records)
            self.duplicate[table] += len(records) - len(fresh)
            rows = [late_row(table, each) for each in fresh]
            self._count(LATE, self._warehouse.append(LATE, rows))

    def _count(self, table: str, appended: Appended) -> None:
        self.stored[table] += appended.stored
        self.duplicate[table] += appended.duplicate

    def _set_aside(self, segment: Path) -> None:
        self.unreadable.append(segment.name)
        set_aside(segment)


def _groups(segments: Sequence[Path], held_bytes: int) -> Iterator[list[Path]]:
    """Yield neighbours that together hold at most so many bytes, or one that alone holds more."""
    group: list[Path] = []
    size = 0
    for segment in segments:
        more = segment.stat().st_size
        if group and size + more > held_bytes:
            yield group
            group, size = [], 0
        group.append(segment)
        size += more
    if group:
        yield group
