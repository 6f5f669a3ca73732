"""The score: bounded, monotone, and the sum of its parts."""

import math
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from selfdrive_dagster.issues import FORMULA, IssueStats, Weights, score

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
counts = st.integers(0, 10**7)
told = st.none() | counts

anything = st.builds(
    IssueStats,
    issue_id=st.just("iss_0000000000000000"),
    now=st.just(NOW),
    first_seen=st.just(NOW - timedelta(days=9)),
    last_seen=st.integers(-100, 10_000).map(lambda hours: NOW - timedelta(hours=hours)),
    events_total=counts,
    events_24h=counts,
    events_1h=counts,
    expected_1h=st.floats(0, 1e6),
    users=told,
    sessions=told,
    traces=told,
    active_users=told,
    active_sessions=told,
    active_traces=told,
    level=st.sampled_from(("fatal", "error", "warning", "info", "debug", "WARN", "ERROR2", "?")),
    unhandled=st.sampled_from((None, True, False)),
    criticality=st.sampled_from((None, "critical", "high", "medium", "low", "unheard of")),
    is_regressed=st.none() | st.booleans(),
)

PLAIN = IssueStats(
    issue_id="iss_0000000000000000",
    now=NOW,
    first_seen=NOW - timedelta(days=9),
    last_seen=NOW,
    events_total=10_000,
    events_24h=10_000,
    events_1h=0,
    users=9,
    active_users=99,
    unhandled=True,
)


def part(stats: IssueStats, name: str) -> float | None:
    return next(each.value for each in score(stats).parts if each.name == name)


@given(anything)
def test_a_score_lies_between_0_and_100_and_is_the_sum_of_its_parts(stats: IssueStats) -> None:
    found = score(stats)
    assert 0 <= found.total <= 100
    assert found.total == pytest.approx(math.fsum(each.points for each in found.parts))
    assert found.formula_version == FORMULA
    assert all(each.value is None or 0 <= each.value <= 1 for each in found.parts)


@given(stats=anything, users=counts, more=counts)
def test_more_users_never_lower_the_score(stats: IssueStats, users: int, more: int) -> None:
    active = {"active_users": 10**8}
    few, many = (replace(stats, users=n, **active) for n in (users, users + more))
    assert score(few).total <= score(many).total


@given(stats=anything, share=st.floats(0.0, 1.0))
def test_a_part_moves_the_total_by_its_weight(stats: IssueStats, share: float) -> None:
    weights = Weights(regression=share)
    calm, back = (replace(stats, is_regressed=regressed) for regressed in (False, True))
    moved = score(back, weights).total - score(calm, weights).total
    room = 100 - score(calm, weights).total
    crit = score(calm).criticality
    assert moved == pytest.approx(min(room, 100 * crit * share), abs=1e-9)


def test_the_formula_of_the_reference() -> None:
    found = score(PLAIN)
    expected = 100 * (0.30 * 0.5 + 0.20 * 1 + 0.20 * 1 + 0.15 * 0 + 0.10 * 1 + 0.05 * 0)
    assert found.total == pytest.approx(expected)
    assert score(replace(PLAIN, criticality="low")).total == pytest.approx(expected / 2)


def test_users_fall_back_to_sessions_then_traces_and_unknown_is_not_zero() -> None:
    nobody = replace(PLAIN, users=None, active_users=None)
    assert part(replace(nobody, sessions=3, active_sessions=3), "users") == 1
    assert part(replace(nobody, traces=0, active_traces=7), "users") == 0
    assert part(nobody, "users") is None


def test_recency_halves_in_a_day_and_a_clock_ahead_gains_nothing() -> None:
    assert part(replace(PLAIN, last_seen=NOW - timedelta(days=1)), "recency") == 0.5
    assert part(replace(PLAIN, last_seen=NOW + timedelta(days=1)), "recency") == 1


def test_a_spike_is_measured_against_the_usual_hour() -> None:
    steady = replace(PLAIN, events_1h=30, expected_1h=30.0)
    assert part(steady, "spike") == 0
    assert part(replace(steady, expected_1h=0.0), "spike") == pytest.approx(1 - math.exp(-6))


TOLD = {True: "came back", False: "not a regression", None: "nobody told whether"}


@pytest.mark.parametrize("told", TOLD)
def test_what_nobody_told_of_a_regression_is_unknown_and_not_no(told: bool | None) -> None:
    found = next(
        each for each in score(replace(PLAIN, is_regressed=told)).parts if each.name == "regression"
    )
    assert found.value == (None if told is None else float(told))
    assert found.says.startswith(TOLD[told])


def test_a_service_of_unknown_criticality_counts_as_critical_and_says_so() -> None:
    unknown, low = (score(replace(PLAIN, criticality=name)) for name in (None, "low"))
    assert unknown.total == score(replace(PLAIN, criticality="critical")).total
    assert unknown.criticality_says.startswith("unknown: nobody told")
    assert low.criticality_says == "the service is low"
