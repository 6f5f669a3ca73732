"""Log records and OpenTelemetry events; the exceptions and the uses that they tell."""

from typing import Any

from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals, deployments
from selfdrive_dagster.telemetry.bounds import label
from selfdrive_dagster.telemetry.otlp.exceptions import (
    Place,
    exception_from,
    once,
    tells_exception,
)
from selfdrive_dagster.telemetry.otlp.uses import is_use, use_of
from selfdrive_dagster.telemetry.otlp.values import (
    Origin,
    plain,
    read_attributes,
    read_id,
    read_origin,
    read_person,
    read_time,
    rest_json,
)
from selfdrive_dagster.telemetry.rows import ExceptionRow, LogEventRow, Records


def decode_logs(request: Any, arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return the rows of an ExportLogsServiceRequest."""
    logs: list[LogEventRow] = []
    exceptions: list[ExceptionRow] = []
    for resource in request.resource_logs:
        origin = read_origin(resource.resource, arrival)
        for scope in resource.scope_logs:
            logger = arrival.redactor.text(label(scope.scope.name))
            for record in scope.log_records:
                said = read_attributes(record.attributes)
                logs.append(_log(record, said, logger, origin, arrival, ordinals))
                if tells_exception(said):
                    place = Place(
                        signal="logs",
                        trace_id=read_id(record.trace_id, 16),
                        span_id=read_id(record.span_id, 8),
                        nanoseconds=record.time_unix_nano or record.observed_time_unix_nano,
                        transaction="",
                        around=said,
                        severity=arrival.redactor.text(label(record.severity_text)),
                    )
                    exceptions.append(exception_from(said, place, origin, arrival, ordinals))
    return Records(
        exceptions=once(exceptions),
        log_events=tuple(row for row in logs if not is_use(row)),
        product_events=tuple(use_of(row) for row in logs if is_use(row)),
        deployments=deployments([*logs, *exceptions], "otlp", arrival),
    )


def _log(
    record: Any,
    said: dict[str, Any],
    logger: str,
    origin: Origin,
    arrival: Arrival,
    ordinals: Ordinals,
) -> LogEventRow:
    user, session = read_person(said, origin, arrival)
    body = _body(plain(record.body), arrival)
    rest = rest_json(said, arrival)
    nanoseconds = record.time_unix_nano or record.observed_time_unix_nano
    trace_id, span_id = read_id(record.trace_id, 16), read_id(record.span_id, 8)
    named = label(record.event_name) or label(said.get("event.name"))
    event_name = arrival.redactor.text(named)
    return LogEventRow(
        event_id=ordinals.event_id(
            "log",
            origin.service_name,
            origin.instance,
            nanoseconds,
            trace_id,
            span_id,
            logger,
            record.severity_number,
            event_name,
            body,
            rest,
        ),
        source="otlp",
        timestamp=read_time(nanoseconds) or arrival.received_at,
        received_at=arrival.received_at,
        service_name=origin.service_name,
        service_version=origin.version,
        deployment_environment_name=origin.environment,
        trace_id=trace_id,
        span_id=span_id,
        session_id=session or None,
        enduser_pseudo_id=user or None,
        severity_text=arrival.redactor.text(label(record.severity_text)) or None,
        severity_number=record.severity_number or None,
        event_name=event_name or None,
        logger_name=logger or None,
        body=body,
        exception_type=_told_type(said, arrival),
        attributes_json=rest,
    )


def _told_type(said: dict[str, Any], arrival: Arrival) -> str | None:
    if not tells_exception(said):
        return None
    return arrival.redactor.text(label(said.get("exception.type"))) or "Error"


def _body(value: Any, arrival: Arrival) -> str | None:
    if value is None:
        return None
    if isinstance(value, str):
        return arrival.redactor.text(value)
    return canonical(arrival.redactor.value(value)).decode()
