"""Exceptions, from span events and from log records alike.

They are named by trace, span, type and time, so that a sender who reports both makes one row. The
two are told milliseconds apart, one with the type's module and one without: the bare type counts,
and the time to WINDOW_NANOSECONDS, in which the first of the spans' is the first of the logs'.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from selfdrive_dagster.model import Crash, HttpRequest, RaisedException
from selfdrive_dagster.telemetry.arrivals import (
    Arrival,
    Ordinals,
    exception_row,
    sender_id,
    split_type,
)
from selfdrive_dagster.telemetry.bounds import flag, label, text
from selfdrive_dagster.telemetry.otlp.state import with_state
from selfdrive_dagster.telemetry.otlp.values import Origin, read_person, read_time, rest_json
from selfdrive_dagster.telemetry.rows import ExceptionRow
from selfdrive_dagster.telemetry.stacktrace import find_tracebacks

MAX_STACK_CHARS = 2**18


def once(rows: Iterable[ExceptionRow]) -> tuple[ExceptionRow, ...]:
    """Keep the first row of each event id: a span event and a log record may tell one crash."""
    return tuple({row.event_id: row for row in reversed(list(rows))}.values())[::-1]


def tells_exception(said: dict[str, Any]) -> bool:
    """Say whether the attributes of a log record tell an exception."""
    return "exception.type" in said or "exception.stacktrace" in said


WINDOW_NANOSECONDS = 10 * 10**9


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where an exception was reported: its span, its time, and the attributes around it.

    `signal` is traces or logs.
    """

    signal: str
    trace_id: str | None
    span_id: str | None
    nanoseconds: int
    transaction: str
    around: dict[str, Any]
    severity: str = ""


def exception_from(
    said: dict[str, Any], place: Place, origin: Origin, arrival: Arrival, ordinals: Ordinals
) -> ExceptionRow:
    """Return the row of an exception told by attributes `said` at a place."""
    redact = arrival.redactor
    stack = text(said.get("exception.stacktrace"))
    chain = _chain(said, stack, arrival)
    user, session = read_person({**place.around, **said}, origin, arrival)
    crash = Crash(
        event_id=_name(chain, place, origin, ordinals),
        source="otlp",
        exceptions=chain,
        timestamp=read_time(place.nanoseconds),
        service_name=origin.service_name,
        service_version=origin.version or "",
        environment=origin.environment or "",
        transaction=redact.text(place.transaction),
        request=_http_request(place.around, arrival),
        user_id=user,
        session_id=session,
        trace_id=place.trace_id or "",
        span_id=place.span_id or "",
    )
    return exception_row(
        crash,
        arrival,
        stacktrace=redact.text(stack),
        severity_text=place.severity,
        attributes=msgspec.json.decode(rest_json(said, arrival)),
    )


def _name(
    chain: tuple[RaisedException, ...], place: Place, origin: Origin, ordinals: Ordinals
) -> str:
    type_, when = chain[-1].type, place.nanoseconds
    if not (place.trace_id and place.span_id):
        return ordinals.event_id("exception", origin.service_name, origin.instance, when, chain)
    key = (place.trace_id, place.span_id, type_, when // WINDOW_NANOSECONDS)
    return sender_id("exception", *key, ordinals.place(when, place.signal, *key))


def _chain(said: dict[str, Any], stack: str, arrival: Arrival) -> tuple[RaisedException, ...]:
    """Return the chain that the stack trace tells, its last exception named by the attributes."""
    redact = arrival.redactor
    module, type_ = split_type(label(said.get("exception.type")))
    escaped = flag(said.get("exception.escaped"))
    # `escaped` True: it left the span. False is also what record_exception() says by itself.
    handled = False if escaped else None
    found = find_tracebacks(stack[:MAX_STACK_CHARS])
    told = found[0].exceptions if found else ()
    last = told[-1] if told else RaisedException(type=type_ or "Error")
    message = said.get("exception.message")
    named = msgspec.structs.replace(
        last,
        type=type_ or last.type,
        # Loggers leave the module out; the stack trace names it.
        module=module if type_ and (module or type_ != last.type) else last.module,
        value=text(message) if message is not None else last.value,
        handled=handled,
        frames=with_state(last.frames, said, arrival),
    )
    return tuple(
        msgspec.structs.replace(
            one,
            value=redact.text(one.value),
            frames=tuple(
                msgspec.structs.replace(frame, source=redact.text(frame.source))
                for frame in one.frames
            ),
        )
        for one in (*told[:-1], named)
    )


def _http_request(said: dict[str, Any], arrival: Arrival) -> HttpRequest | None:
    method = label(said.get("http.request.method"))
    url = text(said.get("url.full")) or text(said.get("url.path"))
    if not method and not url:
        return None
    redact = arrival.redactor
    path, _, query = url.partition("?")
    return HttpRequest(
        method=method.upper(),
        url=redact.text(path),
        query=redact.text(text(said.get("url.query")) or query),
    )
