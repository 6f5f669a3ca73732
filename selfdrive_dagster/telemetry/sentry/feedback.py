"""What users write themselves: the old `user_report` item and the newer `feedback` event.

Both become a log event named `user.feedback`. Whoever wrote it is a pseudonym; name and address
are not kept, and what stands in the words is redacted like any text.
"""

from typing import Any

from selfdrive_dagster.model import canonical
from selfdrive_dagster.telemetry.arrivals import Arrival, Ordinals, sender_id, url_path
from selfdrive_dagster.telemetry.bounds import hex_id, label, mapping, moment, text
from selfdrive_dagster.telemetry.persons import without_persons
from selfdrive_dagster.telemetry.rows import LogEventRow, Records
from selfdrive_dagster.telemetry.sentry.event import Who, known_persons

FEEDBACK = "user.feedback"


def is_feedback(event: dict[str, Any]) -> bool:
    """Say whether an event is somebody's words."""
    return event.get("type") == "feedback" or "feedback" in mapping(event.get("contexts"))


def decode_report(report: dict[str, Any], arrival: Arrival, _ordinals: Ordinals) -> Records:
    """Return the row of a `user_report` item: words about one event."""
    about = hex_id(report.get("event_id"), 32)
    words = arrival.redactor.text(text(report.get("comments")))
    if not about or not words:
        return Records(rejected=("a user report without an event or without words",))
    user = text(report.get("email")) or text(report.get("name"))
    row = LogEventRow(
        event_id=sender_id("feedback", about, words),
        source="sentry",
        timestamp=arrival.received_at,
        received_at=arrival.received_at,
        service_name=arrival.service_name,
        enduser_pseudo_id=arrival.redactor.pseudonym("user", user) or None,
        **_log_fields(words, about, {}),
    )
    return Records(log_events=(row,))


def decode_feedback(event: dict[str, Any], arrival: Arrival, ordinals: Ordinals) -> Records:
    """Return the row of a `feedback` item, an event whose words stand in a context."""
    said = mapping(mapping(event.get("contexts")).get("feedback"))
    redact, who = arrival.redactor, Who.of(event, arrival)
    words = redact.text(text(said.get("message")))
    if not words:
        return Records(rejected=("a feedback without words",))
    sent_id = hex_id(event.get("event_id"), 32)
    named = text(said.get("contact_email")) or text(said.get("name"))
    about = hex_id(said.get("associated_event_id"), 32)
    path = redact.text(url_path(text(said.get("url"))))
    known = [*known_persons(event), *((("user", named),) if named else ())]
    rest = without_persons(
        {"tags": mapping(event.get("tags")), "source": said.get("source"), "url.path": path},
        redact,
        known,
    )
    row = LogEventRow(
        event_id=sender_id("feedback", sent_id)
        if sent_id
        else ordinals.event_id("feedback", event),
        source="sentry",
        timestamp=moment(event.get("timestamp")) or arrival.received_at,
        received_at=arrival.received_at,
        service_name=who.service_name,
        service_version=who.version or None,
        deployment_environment_name=who.environment or None,
        trace_id=who.trace_id or None,
        span_id=who.span_id or None,
        session_id=who.session_id or None,
        enduser_pseudo_id=who.user_id or redact.pseudonym("user", named) or None,
        **_log_fields(words, about, rest),
    )
    return Records(log_events=(row,))


def _log_fields(words: str, about: str, rest: dict[str, Any]) -> dict[str, Any]:
    """Return what both have: `exception.event_id` is the row that they speak of."""
    attributes = {name: one for name, one in rest.items() if one}
    if about:
        attributes["exception.event_id"] = sender_id("sentry", about)
    return {
        "severity_text": "INFO",
        "severity_number": 9,
        "event_name": FEEDBACK,
        "logger_name": label("sentry.feedback"),
        "body": words,
        "attributes_json": canonical(attributes).decode(),
    }
