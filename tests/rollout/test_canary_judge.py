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
    Count,
    Guardrail,
    Measure,
    Plan,
    Stage,
    Verdict,
    Window,
    exposures_for_silence,
    judge,
    minutes_to_pass,
)
from selfdrive_dagster.rollout.canary.readings import harm_so_far

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
        measured = {name: Count(exposed, hit)}
        made.append(Window(start=start, share=STAGE.share, exposed=exposed, measured=measured))
    return made


def both(first: list[Window], second: list[Window]) -> list[Window]:
    """Return windows that measure what either measures."""
    pairs = zip(first, second, strict=True)
    return [replace(one, measured={**one.measured, **other.measured}) for one, other in pairs]


def of(canary: int, stable: int) -> dict:
    """Return so many exposed sessions, none of them affected, as a window holds them."""
    exposed = Arms(canary, stable)
    return {"exposed": exposed, "measured": {"errors": Count(exposed)}}


def unmeasured(seen: list[Window], numbers: range, name: str = "errors") -> list[Window]:
    """Return the windows, some of which were not measured."""
    return [
        replace(one, measured={n: c for n, c in one.measured.items() if n != name})
        if number in numbers
        else one
        for number, one in enumerate(seen)
    ]


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
    assert verdict(both(bad, good), plan) is Verdict.HARM


def test_more_guardrails_ask_for_more_evidence() -> None:
    many = replace(PLAN, guardrails=tuple(Guardrail(str(n)) for n in range(20)))
    assert many.harm_threshold == 400
    assert PLAN.harm_threshold == 20


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda w: [], "no session was seen"),
        (lambda w: w[:2], "warming up: 2 of 3"),
        (lambda w: unmeasured(w, range(60)), "not measured: errors"),
        (lambda w: unmeasured(w, range(40, 41)), "not measured: errors in 1 of 57 windows"),
        (lambda w: unmeasured(w, range(56, 60)), "errors lags 4 windows, more than 3"),
        (lambda w: [replace(x, **of(0, 900)) for x in w], "no session reached the canary"),
        (lambda w: [replace(x, **of(100, 0)) for x in w], "no session reached the stable"),
        (lambda w: [replace(x, **of(300, 900)) for x in w], "configured shares"),
        (lambda w: [replace(x, measured=of(0, 900)["measured"]) for x in w],
         "reached the canary arm as errors is counted"),
        (lambda w: [replace(x, measured=of(50, 900)["measured"]) for x in w],
         "telemetry of one arm is missing: errors was counted in 2850 canary sessions"),
    ],
)  # fmt: skip
def test_what_is_missing_is_no_data(spoil, says) -> None:
    seen = spoil(windows(60, 0.0, 0.01))
    told = judge(seen, STAGE, PLAN, BEGIN + timedelta(minutes=len(seen) or 1))
    assert told.verdict is Verdict.NO_DATA
    assert says in told.reason


def test_windows_that_were_there_before_make_nothing_safe_and_hide_no_harm() -> None:
    lost = "evidence is lost: row 7 rests on it"
    good, bad = windows(60, 0.01, 0.01), windows(20, 0.05, 0.01)
    assert verdict(good) is Verdict.SAFE
    told = judge(good, STAGE, PLAN, at_the_end(good), lost)
    assert (told.verdict, told.reason) == (Verdict.NO_DATA, lost)
    assert judge(bad, STAGE, PLAN, at_the_end(bad), lost).verdict is Verdict.HARM


def test_old_evidence_is_no_data_however_good() -> None:
    seen = windows(60, 0.01, 0.01)
    late = at_the_end(seen) + timedelta(minutes=4)
    told = judge(seen, STAGE, PLAN, late)
    assert told.verdict is Verdict.NO_DATA
    assert "ended 240 s ago" in told.reason


def test_windows_without_a_session_make_no_evidence_fresh() -> None:
    seen = windows(60, 0.01, 0.01)
    seen[-5:] = [replace(one, **of(0, 0)) for one in seen[-5:]]
    told = judge(seen, STAGE, PLAN, at_the_end(seen))
    assert told.verdict is Verdict.NO_DATA
    assert "ended 300 s ago" in told.reason


TWO = replace(PLAN, guardrails=(Guardrail("errors"), Guardrail("issue")))


def test_telemetry_may_come_later_than_the_log() -> None:
    seen = both(windows(60, 0.01, 0.01), windows(60, 0.01, 0.01, name="issue", seed=2))
    assert verdict(unmeasured(seen, range(57, 60), "issue"), TWO) is Verdict.SAFE


@pytest.mark.parametrize("absent", [range(60), range(30, 60), range(20, 22)])
def test_harm_that_was_measured_is_told_whatever_is_missing_of_another(absent: range) -> None:
    calm = windows(60, 0.01, 0.01, name="issue", seed=2)
    seen = unmeasured(both(windows(60, 0.05, 0.01), calm), absent, "issue")
    assert verdict(seen, TWO) is Verdict.HARM
    seen = unmeasured(both(windows(60, 0.01, 0.01), calm), absent, "issue")
    assert verdict(seen, TWO) is Verdict.NO_DATA


def test_each_guardrail_is_read_over_its_own_sessions() -> None:
    """Telemetry that samples a tenth of the sessions says the same of them, with less weight."""
    tenth = windows(60, 0.05, 0.01, size=100, name="issue")
    seen = [
        replace(one, measured={**one.measured, **few.measured})
        for one, few in zip(windows(60, 0.0, 0.0), tenth, strict=True)
    ]
    told = judge(seen, STAGE, TWO, at_the_end(seen))
    issue = told.readings[1]
    assert issue.counted.exposed == Arms(570, 5130)
    assert told.exposed == Arms(5700, 51300)
    assert told.verdict is Verdict.HARM
    assert "of 570 canary sessions" in told.reason


def test_a_window_in_which_the_share_changed_says_nothing_of_it() -> None:
    seen = windows(60, 0.01, 0.01)
    seen[30:34] = [replace(one, share=None, **of(500, 500)) for one in seen[30:34]]
    assert verdict(seen) is Verdict.SAFE


def test_harm_is_acted_on_though_it_drove_sessions_out_of_their_shares() -> None:
    """The e-value rests on the sessions that were seen, not on the configured shares."""
    seen = windows(20, 0.05, 0.01)
    fewer = [
        replace(one, exposed=Arms(one.exposed.canary // 2, one.exposed.stable)) for one in seen
    ]
    assert judge(fewer, STAGE, PLAN, at_the_end(fewer)).log_ratio > math.log(1000)
    assert verdict(fewer) is Verdict.HARM


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


FIRST = Guardrail("first_requests", Measure.REQUEST, tolerable=0.005)
LANDING = replace(PLAN, guardrails=(Guardrail("errors"), FIRST))


def with_first(canary: float, stable: float, *, seed: int = 2) -> list[Window]:
    """Return windows of calm sessions, in which first requests fail at these rates."""
    calm = windows(60, 0.01, 0.01)
    return both(calm, windows(60, canary, stable, seed=seed, name="first_requests"))


@pytest.mark.parametrize(
    ("canary", "stable", "expected"),
    [
        (0.9, 0.01, Verdict.HARM),
        (0.06, 0.02, Verdict.HARM),
        (0.0, 0.0, Verdict.SAFE),
        (0.4, 0.4, Verdict.SAFE),
    ],
)
def test_first_requests_that_fail_are_harm_where_sessions_are_fine(
    canary, stable, expected
) -> None:
    assert verdict(with_first(canary, stable), LANDING) is expected


def test_a_canary_that_nobody_can_enter_is_harm_though_it_has_no_session_at_all() -> None:
    seen = [replace(one, **of(0, 900), share=0.1) for one in windows(4, 0.0, 0.0)]
    failing = Count(Arms(100, 900), Arms(90, 3))
    seen = [replace(w, measured={**w.measured, "first_requests": failing}) for w in seen]
    told = judge(seen, STAGE, LANDING, at_the_end(seen))
    assert told.verdict is Verdict.HARM
    assert told.reason.startswith("first_requests in 360 of 400 canary requests")


def test_robots_that_fail_in_bursts_roll_back_no_equal_canary() -> None:
    """They keep no cookies: each of their requests is drawn anew, and fails whichever arm it met.

    Whole bursts fail, so outcomes are anything but independent; 300 rollouts, at most 5 %.
    """
    plan = replace(PLAN, guardrails=(FIRST,))
    harmed = 0
    for seed in range(300):
        chance, seen = random.Random(seed), []
        for number in range(30):
            failing = 120 if chance.random() < 0.3 else chance.randrange(4)
            hit = sum(chance.random() < STAGE.share for _ in range(failing))
            sound = sum(chance.random() < STAGE.share for _ in range(60))
            exposed = Arms(hit + sound, failing + 60 - hit - sound)
            first = {"first_requests": Count(exposed, Arms(hit, failing - hit))}
            start = BEGIN + timedelta(minutes=number)
            window = Window(start=start, share=STAGE.share, exposed=exposed, measured=first)
            seen.append(window)
        worst = max(value for _, value in harm_so_far(FIRST, seen))
        harmed += worst >= math.log(plan.harm_threshold)
    assert harmed <= 15


def test_first_requests_of_a_window_with_two_shares_are_not_read() -> None:
    """An outage of both arms while the share rises from 1 % to 50 %: most of it is drawn later."""
    seen = with_first(0.0, 0.0)
    before, after = Count(Arms(10, 990)), Count(Arms(500, 500), Arms(400, 400))
    storm = replace(
        seen[30], share=None, measured={**seen[30].measured, FIRST.name: before + after}
    )
    spoilt = [*seen[:30], storm, *seen[31:]]
    assert verdict(spoilt, LANDING) is Verdict.SAFE
    one_share = replace(storm, share=0.1)
    assert verdict([*seen[:30], one_share, *seen[31:]], LANDING) is Verdict.HARM


def test_first_requests_that_miss_the_shares_are_no_data() -> None:
    """That each is drawn by the share is what their evidence rests on."""
    seen = with_first(0.0, 0.0)
    more = {FIRST.name: Count(Arms(200, 800))}
    seen = [replace(one, measured={**one.measured, **more}) for one in seen]
    told = judge(seen, STAGE, LANDING, at_the_end(seen))
    assert told.verdict is Verdict.NO_DATA
    assert told.reason.startswith("first requests do not reach the arms by their shares")


def test_without_first_requests_nothing_is_missing_and_nothing_is_safe() -> None:
    """Every session begins with one, so there is no such product; silence says nothing of harm."""
    seen = with_first(0.0, 0.0)
    none = [replace(one, measured={**one.measured, FIRST.name: Count()}) for one in seen]
    assert judge(none, STAGE, LANDING, at_the_end(none)).reason.startswith("first_requests may")
    assert verdict(none, LANDING) is Verdict.INCONCLUSIVE
    told = unmeasured(seen, range(60), FIRST.name)
    assert judge(told, STAGE, LANDING, at_the_end(told)).reason == "not measured: first_requests"


def on_purpose(share: float, canary: int, stable: int) -> list[Window]:
    """Return minutes in which nothing fails, and a last one in which somebody makes it so."""
    exposed = Arms(round(6000 * share), 6000 - round(6000 * share))
    hits = [Arms()] * 20 + [Arms(canary, stable)]
    return [
        Window(start=BEGIN + timedelta(minutes=number), share=share, exposed=exposed,
               measured={"errors": Count(exposed, hit)})
        for number, hit in enumerate(hits)
    ]  # fmt: skip


@pytest.mark.parametrize(("share", "sessions"), [(0.01, 3), (0.05, 3), (0.25, 5), (0.50, 9)])
def test_a_visitor_who_fails_on_purpose_counts_as_any_other(share, sessions) -> None:
    """SECURITY.md names these numbers: so few sessions are HARM, whoever sends them."""
    few, enough = (on_purpose(share, count, 0) for count in (sessions - 1, sessions))
    assert verdict(few, DEFAULT_PLAN) is not Verdict.HARM
    assert verdict(enough, DEFAULT_PLAN) is Verdict.HARM
    hidden = on_purpose(share, sessions, round(sessions / share))
    assert verdict(hidden, DEFAULT_PLAN) is not Verdict.HARM


@pytest.mark.parametrize("plan", [DEFAULT_PLAN, DEMO_PLAN])
def test_both_plans_guard_the_first_request(plan: Plan) -> None:
    (rail,) = (one for one in plan.guardrails if one.measure is Measure.REQUEST)
    assert rail.name == "first_requests" and 0 < rail.tolerable <= 0.15
    assert plan.harm_threshold == 100


@pytest.mark.parametrize(
    "fault",
    [
        lambda: Stage(share=0.0, margin=2.0),
        lambda: Stage(share=0.1, margin=1.1),
        lambda: replace(DEFAULT_PLAN, stages=()),
        lambda: replace(DEFAULT_PLAN, stages=DEFAULT_PLAN.stages[::-1]),
        lambda: replace(DEFAULT_PLAN, guardrails=()),
        lambda: Count(Arms(1, 1), Arms(2, 0)),
        lambda: Window(start=BEGIN, share=1.1, exposed=Arms(1, 1), measured={}),
        lambda: Arms(-1, 0),
    ],
)
def test_what_cannot_be_is_refused(fault) -> None:
    with pytest.raises(BadInput):
        fault()


def forecast(plan: Plan, sessions_per_minute: float, **more) -> tuple[float, ...]:
    rates = {"errors": 0.005}
    return minutes_to_pass(plan, sessions_per_minute=sessions_per_minute, rates=rates, **more)


def test_the_forecast_is_about_right_and_grows_as_traffic_falls() -> None:
    plan = replace(PLAN, stages=(Stage(share=0.5, margin=2.0),))
    (many,), (few,) = forecast(plan, 6000), forecast(plan, 60)
    assert 4 <= many <= 8
    assert 60 < few < 600
    assert forecast(plan, 60, lag_minutes=30)[0] == pytest.approx(few + 30, rel=0.02)
    assert forecast(plan, 0) == (math.inf,)
    assert forecast(DEFAULT_PLAN, 0.01) == (math.inf,) * 4


def test_the_forecast_of_a_plan_grows_from_stage_to_stage() -> None:
    """At 100 sessions a second, rollout.md §3: 10, 7, fewer than 10 and 16 minutes."""
    ends = forecast(replace(PLAN, warm_up_windows=0), 6000)
    took = [end - begin for begin, end in zip((0.0, *ends), ends, strict=False)]
    assert 8 <= took[0] <= 14
    assert all(2 <= each <= 20 for each in took)
    demo = minutes_to_pass(
        DEMO_PLAN, sessions_per_minute=17 * 60, rates={"errors": 0.02}, lag_minutes=0.5
    )
    assert demo == pytest.approx((1.0, 1.35), abs=0.3)


@pytest.mark.parametrize(("rate", "sessions"), [(1.0, 1), (0.5, 5), (0.01, 299), (0.001, 2995)])
def test_silence_means_something_after_enough_sessions(rate, sessions) -> None:
    assert exposures_for_silence(rate) == sessions
