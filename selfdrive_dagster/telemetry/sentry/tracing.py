"""Transactions with their spans."""

from datetime import datetime
from typing import Any

from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.aliases import current_names
from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals, sender_id, url_path
from selfdrive_dagster.telemetry.bounds import (
    check_rows,
    hex_id,
    label,
    mapping,
    moment,
    sequence,
    text,
    whole,
)
from selfdrive_dagster.telemetry.persons import without_persons
from selfdrive_dagster.telemetry.rows import Records, SpanRow
from selfdrive_dagster.telemetry.sentry.event import Who, known_persons


def decode_transaction(event: dict[str, Any], arrival: Arrival, _ordinals: Ordinals) -> Records:
    """Return the spans of a transaction, its root first."""
    who = Who.of(event, arrival)
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
    sent = sequence(event.get("spans"))
    check_rows(len(sent), "The transaction")
    known = tuple(known_persons(event))
    rows: list[SpanRow] = []
    rejected: list[str] = []
    for span in (root, *sent):
        row = _span(mapping(span), who, known, arrival)
        if row:
            rows.append(row)
        else:
            rejected.append("a span without trace id, span id or times")
    return Records(spans=tuple(rows), rejected=tuple(rejected))


def _span(
    span: dict[str, Any], who: Who, known: tuple[tuple[str, str], ...], arrival: Arrival
) -> SpanRow | None:
    start, end = moment(span.get("start_timestamp")), moment(span.get("timestamp"))
    trace_id = hex_id(span.get("trace_id"), 32) or who.trace_id
    span_id = hex_id(span.get("span_id"), 16)
    if not (start and end and trace_id and span_id):
        return None
    redact = arrival.redactor
    data = current_names(mapping(span.get("data")))
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
        duration_ms=milliseconds(start, end),
        status_code=SPAN_STATUS.get(status, "ERROR"),
        error_type=redact.text(status) if status not in SPAN_STATUS else None,
        http_request_method=redact.text(label(data.get("http.request.method"))) or None,
        http_response_status_code=whole(data.get("http.response.status_code")),
        http_route=redact.text(label(data.get("http.route"))) or None,
        url_path=redact.text(label(data.get("url.path"))) or None,
        attributes_json=canonical(
            without_persons({"op": span.get("op"), **data}, redact, known)
        ).decode(),
    )


SPAN_STATUS = {"": "UNSET", "unknown": "UNSET", "ok": "OK"}
"""Sentry's span status → OpenTelemetry's; every other status is an error."""


def milliseconds(start: datetime, end: datetime) -> float:
    """Return how long it took, never less than nothing."""
    return max(0.0, (end - start).total_seconds() * 1000)
