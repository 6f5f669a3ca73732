"""Escalation: an issue is judged by its own week."""

import pytest

from selfdrive_dagster.issues.escalating import WEEK_HOURS, ceiling, is_escalating

STEADY = [10] * WEEK_HOURS
BURSTY = [0] * (WEEK_HOURS - 1) + [300]
DAILY = [(hour % 24) * 4 for hour in range(WEEK_HOURS)]


def test_a_steady_issue_may_grow_fivefold_and_eightfold_over_its_mean() -> None:
    # busiest 10 x 5 = 50; mean 10 + 10 x 5 = 60: the larger counts.
    assert ceiling(STEADY) == pytest.approx(60.0)


def test_a_bursty_issue_may_only_double_its_burst() -> None:
    assert ceiling(BURSTY) == pytest.approx(600.0)


CASES = {
    "as ever": (STEADY, 10, False),
    "six times as much": (STEADY, 61, True),
    "its usual peak": (DAILY, 92, False),
    "young: ten times its busiest hour": ([3, 0, 2], 31, True),
    "young: not yet": ([3, 0, 2], 30, False),
    "no full hour yet": ([], 500, None),
    "nothing in its hours": ([0, 0], 500, None),
}


@pytest.mark.parametrize("name", CASES)
def test_an_hour_is_judged_by_the_hours_before(name: str) -> None:
    hours, now, wanted = CASES[name]
    assert is_escalating(hours, now) is wanted
