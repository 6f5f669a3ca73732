"""Sessions as Sentry's release health tells them: one by one, or counted by the minute.

One by one, each update of a session is a row, and the latest (`updated_at`) holds.
"""

from typing import Any

from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals, sender_id
from selfdrive_dagster.telemetry.bounds import (
    check_rows,
    label,
    mapping,
    moment,
    real,
    sequence,
    text,
    whole,
)
from selfdrive_dagster.telemetry.rows import Records, SessionRow

STATUSES = ("ok", "exited", "errored", "abnormal", "unhandled", "crashed")
"""How a session stands, the worst last; "errored" is one that ended well after errors."""

MAX_COUNT = 10**9


def decode_session(payload: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return the row of a `session` item."""
    started, sid = moment(payload.get("started")), text(payload.get("sid"))
    status = label(payload.get("status")).lower() or "ok"
    if started is None or not sid or status not in STATUSES:
        return Records(rejected=("a session without an id, a start or a status that we know",))
    told = moment(payload.get("timestamp")) or arrival.received_at
    seconds, errors = real(payload.get("duration")), whole(payload.get("errors")) or 0
    has_errors = status in ("ok", "exited") and errors > 0
    row = SessionRow(
        event_id=sender_id("session", sid, whole(payload.get("seq")), told, status, errors),
        **_shared(payload, arrival),
        timestamp=started,
        session_id=arrival.redactor.pseudonym("session", sid) or None,
        enduser_pseudo_id=arrival.redactor.pseudonym("user", text(payload.get("did"))) or None,
        status="errored" if has_errors else status,
        updated_at=told,
        errors=errors,
        duration_ms=seconds * 1000 if seconds is not None and seconds >= 0 else None,
    )
    return Records(sessions=(row,))


def decode_sessions(payload: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return the rows of a `sessions` item: one for each minute, user and status."""
    sent = [mapping(one) for one in sequence(payload.get("aggregates"))]
    check_rows(len(sent) * len(STATUSES), "The sessions item")
    shared = _shared(payload, arrival)
    named = [shared[name] for name in NAMED]
    rows: list[SessionRow] = []
    rejected: list[str] = []
    for one in sent:
        started, user = moment(one.get("started")), text(one.get("did"))
        if started is None:
            rejected.append("counted sessions without a start")
            continue
        for status in STATUSES:
            count = whole(one.get(status)) or 0
            if not 0 < count <= MAX_COUNT:
                continue
            rows.append(
                SessionRow(
                    event_id=ordinals.event_id(
                        "sessions", arrival.delivery, *named, user, started, status
                    ),
                    **shared,
                    timestamp=started,
                    enduser_pseudo_id=arrival.redactor.pseudonym("user", user) or None,
                    status=status,
                    updated_at=arrival.received_at,
                    count=count,
                )
            )
    return Records(sessions=tuple(rows), rejected=tuple(rejected))


NAMED = ("service_name", "service_version", "deployment_environment_name")


def _shared(payload: dict[str, Any], arrival: Arrival) -> dict[str, Any]:
    attributes = mapping(payload.get("attrs"))
    return {
        "source": "sentry",
        "received_at": arrival.received_at,
        "service_name": arrival.service_name,
        "service_version": label(attributes.get("release")) or None,
        "deployment_environment_name": label(attributes.get("environment")) or None,
    }
