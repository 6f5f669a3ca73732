"""One Parquet file of a table: written once, described by a `LiveFile`, read back and checked.

Belongs here: bytes and their description. Does not belong: which files a table has (`store`).
"""

import hashlib
import io
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from selfdrive_dagster.adapters.warehouse.live import LiveFile, write_file
from selfdrive_dagster.errors import SelfdriveError

if TYPE_CHECKING:
    import polars

HOUR = "%Y-%m-%dT%H"
"""How hours are written in live lists and partition names."""

ALL = "all"
"""The partition of a table without hours."""

TIME_COLUMNS = ("timestamp", "event_hour", "event_date")
"""Columns that say when a row happened; the first that a table has places its rows."""


class CorruptTable(SelfdriveError):
    """A file of a table is damaged: it was set aside and its rows are missing."""


def save(
    folder: Path,
    partition: str,
    frame: "polars.DataFrame",
    sequence: int,
    hours: Collection[str] = (),
    *,
    durable: bool = True,
) -> LiveFile:
    """Write a frame as a new file of a partition (`ingest_2026-11-23T06`) and describe it.

    `hours` are those it stands for besides the hours of its rows: hours found to be empty.
    Models are not `durable`: what is lost is made again.
    """
    data = to_bytes(frame)
    name = hashlib.sha256(data).hexdigest()
    path = f"{_partition_path(partition)}{sequence:08d}-{name[:12]}.parquet"
    write_file(folder / path, data, durable=durable)
    first, last = bounds(frame)
    return LiveFile(
        path=path,
        partition=partition,
        rows=len(frame),
        bytes=len(data),
        sha256=name,
        schema=schema_digest(frame.schema),
        sequence=sequence,
        hours=tuple(sorted({*hours, *_hours(frame, partition)})),
        first=first,
        last=last,
    )


def load(
    folder: Path, file: LiveFile, columns: Collection[str] | None = None
) -> "polars.DataFrame":
    """Read a file back. Raises CorruptTable when it is not what was written."""
    import polars

    if not is_sound(folder, file):
        raise CorruptTable(
            f"{folder / file.path} is damaged or gone",
            remedy=f"`selfdrive doctor` sets it aside; ingest its {file.rows} rows again",
        )
    return polars.read_parquet(folder / file.path, columns=list(columns) if columns else None)


def is_sound(folder: Path, file: LiveFile) -> bool:
    """Say whether the file's bytes are still those that were written."""
    try:
        return hashlib.sha256((folder / file.path).read_bytes()).hexdigest() == file.sha256
    except OSError:
        return False


def to_bytes(frame: "polars.DataFrame") -> bytes:
    """Return a frame as Parquet."""
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", statistics=True)
    return buffer.getvalue()


def schema_digest(schema: "polars.Schema") -> str:
    """Return a short name for a set of columns and their types."""
    text = ";".join(f"{name}:{kind!r}" for name, kind in schema.items())
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def schema_name(schema: str) -> str:
    """Return the name of the zero-row file that gives a table its schema."""
    return f"schema-{schema}.parquet"


def bounds(frame: "polars.DataFrame") -> tuple[datetime | None, datetime | None]:
    """Return the first and last event time, None where there is no row or no such column."""
    if "timestamp" not in frame.columns or frame.is_empty():
        return None, None
    first, last = frame["timestamp"].min(), frame["timestamp"].max()
    if isinstance(first, datetime) and isinstance(last, datetime):
        return first, last
    return None, None


def by_hour(frame: "polars.DataFrame", column: str) -> dict[str, "polars.DataFrame"]:
    """Split rows by the hour of a time column; hours in order, rows in theirs."""
    import polars

    named = frame.with_columns(polars.col(column).dt.strftime(HOUR).alias("_hour"))
    parts = named.partition_by("_hour", as_dict=True, include_key=False)
    return {str(key[0]): part for key, part in sorted(parts.items())}


def of_hours(frame: "polars.DataFrame", hours: Collection[str]) -> "polars.DataFrame":
    """Return the rows that happened in these hours."""
    import polars

    column = next(name for name in TIME_COLUMNS if name in frame.columns)
    return frame.filter(polars.col(column).dt.strftime(HOUR).is_in(list(hours)))


def _hours(frame: "polars.DataFrame", partition: str) -> list[str]:
    column = next((name for name in TIME_COLUMNS if name in frame.columns), None)
    if column is None or partition.endswith(f"_{ALL}"):
        return []
    return list(frame[column].dt.strftime(HOUR).unique())


def _partition_path(partition: str) -> str:
    """Return `ingest_date=2026-11-23/ingest_hour=06/` for `ingest_2026-11-23T06`."""
    kind, _, hour = partition.partition("_")
    day, _, clock = hour.partition("T")
    return f"{kind}_date={day}/{kind}_hour={clock or ALL}/"
