"""Burn rates: the rules of the SRE workbook, at their edges."""

import pytest

from selfdrive_dagster.issues.burning import FEWEST, WINDOWS, burn_rate, is_paging

SLO = 0.999
M5, M30, H1, H6 = WINDOWS


def test_the_windows_are_those_of_the_workbook() -> None:
    assert [window.total_seconds() / 60 for window in WINDOWS] == [5, 30, 60, 360]


CASES: dict[str, tuple[tuple[int, int, int, int], tuple[int, int, int, int], bool | None]] = {
    "two percent of a month's budget in an hour": (
        (13, 80, 160, 160),
        (900, 5_000, 10_000, 60_000),
        True,
    ),
    "just below": ((12, 70, 140, 140), (900, 5_000, 10_000, 60_000), False),
    "it was bad and is over": ((0, 0, 160, 160), (900, 5_000, 10_000, 60_000), False),
    "slow and steady over six hours": ((5, 31, 61, 365), (900, 5_000, 10_000, 60_000), True),
    "nine failures of ten requests prove nothing": ((9, 9, 9, 9), (10, 10, 10, 10), False),
    "no requests were reported": ((99, 99, 99, 99), (0, 0, 0, 0), None),
}


@pytest.mark.parametrize("name", CASES)
def test_both_windows_must_burn(name: str) -> None:
    bad, requests, wanted = CASES[name]
    found = is_paging(
        dict(zip(WINDOWS, bad, strict=True)), dict(zip(WINDOWS, requests, strict=True)), SLO
    )
    assert found is wanted


def test_a_rate_is_a_share_of_what_the_promise_leaves() -> None:
    assert burn_rate(1, 1000, SLO) == pytest.approx(1.0)
    assert burn_rate(30, 10, 0.9) == pytest.approx(10.0)
    assert burn_rate(1, 0, SLO) == 0.0
    assert FEWEST > 1
