"""docs/formats.md tells the truth: each format is read, and makes rows of the tables it names."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from selfdrive_dagster.telemetry import TABLES, Arrival, Records, Redactor, read_records
from selfdrive_dagster.telemetry.tables import TableRow, decode_rows

DOC = Path(__file__).resolve().parents[2] / "docs" / "formats.md"
ARRIVAL = Arrival(
    received_at=datetime(2026, 11, 27, 9, tzinfo=UTC), redactor=Redactor(b"k"), service_name="shop"
)
IDS = {"trace_id": "ab" * 16, "span_id": "cd" * 8}
TIME = "1795769998500000000"
STACK = 'Traceback (most recent call last):\n  File "shop/pay.py", line 7, in pay\nKeyError: 1'


def read(*values: Any) -> Records:
    """Read JSON values as the lines of a file."""
    return read_records(b"\n".join(json.dumps(each).encode() for each in values), "f", ARRIVAL)


def text(said: str) -> Records:
    """Read a text as a file."""
    return read_records(said.encode(), "f", ARRIVAL)


def envelope(*items: tuple[str, dict[str, Any]]) -> Records:
    """Read an envelope with these items."""
    return read({}, *(line for kind, payload in items for line in ({"type": kind}, payload)))


def attributes(**said: str) -> list[dict[str, Any]]:
    """Return attributes in OTLP/JSON, dots for double underscores."""
    return [{"key": name.replace("__", "."), "value": {"stringValue": value}}
            for name, value in said.items()]  # fmt: skip


RESOURCE = {"attributes": attributes(service__name="shop", service__version="2")}
RAISED = attributes(exception__type="KeyError", exception__stacktrace=STACK)


def otlp_logs(*records: dict[str, Any]) -> Records:
    """Read OTLP/JSON with log records."""
    scopes = [{"logRecords": [{"timeUnixNano": TIME, **record} for record in records]}]
    return read({"resourceLogs": [{"resource": RESOURCE, "scopeLogs": scopes}]})


def otlp_traces() -> Records:
    """Read OTLP/JSON with a span that failed."""
    event = {"name": "exception", "timeUnixNano": TIME, "attributes": RAISED}
    span = {"traceId": "ab" * 16, "spanId": "cd" * 8, "name": "GET", "startTimeUnixNano": TIME,
            "endTimeUnixNano": TIME, "events": [event]}  # fmt: skip
    scopes = [{"spans": [span]}]
    return read({"resourceSpans": [{"resource": RESOURCE, "scopeSpans": scopes}]})


def otlp_metrics() -> Records:
    """Read OTLP/JSON with a gauge."""
    metric = {"name": "rss", "gauge": {"dataPoints": [{"timeUnixNano": TIME, "asInt": "7"}]}}
    scopes = [{"metrics": [metric]}]
    return read({"resourceMetrics": [{"resource": RESOURCE, "scopeMetrics": scopes}]})


RELEASE = {"release": "shop@2", "platform": "python", "event_id": "ab" * 16}
CRASH = {"values": [{"type": "KeyError", "value": "1"}]}
ATTRS = {"attrs": {"release": "shop@2"}, "started": "2026-11-27T08:59:00Z"}
STREAMED = {"timestamp": 1.0, "attributes": {"sentry.release": {"value": "shop@2"}}}
SPAN = {**STREAMED, **IDS, "name": "GET", "start_timestamp": 1.0, "end_timestamp": 2.0}
POSTHOG = {"event": "paid", "distinct_id": "7", "properties": {"$lib": "x", "$app_version": "2"}}
SEGMENT = {"type": "track", "event": "paid", "userId": "7", "messageId": "m-1",
           "context": {"app": {"version": "2"}}}  # fmt: skip
API = {"eventID": "ab" * 16, "dateCreated": "2026-11-27T08:59:00Z",
       "entries": [{"type": "exception", "data": CRASH}],
       "tags": [{"key": "release", "value": "shop@2"}]}  # fmt: skip
PROPERTIES = {"$lib": "x", "$app_version": "2", "$exception_list": CRASH["values"]}
REPORT = {"event_id": "ab" * 16, "comments": "it broke"}

SAMPLES: dict[str, Callable[[], Records]] = {
    "otlp-traces": otlp_traces,
    "otlp-logs": lambda: otlp_logs({"body": {"stringValue": "hi"}}, {"attributes": RAISED}),
    "otlp-metrics": otlp_metrics,
    "otlp-events": lambda: otlp_logs(
        {"eventName": "app.widget.click"}, {"eventName": "feature_flag.evaluation"}
    ),
    "sentry-event": lambda: read({**RELEASE, "exception": CRASH}),
    "sentry-message": lambda: read({**RELEASE, "message": "hi"}),
    "sentry-api": lambda: read(API),
    "sentry-transaction": lambda: envelope(
        ("transaction", {**RELEASE, "contexts": {"trace": IDS}, "start_timestamp": 1.0,
                         "timestamp": 2.0})),
    "sentry-session": lambda: envelope(("session", {**ATTRS, "sid": "1", "status": "exited"})),
    "sentry-sessions": lambda: envelope(
        ("sessions", {**ATTRS, "aggregates": [{"started": ATTRS["started"], "exited": 3}]})),
    "sentry-feedback": lambda: envelope(
        ("user_report", REPORT),
        ("feedback", {**RELEASE, "contexts": {"feedback": {"message": "it broke"}}})),
    "sentry-stream": lambda: envelope(
        ("log", {"items": [{**STREAMED, "body": "hi"}]}),
        ("trace_metric", {"items": [{**STREAMED, "name": "n", "type": "gauge", "value": 1}]}),
        ("span", {"items": [SPAN]})),
    "posthog": lambda: read(POSTHOG),
    "posthog-exception": lambda: read({**POSTHOG, "event": "$exception", "properties": PROPERTIES}),
    "segment": lambda: read({"batch": [SEGMENT]}),
    "product-events": lambda: read({"event": "paid", "session_id": "s-1"}),
    "json-log": lambda: read({"event": "failed", "level": "error", "exception": STACK}),
    "text-log": lambda: text(f"2026-11-27 08:00:01,250 ERROR shop: payment failed\n{STACK}\n"),
    "traceback": lambda: text(STACK),
    "access-log": lambda: text('1.2.3.4 - - [27/Nov/2026:09:00:01 +0100] "GET / HTTP/1.1" 200 7\n'),
    "table-row": lambda: decode_rows(
        [TableRow("orders", "1", "2026-11-27 09:00+00", {"id": 1}),
         TableRow("logs", "1", "2026-11-27 09:00+00",
                  {"level": "error", "message": "failed", "traceback": STACK})],
        ARRIVAL),
    "junit": lambda: text('<testsuite><testcase classname="a" name="b" time="1"/></testsuite>'),
}  # fmt: skip


def told() -> dict[str, set[str]]:
    """Return format → tables, as the document says."""
    rows = [line.split("|") for line in DOC.read_text().splitlines() if line.startswith("| `")]
    return {row[1].strip(" `"): set(row[2].replace("`", "").replace(" ", "").split(","))
            for row in rows}  # fmt: skip


def test_every_format_is_told_and_every_told_format_is_tried() -> None:
    assert list(told()) == list(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_a_format_makes_rows_of_the_tables_that_are_named(name: str) -> None:
    records = SAMPLES[name]()
    assert {table for table in TABLES if getattr(records, table)} == told()[name]
    assert records.rejected == ()


def test_every_table_is_filled_by_some_format() -> None:
    assert set().union(*told().values()) == set(TABLES)
