"""The judge: unknown is never safe, harm wins, and looking again changes nothing."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.rollout.canary import (
    DEFAULT_PLAN,
    DEMO_PLAN,
    Arms,
    Guardrail,
    Plan,
    Stage,
    Verdict,
    Window,
    exposures_for_silence,
    judge,
    minutes_to_safe,
)

BEGIN = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
PLAN = replace(DEFAULT_PLAN, guardrails=(Guardrail("errors"),))
STAGE = Stage(share=0.10, margin=2.0)


def windows(
    count: int, canary: float, stable: float, *, seed: int = 1, size: int = 1000, name="errors"
) -> list[Window]:
    """Return windows in which each arm is affected at its own rate."""
    chance = random.Random(seed)
    made = []
    for number in range(count):
        exposed = Arms(round(size * STAGE.share), size - round(size * STAGE.share))
        hit = Arms(
            sum(chance.random() < canary for _ in range(exposed.canary)),
            sum(chance.random() < stable for _ in range(exposed.stable)),
        )
        start = BEGIN + timedelta(minutes=number)
        made.append(Window(start=start, share=STAGE.share, exposed=exposed, affected={name: hit}))
    return made


def at_the_end(seen: list[Window]) -> datetime:
    return seen[-1].start + timedelta(minutes=1)


def verdict(seen: list[Window], plan: Plan = PLAN, stage: Stage = STAGE) -> Verdict:
    return judge(seen, stage, plan, at_the_end(seen)).verdict


def test_a_harmful_canary_is_found_and_an_equal_one_is_found_safe() -> None:
    assert verdict(windows(20, 0.05, 0.01)) is Verdict.HARM
    assert verdict(windows(60, 0.01, 0.01)) is Verdict.SAFE
    assert verdict(windows(5, 0.01, 0.01)) is Verdict.INCONCLUSIVE


def test_harm_wins_over_safe_on_another_guardrail() -> None:
    plan = replace(PLAN, guardrails=(Guardrail("errors"), Guardrail("issue")))
    bad, good = windows(40, 0.05, 0.01), windows(40, 0.01, 0.02, name="issue")
    both = [
        replace(b, affected={**b.affected, **g.affected}) for b, g in zip(bad, good, strict=True)
    ]
    assert verdict(both, plan) is Verdict.HARM


def test_more_guardrails_ask_for_more_evidence() -> None:
    many = replace(PLAN, guardrails=tuple(Guardrail(str(n)) for n in range(20)))
    assert many.harm_threshold == 400
    assert PLAN.harm_threshold == 20


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda w: [], "no session was seen"),
        (lambda w: w[:2], "warming up: 2 of 3"),
        (lambda w: [replace(x, affected={}) for x in w], "not measured: errors"),
        (lambda w: [*w[:-1], replace(w[-1], affected={})], "not measured: errors"),
        (lambda w: [replace(x, exposed=Arms(0, 900), affected={"errors": Arms(0, 9)}) for x in w],
         "no session reached the canary"),
        (lambda w: [replace(x, exposed=Arms(100, 0), affected={"errors": Arms(1, 0)}) for x in w],
         "no session reached the stable"),
        (lambda w: [replace(x, exposed=Arms(300, 900)) for x in w], "configured shares"),
    ],
)  # fmt: skip
def test_what_is_missing_is_no_data(spoil, says) -> None:
    seen = spoil(windows(60, 0.0, 0.01))
    told = judge(seen, STAGE, PLAN, BEGIN + timedelta(minutes=len(seen) or 1))
    assert told.verdict is Verdict.NO_DATA
    assert says in told.reason


def test_old_evidence_is_no_data_however_good() -> None:
    seen = windows(60, 0.01, 0.01)
    late = at_the_end(seen) + timedelta(minutes=3)
    told = judge(seen, STAGE, PLAN, late)
    assert told.verdict is Verdict.NO_DATA
    assert "180 s ago" in told.reason


def test_the_warm_up_counts_for_neither_arm() -> None:
    cold = windows(3, 0.30, 0.01)
    rest = [replace(w, start=w.start + timedelta(minutes=3)) for w in windows(60, 0.01, 0.01)]
    assert verdict([*cold, *rest]) is Verdict.SAFE


def test_a_canary_that_fails_half_its_sessions_blows_the_fuse_even_while_cold() -> None:
    told = judge(windows(1, 0.9, 0.01), STAGE, PLAN, BEGIN + timedelta(minutes=1))
    assert told.verdict is Verdict.HARM
    assert "fuse" in told.reason


def test_an_outage_of_both_arms_blows_no_fuse() -> None:
    told = judge(windows(2, 0.9, 0.9), STAGE, PLAN, BEGIN + timedelta(minutes=2))
    assert told.verdict is not Verdict.HARM


def test_silence_in_both_arms_is_safe_only_where_a_rate_is_tolerable() -> None:
    silent = windows(60, 0.0, 0.0, name="new_crashes")
    for tolerable, expected in ((0.0, Verdict.INCONCLUSIVE), (0.005, Verdict.SAFE)):
        plan = replace(PLAN, guardrails=(Guardrail("new_crashes", tolerable=tolerable),))
        assert verdict(silent, plan) is expected


def test_a_new_crash_in_the_canary_alone_is_harm() -> None:
    plan = replace(PLAN, guardrails=(Guardrail("new_crashes", tolerable=0.005),))
    assert verdict(windows(20, 0.02, 0.0, name="new_crashes"), plan) is Verdict.HARM


def test_stages_ask_for_their_own_sessions() -> None:
    seen = windows(60, 0.01, 0.01)
    assert verdict(seen, stage=Stage(share=0.5, margin=2.0)) is Verdict.INCONCLUSIVE


@pytest.mark.parametrize(
    "fault",
    [
        lambda: Stage(share=0.0, margin=2.0),
        lambda: Stage(share=0.1, margin=1.1),
        lambda: replace(DEFAULT_PLAN, stages=()),
        lambda: replace(DEFAULT_PLAN, stages=DEFAULT_PLAN.stages[::-1]),
        lambda: replace(DEFAULT_PLAN, guardrails=()),
        lambda: Window(start=BEGIN, share=0.1, exposed=Arms(1, 1), affected={"e": Arms(2, 0)}),
        lambda: Arms(-1, 0),
    ],
)
def test_what_cannot_be_is_refused(fault) -> None:
    with pytest.raises(BadInput):
        fault()


def test_the_forecast_is_about_right_and_grows_as_traffic_falls() -> None:
    plan, stage = PLAN, Stage(share=0.5, margin=2.0)
    many = minutes_to_safe(stage, plan, sessions_per_minute=6000, rate=0.005)
    few = minutes_to_safe(stage, plan, sessions_per_minute=60, rate=0.005)
    assert 1 <= many <= 6
    assert 60 < few < 600
    assert minutes_to_safe(stage, plan, sessions_per_minute=0, rate=0.005) == math.inf
    assert [minutes_to_safe(s, DEMO_PLAN, sessions_per_minute=500, rate=0.02) < 20
            for s in DEMO_PLAN.stages] == [True, True]  # fmt: skip


@pytest.mark.parametrize(("rate", "sessions"), [(1.0, 1), (0.5, 5), (0.01, 299), (0.001, 2995)])
def test_silence_means_something_after_enough_sessions(rate, sessions) -> None:
    assert exposures_for_silence(rate) == sessions
