"""An entry: what one record of a log says, whatever it was written as, and its rows.

A record that tells an exception makes two rows: the log event, which names the exception's type
so that nobody counts it twice, and the exception with the log's level. Reading a format does not
belong here.
"""

from datetime import datetime
from typing import Any

import msgspec

from selfdrive_dagster.model import Crash, RaisedException, canonical
from selfdrive_dagster.telemetry.arrivals import (
    SEVERITY_NUMBERS,
    Arrival,
    Ordinals,
    deployments,
    exception_row,
    qualified_type,
)
from selfdrive_dagster.telemetry.persons import without_persons
from selfdrive_dagster.telemetry.redact import Redactor
from selfdrive_dagster.telemetry.rows import ExceptionRow, LogEventRow, Records

SOURCE = "file"


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One record as it was written: nothing is redacted yet, unknown is "".

    `exceptions` run from the root cause to the one last raised; `stacktrace` is their text.
    A bare traceback, which no logger wrote, `is_bare`: it is no log event.
    """

    timestamp: datetime | None = None
    level: str = ""
    logger: str = ""
    body: str = ""
    service_name: str = ""
    service_version: str = ""
    environment: str = ""
    trace_id: str = ""
    span_id: str = ""
    user: str = ""
    session: str = ""
    attributes: dict[str, Any] = {}
    exceptions: tuple[RaisedException, ...] = ()
    stacktrace: str = ""
    is_bare: bool = False


def records_of(entries: list[Entry], arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return the redacted rows of entries, in their order."""
    logs = tuple(_log(entry, arrival, ordinals) for entry in entries if not entry.is_bare)
    told = (entry for entry in entries if entry.exceptions)
    exceptions = tuple(_exception(entry, arrival, ordinals) for entry in told)
    versions = deployments([*logs, *exceptions], SOURCE, arrival)
    return Records(exceptions=exceptions, log_events=logs, deployments=versions)


def _log(entry: Entry, arrival: Arrival, ordinals: Ordinals) -> LogEventRow:
    redact = arrival.redactor
    body, attributes = redact.text(entry.body), _attributes(entry, arrival)
    level = entry.level.lower()
    service = entry.service_name or arrival.service_name
    return LogEventRow(
        event_id=ordinals.event_id(
            "log", service, entry.timestamp, level, entry.logger, body, attributes
        ),
        source=SOURCE,
        timestamp=entry.timestamp or arrival.received_at,
        received_at=arrival.received_at,
        service_name=service,
        service_version=entry.service_version or None,
        deployment_environment_name=entry.environment or None,
        trace_id=entry.trace_id or None,
        span_id=entry.span_id or None,
        session_id=redact.pseudonym("session", entry.session) or None,
        enduser_pseudo_id=redact.pseudonym("user", entry.user) or None,
        severity_text=redact.text(level).upper() or None,
        severity_number=SEVERITY_NUMBERS.get(level),
        logger_name=redact.text(entry.logger) or None,
        body=body or None,
        exception_type=qualified_type(entry.exceptions[-1]) if entry.exceptions else None,
        attributes_json=canonical(attributes).decode(),
    )


def _exception(entry: Entry, arrival: Arrival, ordinals: Ordinals) -> ExceptionRow:
    redact = arrival.redactor
    exceptions = tuple(redacted(one, redact) for one in entry.exceptions)
    crash = Crash(
        event_id=ordinals.event_id("file", entry.timestamp, exceptions),
        source=SOURCE,
        exceptions=exceptions,
        timestamp=entry.timestamp,
        service_name=entry.service_name or arrival.service_name,
        service_version=entry.service_version,
        environment=entry.environment,
        user_id=redact.pseudonym("user", entry.user),
        session_id=redact.pseudonym("session", entry.session),
        trace_id=entry.trace_id,
        span_id=entry.span_id,
    )
    return exception_row(
        crash,
        arrival,
        stacktrace=redact.text(entry.stacktrace),
        severity_text=redact.text(entry.level),
        attributes=_attributes(entry, arrival),
    )


def _attributes(entry: Entry, arrival: Arrival) -> dict[str, Any]:
    known = (("user", entry.user), ("session", entry.session))
    return without_persons(entry.attributes, arrival.redactor, (one for one in known if one[1]))


def redacted(raised: RaisedException, redact: Redactor) -> RaisedException:
    """Return an exception without secrets; variables go where the redactor keeps none."""
    replace = msgspec.structs.replace
    frames = tuple(
        replace(
            frame,
            source=redact.text(frame.source),
            variables=_variables(frame.variables, redact),
        )
        for frame in raised.frames
    )
    return replace(raised, value=redact.text(raised.value), frames=frames)


def _variables(sent: dict[str, Any] | None, redact: Redactor) -> dict[str, Any] | None:
    if sent is None or not redact.keeps_variables:
        return None
    kept = redact.value(sent)
    return kept if isinstance(kept, dict) else None
