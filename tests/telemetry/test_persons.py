"""No row holds a person in clear beside the pseudonym, whichever way the person was told."""

import json

import msgspec
import pytest

from selfdrive_dagster.telemetry import Arrival, Redactor, read_records

PERSONS = ("cust-4711", "Alice Smith", "alice_smith", "sess-0815")
USER = {"id": "cust-4711", "name": "Alice Smith", "username": "alice_smith"}
TRACE, SPAN = "a" * 32, "b" * 16


def envelope(kind, payload):
    return b"{}\n" + json.dumps({"type": kind}).encode() + b"\n" + json.dumps(payload).encode()


def sentry_log(**attributes):
    typed = {name: {"value": value, "type": "string"} for name, value in attributes.items()}
    entry = {"timestamp": 1_770_000_000.0, "level": "info", "body": "paid", "attributes": typed}
    return envelope("log", {"items": [entry]})


def message(**event):
    return envelope("event", {"event_id": "c" * 32, "message": "paid", **event})


def transaction(trace, span=None):
    times = {"start_timestamp": 1_770_000_000.0, "timestamp": 1_770_000_001.0}
    root = {"trace_id": TRACE, "span_id": SPAN, "data": trace}
    spans = [{**times, "trace_id": TRACE, "span_id": "d" * 16, "data": span or {}}]
    event = {**times, "contexts": {"trace": root}, "user": USER, "spans": spans}
    return envelope("transaction", event)


def otlp_log(record=None, **attributes):
    told = [{"key": name, "value": {"stringValue": value}} for name, value in attributes.items()]
    entry = {"timeUnixNano": "1770000000000000000", "attributes": told, **(record or {})}
    scope = {"scope": {"name": "shop password=hunter2!"}, "logRecords": [entry]}
    return json.dumps({"resourceLogs": [{"scopeLogs": [scope]}]}).encode()


TOLD = {
    "attributes of a Sentry log": sentry_log(
        **{"user.id": "cust-4711", "user.name": "Alice Smith", "session.id": "sess-0815"}
    ),
    "an attribute of its own name": sentry_log(**{"user.id": "cust-4711", "buyer": "cust-4711"}),
    "data of a trace": transaction({"enduser.id": "cust-4711", "buyer": "alice_smith"}),
    "data of a span": transaction({}, {"user.id": "cust-4711", "who": ["cust-4711"]}),
    "tags": message(user=USER, tags={"user.id": "cust-4711", "user": "id:cust-4711"}),
    "tags as pairs": message(user=USER, tags=[["user.name", "Alice Smith"], ["c", "cust-4711"]]),
    "extra": message(user=USER, extra={"user": {"id": "cust-4711", "name": "Alice Smith"}}),
    "extra without a user": message(extra={"user": {"id": "cust-4711"}, "user_id": "cust-4711"}),
    "a repr in extra": message(user=USER, extra={"buyer": "'cust-4711'"}),
    "breadcrumbs": message(user=USER, breadcrumbs=[{"data": {"account": "cust-4711"}}]),
    "a session in extra": message(tags={"session.id": "sess-0815"}, extra={"cart": "sess-0815"}),
    "attributes of OTLP": otlp_log(
        **{"user.id": "cust-4711", "user.full_name": "Alice Smith", "buyer": "cust-4711"}
    ),
}


def rows_of(data):
    records = read_records(data, "test", Arrival.now(Redactor(b"key")))
    return [*records.log_events, *records.spans, *records.exceptions]


@pytest.mark.parametrize("name", TOLD)
def test_nobody_stands_in_clear_beside_the_pseudonym(name):
    rows = rows_of(TOLD[name])
    assert rows
    shown = msgspec.json.encode(rows).decode()
    assert not [person for person in PERSONS if person in shown], shown


def test_what_equals_a_user_becomes_that_users_pseudonym():
    (row,) = rows_of(message(user=USER, extra={"buyer": "cust-4711", "n": 3}))
    extra = json.loads(row.attributes_json)["extra"]
    assert extra == {"buyer": row.enduser_pseudo_id, "n": 3}


def test_a_short_id_is_replaced_only_where_a_name_speaks_of_a_person():
    (row,) = rows_of(message(user={"id": "3"}, extra={"quantity": "3", "customer": 3}))
    extra = json.loads(row.attributes_json)["extra"]
    assert extra == {"quantity": "3", "customer": row.enduser_pseudo_id}


def test_tags_that_name_nobody_stay():
    (row,) = rows_of(message(user=USER, tags={"browser": "x", "user_agent": "y", "users": "2"}))
    assert json.loads(row.attributes_json)["tags"] == {
        "browser": "x",
        "user_agent": "y",
        "users": "2",
    }


SAID = "password=hunter2!"
LABELS = {
    "severity and logger of OTLP": otlp_log({"severityText": SAID, "eventName": SAID}),
    "level and logger of Sentry": message(level=SAID, logger=SAID),
    "status and route of a span": transaction({"http.route": SAID, "http.request.method": SAID}),
    "level of a Sentry log": envelope("log", {"items": [{"level": SAID, "body": "paid"}]}),
}


@pytest.mark.parametrize("name", LABELS)
def test_what_strangers_write_as_a_label_is_redacted_as_text(name):
    rows = rows_of(LABELS[name])
    assert rows
    assert "hunter2" not in msgspec.json.encode(rows).decode().lower()
