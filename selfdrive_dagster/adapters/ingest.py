"""From closed segments to tables: every delivery's rows, appended once whatever happens.

A segment is removed only after all its rows are in the warehouse; a kill in between means
that it is read again, and the warehouse knows what it has. What cannot be read is set aside
beside the others, never dropped.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.intake import read_deliveries
from selfdrive_dagster.adapters.segments import closed_segments
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry import TABLES

BAD_SUFFIX = ".unreadable"


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


def ingest_segments(folders: Iterable[Path], warehouse: Warehouse, limit: int = 64) -> Ingested:
    """Append the rows of at most `limit` closed segments."""
    stored, duplicate = Counter(dict.fromkeys(TABLES, 0)), Counter(dict.fromkeys(TABLES, 0))
    unreadable: list[str] = []
    segments = waiting_segments(folders)[:limit]
    rows: dict[str, list[msgspec.Struct]] = {table: [] for table in TABLES}
    sound: list[Path] = []
    for segment in segments:
        try:
            deliveries = tuple(read_deliveries(segment))
        except (BadInput, msgspec.DecodeError):
            unreadable.append(segment.name)
            segment.rename(segment.with_name(segment.name + BAD_SUFFIX))
            continue
        sound.append(segment)
        for delivery in deliveries:
            for table in TABLES:
                rows[table] += getattr(delivery.records, table)
    for table, records in rows.items():
        if records:
            appended = warehouse.append(table, records)
            stored[table] += appended.stored
            duplicate[table] += appended.duplicate
    for segment in sound:
        segment.unlink(missing_ok=True)
    return Ingested(
        segments=len(segments),
        stored=dict(stored),
        duplicate=dict(duplicate),
        unreadable=tuple(unreadable),
    )
