"""An exception that is told twice counts once: by span and log, by a span and the one around it."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.telemetry import Arrival, ExceptionRow, Redactor
from selfdrive_dagster.telemetry.arrivals import Ordinals
from selfdrive_dagster.telemetry.otlp import decode_json

ARRIVAL = Arrival(received_at=datetime(2026, 11, 27, 9, tzinfo=UTC), redactor=Redactor(b"k"))
START = 1_795_769_990 * 10**9
MILLISECOND = 10**6
TRACE, OUTER, INNER = "ab" * 16, "01" * 8, "02" * 8


def attributes(said: dict[str, str]) -> list[dict[str, Any]]:
    """Return attributes in OTLP/JSON."""
    return [{"key": name, "value": {"stringValue": value}} for name, value in said.items()]


def raised(
    at: int, type_: str = "shop.PaymentError", message: str = "no gateway"
) -> dict[str, Any]:
    """Return an exception event, so many milliseconds after START."""
    said = {"exception.type": type_, "exception.message": message}
    return {
        "name": "exception",
        "timeUnixNano": str(START + at * MILLISECOND),
        "attributes": attributes(said),
    }


def span(span_id: str, *events: dict[str, Any], parent: str = "", **said: str) -> dict[str, Any]:
    """Return a span with events."""
    return {
        "traceId": TRACE, "spanId": span_id, "parentSpanId": parent, "name": span_id,
        "startTimeUnixNano": str(START), "endTimeUnixNano": str(START + 10**9),
        "events": list(events), "attributes": attributes(said),
    }  # fmt: skip


def log(span_id: str, at: int, type_: str = "PaymentError") -> dict[str, Any]:
    """Return a log record that tells an exception, as Python's LoggingHandler does."""
    told = raised(at, type_, "other words")
    return {
        "traceId": TRACE, "spanId": span_id, "timeUnixNano": told["timeUnixNano"],
        "attributes": told["attributes"], "body": {"stringValue": "payment failed"},
    }  # fmt: skip


def traces(*spans: dict[str, Any]) -> dict[str, Any]:
    """Return a trace request."""
    return {"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}


def logs(*records: dict[str, Any]) -> dict[str, Any]:
    """Return a log request."""
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": list(records)}]}]}


def rows(*bodies: dict[str, Any]) -> list[ExceptionRow]:
    """Decode deliveries and keep one row of each name, as the warehouse does."""
    found = [row for body in bodies for row in decode_json(body, "f", ARRIVAL).exceptions]
    return list({row.event_id: row for row in found}.values())


TOLD = {
    "a span and a log, milliseconds apart": (
        [traces(span(INNER, raised(105))), logs(log(INNER, 103))], 1),
    "both in one body": ([traces(span(INNER, raised(105))) | logs(log(INNER, 103))], 1),
    "the same delivery twice": ([traces(span(INNER, raised(1)))] * 2, 1),
    "the same log twice in one": ([logs(log(INNER, 1), log(INNER, 1))], 1),
    "a retry in one span, told by both": (
        [traces(span(INNER, raised(100), raised(200))), logs(log(INNER, 99), log(INNER, 199))], 2),
    "another type": ([traces(span(INNER, raised(1))), logs(log(INNER, 1, "KeyError"))], 2),
    "another span": ([traces(span(INNER, raised(1))), logs(log(OUTER, 1))], 2),
    "a minute later": ([logs(log(INNER, 1)), logs(log(INNER, 60_001))], 2),
    "an outer span that it left too": (
        [traces(span(INNER, raised(100), parent=OUTER), span(OUTER, raised(101)))], 1),
    "the outer span first": (
        [traces(span(OUTER, raised(101)), span(INNER, raised(100), parent=OUTER))], 1),
    "an outer span that raised before": (
        [traces(span(INNER, raised(100), parent=OUTER), span(OUTER, raised(50)))], 2),
    "an outer span that says otherwise": (
        [traces(span(INNER, raised(100), parent=OUTER),
                span(OUTER, raised(101, message="gave up")))], 2),
    "spans side by side": ([traces(span(INNER, raised(100)), span(OUTER, raised(101)))], 2),
}  # fmt: skip


@pytest.mark.parametrize("name", TOLD)
def test_what_is_told_twice_counts_once(name: str) -> None:
    bodies, count = TOLD[name]
    assert len(rows(*bodies)) == count
    assert len(rows(*bodies[::-1])) == count


def test_the_outer_span_lends_the_request_that_it_knows() -> None:
    inner = span(INNER, raised(100), parent=OUTER)
    outer = span(OUTER, raised(101), **{"http.method": "POST", "url.path": "/pay"})
    (row,) = rows(traces(inner, outer))
    assert (row.http_request_method, row.url_path, row.span_id) == ("POST", "/pay", INNER)


@given(st.lists(st.integers(0, 5), max_size=30))
def test_a_moment_keeps_its_place_whenever_it_is_told_again(moments: list[int]) -> None:
    ordinals = Ordinals()
    first = list(dict.fromkeys(moments))
    assert [ordinals.place(one, "x") for one in moments] == [first.index(one) for one in moments]
