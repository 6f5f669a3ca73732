"""The typed rows of telemetry: one frozen record per warehouse table, flat and plainly typed.

Column names are snake_case OpenTelemetry names with the unit as suffix; what has no column of
its own goes to `attributes_json`. Times are aware UTC datetimes with microseconds. A row holds
redacted values only. Belongs here: what a row *is*. Does not: how it is decoded or stored.

`event_id` is the sha256 (64 hex digits) of what the sender said plus an ordinal, so that a
second delivery is the same row and two identical lines of one log stay two.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from types import MappingProxyType

import msgspec


class FrameRow(msgspec.Struct, frozen=True, kw_only=True):
    """One stack frame of an exception, innermost last. Unknown is None, never an empty text."""

    module: str | None = None
    code_function_name: str | None = None
    code_file_path: str | None = None
    code_line_number: int | None = None
    in_app: bool | None = None


class ExceptionRow(msgspec.Struct, frozen=True, kw_only=True):
    """One exception event, whichever SDK sent it.

    `exception_*` describe the exception last raised; `chain_json` lists `[{type, message}]`
    from the root cause to it. `frames` are those of the exception last raised, outermost call
    first. `crash_json` is the canonical JSON of the redacted `model.Crash`.
    """

    event_id: str
    source: str
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str | None = None
    deployment_environment_name: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    session_id: str | None = None
    enduser_pseudo_id: str | None = None
    severity_text: str = "ERROR"
    severity_number: int = 17
    exception_type: str
    exception_message: str | None = None
    exception_stacktrace: str | None = None
    handled: bool | None = None
    chain_json: str
    frames: tuple[FrameRow, ...] = ()
    transaction: str | None = None
    http_request_method: str | None = None
    url_path: str | None = None
    crash_json: str
    attributes_json: str = "{}"


class SpanRow(msgspec.Struct, frozen=True, gc=False):
    """One finished span. `status_code` is UNSET, OK or ERROR; `duration_ms` is end minus start.

    A line of an access log is a span of a request: its ids are made from it.
    """

    event_id: str
    source: str
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str | None
    deployment_environment_name: str | None
    trace_id: str
    span_id: str
    parent_span_id: str | None
    session_id: str | None
    enduser_pseudo_id: str | None
    name: str
    kind: str = "INTERNAL"
    duration_ms: float | None = None
    status_code: str = "UNSET"
    status_message: str | None = None
    error_type: str | None = None
    http_request_method: str | None = None
    http_response_status_code: int | None = None
    http_route: str | None = None
    url_path: str | None = None
    attributes_json: str = "{}"


class LogEventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One log record, breadcrumb-free. `event_name` is set for OpenTelemetry events.

    `exception_type` is set where the record told an exception: that stands in `exceptions` too,
    and is counted there.
    """

    event_id: str
    source: str
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str | None = None
    deployment_environment_name: str | None = None
    trace_id: str | None = None
    span_id: str | None = None
    session_id: str | None = None
    enduser_pseudo_id: str | None = None
    severity_text: str | None = None
    severity_number: int | None = None
    event_name: str | None = None
    logger_name: str | None = None
    body: str | None = None
    exception_type: str | None = None
    attributes_json: str = "{}"


class MetricPointRow(msgspec.Struct, frozen=True, kw_only=True):
    """One data point. `value` is the number, or the mean of a histogram point.

    `kind` is gauge, sum, histogram, exponential_histogram or summary. `bucket_json` holds
    the sender's buckets as `{"bounds": […], "counts": […]}`, None where there are none.
    """

    event_id: str
    source: str
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str | None = None
    deployment_environment_name: str | None = None
    service_instance_id: str | None = None
    metric_name: str
    unit: str | None = None
    kind: str
    is_monotonic: bool | None = None
    temporality: str | None = None
    value: float | None = None
    count: int | None = None
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    bucket_json: str | None = None
    attributes_json: str = "{}"


class ProductEventRow(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that somebody did: a page seen, a click, a step of a funnel.

    `url_path` is the page's path, or a screen's name. `target` is what was clicked or filled in,
    in the sender's words, `target_tag` its HTML tag (button, a, input), `form_id` the form around
    it. `is_dead`: the sender saw that nothing came of the click; None where it does not tell.
    """

    event_id: str
    source: str
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str | None = None
    deployment_environment_name: str | None = None
    session_id: str | None = None
    enduser_pseudo_id: str | None = None
    event_name: str
    url_path: str | None = None
    target: str | None = None
    target_tag: str | None = None
    form_id: str | None = None
    is_dead: bool | None = None
    attributes_json: str = "{}"


class SessionRow(msgspec.Struct, frozen=True, kw_only=True):
    """How a session stood when its SDK told of it, or how many stood so: `count` of them.

    `timestamp` is when it began. `status` is ok (it goes on), exited, errored (it had errors and
    went on or ended well), abnormal, unhandled or crashed. Of the rows of one `session_id` the
    one with the latest `updated_at` holds; counted sessions have no id.
    """

    event_id: str
    source: str
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str | None = None
    deployment_environment_name: str | None = None
    session_id: str | None = None
    enduser_pseudo_id: str | None = None
    status: str
    updated_at: datetime
    count: int = 1
    errors: int = 0
    duration_ms: float | None = None
    attributes_json: str = "{}"


class TestResultRow(msgspec.Struct, frozen=True, kw_only=True):
    """How one test of the product's main branch went: passed, failed or skipped.

    `test_case_name` is the id that the runner gives, `message` the first line of what it said.
    """

    event_id: str
    source: str
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str | None = None
    deployment_environment_name: str | None = None
    test_case_name: str
    test_case_result_status: str
    duration_ms: float | None = None
    message: str | None = None


class DeploymentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A version of a service seen at work; `event_id` is over service, environment, version.

    `timestamp` is the event that told of it: the first sighting is the least of them.
    """

    event_id: str
    source: str
    timestamp: datetime
    received_at: datetime
    service_name: str
    service_version: str
    deployment_environment_name: str | None = None
    attributes_json: str = "{}"


class Records(msgspec.Struct, frozen=True, kw_only=True):
    """What one delivery decoded to: rows by table; `rejected` tells what could not be read."""

    exceptions: tuple[ExceptionRow, ...] = ()
    spans: tuple[SpanRow, ...] = ()
    log_events: tuple[LogEventRow, ...] = ()
    metric_points: tuple[MetricPointRow, ...] = ()
    product_events: tuple[ProductEventRow, ...] = ()
    sessions: tuple[SessionRow, ...] = ()
    test_results: tuple[TestResultRow, ...] = ()
    deployments: tuple[DeploymentRow, ...] = ()
    rejected: tuple[str, ...] = ()

    def count(self) -> int:
        """Return the number of events: all rows but deployments, which are derived from them."""
        return sum(map(len, self._tables()))

    def events(self) -> "Iterator[EventRow]":
        """Yield all events."""
        return chain(*self._tables())

    def _tables(self) -> "tuple[tuple[EventRow, ...], ...]":
        return (
            self.exceptions,
            self.spans,
            self.log_events,
            self.metric_points,
            self.product_events,
            self.sessions,
            self.test_results,
        )


EventRow = (
    ExceptionRow
    | SpanRow
    | LogEventRow
    | MetricPointRow
    | ProductEventRow
    | SessionRow
    | TestResultRow
)
Row = EventRow | DeploymentRow

TABLES: Mapping[str, type] = MappingProxyType(
    {
        "exceptions": ExceptionRow,
        "spans": SpanRow,
        "log_events": LogEventRow,
        "metric_points": MetricPointRow,
        "product_events": ProductEventRow,
        "sessions": SessionRow,
        "test_results": TestResultRow,
        "deployments": DeploymentRow,
    }
)
"""Warehouse table → row type; the names are also the fields of `Records`."""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a segment: redacted rows, and how they came.

    `signal` is traces, logs, metrics, sentry, events or file; `redaction` names the tables that
    were used (`redact.VERSION`).
    """

    signal: str
    source: str
    content_type: str
    received_at: datetime
    redaction: str
    records: Records


def join(parts: Iterable[Records]) -> Records:
    """Return one Records with the rows of all parts, in order."""
    parts = tuple(parts)
    return Records(
        exceptions=tuple(row for part in parts for row in part.exceptions),
        spans=tuple(row for part in parts for row in part.spans),
        log_events=tuple(row for part in parts for row in part.log_events),
        metric_points=tuple(row for part in parts for row in part.metric_points),
        product_events=tuple(row for part in parts for row in part.product_events),
        sessions=tuple(row for part in parts for row in part.sessions),
        test_results=tuple(row for part in parts for row in part.test_results),
        deployments=tuple(row for part in parts for row in part.deployments),
        rejected=tuple(reason for part in parts for reason in part.rejected),
    )
