"""Refreshing: the same tables whatever came late, twice or in another order."""

import random
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from issue_rows import FUNCTIONS, NOW, crash_of, row_of, span_of
from msgspec.structs import replace

from selfdrive_dagster.adapters.warehouse import CorruptTable, Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models, load_tests
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues, summarise_issues
from selfdrive_dagster.adapters.warehouse.refresh import check, refresh
from selfdrive_dagster.issues import (
    CustomRule,
    Grouping,
    IssueSummary,
    TriageSettings,
    crash_event,
    gather,
    rank,
)
from selfdrive_dagster.issues.business import Business
from selfdrive_dagster.model import Crash

SQL = Path(__file__).parents[2] / "sql"
MODELS = load_models(SQL)


def some_crashes(number: int, seed: int, hours: int = 900) -> list[Crash]:
    chance = random.Random(seed)
    return [
        crash_of(
            chance.choice(FUNCTIONS),
            ago=timedelta(minutes=chance.randrange(chance.choice((90, hours * 60)))),
            user=chance.choice(("", "u1", "u2", "u3")),
            session=chance.choice(("", "s1", "s2")),
            trace=chance.choice(("", "t1", "t2", "t3")),
            source=chance.choice(("sentry", "otlp")),
            level=chance.choice(("error", "warning", "fatal")),
            handled=chance.choice((None, True, False)),
            service=chance.choice(("shop", "till")),
            ordinal=number,
        )
        for number in range(number)
    ]  # fmt: skip


def contents(warehouse: Warehouse) -> dict[str, list[tuple[Any, ...]]]:
    tables = [model.name for model in MODELS]
    found = {name: warehouse.query(f"SELECT * FROM {name}").rows() for name in tables}
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def without_traces(summary: IssueSummary) -> IssueSummary:
    """Leave out what the tables count only where nobody told users or sessions."""
    return replace(summary, stats=replace(summary.stats, active_traces=None))


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


CRASHES = some_crashes(40, seed=1, hours=40)


@pytest.fixture(scope="module")
def in_one_go() -> Any:
    with TemporaryDirectory() as home:
        warehouse = Warehouse(home)
        warehouse.append("exceptions", [row_of(crash) for crash in CRASHES])
        refresh(warehouse, MODELS)
        yield contents(warehouse)


@settings(max_examples=3, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    order=st.permutations(CRASHES * 2),
    cuts=st.lists(st.integers(1, 79), min_size=1, max_size=2, unique=True),
    compacting=st.booleans(),
)
def test_any_order_and_double_delivery_give_the_same_tables(
    order: list[Crash], cuts: list[int], compacting: bool, in_one_go: Any
) -> None:
    with TemporaryDirectory() as home:
        warehouse = Warehouse(home)
        edges = [0, *sorted(cuts), len(order)]
        stored = duplicate = 0
        for minute, (first, last) in enumerate(pairwise(edges)):
            received_at = NOW + timedelta(minutes=minute)
            rows = [row_of(crash, received_at) for crash in order[first:last]]
            done = warehouse.append("exceptions", rows)
            stored, duplicate = stored + done.stored, duplicate + done.duplicate
            refresh(warehouse, MODELS)
            if compacting:
                for table in warehouse.tables():
                    warehouse.compact(table, everything=True)
        assert (stored, duplicate) == (40, 40)
        assert contents(warehouse) == in_one_go


def test_the_tables_count_what_counting_in_memory_counts(warehouse: Warehouse) -> None:
    crashes = some_crashes(300, seed=2)
    warehouse.append("exceptions", [row_of(crash) for crash in crashes])
    refresh(warehouse, MODELS)
    in_memory = gather([crash_event(crash, NOW) for crash in crashes], NOW)
    in_tables = summarise_issues(warehouse, NOW, Business(), None)
    assert list(map(without_traces, in_tables)) == list(map(without_traces, in_memory))
    assert rank_issues(warehouse, NOW) == rank(in_memory)


def test_shipped_claims_hold_and_a_broken_one_is_told(warehouse: Warehouse) -> None:
    warehouse.append("exceptions", [row_of(crash) for crash in some_crashes(60, seed=3)])
    warehouse.append("spans", [span_of(NOW, n, failed=n % 3 == 0) for n in range(9)])
    refresh(warehouse, MODELS)
    tests = load_tests(SQL)
    assert {each.test.claim: each.broken for each in check(warehouse, tests)} == {
        test.claim: 0 for test in tests
    }
    warehouse.append("exceptions", [row_of(crash_of("new", ordinal=1000))])
    broken = {each.test.claim for each in check(warehouse, tests) if each.broken}
    assert broken == {"every_exception_has_an_issue"}


def test_only_touched_hours_are_made_anew(warehouse: Warehouse) -> None:
    warehouse.append("exceptions", [row_of(crash) for crash in CRASHES])
    refresh(warehouse, MODELS)
    late = crash_of("late", ago=timedelta(hours=30), user="u9")
    warehouse.append("exceptions", [row_of(late)])
    hours = {each.table: each.hours for each in refresh(warehouse, MODELS)}
    assert (hours["issue_hourly"], hours["issue_user_daily"], hours["active_hourly"]) == (1, 1, 1)
    again = {each.hours for each in refresh(warehouse, MODELS)}
    assert again == {0}


def test_two_sdks_that_report_one_crash_do_not_double_it(warehouse: Warehouse) -> None:
    pairs = [
        crash_of("total", user="u1", trace=f"{source}{n}", source=source, ordinal=n)
        for n in range(6)
        for source in ("sentry", "otlp")
    ]
    warehouse.append("exceptions", [row_of(crash) for crash in pairs])
    refresh(warehouse, MODELS)
    [only] = rank_issues(warehouse, NOW)
    assert (only.events_24h, only.events_total, only.users) == (6, 6, 1)


def test_users_are_a_share_of_all_that_were_active(warehouse: Warehouse) -> None:
    hour_ago = NOW - timedelta(hours=1)
    warehouse.append("spans", [span_of(hour_ago, n, user=f"u{n}") for n in range(99)])
    warehouse.append("exceptions", [row_of(crash_of("total", user="u1"))])
    refresh(warehouse, MODELS)
    [only] = rank_issues(warehouse, NOW)
    assert only.score.parts[0].says == "1 of 99 users in 24 h"


def test_criticality_and_resolution_reach_the_ranking(warehouse: Warehouse) -> None:
    names = ("total", "price")
    warehouse.append("exceptions", [row_of(crash_of(name, service=name)) for name in names])
    refresh(warehouse, MODELS)
    plain = {each.culprit: each for each in rank_issues(warehouse, NOW)}
    total, price = plain["shop.cart.total"], plain["shop.cart.price"]
    ranked = rank_issues(
        warehouse,
        NOW,
        business=Business(criticality={"total": "low"}),
        resolved={price.issue_id: NOW - timedelta(days=1)},
        settings=TriageSettings(min_events=1),
    )
    assert [each.issue_id for each in ranked] == [price.issue_id, total.issue_id]
    assert ranked[1].score.total == pytest.approx(total.score.total / 2)
    assert ranked[0].score.total == pytest.approx(price.score.total + 5)
    assert (ranked[0].triage.reasons, price.triage.reasons) == (("code",), ("too_few_events",))


def test_new_rules_of_the_operator_name_old_events_anew(warehouse: Warehouse) -> None:
    warehouse.append("exceptions", [row_of(crash_of(name)) for name in FUNCTIONS])
    refresh(warehouse, MODELS)
    assert len(rank_issues(warehouse, NOW)) == len(FUNCTIONS)
    refresh(warehouse, MODELS, Grouping(rules=(CustomRule(group="shop", function="shop.*"),)))
    [only] = rank_issues(warehouse, NOW)
    assert (only.events_total, only.fp_rule) == (len(FUNCTIONS), "custom")


def test_derived_tables_that_were_damaged_are_made_again(warehouse: Warehouse) -> None:
    warehouse.append("exceptions", [row_of(crash) for crash in CRASHES])
    refresh(warehouse, MODELS)
    before = contents(warehouse)
    for table in ("issue_hourly", "issue_events", "issue_stats"):
        warehouse.files(table)[1].write_bytes(b"junk")
        with pytest.raises(CorruptTable):
            warehouse.query(f"SELECT * FROM {table}")
    refresh(warehouse, MODELS)
    assert contents(warehouse) == before


def test_refreshing_keeps_the_number_of_files_small(warehouse: Warehouse) -> None:
    for crash in CRASHES:
        warehouse.append("exceptions", [row_of(crash)])
    refresh(warehouse, MODELS)
    assert max(len(warehouse.live(table).files) for table in warehouse.tables()) <= 8
    assert sum(each.events_total for each in rank_issues(warehouse, NOW)) > 0


def test_nothing_at_all_is_no_issue(warehouse: Warehouse) -> None:
    refresh(warehouse, MODELS)
    assert rank_issues(warehouse, NOW) == ()


CRITICALITIES: dict[str, tuple[dict[str, str], str]] = {
    "nobody told": ({}, "unknown"),
    "told": ({"total": "low"}, "the service is low"),
    "told of another service only": ({"price": "low"}, "unknown"),
}


@pytest.mark.parametrize("name", CRITICALITIES)
def test_criticality_is_known_or_said_to_be_unknown(name: str, warehouse: Warehouse) -> None:
    criticality, says = CRITICALITIES[name]
    warehouse.append("exceptions", [row_of(crash_of("total", service="total"))])
    refresh(warehouse, MODELS)
    [only] = rank_issues(warehouse, NOW, business=Business(criticality=criticality))
    assert only.score.criticality_says.startswith(says)
    assert only.score.parts[-1].value is None
