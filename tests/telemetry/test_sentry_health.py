"""Sentry's items beyond crashes: sessions, feedback, metrics and spans one by one."""

import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from selfdrive_dagster.telemetry import Arrival, Records, Redactor, read_records
from selfdrive_dagster.telemetry.arrivals import Ordinals
from selfdrive_dagster.telemetry.sentry.sessions import decode_sessions

NOW = datetime(2026, 11, 27, 9, tzinfo=UTC)
ARRIVAL = Arrival(received_at=NOW, redactor=Redactor(b"k"), service_name="shop")
ATTRIBUTES = {"release": "shop@2", "environment": "prod", "ip_address": "203.0.113.9"}
STARTED = "2026-11-27T08:59:00Z"


def read(kind: str, payload: dict[str, Any]) -> Records:
    """Read an envelope with one item as a file."""
    lines = ({}, {"type": kind}, payload)
    return read_records(b"\n".join(json.dumps(line).encode() for line in lines), "f", ARRIVAL)


# ---- sessions

SESSION = {
    "sid": "01936c1e-0000-7000-8000-000000000001",
    "did": "ada@example.com",
    "init": True,
    "started": STARTED,
    "timestamp": "2026-11-27T08:59:30Z",
    "status": "exited",
    "duration": 30.5,
    "attrs": ATTRIBUTES,
}


@pytest.mark.parametrize(
    ("said", "status"),
    [({}, "exited"), ({"errors": 2}, "errored"), ({"status": "ok", "errors": 1}, "errored"),
     ({"status": "crashed", "errors": 1}, "crashed"), ({"status": "abnormal"}, "abnormal")],
)  # fmt: skip
def test_a_session_is_a_row_that_says_how_it_stands(said: dict, status: str) -> None:
    records = read("session", {**SESSION, **said})
    (row,) = records.sessions
    assert (row.status, row.count, row.duration_ms) == (status, 1, 30_500.0)
    assert (row.service_version, row.deployment_environment_name) == ("shop@2", "prod")
    assert row.timestamp == datetime(2026, 11, 27, 8, 59, tzinfo=UTC)
    assert not any(word in str(records) for word in ("ada", "203.0.113", SESSION["sid"]))
    assert [one.service_version for one in records.deployments] == ["shop@2"]


def test_an_update_is_another_row_of_the_same_session_and_a_repetition_is_none() -> None:
    begun = {**SESSION, "status": "ok", "seq": 0}
    ended = {**SESSION, "seq": 1, "timestamp": "2026-11-27T08:59:40Z"}
    rows = [read("session", one).sessions[0] for one in (begun, ended, ended)]
    assert len({row.session_id for row in rows}) == 1
    assert rows[0].event_id != rows[1].event_id == rows[2].event_id
    assert rows[0].updated_at < rows[1].updated_at


def test_counted_sessions_are_a_row_for_each_status() -> None:
    told = {"started": STARTED, "exited": 7, "errored": 2, "crashed": 1, "abnormal": 0}
    rows = read("sessions", {"aggregates": [told, told], "attrs": ATTRIBUTES}).sessions
    assert [(row.status, row.count) for row in rows] == [
        ("exited", 7), ("errored", 2), ("crashed", 1),
    ] * 2  # fmt: skip
    assert len({row.event_id for row in rows}) == 6
    assert {row.session_id for row in rows} == {None}


def test_equal_counts_of_two_processes_are_two_and_a_file_read_twice_is_one() -> None:
    payload = {"aggregates": [{"started": STARTED, "exited": 7}], "attrs": ATTRIBUTES}

    def name(delivery: str) -> str:
        arrival = msgspec.structs.replace(ARRIVAL, delivery=delivery)
        return decode_sessions(payload, arrival, Ordinals()).sessions[0].event_id

    assert name("one") != name("other")
    assert read("sessions", payload) == read("sessions", payload)


@pytest.mark.parametrize(
    ("kind", "payload"),
    [("session", {**SESSION, "started": "yesterday"}), ("session", {**SESSION, "status": "odd"}),
     ("sessions", {"aggregates": [{"exited": 3}]})],
)  # fmt: skip
def test_a_session_that_cannot_be_placed_is_told(kind: str, payload: dict) -> None:
    records = read(kind, payload)
    assert records.sessions == ()
    assert len(records.rejected) == 1


# ---- feedback

REPORT = {
    "event_id": "ab" * 16,
    "name": "Ada Lovelace",
    "email": "ada@example.com",
    "comments": "I clicked pay, mail me at ada@example.com",
}
FEEDBACK = {
    "event_id": "cd" * 16,
    "timestamp": "2026-11-27T08:59:58Z",
    "platform": "javascript",
    "release": "shop@2",
    "environment": "prod",
    "contexts": {
        "feedback": {
            "message": "I clicked pay, mail me at ada@example.com",
            "contact_email": "ada@example.com",
            "name": "Ada Lovelace",
            "url": "http://shop.example/cart?token=abc",
            "associated_event_id": "ab" * 16,
        }
    },
}


@pytest.mark.parametrize(("kind", "payload"), [("user_report", REPORT), ("feedback", FEEDBACK)])
def test_feedback_is_a_log_event_that_names_the_exception_it_speaks_of(
    kind: str, payload: dict
) -> None:
    (row,) = read(kind, payload).log_events
    crash = {"event_id": "ab" * 16, "exception": {"values": [{"type": "KeyError"}]}}
    (raised,) = read("event", crash).exceptions
    assert (row.event_name, row.severity_text) == ("user.feedback", "INFO")
    assert row.body == "I clicked pay, mail me at [email]"
    assert json.loads(row.attributes_json)["exception.event_id"] == raised.event_id
    assert len(row.enduser_pseudo_id or "") == 32
    assert not any(word in str(row) for word in ("Lovelace", "ada@", "token"))


@pytest.mark.parametrize("kind", ["user_report", "feedback"])
def test_feedback_without_words_is_told(kind: str) -> None:
    assert "without words" in read(kind, {"event_id": "ab" * 16}).rejected[0]


# ---- items of many entries

SAID = {
    "sentry.release": {"value": "shop@2", "type": "string"},
    "sentry.environment": {"value": "prod", "type": "string"},
    "user.id": {"value": "ada@example.com", "type": "string"},
    "card": {"value": "visa", "type": "string"},
}
METRIC = {
    "timestamp": 1_795_769_998.5,
    "name": "orders",
    "type": "counter",
    "value": 3,
    "unit": "item",
    "trace_id": "ab" * 16,
    "attributes": SAID,
}
SPAN = {
    "trace_id": "ab" * 16,
    "span_id": "cd" * 8,
    "name": "POST /pay",
    "status": "error",
    "start_timestamp": 1_795_769_998.5,
    "end_timestamp": 1_795_769_998.75,
    "attributes": {
        **SAID,
        "sentry.op": {"value": "http.server"},
        "url.full": {"value": "http://shop.example/pay?token=abc"},
        "http.response.status_code": {"value": 500},
    },
}


@pytest.mark.parametrize(
    ("kind", "stored"), [("counter", "sum"), ("gauge", "gauge"), ("distribution", "gauge")]
)
def test_a_metric_is_a_point(kind: str, stored: str) -> None:
    (row,) = read("trace_metric", {"items": [{**METRIC, "type": kind}]}).metric_points
    assert (row.metric_name, row.value, row.unit, row.kind) == ("orders", 3.0, "item", stored)
    assert (row.service_version, row.deployment_environment_name) == ("shop@2", "prod")
    assert json.loads(row.attributes_json)["card"] == "visa"
    assert "ada" not in str(row)


def test_a_span_sent_alone_is_a_span() -> None:
    (row,) = read("span", {"items": [SPAN]}).spans
    assert (row.name, row.kind, row.status_code) == ("POST /pay", "SERVER", "ERROR")
    assert (row.duration_ms, row.url_path) == (250.0, "/pay")
    assert row.http_response_status_code == 500


@pytest.mark.parametrize(
    ("kind", "entry"),
    [("trace_metric", {**METRIC, "value": "three"}), ("trace_metric", {**METRIC, "type": "set"}),
     ("span", {**SPAN, "span_id": ""})],
)  # fmt: skip
def test_an_entry_that_lacks_something_is_told_and_keeps_no_other_out(
    kind: str, entry: dict
) -> None:
    whole = METRIC if kind == "trace_metric" else SPAN
    records = read(kind, {"items": [entry, whole]})
    assert (records.count(), len(records.rejected)) == (1, 1)
