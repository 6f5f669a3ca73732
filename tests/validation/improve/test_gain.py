"""The interval of the median: exact, and narrow only where the data say so."""

import random
from itertools import product
from statistics import median

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.model import Ending, Ran, SandboxLevel
from selfdrive_dagster.validation.improve.gain import LEAST, Pair, gain_of, median_interval
from selfdrive_dagster.validation.improve.measuring import judge_gain


@pytest.mark.parametrize("n", range(1, 13))
@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.99])
def test_it_covers_as_often_as_it_says_by_counting_all_outcomes(n: int, confidence: float) -> None:
    """Each value lies below or above the true median with equal chance: count all 2^n ways."""
    interval = median_interval(range(n), confidence)
    if interval is None:
        assert 1 - 2 / 2**n < confidence
        return
    low, high = int(interval[0]), int(interval[1])
    hits = sum(low < below <= high for below in map(sum, product((0, 1), repeat=n)))
    assert hits / 2**n >= confidence
    narrower = sum(low + 1 < below <= high - 1 for below in map(sum, product((0, 1), repeat=n)))
    assert narrower / 2**n < confidence


@given(st.lists(st.floats(0.01, 100), min_size=8, max_size=40))
def test_the_median_lies_within(values: list[float]) -> None:
    interval = median_interval(values, 0.99)
    assert interval is not None
    assert interval[0] <= median(values) <= interval[1]


def pairs(ratio: float, count: int = 30, noise: float = 0.3) -> list[Pair]:
    chance = random.Random(7)
    return [
        Pair(base, base * ratio * chance.lognormvariate(0, noise))
        for base in (chance.lognormvariate(0, 1) for _ in range(count))
    ]


def test_a_large_gain_is_beyond_doubt_on_a_noisy_machine() -> None:
    gain = gain_of(pairs(0.3))
    assert gain is not None
    assert gain.high < 1 - LEAST
    assert gain.low < 0.3 < gain.high


@pytest.mark.parametrize("count", [0, 1, 7])
def test_few_pairs_tell_nothing(count: int) -> None:
    assert gain_of(pairs(0.1, count)) is None


def test_no_change_is_hardly_ever_taken_for_a_gain() -> None:
    chance = random.Random(11)

    def draw() -> float:
        return chance.lognormvariate(0, 0.2)

    taken = 0
    for _ in range(300):
        gain = gain_of([Pair(draw(), draw()) for _ in range(20)])
        taken += gain is not None and gain.high <= 1 - LEAST
    assert taken <= 1


def ran(*lines: dict, ending: Ending = Ending.EXITED) -> Ran:
    return Ran(
        ending=ending, status=0, lines=lines, stderr="", seconds=1.0, level=SandboxLevel.FULL
    )


def told(ratio: float, count: int = 12) -> list[dict]:
    return [
        {"kind": "pair", "base": 1.0 + n / 100, "patch": ratio * (1 + n / 100)}
        for n in range(count)
    ]


@pytest.mark.parametrize(
    ("lines", "passed"),
    [
        (told(0.5), True),
        (told(0.89), True),
        (told(0.95), False),
        (told(1.4), False),
        (told(0.5, 7), None),
        ([*told(0.5), {"kind": "broken", "side": "patch", "outcome": "killed"}], None),
        ([], None),
    ],
)
def test_the_check_passes_only_beyond_doubt(lines: list[dict], passed: bool | None) -> None:
    check, _ = judge_gain(ran(*lines))
    assert check.passed is passed
