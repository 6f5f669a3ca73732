"""Spans by column: what `traces` makes rows of, whichever wire format they came in.

One pass over a field is cheaper than a step per span and field: ids, times and attributes are
checked and turned for all spans of a resource at once. What a column means for a row does not
belong here.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import compress
from operator import attrgetter
from typing import Any, NamedTuple

from selfdrive_dagster.telemetry.otlp.values import LATEST, MAX_ATTRIBUTES

Status = tuple[int, str]
UNSET: Status = (0, "")
SHORT_BYTES = 256


class SpanColumns(NamedTuple):
    """The spans of one resource, one sequence a field, all of one length.

    Ids are hex, None where they are short or all zeros; times are nanoseconds since 1970.
    `attributes` holds what `repeated.Memory` reads: bytes as the wire has them. `events` are
    protobuf.
    """

    trace_ids: Sequence[str | None] = ()
    span_ids: Sequence[str | None] = ()
    parent_span_ids: Sequence[str | None] = ()
    names: Sequence[str] = ()
    kinds: Sequence[int] = ()
    starts: Sequence[int] = ()
    ends: Sequence[int] = ()
    attributes: Sequence[Any] = ()
    events: Sequence[Sequence[bytes]] = ()
    statuses: Sequence[Status] = ()


class Part(NamedTuple):
    """One resource (OpenTelemetry's message) and its spans."""

    resource: Any
    spans: SpanColumns


FIELDS = attrgetter(
    "trace_id",
    "span_id",
    "parent_span_id",
    "name",
    "kind",
    "start_time_unix_nano",
    "end_time_unix_nano",
    "attributes",
    "events",
    "status",
)
"""The fields of a span, in the order of SpanColumns."""


def by_field(scopes: Sequence[Any]) -> tuple[tuple[Any, ...], ...]:
    """Return one tuple per field of all spans in these scopes, () if there are none."""
    return tuple(zip(*[FIELDS(span) for scope in scopes for span in scope.spans], strict=True))


def parts_of(request: Any) -> Iterator[Part]:
    """Yield the parts of a `wire.TraceRequest`. Raises DecodeError."""
    for one in request.resource_spans:
        fields = by_field(one.scope_spans)
        yield Part(one.resource, _columns(*fields) if fields else SpanColumns())


def _columns(
    trace_ids: Sequence[bytes],
    span_ids: Sequence[bytes],
    parents: Sequence[bytes],
    names: Sequence[str],
    kinds: Sequence[int],
    starts: Sequence[int],
    ends: Sequence[int],
    attributes: Sequence[Any],
    events: Sequence[Any],
    statuses: Sequence[bytes],
) -> SpanColumns:
    return SpanColumns(
        _hex_ids(trace_ids, 16),
        _hex_ids(span_ids, 8),
        _hex_ids(parents, 8),
        names,
        kinds,
        starts,
        ends,
        [tuple(raws[:MAX_ATTRIBUTES]) for raws in attributes],
        events,
        [_status(raw) if raw else UNSET for raw in statuses],
    )


def whole_of(columns: SpanColumns) -> SpanColumns:
    """Return the spans that have ids and times, without the others."""
    places = zip(columns.trace_ids, columns.span_ids, columns.starts, columns.ends, strict=True)
    are_whole = [
        bool(trace_id and span_id and end) and 0 < start < LATEST
        for trace_id, span_id, start, end in places
    ]
    if all(are_whole):
        return columns
    return SpanColumns(*[tuple(compress(column, are_whole)) for column in columns])


def _hex_ids(ids: Sequence[bytes], length: int) -> list[str | None]:
    zeros = bytes(length)
    return [one.hex() if len(one) == length and one != zeros else None for one in ids]


def _status(raw: bytes) -> Status:
    return _known_status(raw) if len(raw) <= SHORT_BYTES else _read_status(raw)


def _read_status(raw: bytes) -> Status:
    from opentelemetry.proto.trace.v1.trace_pb2 import Status as Message

    told = Message.FromString(raw)
    return told.code, told.message


_known_status = lru_cache(maxsize=1_024)(_read_status)
