"""Patterns: what counts as a sighting, and what nearly is one and does not count."""

from collections.abc import Callable, Sequence
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
from selfdrive_dagster.telemetry.rows import LogEventRow, ProductEventRow, SpanRow
from selfdrive_dagster.telemetry.rows import TestResultRow as ResultRow

MODELS = load_models(Path(__file__).parents[2] / "sql")
AT = NOW.replace(minute=0) - timedelta(hours=2)
Rows = Sequence[SpanRow | LogEventRow | ProductEventRow | ResultRow]
TABLES = {
    SpanRow: "spans",
    LogEventRow: "log_events",
    ProductEventRow: "product_events",
    ResultRow: "test_results",
}


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


def did(
    seconds: float,
    event: str = "click",
    *,
    page: str = "/cart",
    session: str | None = "s1",
    **told: object,
) -> ProductEventRow:
    """Return what somebody did so many seconds after AT."""
    at = AT + timedelta(seconds=seconds)
    row = ProductEventRow(
        event_id=digest([at.isoformat(), event, page, session, str(told)]),
        source="events",
        timestamp=at,
        received_at=at,
        service_name="shop",
        session_id=session,
        event_name=event,
        url_path=page,
        target="Pay" if event == "click" else None,
    )
    return replace(row, **told)


def case_of(outcome: str, message: str | None = None) -> ResultRow:
    return ResultRow(
        event_id=digest([outcome, message]),
        source="junit",
        timestamp=AT,
        received_at=AT,
        service_name="shop",
        test_case_name="tests.test_cart::test_sum",
        test_case_result_status=outcome,
        message=message,
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
    "what an exception told already is counted there": (
        "error_logs",
        [replace(logged(0, "it broke"), exception_type="KeyError")],
        [],
    ),
    "three clicks in a second, and more of them": (
        "rage_clicks",
        [did(0.3 * n) for n in range(7)],
        [("Pay", 1)],
    ),
    "an SDK that counts rage itself": (
        "rage_clicks",
        [did(0, "$rageclick", target="Pay")],
        [("Pay", 1)],
    ),
    "three clicks at leisure": ("rage_clicks", [did(2 * n) for n in range(3)], []),
    "three clicks on three things": (
        "rage_clicks",
        [did(0.2 * n, target=f"item {n}") for n in range(3)],
        [],
    ),
    "nothing, and then another click": (
        "dead_clicks",
        [did(0), did(9, target="Help")],
        [("Pay", 1)],
    ),
    "an SDK that saw nothing happen": ("dead_clicks", [did(0, is_dead=True)], [("Pay", 1)]),
    "a click that opens a page": ("dead_clicks", [did(0), did(1, "$pageview")], []),
    "a click that asks the service": (
        "dead_clicks",
        [did(0), did(9, target="Help"), asked(1)],
        [],
    ),
    "the last click of a visit tells nothing": ("dead_clicks", [did(0)], []),
    "there and straight back": (
        "u_turns",
        [did(0, "$pageview", page="/"), did(20, "$pageview"), did(24, "$pageview", page="/")],
        [("/cart", 1)],
    ),
    "there, and back after reading": (
        "u_turns",
        [did(0, "$pageview", page="/"), did(20, "$pageview"), did(60, "$pageview", page="/")],
        [],
    ),
    "there and onwards": (
        "u_turns",
        [did(0, "$pageview", page="/"), did(20, "$pageview"), did(24, "$pageview", page="/help")],
        [],
    ),
    "a form begun and left, while others come": (
        "abandoned_forms",
        [did(0, "form_change", form_id="gift"), did(2_000, session="s2")],
        [("gift", 1)],
    ),
    "a form begun and sent": (
        "abandoned_forms",
        [
            did(0, "form_change", form_id="gift"),
            did(60, "form_submit", form_id="gift"),
            did(2_000, session="s2"),
        ],
        [],
    ),
    "nobody was heard of since: it may go on": (
        "abandoned_forms",
        [did(0, "form_change", form_id="gift"), did(600, session="s2")],
        [],
    ),
    "a form begun before the full hour and left after it": (
        "abandoned_forms",
        [did(3_500, "form_change", form_id="gift"), did(3_600 + 1_900, session="s2")],
        [("gift", 1)],
    ),
    "a test of the main branch that fails": (
        "failing_tests",
        [case_of("failed", "assert 3 == 4"), case_of("passed")],
        [("tests.test_cart::test_sum", 1)],
    ),
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


@pytest.mark.parametrize("name", SEEN)
def test_a_pattern_is_seen_or_it_is_none(name: str, warehouse: Warehouse) -> None:
    table, rows, wanted = SEEN[name]
    for kind, name_of_table in TABLES.items():
        warehouse.append(name_of_table, [row for row in rows if isinstance(row, kind)])
    refresh(warehouse, MODELS)
    found = warehouse.query(f"SELECT subject, count(*) AS n FROM {table} GROUP BY ALL ORDER BY ALL")
    assert found.rows() == wanted


CLICKED: dict[str, tuple[float, str, int]] = {
    "at once": (0.4, "s1", 1),
    "later": (3.0, "s1", 0),
    "before": (-0.4, "s1", 0),
    "of another visit": (0.4, "s2", 0),
}


@pytest.mark.parametrize("name", CLICKED)
def test_an_error_click_is_a_click_upon_which_an_exception_follows(
    name: str, warehouse: Warehouse
) -> None:
    seconds, session, wanted = CLICKED[name]
    click = did(3_599.9)
    crash = row_of(crash_of("total", session=session))
    when = click.timestamp + timedelta(seconds=seconds)
    warehouse.append("product_events", [click])
    warehouse.append("exceptions", [replace(crash, timestamp=when)])
    refresh(warehouse, MODELS)
    assert len(warehouse.query("SELECT * FROM error_clicks")) == wanted


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


def test_one_visitor_with_many_copies_ranks_below_thirty_who_are_hurt(
    warehouse: Warehouse,
) -> None:
    """Five thousand copies; `bench/noise.py` sends a million."""
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
