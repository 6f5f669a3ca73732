"""Spans, from protobuf and from OTLP/JSON alike; their exceptions are `span_events`'."""

from functools import lru_cache
from typing import Any

from selfdrive_dagster.model import digest
from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals, deployments
from selfdrive_dagster.telemetry.bounds import MAX_NAME_CHARS, label, text
from selfdrive_dagster.telemetry.otlp.exceptions import once
from selfdrive_dagster.telemetry.otlp.repeated import (
    Together,
    memory_of,
    said_by,
)
from selfdrive_dagster.telemetry.otlp.span_events import SpanTold, exceptions_of
from selfdrive_dagster.telemetry.otlp.values import (
    Origin,
    read_id,
    read_origin,
    read_time,
    rest_json,
)
from selfdrive_dagster.telemetry.redact import redact_text
from selfdrive_dagster.telemetry.rows import Records, SpanRow

KINDS = ("INTERNAL", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUSES = ("UNSET", "OK", "ERROR")


def decode_traces(request: Any, arrival: Arrival, ordinals: Ordinals, wire: str) -> Records:
    """Return the rows of a `wire.TraceRequest`, or of one shaped like it, whose attributes are
    still bytes as `wire` ("protobuf" or "json") writes them.
    """
    memory = memory_of(arrival.redactor, wire)
    spans: list[SpanRow] = []
    first: list[SpanRow] = []
    told: list[SpanTold] = []
    rejected: list[str] = []
    for resource in request.resource_spans:
        origin = read_origin(resource.resource, arrival)
        persons = _persons(origin, arrival)
        since = len(spans)
        for scope in resource.scope_spans:
            for span in scope.spans:
                found = memory.read(span.attributes)
                row = _span(span, found, origin, persons, arrival)
                if row is None:
                    rejected.append("a span without a 16-byte trace id, an 8-byte span id or times")
                    continue
                spans.append(row)
                if span.events:
                    told.append(SpanTold(span, said_by(found.found), origin))
        if origin.version and len(spans) > since:
            # The earliest is the first sighting of a version; the others say nothing more.
            first.append(min(spans[since:], key=lambda row: row.timestamp))
    exceptions = list(exceptions_of(told, arrival, ordinals))
    return Records(
        exceptions=once(exceptions),
        spans=tuple(spans),
        rejected=tuple(rejected),
        deployments=deployments([*first, *exceptions], "otlp", arrival),
    )


def _persons(origin: Origin, arrival: Arrival) -> tuple[str, str, str]:
    """Return the pseudonyms that a resource gives: pseudonymous user, user, session."""
    said, redact = origin.attributes, arrival.redactor
    return (
        redact.pseudonym("user", text(said.get("enduser.pseudo.id"))),
        redact.pseudonym("user", text(said.get("enduser.id"))),
        redact.pseudonym("session", text(said.get("session.id"))),
    )


def _span(
    span: Any,
    found: Together,
    origin: Origin,
    persons: tuple[str, str, str],
    arrival: Arrival,
) -> SpanRow | None:
    trace_id, span_id = read_id(span.trace_id, 16), read_id(span.span_id, 8)
    start, ended = span.start_time_unix_nano, span.end_time_unix_nano
    began = read_time(start)
    if not (trace_id and span_id and began and ended):
        return None
    attributes, column = found.json, found.columns.get
    if attributes is None:
        attributes = rest_json(said_by(found.found), arrival)
    kind, (code, message) = span.kind, _status_of(span)
    user = column("enduser.pseudo.id") or persons[0] or column("enduser.id") or persons[1]
    return SpanRow(
        event_id=digest(f'["span","{trace_id}","{span_id}"]'.encode()),
        source="otlp",
        timestamp=began,
        received_at=arrival.received_at,
        service_name=origin.service_name,
        service_version=origin.version,
        deployment_environment_name=origin.environment,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=read_id(span.parent_span_id, 8),
        session_id=column("session.id") or persons[2] or None,
        enduser_pseudo_id=user or None,
        name=_shown(span.name[:MAX_NAME_CHARS]),
        kind=KINDS[kind] if 0 <= kind < len(KINDS) else "INTERNAL",
        duration_ms=max(0, ended - start) / 1e6,
        status_code=STATUSES[code] if 0 <= code < 3 else "UNSET",
        status_message=(redact_text(message) or None) if message else None,
        error_type=column("error.type"),
        http_request_method=column("http.request.method"),
        http_response_status_code=column("http.response.status_code"),
        http_route=column("http.route"),
        url_path=column("url.path") or column("url.full"),
        attributes_json=attributes,
    )


def _status_of(span: Any) -> tuple[int, str]:
    """Return code and message; most spans have none, and asking for it would make one."""
    if not span.HasField("status"):
        return 0, ""
    status = span.status
    return status.code, status.message


@lru_cache(maxsize=4_096)
def _shown(name: str) -> str:
    return redact_text(label(name))
