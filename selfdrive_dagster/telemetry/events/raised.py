"""Exceptions that PostHog's SDKs capture: an event `$exception` whose list is Sentry's, reversed.

Its frames are Sentry's too (`code_variables` for `vars`), so that decoder reads them.
"""

from typing import Any

import msgspec

from selfdrive_dagster.telemetry.arrivals import Arrival, exception_row, sender_id
from selfdrive_dagster.telemetry.bounds import label, mapping, sequence, text
from selfdrive_dagster.telemetry.rows import ExceptionRow, ProductEventRow
from selfdrive_dagster.telemetry.sentry.event import crash_from_event

SOURCE = "posthog"


def is_raised(event: dict[str, Any]) -> bool:
    """Say whether an event tells an exception."""
    listed = sequence(mapping(event.get("properties")).get("$exception_list"))
    return label(event.get("event")) == "$exception" and bool(listed)


def raised_row(
    event: dict[str, Any], told: ProductEventRow, arrival: Arrival
) -> ExceptionRow | None:
    """Return the row of an exception; `told` is what the event says as any other would."""
    properties = mapping(event.get("properties"))
    listed = [_exception(mapping(one)) for one in sequence(properties["$exception_list"])]
    named = {"values": listed[::-1]}
    crash = crash_from_event(
        {
            "exception": named,
            "level": properties.get("$exception_level"),
            "contexts": {"trace": {"trace_id": properties.get("$trace_id"),
                                   "span_id": properties.get("$span_id")}},
            "request": {"url": text(properties.get("$current_url"))},
        },
        arrival,
        sender_id("exception", told.event_id),
    )  # fmt: skip
    if crash is None:
        return None
    crash = msgspec.structs.replace(
        crash,
        source=SOURCE,
        timestamp=told.timestamp,
        service_name=told.service_name,
        service_version=told.service_version or "",
        environment=told.deployment_environment_name or "",
        user_id=told.enduser_pseudo_id or "",
        session_id=told.session_id or "",
        request=crash.request if crash.request and crash.request.url else None,
    )
    return exception_row(crash, arrival)


def _exception(one: dict[str, Any]) -> dict[str, Any]:
    frames = sequence(mapping(one.get("stacktrace")).get("frames"))
    return {**one, "stacktrace": {"frames": [_frame(mapping(frame)) for frame in frames]}}


def _frame(frame: dict[str, Any]) -> dict[str, Any]:
    return {**frame, "vars": frame.get("code_variables")}
