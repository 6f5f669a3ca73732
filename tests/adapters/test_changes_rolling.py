"""A rollout in the database: stages are stored, one per service, and no zombie moves anything."""

import threading
from datetime import timedelta

import pytest
from fakes.rolling import (
    ALL,
    NOW,
    STAGES,
    TO_APPROVED,
    TO_BAKING,
    TO_CANARY,
    TO_PROMOTED,
    TO_STAGED,
    by,
    led,
)
from sqlalchemy import Engine, text

from selfdrive_dagster.adapters.changes import Changes, MoveRefused
from selfdrive_dagster.adapters.fencing import Controllers
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.audit import verify
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.rollout.lifecycle import ROLLING, Actor, Event, Fact, State


def test_stages_are_climbed_stored_and_told(engine: Engine) -> None:
    change = led(engine, "a", *TO_BAKING)
    assert (change.state, change.stage) == (State.BAKING, STAGES)
    assert Changes(engine).get(change.change_id) == change
    rows = [row.entry for row in Ledger(engine).entries(change.change_id)]
    told = [(entry.kind, entry.body.get("to"), entry.body.get("stage")) for entry in rows[-4:]]
    assert told == [
        ("change.built", "staged", None),
        ("change.exposed", "canary", 1),
        ("change.safe", "canary", 2),
        ("change.safe", "baking", 2),
    ]
    assert all(entry.signature and not entry.run_id for entry in rows)
    assert verify(Ledger(engine).entries()) is None


def test_without_a_plan_nobody_climbs(engine: Engine) -> None:
    change = led(engine, "a", *TO_STAGED)
    with pytest.raises(MoveRefused, match="stage 0 of 0 is no place to climb from"):
        Changes(engine).move(
            change.change_id, Event.EXPOSED, by=by(Actor.CONTROLLER), now=NOW, facts=ALL
        )


def test_the_way_back_keeps_the_stage_and_heeds_no_deadline(engine: Engine) -> None:
    change = led(engine, "a", *TO_CANARY)
    late = NOW + timedelta(days=99)
    moved = Changes(engine).move(change.change_id, Event.STOP, by=by(Actor.GUARD), now=late)
    assert (moved.change.state, moved.change.stage) == (State.ROLLING_BACK, 1)


def test_a_service_has_one_rollout_at_a_time(engine: Engine) -> None:
    first, second = led(engine, "a", *TO_CANARY), led(engine, "b", *TO_APPROVED)
    elsewhere = led(engine, "c", *TO_STAGED, service="other")
    assert elsewhere.state is State.STAGED
    changes = Changes(engine)

    def build() -> None:
        controller = by(Actor.CONTROLLER)
        changes.move(second.change_id, Event.BUILT, by=controller, now=NOW, facts=ALL)

    says = f"{first.change_id} of shop is {first.state.value}, and a service has one rollout"
    with pytest.raises(MoveRefused, match=says) as caught:
        build()
    assert caught.value.refusal.missing == (Fact.NONE_IN_FLIGHT,)
    assert changes.get(second.change_id) == second
    changes.move(first.change_id, Event.STOP, by=by(Actor.GUARD), now=NOW)
    with pytest.raises(MoveRefused, match="is rolling_back"):
        build()
    changes.move(first.change_id, Event.RESTORED, by=by(Actor.CONTROLLER), now=NOW, facts=ALL)
    build()
    assert changes.get(second.change_id).state is State.STAGED


def test_of_two_that_begin_at_once_one_is_refused(engine: Engine) -> None:
    several = [led(engine, name, *TO_APPROVED) for name in "abcd"]
    changes, outcomes = Changes(engine), []
    gate = threading.Barrier(len(several))

    def build(change_id: str) -> None:
        gate.wait()
        try:
            changes.move(change_id, Event.BUILT, by=by(Actor.CONTROLLER), now=NOW, facts=ALL)
            outcomes.append("built")
        except MoveRefused as refused:
            assert refused.refusal.missing == (Fact.NONE_IN_FLIGHT,)
            outcomes.append("refused")

    threads = [threading.Thread(target=build, args=(one.change_id,)) for one in several]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["built", "refused", "refused", "refused"]
    assert len([one for one in changes.all() if one.state is State.STAGED]) == 1


def test_late_harm_comes_back_while_another_is_on_its_way(engine: Engine) -> None:
    promoted, other = led(engine, "a", *TO_PROMOTED), led(engine, "b", *TO_CANARY)
    changes = Changes(engine)
    moved = changes.move(promoted.change_id, Event.HARM, by=by(Actor.ANALYST), now=NOW, facts=ALL)
    assert moved.change.state is State.ROLLING_BACK
    assert changes.get(other.change_id) == other


def test_the_index_holds_the_states_that_the_lifecycle_calls_rolling(engine: Engine) -> None:
    with engine.connect() as connection:
        told = connection.scalar(
            text("SELECT indexdef FROM pg_indexes WHERE indexname = 'one_rollout_per_service'")
        )
    assert [state for state in State if f"'{state.value}'" in told] == [
        state for state in State if state in ROLLING
    ]


def test_who_took_over_counts_up_and_the_one_before_moves_nothing(engine: Engine) -> None:
    change, controllers = led(engine, "a", *TO_APPROVED), Controllers(engine)
    changes = Changes(engine)
    assert controllers.current("shop") is None

    def build(epoch: int) -> None:
        controller = by(Actor.CONTROLLER)
        changes.move(change.change_id, Event.BUILT, by=controller, now=NOW, facts=ALL, epoch=epoch)

    with pytest.raises(Refused, match="nobody took it over"):
        build(1)
    first = controllers.take_over("shop", "up 1", NOW)
    second = controllers.take_over("shop", "up 2", NOW + timedelta(minutes=5))
    assert (first, second) == (1, 2)
    assert controllers.take_over("other", "up 1", NOW) == 1
    assert controllers.current("shop").holder == "up 2"
    with pytest.raises(Refused, match="up 2 took over"):
        build(first)
    assert changes.get(change.change_id) == change
    build(second)
    with pytest.raises(BadInput, match="a service and a name"):
        controllers.take_over("shop", "", NOW)


def test_of_many_who_take_over_at_once_each_has_an_epoch_of_its_own(engine: Engine) -> None:
    controllers, epochs = Controllers(engine), []
    threads = [
        threading.Thread(
            target=lambda: epochs.append(controllers.take_over("shop", "somebody", NOW))
        )
        for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(epochs) == [1, 2, 3, 4, 5, 6]
    assert controllers.current("shop").epoch == 6
