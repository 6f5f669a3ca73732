"""Product events: what people did, as PostHog, Segment and plain JSON tell it.

One event is one row; an exception that PostHog captured is one of `exceptions`. Who did it is a
pseudonym at most; what tells of a person and not of a use (`identify`, `alias`, `group`) is not
kept, and said to be rejected. HTTP does not belong here.
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
from selfdrive_dagster.telemetry.events.bodies import events_in, names_in, unpacked
from selfdrive_dagster.telemetry.events.elements import read_touched
from selfdrive_dagster.telemetry.events.fields import (
    DEAD,
    DROPPED,
    FIELDS,
    KINDS,
    NO_PROPERTIES,
    PERSONS,
    STAYS,
    at,
    first,
)
from selfdrive_dagster.telemetry.events.raised import is_raised, raised_row
from selfdrive_dagster.telemetry.logs.structured import NAMES as LOG_NAMES
from selfdrive_dagster.telemetry.persons import without_persons
from selfdrive_dagster.telemetry.rows import ExceptionRow, ProductEventRow, Records

__all__ = ["decode_events", "is_product_event", "names_in", "unpacked"]


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
    events = events_in(value)
    check_rows(len(events), place)
    rows: list[ProductEventRow] = []
    raised: list[ExceptionRow] = []
    rejected: list[str] = []
    for number, event in enumerate(events, start=1):
        if not isinstance(event, dict):
            raise BadInput(f"{place} holds an event (number {number}) that is no JSON object.")
        if reason := _why_not(event):
            rejected.append(reason)
        elif is_raised(event):
            row = raised_row(event, _row(event, arrival, ordinals), arrival)
            raised += [row] if row else []
            rejected += [] if row else ["an exception without a type and a message"]
        else:
            rows.append(_row(event, arrival, ordinals))
    return Records(
        exceptions=tuple(raised),
        product_events=tuple(rows),
        deployments=deployments([*rows, *raised], "events", arrival),
        rejected=tuple(rejected),
    )


def _why_not(event: dict[str, Any]) -> str:
    kind, name = label(event.get("type")), label(event.get("event"))
    if kind in PERSONS or name in PERSONS:
        return f"{name or kind} tells of a person and not of a use: it is not kept"
    return "" if _name(event) else "an event without a name"


def _name(event: dict[str, Any]) -> str:
    return KINDS.get(label(event.get("type"))) or label(first(event, "event_name"))


def _row(event: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> ProductEventRow:
    redact = arrival.redactor
    said = {field: first(event, field) for field in FIELDS}
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
    told = (flag(at(event, path)) for path in DEAD)
    return True if name == "$dead_click" else next((one for one in told if one is not None), None)


def _source(event: dict[str, Any]) -> str:
    properties = mapping(event.get("properties"))
    is_posthog = "options" in event and "distinct_id" in event  # the newer wire form has no $lib
    if is_posthog or "$lib" in properties or "token" in properties:
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
