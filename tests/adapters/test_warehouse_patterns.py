"""Patterns: what counts as a sighting, and what nearly is one and does not count."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from issue_rows import NOW, crash_of, row_of
from msgspec.structs import replace

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.model import digest
from selfdrive_dagster.telemetry.rows import LogEventRow, SpanRow

MODELS = load_models(Path(__file__).parents[2] / "sql")
AT = NOW.replace(minute=0) - timedelta(hours=2)
Rows = list[SpanRow] | list[LogEventRow]


def asked(
    seconds: float, *, status: int = 200, session: str | None = "s1", **told: object
) -> SpanRow:
    """Return a request that was answered so many seconds after AT."""
    at = AT + timedelta(seconds=seconds)
    row = SpanRow(
        event_id=digest([at.isoformat(), session, status, str(told)]),
        source="otlp",
        timestamp=at,
        received_at=at,
        service_name="shop",
        service_version="1.0",
        deployment_environment_name=None,
        trace_id=digest([at.isoformat(), session])[:32],
        span_id="1" * 16,
        parent_span_id=None,
        session_id=session,
        enduser_pseudo_id=None,
        name="GET /cart",
        kind="SERVER",
        duration_ms=20.0,
        status_code="ERROR" if status >= 500 else "UNSET",
        http_request_method="GET",
        http_response_status_code=status,
        http_route="/cart",
        url_path="/cart",
    )
    return replace(row, **told)


def logged(seconds: float, body: str, *, severity: int = 17) -> LogEventRow:
    at = AT + timedelta(seconds=seconds)
    return LogEventRow(
        event_id=digest([at.isoformat(), body]),
        source="otlp",
        timestamp=at,
        received_at=at,
        service_name="shop",
        severity_number=severity,
        logger_name="shop.mail",
        body=body,
    )


SEEN: dict[str, tuple[str, Rows, list[tuple[str, int]]]] = {
    "a failure that no exception tells of": (
        "failed_requests",
        [asked(0, status=503), asked(1)],
        [("GET /cart", 1)],
    ),
    "a visitor's own fault is no failure": ("failed_requests", [asked(0, status=404)], []),
    "cut off by a gateway: a timeout, not a failure": (
        "failed_requests",
        [asked(0, status=504)],
        [],
    ),
    "a gateway's timeout": ("timeouts", [asked(0, status=504)], [("GET /cart", 1)]),
    "a call to a neighbour that took too long": (
        "timeouts",
        [asked(0, kind="CLIENT", name="bank", error_type="httpx.ReadTimeout", status=200)],
        [("call bank", 1)],
    ),
    "slow is not timed out": ("timeouts", [asked(0, duration_ms=29_000.0)], []),
    "three tries in a minute, two in vain": (
        "retry_loops",
        [asked(0, status=500), asked(20, status=500), asked(40)],
        [("GET /cart", 1)],
    ),
    "a loop is one sighting however long it goes on": (
        "retry_loops",
        [asked(5 * n, status=500) for n in range(8)],
        [("GET /cart", 1)],
    ),
    "two loops with a pause between them are two": (
        "retry_loops",
        [asked(600 * part + 5 * n, status=500) for part in range(2) for n in range(3)],
        [("GET /cart", 2)],
    ),
    "a loop across the full hour": (
        "retry_loops",
        [asked(3_600 + 20 * n, status=500) for n in (-2, -1, 0)],
        [("GET /cart", 1)],
    ),
    "somebody who reads the page often is in no loop": (
        "retry_loops",
        [asked(5 * n) for n in range(8)],
        [],
    ),
    "three visitors who each fail once are in no loop": (
        "retry_loops",
        [asked(n, status=500, session=f"s{n}") for n in range(3)],
        [],
    ),
    "too slowly for a loop": (
        "retry_loops",
        [asked(40 * n, status=500) for n in range(3)],
        [],
    ),
    "nobody knows who asked": (
        "retry_loops",
        [asked(n, status=500, session=None) for n in range(5)],
        [],
    ),
    "messages that differ in numbers are one": (
        "error_logs",
        [logged(n, f"mail {n} was not sent") for n in range(3)],
        [("mail <int> was not sent", 3)],
    ),
    "a warning is no error": ("error_logs", [logged(0, "mail is slow", severity=13)], []),
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


@pytest.mark.parametrize("name", SEEN)
def test_a_pattern_is_seen_or_it_is_none(name: str, warehouse: Warehouse) -> None:
    table, rows, wanted = SEEN[name]
    warehouse.append("log_events" if table == "error_logs" else "spans", rows)
    refresh(warehouse, MODELS)
    found = warehouse.query(f"SELECT subject, count(*) AS n FROM {table} GROUP BY ALL ORDER BY ALL")
    assert found.rows() == wanted


EXPLAINED: dict[str, tuple[dict[str, object], Callable[[SpanRow], datetime], int]] = {
    "by the trace": ({}, lambda span: span.timestamp, 0),
    "by method, path and time, from another SDK": (
        {"trace_id": "f" * 32},
        lambda span: span.timestamp + timedelta(seconds=1),
        0,
    ),
    "not by an exception a minute earlier": (
        {"trace_id": "f" * 32},
        lambda span: span.timestamp - timedelta(minutes=1),
        1,
    ),
    "not by an exception elsewhere": (
        {"trace_id": "f" * 32, "url_path": "/search"},
        lambda span: span.timestamp,
        1,
    ),
}


@pytest.mark.parametrize("name", EXPLAINED)
def test_a_failure_that_an_exception_explains_is_no_issue_of_its_own(
    name: str, warehouse: Warehouse
) -> None:
    told, when, wanted = EXPLAINED[name]
    span = asked(3_599.5, status=500)
    crash = row_of(crash_of("total"))
    where = {"http_request_method": "GET", "url_path": "/cart", "trace_id": span.trace_id}
    warehouse.append("spans", [span])
    refresh(warehouse, MODELS)
    # The exception comes later, in another hour: the hour of the request is made anew.
    warehouse.append("exceptions", [replace(crash, timestamp=when(span), **{**where, **told})])
    refresh(warehouse, MODELS)
    assert len(warehouse.query("SELECT * FROM failed_requests")) == wanted


def test_rotating_messages_open_a_bounded_number_of_issues(warehouse: Warehouse) -> None:
    words = [f"{a}{b}{c}" for a in "abcdefgh" for b in "ijklmnop" for c in "qrstuvwx"]
    warehouse.append("log_events", [logged(n, f"no {word}") for n, word in enumerate(words)])
    refresh(warehouse, MODELS)
    ranked = rank_issues(warehouse, NOW)
    assert len(ranked) == 21
    assert ranked[0].culprit == "more messages than are told apart"
    assert sum(each.events_total for each in ranked) == len(words)


def test_rotating_exceptions_push_nobody_out(warehouse: Warehouse) -> None:
    """Whoever makes up functions opens a bounded number of issues; what recurs stays itself."""
    real = [crash_of("price", user=f"u{n}", ordinal=n) for n in range(2)]
    made_up = [crash_of(f"f{n}", ordinal=n) for n in range(300)]
    warehouse.append("exceptions", [row_of(crash) for crash in (*made_up, *real)])
    refresh(warehouse, MODELS)
    ranked = rank_issues(warehouse, NOW)
    assert len(ranked) == 201
    assert [each.events_total for each in ranked if each.culprit == "shop.cart.price"] == [2]
    [beyond] = [each for each in ranked if each.fp_rule == "beyond"]
    assert (beyond.title, beyond.events_total) == (
        "many: more issues in an hour than are told apart",
        101,
    )
    assert beyond.triage.reasons[0] == "no_stack"


def test_one_visitor_with_a_million_copies_ranks_below_thirty_who_are_hurt(
    warehouse: Warehouse,
) -> None:
    """Copies are counted by their sum, so that the test need not store a million rows."""
    loud = [crash_of("total", user="u0", ordinal=n, ago=timedelta(minutes=9)) for n in range(5_000)]
    hurt = [
        crash_of("price", user=f"u{n}", ordinal=n * 10 + part, ago=timedelta(minutes=9))
        for n in range(30)
        for part in range(3)
    ]
    warehouse.append("exceptions", [row_of(crash) for crash in (*loud, *hurt)])
    refresh(warehouse, MODELS)
    first, second = rank_issues(warehouse, NOW)
    assert (first.culprit, second.culprit) == ("shop.cart.price", "shop.cart.total")
    assert second.events_24h == 5_000
    assert "counted as 10" in " ".join(part.says for part in second.score.parts)
