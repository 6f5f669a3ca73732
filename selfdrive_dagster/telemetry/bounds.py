"""The boundary: tiny typed readers for JSON that strangers wrote, and the limits they keep.

Every reader answers with a typed value or with its type's "unknown"; only `parse_json` raises.
Does not belong here: what a field means.
"""

import json
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from selfdrive_dagster.errors import BadInput

MAX_BYTES = 20 * 2**20
MAX_NESTING = 64
MAX_VALUES = 1_000_000
MAX_ROWS = 50_000
"""The most rows that one delivery may become: two bytes of JSON can make a row of 2,000."""

MAX_FRAMES = 512
MAX_CHAIN = 64
MAX_NAME_CHARS = 512

_HEX = re.compile(r"[0-9a-f]+\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")


class TooMuch(BadInput):
    """More at a time than we take: it would be read if it were sent in parts."""


def check_rows(count: int, name: str) -> None:
    """Raise TooMuch if so many rows are more than one delivery may hold."""
    if count > MAX_ROWS:
        raise TooMuch(
            f"{name} holds more than {MAX_ROWS:,} elements.",
            remedy="Lower the batch size of the exporter, or split the file.",
        )


def parse_json(data: bytes, name: str) -> Any:
    """Return the JSON value in `data`. Raises BadInput that names `name` and the fault."""
    check_json_size(data, name)
    try:
        value = _decode(data)
    except RecursionError:
        raise _too_deep(name) from None
    except ValueError as error:
        raise BadInput(
            f"{name} is not JSON: {error}.", remedy="Check that the file is whole and UTF-8."
        ) from None
    _check_depth(value, name)
    return value


def check_json_size(data: bytes, name: str) -> None:
    """Raise TooMuch if JSON is too long or holds too many values to be decoded."""
    if len(data) > MAX_BYTES:
        raise TooMuch(
            f"{name} holds {len(data):,} bytes of JSON; we read at most {MAX_BYTES:,}.",
            remedy="Send or save fewer events at a time.",
        )
    # Counted before decoding: twenty megabytes of "[]," would become a gigabyte of lists.
    if len(data) > MAX_VALUES and sum(map(data.count, (b",", b"[", b"{"))) > MAX_VALUES:
        raise TooMuch(
            f"{name} holds more than {MAX_VALUES:,} values.", remedy="Split it into parts."
        )


def _decode(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except msgspec.DecodeError:
        # Lone surrogates ("\ud800") are the very thing some products crash on: json reads them.
        if b"\\ud" not in data.lower():
            raise
        return _encodable(json.loads(data, parse_constant=_refuse_constant))


def _encodable(value: Any) -> Any:
    """Put a question mark for each lone surrogate: it can be neither hashed nor stored as UTF-8."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, dict):
        return {_encodable(key): _encodable(inner) for key, inner in value.items()}
    return [_encodable(inner) for inner in value] if isinstance(value, list) else value


def _refuse_constant(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _too_deep(name: str) -> BadInput:
    return BadInput(
        f"{name} nests deeper than {MAX_NESTING} levels.",
        remedy="No SDK sends this; check where the file comes from.",
    )


def _check_depth(value: Any, name: str) -> None:
    level: list[Any] = [value]
    for _depth in range(MAX_NESTING):
        level = [child for parent in level for child in _children(parent)]
        if not level:
            return
    raise _too_deep(name)


def _children(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        return iter(value.values())
    return iter(value) if isinstance(value, list) else iter(())


def mapping(value: Any) -> dict[str, Any]:
    """Return a JSON object, or an empty one."""
    return value if isinstance(value, dict) else {}


def sequence(value: Any) -> list[Any]:
    """Return a JSON array, or an empty one."""
    return value if isinstance(value, list) else []


def pairs(value: Any) -> dict[str, Any]:
    """Return name → value from an object, `[[name, value], …]` or `[{"key", "value"}, …]`."""
    if isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for entry in sequence(value):
        if isinstance(entry, list) and len(entry) == 2:
            found[str(entry[0])] = entry[1]
        elif isinstance(entry, dict) and "key" in entry:
            found[str(entry["key"])] = entry.get("value")
    return found


def text(value: Any) -> str:
    """Return a JSON string or number as text, else ""."""
    if isinstance(value, str):
        return value
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    return str(value) if is_number else ""


def label(value: Any) -> str:
    """Return an identifier-like text: control and bidi characters gone, at most 512 characters."""
    raw = text(value)[:MAX_NAME_CHARS]
    return _CONTROL.sub("", raw).encode("utf-8", "replace").decode("utf-8")


def whole(value: Any) -> int | None:
    """Return a JSON integer, also one sent as text, within 64 bits."""
    try:
        number = (
            int(value) if isinstance(value, int | str) and not isinstance(value, bool) else None
        )
    except ValueError:
        return None
    return number if number is not None and -(2**63) <= number < 2**63 else None


def real(value: Any) -> float | None:
    """Return a finite JSON number as float."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def flag(value: Any) -> bool | None:
    """Return a JSON boolean, also one sent as "true" or "False"."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value.lower()) if isinstance(value, str) else None


def hex_id(value: Any, digits: int) -> str:
    """Return a lower-case hex id of exactly `digits` digits that is not all zeros, else ""."""
    found = text(value).lower().replace("-", "")
    return found if len(found) == digits and _HEX.match(found) and found.strip("0") else ""


def moment(value: Any) -> datetime | None:
    """Return an aware UTC time from ISO 8601 text or seconds since 1970, years 1970 to 2200.

    A text without an offset is read as UTC.
    """
    try:
        if isinstance(value, str) and not _is_number(value):
            parsed = datetime.fromisoformat(value.strip().replace(",", "."))
            parsed = parsed.replace(tzinfo=parsed.tzinfo or UTC).astimezone(UTC)
        elif isinstance(value, int | float | str) and not isinstance(value, bool):
            parsed = datetime.fromtimestamp(float(value), UTC)
        else:
            return None
    except (ValueError, OverflowError, OSError):
        return None
    return parsed if 1970 <= parsed.year <= 2200 else None


def _is_number(value: str) -> bool:
    return value.strip().replace(".", "", 1).isdigit()
