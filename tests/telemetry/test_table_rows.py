"""A row of a product's table is an event, a log line, or a use named like its table."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from selfdrive_dagster.telemetry import Arrival, Records, Redactor
from selfdrive_dagster.telemetry.tables import TableRow, decode_rows, plain

ARRIVAL = Arrival(
    received_at=datetime(2026, 11, 27, 9, tzinfo=UTC), redactor=Redactor(b"k"), service_name="shop"
)
UPDATED = "2026-11-27 08:59:58.5+00"
MOMENT = datetime(2026, 11, 27, 8, 59, 58, 500_000, UTC)


def decode(columns: dict[str, Any], key: str = "1", updated: str = UPDATED) -> Records:
    return decode_rows([TableRow("public.orders", key, updated, columns)], ARRIVAL)


EVENT = {"event": "checkout started", "session_id": "s-1", "user_id": "ada@example.com",
         "url_path": "/cart", "properties": {"plan": "pro"}}  # fmt: skip
ORDER = {"id": 1, "user_id": "ada@example.com", "total": Decimal("9.50"), "note": "a@b.example"}
STACK = 'Traceback (most recent call last):\n  File "a.py", line 1, in f\nKeyError: 1'
LOG = {"id": 1, "level": "error", "message": "payment failed for ada@example.com",
       "traceback": STACK}  # fmt: skip


def test_a_row_with_an_event_is_that_event() -> None:
    (row,) = decode(EVENT).product_events
    assert (row.event_name, row.url_path, row.timestamp) == ("checkout started", "/cart", MOMENT)
    assert json.loads(row.attributes_json)["plan"] == "pro"


def test_any_other_row_is_a_use_named_like_its_table() -> None:
    (row,) = decode(ORDER).product_events
    assert (row.event_name, row.service_name) == ("public.orders", "shop")
    assert json.loads(row.attributes_json) == {"id": 1, "total": 9.5, "note": "[email]"}
    assert len(row.enduser_pseudo_id or "") == 32


def test_a_row_with_a_level_and_a_message_is_a_log_event_and_its_exception() -> None:
    records = decode(LOG)
    assert [(row.body, row.timestamp) for row in records.log_events] == [
        ("payment failed for [email]", MOMENT)
    ]
    assert [row.exception_type for row in records.exceptions] == ["KeyError"]


def test_a_message_between_people_is_no_log() -> None:
    records = decode({"id": 1, "message": "hello", "time": "2026-11-27T08:00:00Z"})
    assert (len(records.product_events), records.log_events) == (1, ())


@pytest.mark.parametrize("columns", [EVENT, ORDER, LOG], ids=["event", "order", "log"])
def test_a_row_is_one_whenever_it_is_read_and_another_once_it_is_changed(
    columns: dict[str, Any],
) -> None:
    def names(records: Records) -> set[str]:
        return {row.event_id for row in (*records.product_events, *records.log_events)}

    first = names(decode(columns))
    assert first == names(decode(columns))
    assert first.isdisjoint(names(decode(columns, key="2")))
    assert first.isdisjoint(names(decode(columns, updated="2026-11-27 08:59:59+00")))


VALUES = {
    "a time": (datetime(2026, 11, 27, tzinfo=UTC), "2026-11-27T00:00:00+00:00"),
    "a day": (date(2026, 11, 27), "2026-11-27"),
    "an amount": (Decimal("9.5"), 9.5),
    "no number": (float("nan"), None),
    "a span of time": (timedelta(seconds=90), 90.0),
    "bytes": (b"\x00\x01", "[2 bytes]"),
    "a list": ([1, b"x"], [1, "[1 bytes]"]),
    "an object": ({"a": Decimal("1")}, {"a": 1.0}),
}


@pytest.mark.parametrize("name", VALUES)
def test_a_column_is_what_json_can_hold(name: str) -> None:
    value, held = VALUES[name]
    assert plain(value) == held
