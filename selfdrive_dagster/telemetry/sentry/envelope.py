"""The envelope: a header line, then items of a header line and a payload.

Written from the public SDK documentation (develop.sentry.dev, "Envelopes").
"""

from typing import Any

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.telemetry.bounds import label, parse_json, whole

MAX_ITEMS = 1_000


class Item(msgspec.Struct, frozen=True):
    """One item of an envelope: its type and its payload as sent."""

    type: str
    payload: bytes


class Envelope(msgspec.Struct, frozen=True):
    """A parsed envelope: its header and its items, in order."""

    header: dict[str, Any]
    items: tuple[Item, ...]


def parse_envelope(data: bytes, name: str) -> Envelope:
    """Split an envelope. Raises BadInput if a header is no JSON object or an item is cut."""
    head, at = _line(data, 0)
    header = _header(head, f"The envelope header of {name}")
    items: list[Item] = []
    while at < len(data):
        line, at = _line(data, at)
        if not line.strip():
            continue
        if len(items) == MAX_ITEMS:
            raise BadInput(
                f"{name} holds more than {MAX_ITEMS} items.", remedy="Send smaller envelopes."
            )
        place = f"The header of item {len(items) + 1} in {name}"
        item = _header(line, place)
        length = whole(item.get("length"))
        if length is None:
            payload, at = _line(data, at)
        elif 0 <= length <= len(data) - at:
            payload, at = data[at : at + length], at + length
        else:
            raise BadInput(
                f"{place} promises {length} bytes, {len(data) - at} are there.",
                remedy="The envelope was cut on its way: send or save it again.",
            )
        items.append(Item(label(item.get("type")), payload))
    return Envelope(header, tuple(items))


def _line(data: bytes, at: int) -> tuple[bytes, int]:
    end = data.find(b"\n", at)
    end = len(data) if end < 0 else end
    return data[at:end], end + 1


def _header(line: bytes, place: str) -> dict[str, Any]:
    value = parse_json(line, place)
    if not isinstance(value, dict):
        raise BadInput(f"{place} is no JSON object.", remedy="Send a Sentry envelope, unchanged.")
    return value
