"""Sentry's wire formats: the event, the envelope, and the event as Sentry's own API returns it.

Written from the public SDK documentation (develop.sentry.dev). HTTP does not belong here.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals, deployments
from selfdrive_dagster.telemetry.bounds import check_rows, mapping, parse_json
from selfdrive_dagster.telemetry.rows import (
    ExceptionRow,
    LogEventRow,
    MetricPointRow,
    Records,
    SessionRow,
    SpanRow,
    join,
)
from selfdrive_dagster.telemetry.sentry.api import from_api, is_event
from selfdrive_dagster.telemetry.sentry.envelope import parse_envelope
from selfdrive_dagster.telemetry.sentry.event import decode_exception_or_message
from selfdrive_dagster.telemetry.sentry.feedback import decode_feedback, decode_report, is_feedback
from selfdrive_dagster.telemetry.sentry.sessions import decode_session, decode_sessions
from selfdrive_dagster.telemetry.sentry.streamed import decode_logs, decode_metrics, decode_spans
from selfdrive_dagster.telemetry.sentry.tracing import decode_transaction

__all__ = ["ITEM_DECODERS", "decode_envelope", "decode_event", "is_event", "parse_envelope"]


def decode_envelope(data: bytes, name: str, arrival: Arrival) -> Records:
    """Return the rows of an envelope. Items of other types are told in `rejected`."""
    ordinals = Ordinals()
    parts: list[Records] = []
    rows = 0
    for item in parse_envelope(data, name).items:
        decoder = ITEM_DECODERS.get(item.type)
        if decoder is None:
            reason = f"items of type {item.type!r} are not kept"
            parts.append(Records(rejected=(reason,)))
            continue
        payload = parse_json(item.payload, f"The {item.type} item of {name}")
        part = decoder(mapping(payload), arrival, ordinals)
        rows += part.count()
        check_rows(rows, name)
        parts.append(part)
    return _with_deployments(join(parts), arrival)


def decode_event(
    event: dict[str, Any], arrival: Arrival, ordinals: Ordinals | None = None
) -> Records:
    """Return the rows of one event payload, as an SDK sends it or as Sentry's API returns it."""
    records = _decode_any(from_api(event), arrival, ordinals or Ordinals())
    return _with_deployments(records, arrival)


def _with_deployments(records: Records, arrival: Arrival) -> Records:
    rows: tuple[ExceptionRow | SpanRow | LogEventRow | MetricPointRow | SessionRow, ...] = (
        *records.exceptions,
        *records.spans,
        *records.log_events,
        *records.metric_points,
        *records.sessions,
    )
    return msgspec.structs.replace(records, deployments=deployments(rows, "sentry", arrival))


def _decode_any(event: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> Records:
    """Decode an event by what it holds: some SDKs send feedback as an ordinary event."""
    decode = decode_feedback if is_feedback(event) else decode_exception_or_message
    return decode(event, arrival, ordinals)


ITEM_DECODERS: dict[str, Callable[[dict[str, Any], Arrival, Ordinals], Records]] = {
    "event": _decode_any,
    "transaction": decode_transaction,
    "span": decode_spans,
    "log": decode_logs,
    "trace_metric": decode_metrics,
    "session": decode_session,
    "sessions": decode_sessions,
    "user_report": decode_report,
    "feedback": decode_feedback,
}
"""Envelope item type → decoder; every other type is counted as rejected."""
