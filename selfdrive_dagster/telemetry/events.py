"""Product events: what people did, as PostHog, Segment and plain JSON tell it.

One event is one row. Who did it is a pseudonym at most; what tells of a person and not of a use
(`identify`, `alias`, `group`) is not kept, and said to be rejected. HTTP does not belong here.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.arrivals import (
    Arrival,
    Ordinals,
    deployments,
    sender_id,
    url_path,
)
from selfdrive_dagster.telemetry.bounds import (
    check_rows,
    flag,
    label,
    mapping,
    moment,
    real,
    text,
)
from selfdrive_dagster.telemetry.elements import read_touched
from selfdrive_dagster.telemetry.logs.structured import NAMES as LOG_NAMES
from selfdrive_dagster.telemetry.persons import without_persons
from selfdrive_dagster.telemetry.rows import ProductEventRow, Records

Path = tuple[str, ...]

FIELDS: Mapping[str, tuple[Path, ...]] = {
    "event_name": (("event",), ("event_name",), ("name",)),
    "timestamp": (("timestamp",), ("originalTimestamp",), ("time",), ("sentAt",)),
    "user": (
        ("distinct_id",),
        ("properties", "distinct_id"),
        ("userId",),
        ("user_id",),
        ("properties", "user_id"),
        ("anonymousId",),
        ("anonymous_id",),
    ),
    "session": (
        ("properties", "$session_id"),
        ("session_id",),
        ("sessionId",),
        ("context", "sessionId"),
        ("properties", "session_id"),
    ),
    "url": (("properties", "$current_url"), ("context", "page", "url"), ("properties", "url"),
            ("url",)),
    "path": (("properties", "$pathname"), ("context", "page", "path"), ("properties", "path"),
             ("url_path",), ("path",), ("properties", "$screen_name")),
    "target": (("properties", "target"), ("target",), ("properties", "$el_text"),
               ("properties", "element_id"), ("properties", "element")),
    "tag": (("properties", "tag_name"), ("properties", "element_type"), ("tag_name",)),
    "form": (("properties", "form_id"), ("properties", "$form_id"), ("form_id",),
             ("properties", "form"), ("form",), ("properties", "form_name")),
    "named": (("uuid",), ("messageId",), ("message_id",)),
    "service": (("service",), ("properties", "service"), ("context", "app", "name")),
    "version": (("context", "app", "version"), ("properties", "$app_version"), ("release",),
                ("service_version",)),
    "environment": (("environment",), ("properties", "environment")),
}  # fmt: skip
"""Field of a row → where senders put it; the first that is there wins."""

DEAD = (("properties", "is_dead"), ("properties", "dead"), ("is_dead",))
STAYS = ("form", "form_id", "$form_id", "form_name")
"""Properties that stay among the attributes although they have a column."""

NO_PROPERTIES = frozenset({
    "event", "event_name", "name", "type", "properties", "context", "integrations", "traits",
    "token", "api_key", "batch", "uuid", "messageId", "message_id", "distinct_id", "userId",
    "user_id", "anonymousId", "anonymous_id", "session_id", "sessionId", "timestamp", "time",
    "originalTimestamp", "sentAt", "receivedAt", "channel", "writeKey", "offset", "$set",
    "$set_once", "service", "environment", "release", "service_version", "url", "url_path",
    "path", "target", "tag_name", "is_dead", "version", "_metadata", "library", "library_version",
})  # fmt: skip
"""Entries of an event itself that are no properties of it; a plain event may have others there."""

DROPPED = ("token", "$ip", "$elements", "$elements_chain", "$set", "$set_once", "distinct_id")
"""Properties that tell nothing of a use, or more than we keep."""

KINDS = {"page": "page", "screen": "screen"}
"""Segment's types of use → how such an event is called; its own `name` is the page's."""

PERSONS = ("identify", "alias", "group", "$identify", "$create_alias", "$groupidentify", "$set")


def is_product_event(value: dict[str, Any]) -> bool:
    """Say whether a JSON object is an event of use, or a batch of them."""
    if isinstance(value.get("batch"), list):
        return True
    is_logged = any(name in value for field in ("level", "logger") for name in LOG_NAMES[field][:2])
    is_named = isinstance(value.get("event"), str) or value.get("type") in (
        "track",
        *KINDS,
        *PERSONS,
    )
    is_used = any(name in value for name in ("properties", "distinct_id", "userId", "anonymousId"))
    is_ours = any(name in value for name in ("user_id", "session_id"))
    return is_named and (is_used or (is_ours and not is_logged))


def decode_events(
    value: Any, place: str, arrival: Arrival, ordinals: Ordinals | None = None
) -> Records:
    """Return the rows of an event, of a list of them, or of `{"batch": […]}`.

    Raises BadInput for anything else.
    """
    ordinals = ordinals or Ordinals()
    events = _events(value)
    check_rows(len(events), place)
    rows: list[ProductEventRow] = []
    rejected: list[str] = []
    for at, event in enumerate(events, start=1):
        if not isinstance(event, dict):
            raise BadInput(f"{place} holds an event (number {at}) that is no JSON object.")
        if reason := _why_not(event):
            rejected.append(reason)
        else:
            rows.append(_row(event, arrival, ordinals))
    seen = tuple(rows)
    told = deployments(seen, "events", arrival)
    return Records(product_events=seen, deployments=told, rejected=tuple(rejected))


def _events(value: Any) -> list[Any]:
    """Return the events of a body; what Segment says around a batch holds for each in it."""
    around, sent = mapping(value), mapping(value).get("batch", value)
    if not isinstance(sent, list):
        return [sent]
    shared = mapping(around.get("context"))
    if not shared:
        return sent
    return [
        {**one, "context": {**shared, **mapping(one.get("context"))}}
        if isinstance(one, dict)
        else one
        for one in sent
    ]


def _why_not(event: dict[str, Any]) -> str:
    kind, name = label(event.get("type")), label(event.get("event"))
    if kind in PERSONS or name in PERSONS:
        return f"{name or kind} tells of a person and not of a use: it is not kept"
    return "" if _name(event) else "an event without a name"


def _name(event: dict[str, Any]) -> str:
    return KINDS.get(label(event.get("type"))) or label(_first(event, "event_name"))


def _first(event: dict[str, Any], field: str) -> Any:
    found = (_at(event, path) for path in FIELDS[field])
    return next((one for one in found if text(one)), None)


def _at(value: Any, path: Path) -> Any:
    for name in path:
        value = mapping(value).get(name)
    return value


def _row(event: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> ProductEventRow:
    redact = arrival.redactor
    said = {field: _first(event, field) for field in FIELDS}
    touched = read_touched(mapping(event.get("properties")))
    name, source = redact.text(_name(event)), _source(event)
    user = redact.pseudonym("user", text(said["user"]))
    session = redact.pseudonym("session", text(said["session"]))
    path = text(said["path"]) or url_path(text(said["url"])) or _page(event)
    target = redact.text(label(said["target"]) or touched.target)
    attributes = without_persons(_rest(event, source), redact, _known(said))
    named, when = text(said["named"]), _when(event, said, arrival)
    return ProductEventRow(
        event_id=sender_id("product", source, named)
        if named
        else ordinals.event_id(
            "product", source, when, name, user, session, path, target, attributes
        ),
        source=source,
        timestamp=when or arrival.received_at,
        received_at=arrival.received_at,
        service_name=label(said["service"]) or arrival.service_name,
        service_version=label(said["version"]) or None,
        deployment_environment_name=label(said["environment"]) or None,
        session_id=session or None,
        enduser_pseudo_id=user or None,
        event_name=name,
        url_path=redact.text(path.partition("?")[0]) or None,
        target=target or None,
        target_tag=label(said["tag"]).lower() or touched.tag or None,
        form_id=redact.text(label(said["form"]) or touched.form) or None,
        is_dead=_is_dead(event, name),
        attributes_json=canonical(attributes).decode(),
    )


def _page(event: dict[str, Any]) -> str:
    return label(event.get("name")) if label(event.get("type")) in KINDS else ""


def _when(event: dict[str, Any], said: Mapping[str, Any], arrival: Arrival) -> datetime | None:
    """Return when it happened; PostHog's browsers may tell only how many milliseconds ago."""
    ago = real(event.get("offset"))
    if moment(said["timestamp"]) is None and ago is not None and 0 <= ago < 8.64e8:
        return arrival.received_at - timedelta(milliseconds=ago)
    return moment(said["timestamp"])


def _is_dead(event: dict[str, Any], name: str) -> bool | None:
    """Say whether the sender saw that nothing came of a click; None where it does not tell."""
    told = (flag(_at(event, path)) for path in DEAD)
    return True if name == "$dead_click" else next((one for one in told if one is not None), None)


def _source(event: dict[str, Any]) -> str:
    if any(name in mapping(event.get("properties")) for name in ("$lib", "token")):
        return "posthog"
    return "segment" if "messageId" in event else "events"


def _rest(event: dict[str, Any], source: str) -> dict[str, Any]:
    """Return the properties that have no column; a plain event may have them in itself."""
    taken = {path[1] for paths in FIELDS.values() for path in paths if path[0] == "properties"}
    gone = taken.difference(STAYS) | set(DROPPED)
    plain = {} if source != "events" else {n: v for n, v in event.items() if n not in NO_PROPERTIES}
    properties = {**plain, **mapping(event.get("properties"))}
    return {name: value for name, value in properties.items() if name not in gone}


def _known(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [(kind, one) for kind in ("user", "session") if (one := text(said[kind]))]
