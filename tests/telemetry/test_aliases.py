"""Attributes of older conventions are stored under today's names, whichever SDK says them."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from selfdrive_dagster.telemetry import Arrival, Redactor, read_records
from selfdrive_dagster.telemetry.aliases import ALIASES, current_names

ARRIVAL = Arrival(received_at=datetime(2026, 11, 27, 9, tzinfo=UTC), redactor=Redactor(b"k"))

CASES = {
    "a target is path and query": (
        {"http.target": "/cart?page=2"}, {"url.path": "/cart", "url.query": "page=2"}),
    "a target without a query has none": ({"http.target": "/cart"}, {"url.path": "/cart"}),
    "the namespace goes before the function": (
        {"code.namespace": "shop.pay", "code.function": "pay"},
        {"code.function.name": "shop.pay.pay"}),
    "a function alone": ({"code.function": "pay"}, {"code.function.name": "pay"}),
    "today's name wins": (
        {"http.method": "GET", "http.request.method": "POST"}, {"http.request.method": "POST"}),
    "other names stay": ({"http.route": "/cart", "n": 1}, {"http.route": "/cart", "n": 1}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_older_names_become_todays(name: str) -> None:
    said, stored = CASES[name]
    assert current_names(said) == stored


def test_no_name_is_an_alias_of_an_alias() -> None:
    assert not set(ALIASES) & set(ALIASES.values())


OLD = {"http.method": "GET", "http.status_code": 500, "http.target": "/cart?token=abc"}
IDS = {"trace_id": "ab" * 16, "span_id": "cd" * 8}


def otlp() -> dict[str, Any]:
    """Return a span with the old names in OTLP/JSON."""
    kinds = {str: "stringValue", int: "intValue"}
    said = [{"key": name, "value": {kinds[type(one)]: one}} for name, one in OLD.items()]
    span = {"traceId": IDS["trace_id"], "spanId": IDS["span_id"], "name": "GET", "kind": 2,
            "startTimeUnixNano": "1000000000", "endTimeUnixNano": "2000000000",
            "attributes": said}  # fmt: skip
    return {"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]}


def envelope(kind: str, payload: dict[str, Any]) -> bytes:
    """Return an envelope with one item."""
    return b"\n".join(json.dumps(line).encode() for line in ({}, {"type": kind}, payload))


STREAMED = {
    **IDS, "name": "GET", "start_timestamp": 1.0, "end_timestamp": 2.0,
    "attributes": {name: {"value": one} for name, one in OLD.items()},
}  # fmt: skip
TRANSACTION = {
    "type": "transaction", "platform": "python", "start_timestamp": 1.0, "timestamp": 2.0,
    "contexts": {"trace": {"trace_id": IDS["trace_id"], "span_id": "ef" * 8}},
    "spans": [{**IDS, "start_timestamp": 1.0, "timestamp": 2.0, "data": OLD}],
}  # fmt: skip
SENDERS = {
    "OTLP": json.dumps(otlp()).encode(),
    "a span of Sentry's": envelope("span", {"items": [STREAMED]}),
    "a transaction of Sentry's": envelope("transaction", TRANSACTION),
}


@pytest.mark.parametrize("name", SENDERS)
def test_every_sender_of_spans_fills_the_same_columns(name: str) -> None:
    row = read_records(SENDERS[name], "f", ARRIVAL).spans[-1]
    found = (row.http_request_method, row.http_response_status_code, row.url_path)
    assert found == ("GET", 500, "/cart")
    kept = json.loads(row.attributes_json)
    assert not set(OLD) & set(kept)
    assert "abc" not in row.attributes_json
