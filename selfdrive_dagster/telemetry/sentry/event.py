"""The event payload: an exception with its chain, or a message.

Only the fields named here are read, so nothing else can reach a disk.
"""

from collections.abc import Iterator
from typing import Any

import msgspec

from selfdrive_dagster.model import Crash, Frame, HttpRequest, RaisedException, canonical
from selfdrive_dagster.telemetry.arrivals import (
    SEVERITY_NUMBERS,
    Arrival,
    Ordinals,
    exception_row,
    sender_id,
)
from selfdrive_dagster.telemetry.bounds import (
    MAX_CHAIN,
    MAX_FRAMES,
    flag,
    hex_id,
    label,
    mapping,
    moment,
    pairs,
    sequence,
    text,
    whole,
)
from selfdrive_dagster.telemetry.persons import identities, names_person, without_persons
from selfdrive_dagster.telemetry.rows import LogEventRow, Records

MAX_BREADCRUMBS = 20
NO_PATH = ""


def crash_from_event(event: dict[str, Any], arrival: Arrival, event_id: str) -> Crash | None:
    """Return the redacted crash of an event, None if it holds no exception."""
    exceptions = tuple(_exceptions(event, arrival))
    if not exceptions:
        return None
    who = Who.of(event, arrival)
    return Crash(
        event_id=event_id,
        source="sentry",
        exceptions=exceptions,
        timestamp=moment(event.get("timestamp")),
        service_name=who.service_name,
        service_version=who.version,
        environment=who.environment,
        level=arrival.redactor.text(label(event.get("level"))) or "error",
        transaction=arrival.redactor.text(label(event.get("transaction"))),
        request=_request(mapping(event.get("request")), arrival),
        user_id=who.user_id,
        session_id=who.session_id,
        trace_id=who.trace_id,
        span_id=who.span_id,
    )


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """What every kind of event says of its service, user, session and trace."""

    service_name: str
    version: str
    environment: str
    user_id: str
    session_id: str
    trace_id: str
    span_id: str

    @classmethod
    def of(cls, event: dict[str, Any], arrival: Arrival) -> "Who":
        """Read them from a payload; ids become pseudonyms."""
        tags = pairs(event.get("tags"))
        trace = mapping(mapping(event.get("contexts")).get("trace"))
        user = mapping(event.get("user"))
        named = (text(user.get(name)) for name in IDENTITIES)
        identity = next((one for one in named if one), "")
        service = label(tags.get("service.name")) or label(tags.get("service"))
        return cls(
            service_name=service or arrival.service_name,
            version=label(event.get("release")),
            environment=label(event.get("environment")),
            user_id=arrival.redactor.pseudonym("user", identity),
            session_id=arrival.redactor.pseudonym("session", _session(event, tags, trace)),
            trace_id=hex_id(trace.get("trace_id"), 32),
            span_id=hex_id(trace.get("span_id"), 16),
        )


IDENTITIES = ("id", "username", "email", "ip_address", "name")
"""Entries of Sentry's `user` that name a person; the first that is there makes the pseudonym."""


def known_persons(event: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Give (kind, id) of everybody an event names: its user, its session, its tags."""
    user, tags = mapping(event.get("user")), pairs(event.get("tags"))
    trace = mapping(mapping(event.get("contexts")).get("trace"))
    yield from (("user", one) for name in IDENTITIES if (one := text(user.get(name))))
    yield from identities(tags)
    yield from identities(mapping(trace.get("data")))
    if session := _session(event, tags, trace):
        yield "session", session


def _session(event: dict[str, Any], tags: dict[str, Any], trace: dict[str, Any]) -> str:
    """Return the session id: no SDK sends one by itself, so look where users put it."""
    contexts = mapping(event.get("contexts"))
    context = mapping(contexts.get("session"))
    places = (
        (tags, ("session.id", "session_id")),
        (context, ("id", "session.id", "session_id", "sid")),
        (mapping(trace.get("data")), ("session.id", "session_id")),
        (mapping(event.get("user")), ("session.id", "session_id")),
        (mapping(event.get("extra")), ("session.id", "session_id")),
    )
    found = (text(place.get(name)) for place, names in places for name in names)
    return next((one for one in found if one), "")


def _exceptions(event: dict[str, Any], arrival: Arrival) -> Iterator[RaisedException]:
    # Old SDKs send a list, or one bare object, where newer ones send {"values": […]}.
    sent = event.get("exception")
    values = mapping(sent).get("values", [sent] if mapping(sent).get("type") else sent)
    for value in sequence(values)[-MAX_CHAIN:]:
        one = mapping(value)
        type_, message = label(one.get("type")), text(one.get("value"))
        if not type_ and not message:
            continue
        frames = sequence(mapping(one.get("stacktrace")).get("frames"))[-MAX_FRAMES:]
        yield RaisedException(
            type=type_ or "Error",
            value=arrival.redactor.text(message),
            module=label(one.get("module")),
            frames=tuple(_frame(mapping(frame), arrival) for frame in frames),
            handled=flag(mapping(one.get("mechanism")).get("handled")),
        )


def _frame(frame: dict[str, Any], arrival: Arrival) -> Frame:
    sent = frame.get("vars") if arrival.redactor.keeps_variables else None
    return Frame(
        path=label(frame.get("filename")) or label(frame.get("abs_path")) or NO_PATH,
        function=label(frame.get("function")),
        line=whole(frame.get("lineno")) or 0,
        module=label(frame.get("module")),
        in_app=flag(frame.get("in_app")),
        source=arrival.redactor.text(text(frame.get("context_line"))),
        variables=mapping(arrival.redactor.value(sent)) if isinstance(sent, dict) else None,
    )


def _request(request: dict[str, Any], arrival: Arrival) -> HttpRequest | None:
    if not request:
        return None
    redact = arrival.redactor
    query = request.get("query_string")
    shown = text(query) or "&".join(f"{name}={text(value)}" for name, value in pairs(query).items())
    headers = mapping(redact.value(pairs(request.get("headers"))))
    return HttpRequest(
        method=redact.text(label(request.get("method"))).upper(),
        url=redact.text(text(request.get("url"))),
        query=redact.text(shown),
        headers=tuple((name, text(value)) for name, value in headers.items()),
        body=redact.value(request.get("data")),
    )


def decode_exception_or_message(
    event: dict[str, Any], arrival: Arrival, ordinals: Ordinals
) -> Records:
    """Return the one row of an event: an exception, else a log event."""
    sent_id = hex_id(event.get("event_id"), 32)
    event_id = sender_id("sentry", sent_id) if sent_id else ordinals.event_id("sentry", event)
    crash = crash_from_event(event, arrival, event_id)
    attributes = _attributes(event, arrival)
    if crash:
        return Records(exceptions=(exception_row(crash, arrival, attributes=attributes),))
    return Records(log_events=(_message(event, event_id, attributes, arrival),))


def _attributes(event: dict[str, Any], arrival: Arrival) -> dict[str, Any]:
    """Return what has no column: tags, extra, the last breadcrumbs, which SDK; redacted."""
    crumbs = event.get("breadcrumbs")
    trail = sequence(mapping(crumbs).get("values", crumbs))[-MAX_BREADCRUMBS:]
    sdk = mapping(event.get("sdk"))
    kept = {
        "tags": {n: v for n, v in pairs(event.get("tags")).items() if not names_person(n)},
        "extra": mapping(event.get("extra")),
        "breadcrumbs": trail,
        "logger": label(event.get("logger")),
        "platform": label(event.get("platform")),
        "sdk": f"{label(sdk.get('name'))} {label(sdk.get('version'))}".strip(),
    }
    said = {name: value for name, value in kept.items() if value}
    return without_persons(said, arrival.redactor, known_persons(event))


def _message(
    event: dict[str, Any], event_id: str, attributes: dict[str, Any], arrival: Arrival
) -> LogEventRow:
    who = Who.of(event, arrival)
    entry = mapping(event.get("logentry"))
    said = text(entry.get("formatted")) or text(entry.get("message")) or text(event.get("message"))
    level = label(event.get("level")).lower() or "info"
    return LogEventRow(
        event_id=event_id,
        source="sentry",
        timestamp=moment(event.get("timestamp")) or arrival.received_at,
        received_at=arrival.received_at,
        service_name=who.service_name,
        service_version=who.version or None,
        deployment_environment_name=who.environment or None,
        trace_id=who.trace_id or None,
        span_id=who.span_id or None,
        session_id=who.session_id or None,
        enduser_pseudo_id=who.user_id or None,
        severity_text=arrival.redactor.text(level).upper(),
        severity_number=SEVERITY_NUMBERS.get(level),
        logger_name=arrival.redactor.text(label(event.get("logger"))) or None,
        body=arrival.redactor.text(said) or None,
        attributes_json=canonical(attributes).decode(),
    )
