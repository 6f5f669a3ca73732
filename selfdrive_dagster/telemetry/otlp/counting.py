"""Counting the elements of a protobuf request before it is parsed.

Two bytes make an empty span, and protobuf spends 180 on it: twenty megabytes would become two
gigabytes. So we walk the wire format (protobuf.dev, "Encoding") down to the spans, records or
metrics, and below them if the request is large, and stop at the limit.
"""

from collections.abc import Iterator

from selfdrive_dagster.errors import BadInput

MAX_ELEMENTS = 50_000
MAX_FIELDS = 2_000_000
LARGE_BYTES = 2**20

_RESOURCE, _SCOPE, _ELEMENT = frozenset({1}), frozenset({2}), frozenset({2})
PATHS: dict[str, tuple[frozenset[int], ...]] = {
    "traces": (_RESOURCE, _SCOPE, _ELEMENT),
    "logs": (_RESOURCE, _SCOPE, _ELEMENT),
    "metrics": (_RESOURCE, _SCOPE, _ELEMENT, frozenset({5, 7, 9, 10, 11}), frozenset({1})),
}
"""Signal → field numbers from the request down to its spans, records or data points."""


def check_counts(signal: str, data: bytes, name: str) -> None:
    """Raise BadInput if a request holds more elements than MAX_ELEMENTS, or is malformed."""
    elements = [(0, len(data))]
    for numbers in PATHS[signal]:
        elements = _children(data, elements, numbers, MAX_ELEMENTS, name)
    if len(data) > LARGE_BYTES:
        _check_fields(data, name)


def _children(
    data: bytes,
    parents: list[tuple[int, int]],
    numbers: frozenset[int],
    limit: int,
    name: str,
) -> list[tuple[int, int]]:
    found: list[tuple[int, int]] = []
    try:
        for start, end in parents:
            for number, begins, ends in _messages(data, start, end):
                if number in numbers:
                    found.append((begins, ends))
                if len(found) > limit:
                    raise BadInput(
                        f"{name} holds more than {limit:,} elements.",
                        remedy="Lower the batch size of the exporter.",
                    )
    except (ValueError, IndexError):
        raise BadInput(
            f"{name} is no protobuf, or it was cut.",
            remedy="Send it unchanged, with Content-Type application/x-protobuf.",
        ) from None
    return found


def _check_fields(data: bytes, name: str) -> None:
    """Count every field at every depth, as if each text were a message too."""
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
            raise BadInput(
                f"{name} holds more than {MAX_FIELDS:,} fields.",
                remedy="Lower the batch size of the exporter.",
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
