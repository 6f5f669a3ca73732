"""Late events: those that arrive after their hour was closed. They are kept and counted apart.

What an SDK sends is late when it happened longer ago than the window allows; whatever comes for a
day whose rows have gone is late too, since that day cannot be counted anew. What people hand over
on purpose is history and never too old. Belongs here: what is late, and its row. Does not belong:
where such rows go (`adapters.ingest`).
"""

from datetime import datetime, timedelta
from typing import Any

import msgspec

from selfdrive_dagster.model import digest


class LateEventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One row that came too late for its table `table_name`; `row_json` is that row, redacted.

    `event_id` is made from the table and the row's own.
    """

    event_id: str
    source: str
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str | None = None
    table_name: str
    row_json: str


class Window(msgspec.Struct, frozen=True):
    """How late is too late. `after` is the time an event may take, None for any.

    `closed` is the moment before which days are closed for everybody, None for none.
    """

    after: timedelta | None = None
    closed: datetime | None = None

    def is_late(self, row: Any) -> bool:
        """Say whether a row of a typed table came too late."""
        if self.closed is not None and row.timestamp < self.closed:
            return True
        return self.after is not None and row.received_at - row.timestamp > self.after


def late_row(table: str, row: Any) -> LateEventRow:
    """Return what is kept of a row that came too late for a table."""
    return LateEventRow(
        event_id=digest([table, row.event_id]),
        source=row.source,
        timestamp=row.timestamp,
        received_at=row.received_at,
        service_name=row.service_name,
        service_version=getattr(row, "service_version", None),
        table_name=table,
        row_json=msgspec.json.encode(row).decode(),
    )
