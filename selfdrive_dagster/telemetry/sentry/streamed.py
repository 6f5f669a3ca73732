"""What newer SDKs send in items of many entries: logs, metrics, and spans one by one.

An entry tells everything in typed attributes (`{"value": …, "type": …}`), release and environment
too. Written from the public SDK documentation and from what sentry-sdk 2.75 sends.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.aliases import current_names
from selfdrive_dagster.telemetry.arrivals import (
    SEVERITY_NUMBERS,
    Arrival,
    Ordinals,
    sender_id,
    url_path,
)
from selfdrive_dagster.telemetry.bounds import (
    check_rows,
    hex_id,
    label,
    mapping,
    moment,
    real,
    sequence,
    text,
    whole,
)
from selfdrive_dagster.telemetry.persons import without_persons
from selfdrive_dagster.telemetry.rows import LogEventRow, MetricPointRow, Records, SpanRow
from selfdrive_dagster.telemetry.sentry.tracing import milliseconds


def decode_logs(payload: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return the rows of a `log` item."""
    entries = _entries(payload, "log")
    return Records(log_events=tuple(_log(entry, arrival, ordinals) for entry in entries))


def decode_metrics(payload: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return the rows of a `trace_metric` item."""
    return _kept(
        [_metric(entry, arrival, ordinals) for entry in _entries(payload, "metric")],
        lambda rows: Records(metric_points=rows),
        "a metric without a name or a number",
    )


def decode_spans(payload: dict[str, Any], arrival: Arrival, _ordinals: Ordinals) -> Records:
    """Return the rows of a `span` item."""
    return _kept(
        [_span(entry, arrival) for entry in _entries(payload, "span")],
        lambda rows: Records(spans=rows),
        "a span without trace id, span id or times",
    )


def _kept(rows: list[Any], make: Callable[[tuple[Any, ...]], Records], lacks: str) -> Records:
    records = make(tuple(row for row in rows if row is not None))
    return msgspec.structs.replace(records, rejected=(lacks,) * rows.count(None))


def _entries(payload: dict[str, Any], what: str) -> list[dict[str, Any]]:
    sent = sequence(payload.get("items"))
    check_rows(len(sent), f"The {what} item")
    return [mapping(entry) for entry in sent]


class _Said(msgspec.Struct, frozen=True):
    """What the attributes of an entry say, redacted, and what is the same in every row."""

    attributes: dict[str, Any]
    service_name: str
    version: str | None
    environment: str | None
    user: str | None
    session: str | None
    rest: dict[str, Any]

    @classmethod
    def of(cls, entry: dict[str, Any], arrival: Arrival) -> "_Said":
        sent = mapping(entry.get("attributes"))
        said = current_names({name: mapping(value).get("value") for name, value in sent.items()})
        redact = arrival.redactor
        user = text(said.get("enduser.id"))
        return cls(
            attributes=said,
            service_name=label(said.get("service.name")) or arrival.service_name,
            version=label(said.get("sentry.release")) or None,
            environment=label(said.get("sentry.environment")) or None,
            user=redact.pseudonym("user", user) or None,
            session=redact.pseudonym("session", text(said.get("session.id"))) or None,
            rest=without_persons(said, redact),
        )


def _log(entry: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> LogEventRow:
    redact, said = arrival.redactor, _Said.of(entry, arrival)
    level = label(entry.get("level")).lower()
    body = redact.text(text(entry.get("body")))
    when = real(entry.get("timestamp"))
    return LogEventRow(
        event_id=ordinals.event_id("log", when, hex_id(entry.get("trace_id"), 32), body, said.rest),
        source="sentry",
        timestamp=moment(when) or arrival.received_at,
        received_at=arrival.received_at,
        service_name=said.service_name,
        service_version=said.version,
        deployment_environment_name=said.environment,
        trace_id=hex_id(entry.get("trace_id"), 32) or None,
        session_id=said.session,
        enduser_pseudo_id=said.user,
        severity_text=redact.text(level).upper() or None,
        severity_number=whole(entry.get("severity_number")) or SEVERITY_NUMBERS.get(level),
        body=body or None,
        attributes_json=canonical(said.rest).decode(),
    )


METRIC_KINDS = {"counter": "sum", "gauge": "gauge", "distribution": "gauge"}
"""Sentry's types → ours. Each entry is one measurement: a distribution is one of many."""


def _metric(entry: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> MetricPointRow | None:
    name, value = arrival.redactor.text(label(entry.get("name"))), real(entry.get("value"))
    kind, when = METRIC_KINDS.get(label(entry.get("type"))), real(entry.get("timestamp"))
    if not name or value is None or kind is None:
        return None
    said = _Said.of(entry, arrival)
    traced = (hex_id(entry.get("trace_id"), 32), hex_id(entry.get("span_id"), 16))
    return MetricPointRow(
        event_id=ordinals.event_id("metric", when, name, value, *traced, said.rest),
        source="sentry",
        timestamp=moment(when) or arrival.received_at,
        received_at=arrival.received_at,
        service_name=said.service_name,
        service_version=said.version,
        deployment_environment_name=said.environment,
        metric_name=name,
        unit=label(entry.get("unit")) or None,
        kind=kind,
        is_monotonic=True if kind == "sum" else None,
        temporality="delta" if kind == "sum" else None,
        value=value,
        attributes_json=canonical(said.rest).decode(),
    )


def _span(entry: dict[str, Any], arrival: Arrival) -> SpanRow | None:
    start, end = moment(entry.get("start_timestamp")), moment(entry.get("end_timestamp"))
    trace_id, span_id = hex_id(entry.get("trace_id"), 32), hex_id(entry.get("span_id"), 16)
    if not (start and end and trace_id and span_id):
        return None
    redact, said = arrival.redactor, _Said.of(entry, arrival)
    told = said.attributes
    path = text(told.get("url.path")) or url_path(text(told.get("url.full")))
    op = label(told.get("sentry.op"))
    return SpanRow(
        event_id=sender_id("span", trace_id, span_id),
        source="sentry",
        timestamp=start,
        received_at=arrival.received_at,
        service_name=said.service_name,
        service_version=said.version,
        deployment_environment_name=said.environment,
        trace_id=trace_id,
        span_id=span_id,
        parent_span_id=hex_id(entry.get("parent_span_id"), 16) or None,
        session_id=said.session,
        enduser_pseudo_id=said.user,
        name=redact.text(label(entry.get("name"))),
        kind="SERVER" if op == "http.server" else "INTERNAL",
        duration_ms=milliseconds(start, end),
        status_code={"ok": "OK", "error": "ERROR"}.get(label(entry.get("status")), "UNSET"),
        error_type=redact.text(label(told.get("error.type"))) or None,
        http_request_method=redact.text(label(told.get("http.request.method"))) or None,
        http_response_status_code=whole(told.get("http.response.status_code")),
        http_route=redact.text(label(told.get("http.route"))) or None,
        url_path=redact.text(path.partition("?")[0]) or None,
        attributes_json=canonical(said.rest).decode(),
    )
