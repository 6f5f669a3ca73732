"""Intake: from decoded rows to a synced segment record, each event counted once.

The receiver and `selfdrive ingest` both end here. received = stored + duplicate + rejected,
counted in the segment itself. A duplicate is an event id that is still in the window: the
newest WINDOW_EVENTS ids, reloaded from the segments at start. The warehouse knows the rest.
HTTP does not belong here.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import NamedTuple

import msgspec

from selfdrive_dagster.adapters.segments import (
    SegmentWriter,
    Tally,
    closed_segments,
    read_segment,
)
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry import Arrival, Delivery, Records, Redactor, read_records
from selfdrive_dagster.telemetry.redact import VERSION
from selfdrive_dagster.telemetry.rows import Row

WINDOW_EVENTS = 100_000

_COUNTED_TABLES = (
    "exceptions",
    "spans",
    "log_events",
    "metric_points",
    "product_events",
    "sessions",
    "test_results",
)
"""The tables whose rows count as events; deployments are derived from them."""


class Taken(NamedTuple):
    """What became of a delivery; it is safe once every one of `synced` has ended."""

    tally: Tally
    synced: "tuple[Future[int], ...]"


def read_deliveries(path: Path) -> Iterator[Delivery]:
    """Yield the deliveries of a segment, in order."""
    for payload in read_segment(path):
        yield msgspec.json.decode(payload, type=Delivery)


class Intake:
    """Filters duplicates and appends. Not thread-safe: call `take` from one thread."""

    def __init__(self, writer: SegmentWriter, window: int = WINDOW_EVENTS) -> None:
        self.writer = writer
        self._window = window
        # Each id leads to the sync that makes it safe: a duplicate must wait for it too.
        self._seen: OrderedDict[str, Future[int]] = OrderedDict()
        self._reload()

    def take(self, records: Records, *, signal: str, content_type: str, arrival: Arrival) -> Taken:
        """Append what is new. Raises Busy if too much waits for the disk, TooMuch for too much."""
        fresh, waits, duplicates = self._fresh(records)
        stored = sum(len(getattr(fresh, table)) for table in _COUNTED_TABLES)
        tally = Tally(stored, duplicates, len(records.rejected))
        source = "sentry" if signal == "sentry" else "file" if signal == "file" else "otlp"
        delivery = Delivery(
            signal=signal,
            source=source,
            content_type=content_type,
            received_at=arrival.received_at,
            redaction=VERSION,
            records=fresh,
        )
        payload = msgspec.json.encode(delivery) if stored or fresh.deployments else b""
        done = self.writer.append(payload, tally)
        self._remember(fresh, done)
        return Taken(tally, (done, *waits))

    def refuse(self) -> None:
        """Count one delivery that could not be read."""
        self.writer.append(b"", Tally(rejected=1))

    def _fresh(self, records: Records) -> "tuple[Records, set[Future[int]], int]":
        waits: set[Future[int]] = set()
        duplicates = 0
        kept: dict[str, tuple[Row, ...]] = {}
        for table in (*_COUNTED_TABLES, "deployments"):
            rows: Sequence[Row] = getattr(records, table)
            ids = {row.event_id for row in rows}
            if len(ids) == len(rows) and not any(map(self._seen.__contains__, ids)):
                continue  # nearly always: all are new
            known = [row.event_id for row in rows if row.event_id in self._seen]
            once = {row.event_id: row for row in rows if row.event_id not in self._seen}
            kept[table] = tuple(once.values())
            waits.update(self._seen[event_id] for event_id in known)
            duplicates += (len(rows) - len(once)) * (table in _COUNTED_TABLES)
        return msgspec.structs.replace(records, **kept), waits, duplicates

    def _remember(self, records: Records, done: "Future[int]") -> None:
        ids = [
            row.event_id
            for table in (*_COUNTED_TABLES, "deployments")
            for row in getattr(records, table)
        ]
        self._seen.update(dict.fromkeys(ids, done))
        while len(self._seen) > self._window:
            self._seen.popitem(last=False)
        done.add_done_callback(lambda ended: self._forget(ids, ended))

    def _forget(self, ids: list[str], ended: "Future[int]") -> None:
        """Let failed ids be sent again; runs in the writing thread, dict steps are atomic."""
        if ended.exception():
            for event_id in ids:
                self._seen.pop(event_id, None)

    def _reload(self) -> None:
        safe: Future[int] = Future()
        safe.set_result(0)
        found: list[list[str]] = []
        room = self._window
        paths = (*closed_segments(self.writer.open_path.parent), self.writer.open_path)
        for path in reversed(paths):
            ids = _ids_in(path)
            found.append(ids[-room:])
            room -= len(ids)
            if room <= 0:
                break
        for event_id in (event_id for ids in reversed(found) for event_id in ids):
            self._seen[event_id] = safe


def ingest_file(path: Path, intake: Intake, redactor: Redactor, service_name: str) -> Tally:
    """Read one file into the segments and return its counts, once they are synced.

    Raises BadInput that names the file. A file read twice is counted as duplicate.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}.", remedy="Check its name and permissions."
        ) from None
    arrival = Arrival.now(redactor, service_name)
    records = read_records(data, str(path), arrival)
    taken = intake.take(records, signal="file", content_type="", arrival=arrival)
    for done in taken.synced:
        done.result()
    return taken.tally


def _ids_in(path: Path) -> list[str]:
    """Return the event ids of a segment, as far as it can be read.

    A batch may have just taken it, and it is the batch that sets a damaged one aside.
    """
    found: list[str] = []
    try:
        for delivery in read_deliveries(path):
            for table in (*_COUNTED_TABLES, "deployments"):
                found += [row.event_id for row in getattr(delivery.records, table)]
    except (OSError, BadInput, msgspec.DecodeError):
        return found
    return found
