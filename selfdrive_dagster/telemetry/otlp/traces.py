"""Spans, from protobuf and from OTLP/JSON alike; their exceptions are `span_events`'."""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from hashlib import sha256
from operator import attrgetter
from typing import Any

from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals, deployments
from selfdrive_dagster.telemetry.bounds import MAX_NAME_CHARS, label, text
from selfdrive_dagster.telemetry.otlp.columns import Part, SpanColumns, parts_of
from selfdrive_dagster.telemetry.otlp.exceptions import once
from selfdrive_dagster.telemetry.otlp.repeated import Together, memory_of, said_by
from selfdrive_dagster.telemetry.otlp.span_events import SpanTold, exceptions_of
from selfdrive_dagster.telemetry.otlp.values import Origin, read_origin, read_time, rest_json
from selfdrive_dagster.telemetry.redact import redact_text
from selfdrive_dagster.telemetry.rows import Records, SpanRow

KINDS = dict(enumerate(("INTERNAL", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER")))
STATUSES = dict(enumerate(("UNSET", "OK", "ERROR")))
UNNAMED = "a span without a 16-byte trace id, an 8-byte span id or times"
_TIMESTAMP = attrgetter("timestamp")


def decode_traces(request: Any, arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return the rows of a `wire.TraceRequest`. Raises DecodeError."""
    return decode_parts(parts_of(request), arrival, ordinals, wire="protobuf")


def decode_parts(parts: Iterable[Part], arrival: Arrival, ordinals: Ordinals, wire: str) -> Records:
    """Return the rows of spans whose attributes are as `wire` ("protobuf", "json") writes them."""
    memory = memory_of(arrival.redactor, wire)
    spans: list[SpanRow] = []
    first: list[SpanRow] = []
    told: list[SpanTold] = []
    rejected = 0
    for resource, columns in parts:
        origin = read_origin(resource, arrival)
        found = list(map(memory.read, columns.attributes))
        rows = list(_rows(columns, found, origin, arrival))
        whole = [row for row in rows if row]
        rejected += len(rows) - len(whole)
        spans += whole
        told += _told(columns, rows, found, origin)
        if origin.version and whole:
            # The earliest is the first sighting of a version; the others say nothing more.
            first.append(min(whole, key=_TIMESTAMP))
    exceptions = list(exceptions_of(told, arrival, ordinals))
    return Records(
        exceptions=once(exceptions),
        spans=tuple(spans),
        rejected=(UNNAMED,) * rejected,
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


def _told(
    columns: SpanColumns, rows: list[SpanRow | None], found: list[Together], origin: Origin
) -> Iterator[SpanTold]:
    """Yield the spans with events."""
    for row, name, events, together in zip(rows, columns.names, columns.events, found, strict=True):
        if events and row:
            yield SpanTold(
                trace_id=row.trace_id,
                span_id=row.span_id,
                parent_span_id=row.parent_span_id,
                name=name,
                events=events,
                said=said_by(together.found),
                origin=origin,
            )


def _rows(
    columns: SpanColumns, found: list[Together], origin: Origin, arrival: Arrival
) -> Iterator[SpanRow | None]:
    """Yield the row of each span, None where it is not whole."""
    pseudo_of_all, user_of_all, session_of_all = _persons(origin, arrival)
    received_at, service_name = arrival.received_at, origin.service_name
    version, environment = origin.version, origin.environment
    for trace_id, span_id, parent, name, kind, start, end, together, (code, message) in zip(
        columns.trace_ids,
        columns.span_ids,
        columns.parent_span_ids,
        columns.names,
        columns.kinds,
        columns.starts,
        columns.ends,
        found,
        columns.statuses,
        strict=True,
    ):
        began = read_time(start)
        if not (trace_id and span_id and began and end):
            yield None
            continue
        pseudo, user, session, error_type, method, status, route, path, url = together.columns
        yield SpanRow(
            event_id=sha256(f'["span","{trace_id}","{span_id}"]'.encode()).hexdigest(),
            source="otlp",
            timestamp=began,
            received_at=received_at,
            service_name=service_name,
            service_version=version,
            deployment_environment_name=environment,
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=parent,
            session_id=session or session_of_all or None,
            enduser_pseudo_id=pseudo or pseudo_of_all or user or user_of_all or None,
            name=_shown(name[:MAX_NAME_CHARS]),
            kind=KINDS.get(kind, "INTERNAL"),
            duration_ms=max(0, end - start) / 1e6,
            status_code=STATUSES.get(code, "UNSET"),
            status_message=(redact_text(message) or None) if message else None,
            error_type=error_type,
            http_request_method=method,
            http_response_status_code=status,
            http_route=route,
            url_path=path or url,
            attributes_json=together.json or rest_json(said_by(together.found), arrival),
        )


@lru_cache(maxsize=4_096)
def _shown(name: str) -> str:
    return redact_text(label(name))
