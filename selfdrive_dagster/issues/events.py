"""Issue events: each exception with the issue it belongs to.

Belongs here: the row of the `issue_events` table and how a crash becomes one. Does not belong:
counting (`gather`, `sql/issues`).
"""

from datetime import datetime
from urllib.parse import urlsplit

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues.fingerprint import (
    FINGERPRINT,
    Fingerprint,
    Grouping,
    fingerprint,
)
from selfdrive_dagster.issues.frames import is_in_app
from selfdrive_dagster.issues.score import level_of
from selfdrive_dagster.issues.traces import Trace, trace_of
from selfdrive_dagster.model import Crash, Frame
from selfdrive_dagster.telemetry.rows import ExceptionRow

PATHS = 8
"""In-app files kept with an event, nearest the raise first."""


class IssueEventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One exception event and the issue it belongs to; columns as in `ExceptionRow`.

    `severity_text` is one of the five levels of `score`. `fp_key` is the issue that the fingerprint
    alone would name, `issue_id` the one that it is in (`members`).
    `route` is the request that was served, None outside of one.
    `raised_in_app` says whether the innermost frame is the product's own, None without frames.
    """

    event_id: str
    source: str
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str | None = None
    deployment_environment_name: str | None = None
    trace_id: str | None = None
    session_id: str | None = None
    enduser_pseudo_id: str | None = None
    severity_text: str
    handled: bool | None = None
    exception_type: str
    exception_template: str
    fp_version: str
    fp_rule: str
    fp_stack: str | None = None
    fp_template: str
    fp_key: str | None = None
    issue_id: str
    culprit: str
    route: str | None = None
    in_app_paths: tuple[str, ...] = ()
    raised_in_app: bool | None = None


def issue_event(row: ExceptionRow, grouping: Grouping | None = None) -> IssueEventRow:
    """Return a stored exception with its issue. Raises BadInput if its crash cannot be read."""
    return named_event(row, grouping)[0]


def named_event(row: ExceptionRow, grouping: Grouping | None = None) -> tuple[IssueEventRow, Trace]:
    """Return a stored exception with its issue, and what it shows of its fingerprint."""
    grouping, crash = grouping or Grouping(), _crash_of(row)
    named = fingerprint(crash, grouping)
    event = _event(crash, named, grouping, row.timestamp, row.received_at, row)
    return event, trace_of(crash, named, row.timestamp, grouping)


def _crash_of(row: ExceptionRow) -> Crash:
    try:
        return msgspec.json.decode(row.crash_json, type=Crash)
    except (msgspec.ValidationError, msgspec.DecodeError) as fault:
        raise BadInput(
            f"exceptions: crash_json of event {row.event_id} cannot be read: {fault}",
            remedy="ingest the event again with this version",
        ) from fault


def crash_event(crash: Crash, now: datetime, grouping: Grouping | None = None) -> IssueEventRow:
    """Return a crash read from a file with its issue; without a time of its own it is now."""
    grouping = grouping or Grouping()
    named = fingerprint(crash, grouping)
    return _event(crash, named, grouping, crash.timestamp or now, now, None)


def grouping_version(grouping: Grouping) -> str:
    """Return what a stored issue id depends on besides the crash."""
    return f"{FINGERPRINT}:{msgspec.json.encode(grouping, order='deterministic').decode()}"


def _event(
    crash: Crash,
    named: Fingerprint,
    grouping: Grouping,
    timestamp: datetime,
    received_at: datetime,
    row: ExceptionRow | None,
) -> IssueEventRow:
    innermost = _innermost(crash)
    return IssueEventRow(
        event_id=row.event_id if row else crash.event_id,
        source=row.source if row else crash.source,
        timestamp=timestamp,
        received_at=received_at,
        service_name=row.service_name if row else crash.service_name,
        service_version=(row.service_version if row else crash.service_version) or None,
        deployment_environment_name=(
            (row.deployment_environment_name if row else crash.environment) or None
        ),
        trace_id=(row.trace_id if row else crash.trace_id) or None,
        session_id=(row.session_id if row else crash.session_id) or None,
        enduser_pseudo_id=(row.enduser_pseudo_id if row else crash.user_id) or None,
        severity_text=level_of(row.severity_text if row else crash.level),
        handled=row.handled if row else crash.raised.handled,
        exception_type=named.types[-1],
        exception_template=named.template,
        fp_version=named.version,
        fp_rule=named.rule,
        fp_stack=named.stack,
        fp_template=named.template_key,
        fp_key=named.issue_id,
        issue_id=named.issue_id,
        culprit=named.culprit,
        route=_route(crash),
        in_app_paths=_in_app_paths(crash, grouping),
        raised_in_app=None if innermost is None else is_in_app(innermost, grouping.source),
    )


def _route(crash: Crash) -> str | None:
    """Return what the product calls the request, with its method where that is told."""
    path = crash.transaction or (urlsplit(crash.request.url).path if crash.request else "")
    method = crash.request.method if crash.request and " " not in path else ""
    return f"{method} {path}".strip() or None


def _innermost(crash: Crash) -> Frame | None:
    """Return the frame of the root raise: exceptions run from the root cause."""
    for each in crash.exceptions:
        if each.frames:
            return each.frames[-1]
    return None


def _in_app_paths(crash: Crash, grouping: Grouping) -> tuple[str, ...]:
    nearest_first = (frame for each in crash.exceptions for frame in reversed(each.frames))
    own = (frame.path for frame in nearest_first if is_in_app(frame, grouping.source))
    return tuple(list(dict.fromkeys(own))[:PATHS])
