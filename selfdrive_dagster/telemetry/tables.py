"""Rows of a product's own tables: events, log lines, or else a use named like the table.

A row as it stood when it was last updated is one event: its key and that moment name it, so that
the same row read again is the same event, and a row that was changed is another.
"""

import math
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry import events, logs
from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals
from selfdrive_dagster.telemetry.bounds import MAX_NESTING, check_rows
from selfdrive_dagster.telemetry.logs.structured import NAMES
from selfdrive_dagster.telemetry.rows import Records, join


class TableRow(msgspec.Struct, frozen=True):
    """One row: its table, its key and the moment of its last update as texts, its columns."""

    table: str
    key: str
    updated: str
    columns: dict[str, Any]


def decode_rows(rows: Iterable[TableRow], arrival: Arrival) -> Records:
    """Return the redacted rows of typed tables that some rows make."""
    ordinals = Ordinals()
    parts = [_decode(row, arrival, ordinals) for row in rows]
    check_rows(sum(part.count() for part in parts), "The page")
    return join(parts)


def _decode(row: TableRow, arrival: Arrival, ordinals: Ordinals) -> Records:
    """A row that cannot be read is told and keeps no other out: it will be there next time too."""
    try:
        return decode_row(row, arrival, ordinals)
    except BadInput as fault:
        return Records(rejected=(f"a row of {row.table}: {fault.message}",))


def decode_row(row: TableRow, arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return what one row tells, by what its columns are called."""
    said = {name: plain(value) for name, value in row.columns.items()}
    named = {"uuid": f"{row.table}:{row.key}:{row.updated}"}
    if events.is_product_event(said):
        moment = {"timestamp": row.updated} if not said.get("timestamp") else {}
        return events.decode_events({**said, **moment, **named}, row.table, arrival, ordinals)
    if logs.is_log(said) and _says(said, "level"):
        # The row stays among the attributes: two equal lines are two rows.
        moment = {} if _says(said, "timestamp") else {"timestamp": row.updated}
        line = {**said, **moment, "table.row": named["uuid"]}
        return logs.read_json_log(line, row.table, arrival, ordinals)
    use = {"event": row.table, "timestamp": row.updated, "properties": said, **named}
    return events.decode_events(use, row.table, arrival, ordinals)


def _says(said: dict[str, Any], field: str) -> bool:
    return any(said.get(name) for name in NAMES[field])


def plain(value: Any, depth: int = 0) -> Any:
    """Return a column's value as JSON would hold it; bytes become their length."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes | memoryview):
        return f"[{len(value)} bytes]"
    if depth >= MAX_NESTING:
        return "[cut]"
    if isinstance(value, dict):
        return {str(name): plain(one, depth + 1) for name, one in value.items()}
    return [plain(one, depth + 1) for one in value] if isinstance(value, list | tuple) else None
