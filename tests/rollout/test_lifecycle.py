"""The lifecycle: no random walk leaves the table, and silence never approves."""

from datetime import UTC, datetime, timedelta

import pytest
from fakes.selfdrive_program import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

from selfdrive_dagster.rollout.effects import ANY, MAY
from selfdrive_dagster.rollout.lifecycle import (
    BEGINNING,
    DEADLINES,
    ENDS,
    MAKING,
    RULES,
    TIMELESS,
    Actor,
    Event,
    Fact,
    Refusal,
    State,
    Transition,
    advance,
    as_mermaid,
    deadline_of,
    is_over,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ALL = frozenset(Fact)

AFTER_SILENCE = {
    State.EXPIRED,
    State.LEARNED,
    State.HOLD,
    State.ROLLING_BACK,
    State.ROLLED_BACK,
}
"""Where nobody's answer leads: to an end, to less exposure, or to the same exposure."""

HAPPY = [
    (Event.START, Actor.LOOP, State.VALIDATING),
    (Event.PROVEN, Actor.VALIDATOR, State.VALIDATED),
    (Event.PROPOSE, Actor.LOOP, State.AWAITING_APPROVAL),
    (Event.MERGED, Actor.GUARD, State.MERGED_OUTSIDE),
    (Event.RELEASED, Actor.ANALYST, State.OBSERVING),
    (Event.SOAKED, Actor.ANALYST, State.LEARNED),
]


def test_the_way_of_a_change_that_others_merge() -> None:
    state = BEGINNING
    for event, actor, to in HAPPY:
        step = advance(state, event, actor, facts=ALL, now=NOW)
        assert isinstance(step, Transition)
        assert (step.state, step.to) == (state, to)
        state = step.to
    assert state in ENDS


def test_the_ends_are_the_three_that_nothing_leaves() -> None:
    assert {State.LEARNED, State.REJECTED, State.EXPIRED} == ENDS
    assert not [rule for rule in RULES if rule.state in ENDS]


def test_one_line_per_state_and_event() -> None:
    keys = [(rule.state, rule.event) for rule in RULES]
    assert len(keys) == len(set(keys))


def test_every_state_can_be_reached_and_left_by_its_deadline() -> None:
    reached = {BEGINNING} | {rule.to for rule in RULES} | {rule.to for rule in DEADLINES.values()}
    reached |= {State.BAKING for rule in RULES if rule.climbs}
    assert reached == set(State)
    for state in set(State) - ENDS:
        late = deadline_of(state, NOW)
        step = advance(state, Event.DEADLINE, Actor.GUARD, now=late, deadline=late)
        assert isinstance(step, Transition)
        assert step.by_deadline
        assert step.to in AFTER_SILENCE


def move(rule: object, **named: object) -> object:
    """Try a line of the table, from the first stage of two."""
    return advance(rule.state, rule.event, rule.actor, now=NOW, stage=1, stages=2, **named)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.state.value}-{rule.event.value}")
def test_each_needed_fact_is_needed_and_the_others_are_not(rule: object) -> None:
    for missing in rule.needs:
        step = move(rule, facts=ALL - {missing})
        assert isinstance(step, Refusal)
        assert step.missing == (missing,)
    step = move(rule, facts=frozenset(rule.needs))
    assert isinstance(step, Transition)
    for other in set(Actor) - {rule.actor}:
        assert isinstance(advance(rule.state, rule.event, other, facts=ALL, now=NOW), Refusal)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(Event),
        st.sampled_from(Actor),
        st.frozensets(st.sampled_from(Fact)) | st.just(ALL),
        st.integers(0, 20 * 24),
    ),
    max_size=40,
)


@settings(max_examples=300)
@given(steps=STEPS)
def test_random_walks_stay_in_the_table(steps: list) -> None:
    state, now = BEGINNING, NOW
    deadline = deadline_of(state, now)
    proven = 0
    for event, actor, facts, hours in steps:
        now += timedelta(hours=hours)
        step = advance(state, event, actor, facts=facts, now=now, deadline=deadline)
        if isinstance(step, Refusal):
            continue
        assert state not in ENDS
        assert step.state is state
        if event is Event.DEADLINE:
            assert now >= deadline  # the clock never runs ahead of itself
            assert step.to in AFTER_SILENCE
        elif event not in TIMELESS:
            assert now < deadline  # a late yes never overtakes the clock
        if step.to is State.VALIDATED and state is not State.VALIDATED:
            assert Fact.REPORT_RECORDED in facts
            proven += 1
        if step.to in (State.AWAITING_APPROVAL, State.MERGED_OUTSIDE, State.OBSERVING):
            assert proven
        if step.to is State.REJECTED:
            assert actor in (Actor.HUMAN, Actor.VALIDATOR)
        assert (step.deadline is None) == (step.to in ENDS)
        state, deadline = step.to, step.deadline


@pytest.mark.parametrize(
    ("event", "actor"),
    [(Event.REJECT, Actor.HUMAN), (Event.MERGED, Actor.GUARD), (Event.BASE_MOVED, Actor.GUARD)],
)
def test_a_refusal_and_a_merge_are_never_too_late(event: Event, actor: Actor) -> None:
    late = NOW + timedelta(days=60)
    waiting = State.AWAITING_APPROVAL
    step = advance(waiting, event, actor, facts=ALL, now=late, deadline=NOW)
    assert isinstance(step, Transition) == (event is not Event.BASE_MOVED)


@pytest.mark.parametrize("state", [one for one in State if one not in ENDS])
def test_the_time_in_which_the_loop_was_off_counts_for_people_alone(state: State) -> None:
    late = deadline_of(state, NOW)
    assert is_over(state, late, up_since=NOW, now=late)
    assert not is_over(state, late, up_since=NOW, now=late - timedelta(seconds=1))
    back = late + timedelta(days=3)
    assert is_over(state, late, up_since=back, now=back) == (state not in MAKING)
    assert is_over(state, late, up_since=back, now=back + DEADLINES[state].after)


@pytest.mark.parametrize("state", MAKING)
def test_work_that_is_taken_up_again_has_its_whole_time(state: State) -> None:
    late = NOW + timedelta(days=9)
    step = advance(state, Event.TAKEN_UP, Actor.LOOP, now=late, deadline=NOW)
    assert isinstance(step, Transition)
    assert (step.to, step.deadline) == (state, deadline_of(state, late))


def test_the_drawing_shows_every_line() -> None:
    arrows = dict(line.strip().split(": ") for line in as_mermaid().splitlines() if ": " in line)
    for rule in RULES:
        told = f"{rule.event.value} ({rule.actor.value})"
        assert told in arrows[f"{rule.state.name} --> {rule.to.name}"].split(", ")
    for state, silence in DEADLINES.items():
        assert "deadline" in arrows[f"{state.name} --> {silence.to.name}"]
    assert arrows["CANARY --> BAKING"] == "safe (analyst) at the last stage"
    assert "STAGED --> BAKING" not in arrows


def test_the_documentation_draws_the_table_as_it_is() -> None:
    page = (ROOT / "docs" / "lifecycle.md").read_text()
    drawn = page.split("```mermaid\n")[1].split("```")[0]
    assert drawn == as_mermaid(), f"put this into docs/lifecycle.md:\n{as_mermaid()}"


def test_the_documentation_names_every_effect_and_its_states() -> None:
    page = (ROOT / "docs" / "lifecycle.md").read_text()
    rows = dict(line.strip("|").split("|", 1) for line in page.splitlines() if line.count("|") == 3)
    for kind, states in MAY.items():
        told = set(rows[f" `{kind.value}` "].strip().split(", "))
        assert told == {state.name for state in states} or (told, states) == ({"any"}, ANY)
