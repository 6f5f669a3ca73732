"""Detectors: what each finds in series with a known truth, and what it leaves alone."""

import itertools
import math
import random
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from selfdrive_dagster.issues.detect.changes import Series, find_rise, partition
from selfdrive_dagster.issues.detect.fading import find_fading
from selfdrive_dagster.issues.detect.findings import Finding, Use, rows_of
from selfdrive_dagster.issues.detect.funnels import Step, drop_sigmas, is_drop
from selfdrive_dagster.issues.detect.leaks import find_leak, is_saturated, theil_sen

RISE = {"share": 0.1, "least": 50.0}


def series(seed: int, *, rise: float = 0.0, at: int = 240, season: float = 0.0) -> list[float]:
    """Return two weeks of hourly p95 around 1000 ms, lognormal with sigma 0.1."""
    chance = random.Random(seed)
    return [
        1000.0
        * math.exp(chance.gauss(0, 0.1))
        * (1 + season * math.sin(2 * math.pi * hour / 24))
        * (1 + (rise if hour >= at else 0))
        for hour in range(336)
    ]


def with_gaps(values: list[float], seed: int) -> Series:
    chance = random.Random(seed)
    return [None if chance.random() < 0.2 else value for value in values]


CHANGES: dict[str, tuple[Series, bool]] = {
    "nothing": (series(1), False),
    "a fifth slower": (series(2, rise=0.2), True),
    "a fifth slower, with hours that nobody saw": (with_gaps(series(3, rise=0.2), 3), True),
    "a fifth slower over a strong day and night": (series(4, rise=0.2, season=0.5), True),
    "only day and night": (series(5, season=0.5), False),
    "a fifth quicker": (series(6, rise=-0.2), False),
    "slower for a day and well again": (
        [v * (1.5 if 200 <= at < 224 else 1) for at, v in enumerate(series(7))],
        False,
    ),
    "one slow hour at the end": ([*series(8)[:-1], 4000.0], False),
    "a fifth slower, among wild hours": (
        [v * (9 if at % 40 == 7 else 1) for at, v in enumerate(series(10, rise=0.2))],
        True,
    ),
    "slow weekends in a fortnight": (
        [v * (1.3 if at // 24 % 7 >= 5 else 1) for at, v in enumerate(series(11))],
        False,
    ),
    "quick for two days and as ever again": (
        [v * (0.6 if 200 <= at < 250 else 1) for at, v in enumerate(series(12))],
        False,
    ),
    "silent for the last hours": ([*series(13, rise=0.5)[:-11], *[None] * 11], False),
    "too short to say": ([100.0, 900.0, 900.0], False),
    "nothing known": ([None] * 336, False),
    "a trifle in ms": ([v / 100 for v in series(9, rise=0.5)], False),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_rise_is_found_where_there_is_one(name: str) -> None:
    values, wanted = CHANGES[name]
    assert (find_rise(values, **RISE) is not None) == wanted


def test_a_rise_tells_where_and_how_much() -> None:
    found = find_rise(series(2, rise=0.2), **RISE)
    assert found is not None
    assert abs(found.at - 240) <= 6
    assert found.share == pytest.approx(0.2, abs=0.05)


@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=6, max_size=24),
    jump=st.floats(-1e6, 1e6),
)
def test_pieces_are_long_enough_and_in_order(values: list[float], jump: float) -> None:
    both = [*values, *(value + jump for value in values)]
    cuts = [0, *partition(both, 1.0), len(both)]
    assert all(late - early >= 4 for early, late in itertools.pairwise(cuts))


def rising(minutes: int, slope: float, *, start: float = 300e6, noise: float = 3e6) -> list[float]:
    chance = random.Random(minutes)
    return [start + slope * minute + chance.gauss(0, noise) for minute in range(minutes)]


def points(values: list[float]) -> list[tuple[float, float]]:
    return [(float(minute), value) for minute, value in enumerate(values)]


LEAKS: dict[str, tuple[list[float], float | None, bool]] = {
    "60 MB an hour towards 1.5 GB": (rising(600, 1e6), 1.5e9, True),
    "the limit is far away": (rising(600, 1e6), 64e9, False),
    "no limit is told, and it doubles within a day": (rising(600, 1e6), None, True),
    "flat": (rising(600, 0), 1.5e9, False),
    "a sawtooth that is emptied each hour": (rising(60, 5e6) * 10, 1.5e9, False),
    "it grew, was restarted, and is well": (rising(500, 1e6) + rising(100, 0), 1.5e9, False),
    "it grew, was restarted, and grows again": (rising(500, 1e6) + rising(100, 3e6), 1.5e9, True),
    "too young to say": (rising(20, 1e7), 1.5e9, False),
}


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_a_line_that_ends_within_a_day(name: str) -> None:
    values, limit, wanted = LEAKS[name]
    assert (find_leak(points(values), limit) is not None) == wanted


def test_a_slope_is_not_bent_by_peaks() -> None:
    values = [2.0 * minute + (500 if minute % 7 == 0 else 0) for minute in range(70)]
    assert theil_sen(points(values)) == pytest.approx(2.0, abs=0.2)


def test_saturation_is_sustained() -> None:
    assert is_saturated(points([0.4] * 60 + [0.97] * 30), 0.9)
    assert not is_saturated(points([0.97] * 60 + [0.4] * 10 + [0.97] * 20), 0.9)
    assert not is_saturated(points([0.97] * 5), 0.9)
    assert not is_saturated([], 0.9)


DROPS: dict[str, tuple[Step, Step, bool]] = {
    "half go on": (Step(300, 90), Step(1200, 720), True),
    "as ever": (Step(300, 175), Step(1200, 720), False),
    "sure, and a trifle": (Step(90_000, 50_000), Step(900_000, 513_000), False),
    "few came": (Step(20, 2), Step(1200, 720), False),
    "nothing to compare with": (Step(300, 0), Step(0, 0), False),
    "nobody ever goes on": (Step(300, 0), Step(1200, 0), False),
}


@pytest.mark.parametrize("name", DROPS)
def test_a_drop_is_sure_and_matters(name: str) -> None:
    now, usual, wanted = DROPS[name]
    assert is_drop(now, usual, 3.0) == wanted


def test_the_z_of_two_proportions() -> None:
    # 60 of 100 against 45 of 100: pooled .525, z = .15 / sqrt(.525 x .475 x .02)
    assert drop_sigmas(Step(100, 45), Step(100, 60)) == pytest.approx(2.124, abs=0.001)


ALL = [1000] * 60
FADES: dict[str, tuple[list[int], list[int], float | None]] = {
    "steady": ([30] * 60, ALL, None),
    "a third of what it was": ([30] * 53 + [10] * 7, ALL, 1 / 3),
    "quiet like everything": ([30] * 53 + [10] * 7, [1000] * 53 + [333] * 7, None),
    "used no more": ([30] * 40 + [0] * 20, ALL, 0.0),
    "never really used": ([1] * 20 + [0] * 40, ALL, None),
    "up and down all the time": ([0, 60] * 27 + [0, 60, 0, 0, 60, 0], ALL, None),
}


@pytest.mark.parametrize("name", FADES)
def test_a_feature_fades_against_its_own_past(name: str) -> None:
    uses, whole, left = FADES[name]
    found = find_fading(uses, whole, unused_days=14)
    assert (found and found.left) == (left if left is None else pytest.approx(left, abs=0.01))


LEAK = Finding(
    kind="resource_leak",
    service_name="shop",
    subject="process.memory.usage",
    detail="grows",
    says="of worker 1",
    severity_text="warning",
    hours=(datetime(2026, 11, 1, 10, tzinfo=UTC),),
)
SIGHTED: dict[str, tuple[Finding, int]] = {
    "a second process that leaks alike": (replace(LEAK, says="of worker 2"), 2),
    "another issue at the same subject": (replace(LEAK, detail="shrinks"), 4),
    "another hour": (replace(LEAK, hours=(datetime(2026, 11, 1, 11, tzinfo=UTC),)), 3),
}


@pytest.mark.parametrize("name", SIGHTED)
def test_one_issue_is_sighted_once_an_hour_by_each_visitor(name: str) -> None:
    other, wanted = SIGHTED[name]
    people = [Use(session_id=who, enduser_pseudo_id=None, uses=2) for who in ("s1", "s2")]
    met = {("shop", LEAK.subject, LEAK.hours[0]): people}
    rows = rows_of([LEAK, other], met)
    assert len({row.event_id for row in rows}) == len(rows) == wanted
