"""Sentry's wire formats: the event, the envelope, and the event as Sentry's own API returns it.

Written from the public SDK documentation (develop.sentry.dev, "Event Payloads", "Envelopes").
Only the fields named here are read, so nothing else can reach a disk. HTTP does not belong here.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Crash, Frame, HttpRequest, RaisedException, canonical
from selfdrive_dagster.telemetry.arrivals import (
    SEVERITY_NUMBERS,
    Arrival,
    Ordinals,
    deployments,
    exception_row,
    sender_id,
    url_path,
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
    parse_json,
    real,
    sequence,
    text,
    whole,
)
from selfdrive_dagster.telemetry.rows import ExceptionRow, LogEventRow, Records, SpanRow

MAX_ITEMS = 1_000
MAX_BREADCRUMBS = 20
NO_PATH = ""


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


def decode_envelope(data: bytes, name: str, arrival: Arrival) -> Records:
    """Return the rows of an envelope. Items of other types are told in `rejected`."""
    ordinals = Ordinals()
    parts: list[Records] = []
    for item in parse_envelope(data, name).items:
        decoder = ITEM_DECODERS.get(item.type)
        if decoder is None:
            reason = f"items of type {item.type!r} are not kept"
            parts.append(Records(rejected=(reason,)))
            continue
        payload = parse_json(item.payload, f"The {item.type} item of {name}")
        parts.append(decoder(mapping(payload), arrival, ordinals))
    return _with_deployments(join(parts), arrival)


def decode_event(
    event: dict[str, Any], arrival: Arrival, ordinals: Ordinals | None = None
) -> Records:
    """Return the rows of one event payload, as an SDK sends it or as Sentry's API returns it."""
    records = _event(_from_api(event), arrival, ordinals or Ordinals())
    return _with_deployments(records, arrival)


def join(parts: list[Records]) -> Records:
    """Return one Records with the rows of all parts, in order."""
    return Records(
        exceptions=tuple(row for part in parts for row in part.exceptions),
        spans=tuple(row for part in parts for row in part.spans),
        log_events=tuple(row for part in parts for row in part.log_events),
        metric_points=tuple(row for part in parts for row in part.metric_points),
        deployments=tuple(row for part in parts for row in part.deployments),
        rejected=tuple(reason for part in parts for reason in part.rejected),
    )


def _with_deployments(records: Records, arrival: Arrival) -> Records:
    rows: list[ExceptionRow | SpanRow | LogEventRow] = []
    rows += records.exceptions
    rows += records.spans
    rows += records.log_events
    return msgspec.structs.replace(records, deployments=deployments(rows, "sentry", arrival))


# ---- the event -------------------------------------------------------------------------------


def crash_from_event(event: dict[str, Any], arrival: Arrival, event_id: str) -> Crash | None:
    """Return the redacted crash of an event, None if it holds no exception."""
    exceptions = tuple(_exceptions(event, arrival))
    if not exceptions:
        return None
    who = _Who.of(event, arrival)
    return Crash(
        event_id=event_id,
        source="sentry",
        exceptions=exceptions,
        timestamp=moment(event.get("timestamp")),
        service_name=who.service_name,
        service_version=who.version,
        environment=who.environment,
        level=label(event.get("level")) or "error",
        transaction=arrival.redactor.text(label(event.get("transaction"))),
        request=_request(mapping(event.get("request")), arrival),
        user_id=who.user_id,
        session_id=who.session_id,
        trace_id=who.trace_id,
        span_id=who.span_id,
    )


class _Who(msgspec.Struct, frozen=True, kw_only=True):
    """What every kind of event says of its service, user, session and trace."""

    service_name: str
    version: str
    environment: str
    user_id: str
    session_id: str
    trace_id: str
    span_id: str

    @classmethod
    def of(cls, event: dict[str, Any], arrival: Arrival) -> "_Who":
        tags = pairs(event.get("tags"))
        trace = mapping(mapping(event.get("contexts")).get("trace"))
        user = mapping(event.get("user"))
        identities = (text(user.get(name)) for name in ("id", "username", "email", "ip_address"))
        identity = next((one for one in identities if one), "")
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
    sent = frame.get("vars")
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
        method=label(request.get("method")).upper(),
        url=redact.text(text(request.get("url"))),
        query=redact.text(shown),
        headers=tuple((name, text(value)) for name, value in headers.items()),
        body=redact.value(request.get("data")),
    )


def _event(event: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> Records:
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
        "tags": pairs(event.get("tags")),
        "extra": mapping(event.get("extra")),
        "breadcrumbs": trail,
        "logger": label(event.get("logger")),
        "platform": label(event.get("platform")),
        "sdk": f"{label(sdk.get('name'))} {label(sdk.get('version'))}".strip(),
    }
    return mapping(arrival.redactor.value({name: value for name, value in kept.items() if value}))


def _message(
    event: dict[str, Any], event_id: str, attributes: dict[str, Any], arrival: Arrival
) -> LogEventRow:
    who = _Who.of(event, arrival)
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
        severity_text=level.upper(),
        severity_number=SEVERITY_NUMBERS.get(level),
        logger_name=label(event.get("logger")) or None,
        body=arrival.redactor.text(said) or None,
        attributes_json=canonical(attributes).decode(),
    )


# ---- transactions and logs -------------------------------------------------------------------


def _transaction(event: dict[str, Any], arrival: Arrival, _ordinals: Ordinals) -> Records:
    who = _Who.of(event, arrival)
    trace = mapping(mapping(event.get("contexts")).get("trace"))
    request = mapping(event.get("request"))
    root = {
        **trace,
        "description": event.get("transaction"),
        "start_timestamp": event.get("start_timestamp"),
        "timestamp": event.get("timestamp"),
        "data": {
            **mapping(trace.get("data")),
            "http.request.method": request.get("method"),
            "url.path": url_path(text(request.get("url"))),
        },
    }
    rows: list[SpanRow] = []
    rejected: list[str] = []
    for span in (root, *sequence(event.get("spans"))):
        row = _span(mapping(span), who, arrival)
        if row:
            rows.append(row)
        else:
            rejected.append("a span without trace id, span id or times")
    return Records(spans=tuple(rows), rejected=tuple(rejected))


def _span(span: dict[str, Any], who: _Who, arrival: Arrival) -> SpanRow | None:
    start, end = moment(span.get("start_timestamp")), moment(span.get("timestamp"))
    trace_id = hex_id(span.get("trace_id"), 32) or who.trace_id
    span_id = hex_id(span.get("span_id"), 16)
    if not (start and end and trace_id and span_id):
        return None
    redact = arrival.redactor
    data = mapping(span.get("data"))
    status = label(span.get("status"))
    name = label(span.get("description")) or label(span.get("op"))
    return SpanRow(
        event_id=sender_id("span", trace_id, span_id),
        source="sentry",
        timestamp=start,
        received_at=arrival.received_at,
        service_name=who.service_name,
        service_version=who.version or None,
        deployment_environment_name=who.environment or None,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=hex_id(span.get("parent_span_id"), 16) or None,
        session_id=who.session_id or None,
        enduser_pseudo_id=who.user_id or None,
        name=redact.text(name),
        kind="SERVER" if label(span.get("op")) == "http.server" else "INTERNAL",
        duration_ms=_milliseconds(start, end),
        status_code=SPAN_STATUS.get(status, "ERROR"),
        error_type=status if status not in SPAN_STATUS else None,
        http_request_method=label(data.get("http.request.method")) or None,
        http_response_status_code=whole(data.get("http.response.status_code")),
        http_route=label(data.get("http.route")) or None,
        url_path=redact.text(label(data.get("url.path"))) or None,
        attributes_json=canonical(redact.value({"op": span.get("op"), **data})).decode(),
    )


SPAN_STATUS = {"": "UNSET", "unknown": "UNSET", "ok": "OK"}
"""Sentry's span status → OpenTelemetry's; every other status is an error."""


def _milliseconds(start: datetime, end: datetime) -> float:
    return max(0.0, (end - start).total_seconds() * 1000)


def _logs(payload: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> Records:
    return Records(
        log_events=tuple(
            _log(mapping(entry), arrival, ordinals) for entry in sequence(payload.get("items"))
        )
    )


def _log(entry: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> LogEventRow:
    redact = arrival.redactor
    said = {
        name: mapping(value).get("value")
        for name, value in mapping(entry.get("attributes")).items()
    }
    level = label(entry.get("level")).lower()
    attributes = mapping(redact.value(said))
    body = redact.text(text(entry.get("body")))
    when = real(entry.get("timestamp"))
    service = label(said.get("service.name")) or arrival.service_name
    return LogEventRow(
        event_id=ordinals.event_id(
            "log", when, hex_id(entry.get("trace_id"), 32), body, attributes
        ),
        source="sentry",
        timestamp=moment(when) or arrival.received_at,
        received_at=arrival.received_at,
        service_name=service,
        service_version=label(said.get("sentry.release")) or None,
        deployment_environment_name=label(said.get("sentry.environment")) or None,
        trace_id=hex_id(entry.get("trace_id"), 32) or None,
        session_id=redact.pseudonym("session", text(said.get("session.id"))) or None,
        enduser_pseudo_id=redact.pseudonym("user", text(said.get("user.id"))) or None,
        severity_text=level.upper() or None,
        severity_number=whole(entry.get("severity_number")) or SEVERITY_NUMBERS.get(level),
        body=body or None,
        attributes_json=canonical(attributes).decode(),
    )


ITEM_DECODERS: dict[str, Callable[[dict[str, Any], Arrival, Ordinals], Records]] = {
    "event": _event,
    "transaction": _transaction,
    "log": _logs,
}
"""Envelope item type → decoder; every other type is counted as rejected."""


# ---- the event as Sentry's API returns it ----------------------------------------------------


def is_event(value: dict[str, Any]) -> bool:
    """Say whether a JSON object is an event payload, in either shape."""
    by_entries = isinstance(value.get("entries"), list) and "eventID" in value
    marks = ("event_id", "exception", "logentry", "platform")
    return by_entries or "exception" in value or sum(name in value for name in marks) >= 2


def _from_api(event: dict[str, Any]) -> dict[str, Any]:
    """Return the payload shape of an event whose parts stand in `entries`, else it itself."""
    if not isinstance(event.get("entries"), list):
        return event
    entries = {
        label(mapping(entry).get("type")): mapping(mapping(entry).get("data"))
        for entry in event["entries"]
    }
    exceptions = sequence(mapping(entries.get("exception")).get("values"))
    tags = pairs(event.get("tags"))
    request = entries.get("request", {})
    return {
        "event_id": event.get("eventID"),
        "timestamp": event.get("dateCreated"),
        "level": tags.get("level"),
        "release": tags.get("release") or mapping(event.get("release")).get("version"),
        "environment": tags.get("environment"),
        "transaction": tags.get("transaction") or event.get("culprit"),
        "tags": tags,
        "contexts": event.get("contexts"),
        "user": event.get("user"),
        "extra": event.get("context"),
        "platform": event.get("platform"),
        "message": event.get("message"),
        "exception": {"values": [_api_exception(mapping(one)) for one in exceptions]},
        "request": {**request, "query_string": request.get("query")} if request else None,
    }


def _api_exception(one: dict[str, Any]) -> dict[str, Any]:
    frames = sequence(mapping(one.get("stacktrace")).get("frames"))
    return {**one, "stacktrace": {"frames": [_api_frame(mapping(frame)) for frame in frames]}}


def _api_frame(frame: dict[str, Any]) -> dict[str, Any]:
    line = frame.get("lineNo")
    context = (entry for entry in sequence(frame.get("context")) if isinstance(entry, list))
    return {
        **frame,
        "abs_path": frame.get("absPath"),
        "lineno": line,
        "in_app": frame.get("inApp"),
        "context_line": next((entry[1] for entry in context if entry[:1] == [line]), None),
    }
