"""The e-processes keep their promise, by enumeration where it can be enumerated."""

import itertools
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.rollout.canary import DEFAULT_PLAN
from selfdrive_dagster.rollout.canary.counts import Arms, Count
from selfdrive_dagster.rollout.canary.eprocess import (
    HARM_BETS,
    LATENCY_BETS,
    SAFE_BETS,
    block_gains,
    gain,
    gains,
    last,
    log_e,
    log_e_below,
    log_e_ratio,
    log_es_from_any,
)

ROUNDING = 1e-9


def binomial(n: int, k: int, rate: float) -> float:
    return math.comb(n, k) * rate**k * (1 - rate) ** (n - k)


def expected(exposed: Arms, canary: float, stable: float, log_value) -> float:
    """Return the expectation of an e-value over all outcomes of one window."""
    outcomes = itertools.product(range(exposed.canary + 1), range(exposed.stable + 1))
    return sum(
        binomial(exposed.canary, x, canary)
        * binomial(exposed.stable, y, stable)
        * math.exp(log_value([Count(exposed, Arms(x, y))]))
        for x, y in outcomes
    )


RATES = (0.01, 0.2, 0.5)
SIZES = (Arms(6, 30), Arms(3, 3), Arms(20, 4), Arms(1, 12))


@pytest.mark.parametrize("exposed", SIZES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("ratio", [0.5, 0.9, 1.0])
def test_harm_gains_nothing_while_the_canary_is_no_worse(exposed, rate, ratio) -> None:
    assert expected(exposed, ratio * rate, rate, lambda p: log_e(p, HARM_BETS, 1.0)) <= 1 + ROUNDING


@pytest.mark.parametrize("exposed", SIZES)
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("ratio", [0.5, 1.0])
def test_so_does_the_block_form(exposed, rate, ratio) -> None:
    def value(counts) -> float:
        return last(log_es_from_any(block_gains(counts, LATENCY_BETS, rate)))

    assert expected(exposed, ratio * rate, rate, value) <= 1 + ROUNDING


@pytest.mark.parametrize("exposed", SIZES)
@pytest.mark.parametrize("margin", [1.25, 2.0, 3.0])
@pytest.mark.parametrize("more", [1.0, 1.5])
def test_safe_gains_nothing_while_the_canary_is_worse_by_the_margin(exposed, margin, more) -> None:
    worse = 0.05 * margin * more
    assert expected(exposed, worse, 0.05, lambda p: log_e(p, SAFE_BETS, margin)) <= 1 + ROUNDING


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
def test_silence_gains_nothing_while_the_rate_is_reached(rate) -> None:
    assert expected(Arms(40, 0), rate, 0.0, lambda p: log_e_below(p, rate)) <= 1 + ROUNDING


@pytest.mark.parametrize("share", [0.05, 0.5, 0.95])
@pytest.mark.parametrize("failing", [0, 1, 7, 20])
def test_whichever_requests_fail_an_arm_drawn_for_each_gains_nothing(failing, share) -> None:
    """Not one outcome is independent here: the requests that fail are given, only arms are drawn.

    That is the promise for first requests, robots among them, which fail again and again.
    """
    requests = 20
    outcomes = itertools.product(range(failing + 1), range(requests - failing + 1))
    mean = sum(
        binomial(failing, x, share)
        * binomial(requests - failing, sound, share)
        * math.exp(
            log_e(
                [Count(Arms(x + sound, requests - x - sound), Arms(x, failing - x))],
                HARM_BETS,
                1.0,
            )
        )
        for x, sound in outcomes
    )
    assert mean <= 1 + ROUNDING


def harm_from_any(counts) -> list[float]:
    return list(log_es_from_any(gains(counts, HARM_BETS, 1.0)))


def test_bets_that_are_laid_later_gain_nothing_either() -> None:
    """Over all outcomes of three windows; the last looks at every number of windows."""
    sizes, rate = (Arms(2, 3), Arms(1, 4), Arms(3, 1)), 0.3
    each = [
        [(Count(one, Arms(x, y)), binomial(one.canary, x, rate) * binomial(one.stable, y, rate))
         for x in range(one.canary + 1) for y in range(one.stable + 1)]
        for one in sizes
    ]  # fmt: skip
    means = [0.0] * 3
    for outcome in itertools.product(*each):
        likely = math.prod(chance for _, chance in outcome)
        for number, value in enumerate(harm_from_any(count for count, _ in outcome)):
            means[number] += likely * math.exp(value)
    assert max(means) <= 1 + ROUNDING


def test_harm_that_begins_late_is_heard_soon() -> None:
    quiet = [Count(Arms(500, 500), Arms(5, 5))] * 600
    harmed = [Count(Arms(500, 500), Arms(15, 5))] * 30
    limit = math.log(DEFAULT_PLAN.harm_threshold)
    at_once = next(n for n, value in enumerate(harm_from_any(harmed)) if value >= limit)
    late = next(n for n, value in enumerate(harm_from_any(quiet + harmed)[600:]) if value >= limit)
    assert (at_once, late) == (2, 8)
    assert log_e(quiet + harmed, HARM_BETS, 1.0) < 0


@given(
    st.lists(
        st.tuples(st.integers(0, 50), st.integers(0, 50), st.integers(0, 5), st.integers(0, 5)),
        max_size=12,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_windows_does_not_matter_and_empty_ones_add_nothing(rows, chance) -> None:
    counts = [Count(Arms(c + x, s + y), Arms(x, y)) for c, s, x, y in rows]
    shuffled = [*counts, Count(Arms(10, 10), Arms()), Count()]
    chance.shuffle(shuffled)
    assert log_e(counts, HARM_BETS, 1.0) == pytest.approx(log_e(shuffled, HARM_BETS, 1.0))


def test_an_arm_that_saw_nobody_gains_and_loses_nothing() -> None:
    assert gain(Count(Arms(0, 100), Arms(0, 9)), 5.0, 1.0) == 0.0
    assert gain(Count(Arms(100, 0), Arms(9, 0)), 5.0, 1.0) == pytest.approx(0.0)


def test_an_incident_that_hits_both_arms_is_no_evidence() -> None:
    calm = [Count(Arms(100, 900), Arms(1, 9))] * 10
    storm = [Count(Arms(100, 900), Arms(50, 450))] * 3
    assert log_e([*calm, *storm, *calm], HARM_BETS, 1.0) < 0


def test_ratio_is_quiet_at_the_configured_share_and_loud_beside_it() -> None:
    chance = random.Random(5)

    def windows(real: float) -> list[tuple[Arms, float]]:
        drawn = [sum(chance.random() < real for _ in range(200)) for _ in range(60)]
        return [(Arms(x, 200 - x), 0.1) for x in drawn]

    assert log_e_ratio(windows(0.1)) < math.log(20)
    assert log_e_ratio(windows(0.13)) > math.log(1000)
    assert log_e_ratio(windows(0.07)) > math.log(1000)
    unsaid = [(exposed, None) for exposed, _ in windows(0.5)]
    assert log_e_ratio(unsaid) == 0.0
