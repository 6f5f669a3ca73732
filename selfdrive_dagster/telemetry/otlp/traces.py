"""Spans; the exceptions that their events tell are `span_events`'."""

from typing import Any

from selfdrive_dagster.telemetry.arrivals import (
    Arrival,
    Ordinals,
    deployments,
    sender_id,
    url_path,
)
from selfdrive_dagster.telemetry.bounds import label, text, whole
from selfdrive_dagster.telemetry.otlp.exceptions import once
from selfdrive_dagster.telemetry.otlp.span_events import SpanTold, exceptions_of
from selfdrive_dagster.telemetry.otlp.values import (
    Origin,
    read_attributes,
    read_id,
    read_origin,
    read_person,
    read_time,
    rest_json,
)
from selfdrive_dagster.telemetry.rows import Records, SpanRow

KINDS = ("INTERNAL", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")
STATUSES = ("UNSET", "OK", "ERROR")


def decode_traces(request: Any, arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return the rows of an ExportTraceServiceRequest."""
    spans: list[SpanRow] = []
    told: list[SpanTold] = []
    rejected: list[str] = []
    for resource in request.resource_spans:
        origin = read_origin(resource.resource, arrival)
        for span in (span for scope in resource.scope_spans for span in scope.spans):
            said = read_attributes(span.attributes)
            row = _span(span, said, origin, arrival)
            if row is None:
                rejected.append("a span without a 16-byte trace id, an 8-byte span id or times")
                continue
            spans.append(row)
            if span.events:
                told.append(SpanTold(span, said, origin))
    exceptions = list(exceptions_of(told, arrival, ordinals))
    return Records(
        exceptions=once(exceptions),
        spans=tuple(spans),
        rejected=tuple(rejected),
        deployments=deployments([*spans, *exceptions], "otlp", arrival),
    )


def _span(span: Any, said: dict[str, Any], origin: Origin, arrival: Arrival) -> SpanRow | None:
    trace_id, span_id = read_id(span.trace_id, 16), read_id(span.span_id, 8)
    start = read_time(span.start_time_unix_nano)
    if not (trace_id and span_id and start and span.end_time_unix_nano):
        return None
    redact = arrival.redactor
    user, session = read_person(said, origin, arrival)
    nanoseconds = max(0, span.end_time_unix_nano - span.start_time_unix_nano)
    path = text(said.get("url.path")) or url_path(text(said.get("url.full")))
    return SpanRow(
        event_id=sender_id("span", trace_id, span_id),
        source="otlp",
        timestamp=start,
        received_at=arrival.received_at,
        service_name=origin.service_name,
        service_version=origin.version,
        deployment_environment_name=origin.environment,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=read_id(span.parent_span_id, 8),
        session_id=session or None,
        enduser_pseudo_id=user or None,
        name=redact.text(label(span.name)),
        kind=KINDS[span.kind] if 0 <= span.kind < len(KINDS) else "INTERNAL",
        duration_ms=nanoseconds / 1e6,
        status_code=STATUSES[span.status.code] if 0 <= span.status.code < 3 else "UNSET",
        status_message=redact.text(span.status.message) or None,
        error_type=redact.text(label(said.get("error.type"))) or None,
        http_request_method=redact.text(label(said.get("http.request.method"))) or None,
        http_response_status_code=whole(said.get("http.response.status_code")),
        http_route=redact.text(label(said.get("http.route"))) or None,
        url_path=redact.text(path.partition("?")[0]) or None,
        attributes_json=rest_json(said, arrival),
    )
