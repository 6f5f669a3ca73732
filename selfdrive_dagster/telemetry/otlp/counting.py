"""Counting the elements of a request before protobuf parses it.

Two bytes make an empty span, and protobuf spends 180 on it: twenty megabytes would become two
gigabytes. So we walk the wire format (protobuf.dev, "Encoding") or the JSON down to the spans,
records or data points, and a large protobuf below them too, and stop at the limit.
"""

from collections.abc import Iterator
from typing import Any

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry.bounds import TooMuch, check_rows, mapping
from selfdrive_dagster.telemetry.otlp.wire import count_spans

MAX_FIELDS = 2_000_000
MAX_DEPTH = 100
"""Where protobuf's own parser gives up."""

LARGE_BYTES = 2**20

_RESOURCE, _SCOPE, _ELEMENT = frozenset({1}), frozenset({2}), frozenset({2})
PATHS: dict[str, tuple[frozenset[int], ...]] = {
    "traces": (_RESOURCE, _SCOPE, _ELEMENT),
    "logs": (_RESOURCE, _SCOPE, _ELEMENT),
    "metrics": (_RESOURCE, _SCOPE, _ELEMENT, frozenset({5, 7, 9, 10, 11}), frozenset({1})),
}
"""Signal → field numbers from the request down to its spans, records or data points."""

JSON_PATHS: dict[str, tuple[tuple[str, ...], ...]] = {
    "traces": (("resourceSpans", "resource_spans"), ("scopeSpans", "scope_spans"), ("spans",)),
    "logs": (
        ("resourceLogs", "resource_logs"),
        ("scopeLogs", "scope_logs"),
        ("logRecords", "log_records"),
    ),
    "metrics": (
        ("resourceMetrics", "resource_metrics"),
        ("scopeMetrics", "scope_metrics"),
        ("metrics",),
        ("gauge", "sum", "histogram", "exponentialHistogram", "exponential_histogram", "summary"),
        ("dataPoints", "data_points"),
    ),
}
"""The same in OTLP/JSON; protobuf's JSON mapping reads both spellings."""


def check_counts(signal: str, data: bytes, name: str) -> None:
    """Raise TooMuch if a request holds more elements than MAX_ROWS, BadInput if malformed.

    A small trace request is counted by protobuf itself, which raises DecodeError: sixteen bytes
    for each span are no danger there.
    """
    if signal == "traces" and len(data) <= LARGE_BYTES:
        check_rows(count_spans(data), name)
        return
    elements = [(0, len(data))]
    for numbers in PATHS[signal]:
        elements = _children(data, elements, numbers, name)
    if len(data) > LARGE_BYTES:
        _check_fields(data, name)


def check_json_counts(signal: str, value: dict[str, Any], name: str) -> None:
    """Raise TooMuch if an OTLP/JSON object holds more elements of a signal than MAX_ROWS."""
    level: list[Any] = [value]
    for names in JSON_PATHS[signal]:
        level = [
            child for parent in level for key in names for child in _held(mapping(parent).get(key))
        ]
        check_rows(len(level), name)


def _held(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value] if isinstance(value, dict) else []


def _children(
    data: bytes,
    parents: list[tuple[int, int]],
    numbers: frozenset[int],
    name: str,
) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    try:
        for start, end in parents:
            for number, begins, ends in _messages(data, start, end):
                if number in numbers:
                    found.append((begins, ends))
                check_rows(len(found), name)
    except (ValueError, IndexError):
        raise BadInput(
            f"{name} is no protobuf, or it was cut.",
            remedy="Send it unchanged, with Content-Type application/x-protobuf.",
        ) from None
    return found


def _check_fields(data: bytes, name: str) -> None:
    """Count every field at every depth, as if each text were a message too.

    Each level that is open costs us as well, so the depth has an end before the count has.
    """
    left = MAX_FIELDS
    open_fields = [_messages(data, 0, len(data))]
    while open_fields:
        try:
            field = next(open_fields[-1], None)
        except (ValueError, IndexError):
            field = None  # it was a text, or ended like one
        if field is None:
            open_fields.pop()
            continue
        left -= 1
        if left < 0:
            raise TooMuch(
                f"{name} holds more than {MAX_FIELDS:,} fields.",
                remedy="Lower the batch size of the exporter.",
            )
        if len(open_fields) > MAX_DEPTH:
            raise BadInput(
                f"{name} nests deeper than {MAX_DEPTH} levels.",
                remedy="No SDK sends this; check where it comes from.",
            )
        open_fields.append(_messages(data, field[1], field[2]))


def _messages(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (number, start, end) of each length-delimited field between two offsets."""
    while at < end:
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 2:
            size, at = _varint(data, at)
            if at + size > end:
                raise ValueError("a field is longer than its message")
            yield tag >> 3, at, at + size
            at += size
        elif kind == 0:
            _, at = _varint(data, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("groups are not part of OTLP")
    if at != end:
        raise ValueError("a field crosses the end of its message")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    byte = data[at]
    if byte < 0x80:
        return byte, at + 1
    value, shift = byte & 0x7F, 7
    while True:
        at += 1
        byte = data[at]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at + 1
        shift += 7
        if shift > 63:
            raise ValueError("a number is longer than ten bytes")
