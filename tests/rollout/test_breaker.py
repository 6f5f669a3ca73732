"""The breaker trips for a loop that fails and not for one that is unlucky; rests and quarantine."""

import math
import random
from datetime import UTC, datetime, timedelta
from itertools import product
from statistics import median

import pytest

from selfdrive_dagster.rollout.breaker import (
    RATE_BETS,
    TRIP_AT,
    USUAL_RATE,
    Ended,
    Standing,
    cool_down,
    log_evidence,
    quarantined_until,
    stand,
)
from selfdrive_dagster.rollout.lifecycle import Fact

NOW = datetime(2026, 11, 23, tzinfo=UTC)
SEED = 20261123
BOTH = {Fact.BREAKER_CLOSED, Fact.NOT_QUARANTINED}


def ended(hours: float, *, came_back: bool = True, **named: object) -> Ended:
    """One change that ended so many hours ago."""
    given = {"service": "shop", "module": "shop/cart.py", "fingerprint": "fp", "by_harm": came_back}
    return Ended(
        change_id=f"chg_{hours}",
        at=NOW - timedelta(hours=hours),
        came_back=came_back,
        **{**given, **named},
    )


def standing(*changes: Ended, **named: object) -> Standing:
    asked = {"service": "shop", "module": "shop/cart.py", "fingerprint": "fp", "now": NOW}
    return stand(changes, **{**asked, **named})


def trips(chance: random.Random, rate: float, changes: int = 200) -> int | None:
    """Return after how many changes the breaker opens, None when it does not."""
    drawn = (chance.random() < rate for _ in range(changes))
    values = enumerate(log_evidence(drawn), start=1)
    return next((number for number, value in values if value >= math.log(TRIP_AT)), None)


def three_of_ten(chance: random.Random, rate: float, changes: int = 200) -> bool:
    """The usual rule, for comparison: three of the last ten came back."""
    drawn = [chance.random() < rate for _ in range(changes)]
    return any(sum(drawn[at : at + 10]) >= 3 for at in range(changes - 9))


def test_by_mere_bad_luck_it_opens_in_three_of_a_hundred_loops() -> None:
    chance = random.Random(SEED)
    opened = sum(trips(chance, USUAL_RATE) is not None for _ in range(1000)) / 1000
    assert 0.015 <= opened <= 0.05
    assert sum(three_of_ten(chance, USUAL_RATE) for _ in range(300)) / 300 > 0.85


@pytest.mark.parametrize(("rate", "after"), [(0.3, 17), (0.5, 5), (0.8, 2)])
def test_a_failing_loop_is_always_stopped_and_soon(rate: float, after: int) -> None:
    chance = random.Random(SEED)
    found = [trips(chance, rate) for _ in range(400)]
    assert None not in found
    assert abs(median(found) - after) <= 1 + after // 10


@pytest.mark.parametrize("rate", [0.0, 0.05, USUAL_RATE])
def test_expectation_is_at_most_one_by_enumeration(rate: float) -> None:
    expected = 0.0
    for drawn in product((True, False), repeat=8):
        *_, last = log_evidence(drawn)
        likely = math.prod(rate if back else 1 - rate for back in drawn)
        expected += likely * math.exp(last)
    assert expected <= 1 + 1e-9


def test_the_first_steps_by_hand() -> None:
    first, second = log_evidence([True, True])
    assert math.exp(first) == pytest.approx((2 + 3 + 5 + 8) / len(RATE_BETS))
    assert math.exp(second) == pytest.approx((4 + 9 + 25 + 64) / len(RATE_BETS))


def test_two_in_a_row_open_it_and_only_a_person_closes_it() -> None:
    first, second = ended(900), ended(800)
    found = standing(first, second)
    assert found.tripped_at == second.at
    assert Fact.BREAKER_CLOSED not in found.facts
    assert "2 of 2 changes of shop came back" in found.reasons[0]
    better = [ended(700 - hours, came_back=False) for hours in range(50)]
    assert standing(*better, second, first).tripped_at == second.at  # good ones do not close it
    closed = standing(first, second, *better, closed_at=second.at)
    assert closed.tripped_at is None
    assert Fact.BREAKER_CLOSED in closed.facts
    assert closed.log_evidence < 0


def test_other_services_are_other_breakers() -> None:
    others = [ended(hours, service="other") for hours in (3, 2, 1)]
    found = standing(*others)
    assert (found.log_evidence, found.reasons) == (0.0, ())
    assert found.facts == BOTH


@pytest.mark.parametrize(
    ("in_a_row", "hours"),
    [(0, 0), (1, 1), (2, 6), (3, 24), (4, 48), (5, 96), (6, 192), (9, 720), (10_000, 720)],
)
def test_rests_grow(in_a_row: int, hours: int) -> None:
    assert cool_down(in_a_row) == timedelta(hours=hours)


def test_a_service_rests_from_its_last_change_and_a_good_one_ends_the_row() -> None:
    assert standing(ended(0.9)).cools_until == NOW + timedelta(hours=0.1)
    assert standing(ended(1.1)).cools_until is None
    assert standing(ended(50), ended(5.9), closed_at=NOW).cools_until is not None
    assert standing(ended(50), ended(20, came_back=False), ended(1.1)).cools_until is None
    assert standing(ended(1), ended(0.5, came_back=False)).cools_until is None
    assert "rests" in standing(ended(0.9)).reasons[0]


def test_two_harms_of_one_issue_in_one_module_are_proposed_only() -> None:
    day = 24
    twice = [ended(29 * day), ended(2 * day)]
    found = standing(*twice)
    assert found.quarantined_until == NOW + timedelta(days=28)
    assert Fact.NOT_QUARANTINED not in found.facts
    assert "proposals only" in found.reasons[-1]
    for elsewhere in ({"module": "shop/pay.py"}, {"fingerprint": "other"}):
        assert standing(*twice, **elsewhere).quarantined_until is None
    assert standing(*twice, now=NOW + timedelta(days=28)).quarantined_until is None


def test_harms_far_apart_and_returns_without_harm_are_no_quarantine() -> None:
    day = 24
    assert quarantined_until([ended(33 * day), ended(2 * day)], "shop/cart.py", "fp") is None
    aborted = ended(3 * day, by_harm=False)
    assert quarantined_until([aborted, ended(2 * day)], "shop/cart.py", "fp") is None
    three = [ended(70 * day), ended(31 * day), ended(2 * day)]
    assert standing(*three).quarantined_until == NOW + timedelta(days=28)


def test_a_loop_without_a_history_may_go_on() -> None:
    assert standing() == Standing(log_evidence=0.0)
    assert standing().facts == BOTH
