"""What all three signals share: attribute values, resources, ids, times and persons.

Semantic conventions 1.4x; older names are read too (`aliases`). Rows do not belong here.
"""

import math
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import msgspec

from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.aliases import current_names
from selfdrive_dagster.telemetry.arrivals import Arrival
from selfdrive_dagster.telemetry.bounds import label, text
from selfdrive_dagster.telemetry.persons import without_persons

MAX_VALUE_DEPTH = 16
MAX_ATTRIBUTES = 256
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = 7_258_118_400 * 10**9
"""The end of 2199 in nanoseconds since 1970; what is later is no time."""


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """What a resource says of everything below it."""

    service_name: str
    version: str | None
    environment: str | None
    instance: str
    attributes: dict[str, Any]


def plain(value: Any, depth: int = 0) -> Any:
    """Return an AnyValue as plain JSON; bytes become their length, NaN becomes None."""
    if depth > MAX_VALUE_DEPTH:
        return "[cut]"
    kind = value.WhichOneof("value")
    if kind is None:
        return None
    held = getattr(value, kind)
    if kind == "array_value":
        return [plain(one, depth + 1) for one in held.values[:MAX_ATTRIBUTES]]
    if kind == "kvlist_value":
        return {pair.key: plain(pair.value, depth + 1) for pair in held.values[:MAX_ATTRIBUTES]}
    if kind == "bytes_value":
        return f"[{len(held)} bytes]"
    return finite(held) if kind == "double_value" else held


def finite(value: float) -> float | None:
    """Return a number that JSON can hold, None for NaN and the infinities."""
    return value if math.isfinite(value) else None


def read_attributes(pairs: Iterable[Any]) -> dict[str, Any]:
    """Return up to MAX_ATTRIBUTES under today's names."""
    return current_names({pair.key: plain(pair.value) for pair in islice(pairs, MAX_ATTRIBUTES)})


def read_origin(resource: Any, arrival: Arrival) -> Origin:
    """Return what a resource says; a nameless service takes the default."""
    attributes = read_attributes(resource.attributes)
    name = label(attributes.get("service.name"))
    is_named = name and not name.startswith("unknown_service")
    return Origin(
        service_name=name if is_named else arrival.service_name,
        version=label(attributes.get("service.version")) or None,
        environment=label(attributes.get("deployment.environment.name")) or None,
        instance=label(attributes.get("service.instance.id")),
        attributes=attributes,
    )


def read_time(nanoseconds: int) -> datetime | None:
    """Return the UTC time of nanoseconds since 1970; 0 and times after 2200 are unknown."""
    if not 0 < nanoseconds < LATEST:
        return None
    return EPOCH + timedelta(0, 0, nanoseconds // 1_000)


def read_times(nanoseconds: Iterable[int]) -> list[datetime]:
    """Return the UTC times of nanoseconds between 0 and LATEST, as `read_time` does, in one go.

    A float of seconds tells microseconds apart until 2242, and msgspec rounds to the nearest.
    """
    seconds = [one // 1_000 / 1e6 for one in nanoseconds]
    return msgspec.convert(seconds, list[datetime], strict=False)


_ZEROS = bytes(16)


def read_id(value: bytes, length: int) -> str | None:
    """Return an id of `length` bytes as hex, None if it is short or all zeros."""
    return value.hex() if len(value) == length and value != _ZEROS[:length] else None


def read_person(said: dict[str, Any], origin: Origin, arrival: Arrival) -> tuple[str, str]:
    """Return the pseudonyms (user, session) in attributes, else in the resource."""
    both = {**origin.attributes, **said}
    user = text(both.get("enduser.pseudo.id")) or text(both.get("enduser.id"))
    session = text(both.get("session.id"))
    redact = arrival.redactor
    return redact.pseudonym("user", user), redact.pseudonym("session", session)


COLUMNS = frozenset(
    {
        "exception.type",
        "exception.message",
        "exception.stacktrace",
        "exception.escaped",
        "selfdrive.state",
    }
)
"""Attributes that have a column of their own: never in `attributes_json`; persons neither."""


def rest_json(said: dict[str, Any], arrival: Arrival) -> str:
    """Return the redacted attributes without a column, as canonical JSON."""
    keeps = arrival.redactor.keeps
    kept = {name: value for name, value in said.items() if name not in COLUMNS and keeps(name)}
    return canonical(without_persons(kept, arrival.redactor)).decode()
