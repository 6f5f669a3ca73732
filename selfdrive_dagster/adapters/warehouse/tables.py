"""The typed tables: which there are, and what their columns are in Parquet.

A table's schema comes from its row type alone. Belongs here: Struct to columns and records to
frames. Does not belong: files (`store`) or queries (`engine`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from types import MappingProxyType, NoneType, UnionType
from typing import TYPE_CHECKING, Any, Union, get_args, get_origin, get_type_hints

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues import IssueEventRow
from selfdrive_dagster.issues.detect import DetectedRow
from selfdrive_dagster.telemetry import rows
from selfdrive_dagster.telemetry.late import LateEventRow

if TYPE_CHECKING:
    import polars

ROW_TYPES: Mapping[str, type[msgspec.Struct]] = MappingProxyType(
    {
        **rows.TABLES,
        "late_events": LateEventRow,
        "issue_events": IssueEventRow,
        "detected": DetectedRow,
    }
)
"""Tables that records are appended to; all others are made by a SQL model."""


TIMELESS = frozenset({"deployments"})
"""Tables whose `event_id` does not hold the time: a later sighting tells nothing new."""


def row_type(table: str) -> type[msgspec.Struct]:
    """Return a table's row type. Raises BadInput naming the known tables."""
    if table not in ROW_TYPES:
        raise BadInput(
            f"there is no typed table {table!r}", remedy=f"use one of {', '.join(ROW_TYPES)}"
        )
    return ROW_TYPES[table]


def schema_of(struct: type[msgspec.Struct]) -> "polars.Schema":
    """Return the columns of a row type: times are microseconds UTC, tuples are lists."""
    import polars

    hints = get_type_hints(struct)
    return polars.Schema({name: _data_type(hints[name]) for name in struct.__struct_fields__})


def frame_of(table: str, records: Sequence[msgspec.Struct]) -> "polars.DataFrame":
    """Return records as a frame with the table's schema."""
    kind = row_type(table)
    strangers = [type(each).__name__ for each in records if not isinstance(each, kind)]
    if strangers:
        raise BadInput(f"{table} takes {kind.__name__}, not {strangers[0]}")
    return frame_like(kind, records)


def frame_like(kind: type[msgspec.Struct], records: Sequence[msgspec.Struct]) -> "polars.DataFrame":
    """Return records of one type as a frame."""
    import polars

    plain = msgspec.to_builtins(records, builtin_types=(datetime,))
    return polars.DataFrame(plain, schema=schema_of(kind), orient="row")


def _data_type(hint: Any) -> Any:
    import polars

    plain = {
        str: polars.String,
        int: polars.Int64,
        float: polars.Float64,
        bool: polars.Boolean,
        datetime: polars.Datetime("us", "UTC"),
    }
    if hint in plain:
        return plain[hint]
    arguments = [each for each in get_args(hint) if each not in (NoneType, Ellipsis)]
    if get_origin(hint) in (Union, UnionType) and len(arguments) == 1:
        return _data_type(arguments[0])
    if get_origin(hint) is tuple and len(arguments) == 1:
        return polars.List(_data_type(arguments[0]))
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return polars.Struct(schema_of(hint))
    raise TypeError(f"no column type for {hint!r}")


def conformed(table: str, frame: "polars.DataFrame") -> "polars.DataFrame":
    """Return a frame of an older schema with the columns of today, new ones empty."""
    import polars

    schema = schema_of(row_type(table))
    missing = [
        polars.lit(None, kind).alias(name)
        for name, kind in schema.items()
        if name not in frame.columns
    ]
    return frame.with_columns(missing).select(schema.names())
