"""Effects: intended before they are done, done once, and found again after a crash."""

from datetime import timedelta
from typing import Any

import pytest
from fakes.rolling import ALL, NOW, STAGES, TO_APPROVED, TO_CANARY, TO_STAGED, by, led
from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import Changes
from selfdrive_dagster.adapters.effects import Effect, Effects
from selfdrive_dagster.adapters.fencing import Controllers
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.reconciling import Reconciled, reconcile
from selfdrive_dagster.audit import verify
from selfdrive_dagster.errors import BadInput, Refused, SelfdriveError
from selfdrive_dagster.rollout.effects import Kind, key_of
from selfdrive_dagster.rollout.lifecycle import Actor, Event, State

CONTROLLER = by(Actor.CONTROLLER)


class Desk:
    """A controller of the shop with one change on its way."""

    def __init__(self, engine: Engine, *steps: tuple[Event, Actor]) -> None:
        self.engine = engine
        self.change = led(engine, "a", *steps)
        self.changes, self.effects = Changes(engine), Effects(engine)
        self.epoch = self.take_over()

    def take_over(self) -> int:
        self.epoch = Controllers(self.engine).take_over("shop", "somebody", NOW)
        return self.epoch

    def intend(self, kind: Kind, stage: int = 1, more: str = "", **wanted: Any) -> Effect:
        change = self.changes.get(self.change.change_id)
        return self.effects.intend(
            change.change_id,
            kind,
            key=key_of(change.change_id, change.version, kind, more),
            stage=stage,
            wanted=wanted,
            epoch=self.epoch,
            now=NOW,
        )

    def done(self, effect: Effect, **result: Any) -> Effect:
        return self.effects.done(
            effect.key, result, by=CONTROLLER, epoch=self.epoch, now=NOW + timedelta(seconds=2)
        )

    def move(self, event: Event, role: Actor) -> None:
        self.changes.move(
            self.change.change_id, event, by=by(role), now=NOW, facts=ALL, stages=STAGES
        )

    def reconcile(self, seen: dict[Kind, dict | None]) -> Reconciled:
        """Look at a world that shows what is in `seen`; what is absent cannot be looked at."""

        def observe(effect: Effect) -> dict | None:
            if effect.kind not in seen:
                raise SelfdriveError(f"{effect.kind.value}: nobody answers")
            return seen[effect.kind]

        return reconcile(
            self.effects,
            self.changes,
            observe,
            service="shop",
            by=lambda _: CONTROLLER,
            epoch=self.epoch,
            now=NOW,
        )


def test_an_effect_is_intended_then_done_and_told_once(engine: Engine) -> None:
    desk = Desk(engine, *TO_STAGED)
    before = len(Ledger(engine).entries())
    intent = desk.intend(Kind.SET_WEIGHT, share=0.05, generation=3)
    assert (intent.is_open, intent.epoch, intent.wanted) == (
        True,
        desk.epoch,
        {"share": 0.05, "generation": 3},
    )
    assert desk.effects.open("shop") == (intent,)
    assert len(Ledger(engine).entries()) == before  # an intent is not a deed
    done = desk.done(intent, generation=4)
    assert (done.is_open, done.result) == (False, {"generation": 4})
    assert desk.done(intent, generation=9) == done
    assert desk.intend(Kind.SET_WEIGHT, share=0.05, generation=3) == done
    assert desk.effects.open() == ()
    assert desk.effects.of(desk.change.change_id) == (done,)
    row = Ledger(engine).entries()[-1].entry
    assert len(Ledger(engine).entries()) == before + 1
    assert (row.kind, row.change_id, row.issue_id) == (
        "effect.set_weight",
        desk.change.change_id,
        desk.change.issue_id,
    )
    assert row.body == {
        "role": "controller",
        "effect": "set_weight",
        "key": intent.key,
        "stage": 1,
        "epoch": desk.epoch,
        "intended_at": NOW.isoformat(),
        "wanted": {"share": 0.05, "generation": 3},
        "result": {"generation": 4},
    }
    assert verify(Ledger(engine).entries()) is None


def test_a_key_means_one_thing(engine: Engine) -> None:
    desk = Desk(engine, *TO_STAGED)
    desk.intend(Kind.SET_WEIGHT, share=0.05)
    with pytest.raises(Refused, match="not as set_weight"):
        desk.intend(Kind.SET_WEIGHT, share=0.5)
    lease = {"until": NOW, "arms": ("stable", "canary")}  # told as records are, kept as JSON is
    first = desk.intend(Kind.SET_WEIGHT, more="lease", **lease)
    assert desk.intend(Kind.SET_WEIGHT, more="lease", **lease) == first


def test_a_weight_after_a_pause_is_another_effect(engine: Engine) -> None:
    desk = Desk(engine, *TO_CANARY)
    first = desk.done(desk.intend(Kind.SET_WEIGHT, share=0.05))
    desk.move(Event.PAUSE, Actor.HUMAN)
    with pytest.raises(Refused, match="set_weight is not for a change that is hold"):
        desk.intend(Kind.SET_WEIGHT, share=0.05)
    desk.move(Event.RESUME, Actor.OPERATOR)
    again = desk.intend(Kind.SET_WEIGHT, share=0.05)
    assert (again.is_open, again.effect_id) == (True, first.effect_id + 1)


def test_a_zombie_neither_intends_nor_closes(engine: Engine) -> None:
    desk = Desk(engine, *TO_STAGED)
    intent = desk.intend(Kind.SET_WEIGHT, share=0.05)
    old = desk.epoch
    desk.take_over()
    fresh, desk.epoch = desk.epoch, old
    with pytest.raises(Refused, match="took over"):
        desk.done(intent)
    with pytest.raises(Refused, match="took over"):
        desk.intend(Kind.TO_STABLE)
    desk.epoch = fresh
    assert desk.intend(Kind.SET_WEIGHT, share=0.05).epoch == fresh  # taken up by the new one
    assert desk.done(intent).epoch == fresh


def test_nothing_that_exposes_is_intended_on_the_way_back(engine: Engine) -> None:
    desk = Desk(engine, *TO_CANARY)
    desk.move(Event.STOP, Actor.GUARD)
    for kind in (Kind.SET_WEIGHT, Kind.MERGE, Kind.MAKE_STABLE):
        with pytest.raises(Refused, match=f"{kind.value} is not for a change that is rolling_back"):
            desk.intend(kind)
    assert desk.intend(Kind.TO_STABLE).is_open


def test_weights_are_of_the_stage_where_the_change_stands(engine: Engine) -> None:
    desk = Desk(engine, *TO_CANARY)
    with pytest.raises(Refused, match="the weight of stage 2 is not for a change at stage 1"):
        desk.intend(Kind.SET_WEIGHT, 2, share=0.5)


def test_what_turns_out_done_is_closed_and_the_rest_repeated(engine: Engine) -> None:
    desk = Desk(engine, *TO_STAGED)
    started, weighed = desk.intend(Kind.START_REVISION), desk.intend(Kind.SET_WEIGHT, share=0.05)
    desk.take_over()  # the one that intended them died
    found = desk.reconcile({Kind.START_REVISION: {"port": 8001}, Kind.SET_WEIGHT: None})
    assert [one.key for one in found.done] == [started.key]
    assert found.done[0].result == {"port": 8001}
    assert [one.key for one in found.repeat] == [weighed.key]
    assert (found.waits, found.given_up, found.unknown) == ((), (), ())
    assert Ledger(engine).entries()[-1].entry.kind == "effect.start_revision"
    assert [one.key for one in desk.effects.open()] == [weighed.key]


def test_a_raise_is_never_repeated_for_a_change_on_its_way_back(engine: Engine) -> None:
    desk = Desk(engine, *TO_CANARY)
    weighed = desk.intend(Kind.SET_WEIGHT, share=0.05)
    desk.move(Event.ABORT, Actor.HUMAN)
    back = desk.intend(Kind.TO_STABLE)
    found = desk.reconcile({Kind.TO_STABLE: None, Kind.SET_WEIGHT: None})
    assert [one.key for one in found.repeat] == [back.key]
    assert [one.key for one in found.given_up] == [weighed.key]
    assert "rolling_back" in found.given_up[0].given_up
    assert Ledger(engine).entries()[-1].entry.kind == "effect.given_up"
    with pytest.raises(Refused, match="was given up"):
        desk.done(weighed)


def test_a_held_change_keeps_its_intents_waiting(engine: Engine) -> None:
    desk = Desk(engine, *TO_CANARY)
    weighed = desk.intend(Kind.SET_WEIGHT, share=0.05)
    desk.move(Event.PAUSE, Actor.HUMAN)
    assert desk.reconcile({Kind.SET_WEIGHT: None}).waits == (weighed,)
    desk.move(Event.RESUME, Actor.OPERATOR)
    assert desk.reconcile({Kind.SET_WEIGHT: None}).repeat == (weighed,)


def test_what_cannot_be_looked_at_is_neither_done_nor_repeated(engine: Engine) -> None:
    desk = Desk(engine, *TO_APPROVED)
    pushed, started = desk.intend(Kind.PUSH), desk.intend(Kind.START_REVISION)
    found = desk.reconcile({Kind.START_REVISION: {"port": 1}})
    assert found.unknown == ((pushed, "push: nobody answers"),)
    assert found.repeat == ()
    assert [one.key for one in found.done] == [started.key]


def test_an_unknown_key_or_change_is_told(engine: Engine) -> None:
    desk = Desk(engine, *TO_STAGED)
    with pytest.raises(BadInput, match="Nothing was intended as nonsense"):
        desk.effects.done("nonsense", {}, by=CONTROLLER, epoch=desk.epoch, now=NOW)
    with pytest.raises(BadInput, match="A reason is needed"):
        desk.effects.give_up("nonsense", "", by=CONTROLLER, epoch=desk.epoch, now=NOW)


def test_who_dies_between_deed_and_note_finds_it_again(engine: Engine) -> None:
    """The whole walk: intent, death, take-over, observation, and the next move."""
    desk = Desk(engine, *TO_STAGED)
    world: dict[str, float] = {}
    desk.intend(Kind.SET_WEIGHT, share=0.05)
    world["share"] = 0.05  # done, and killed before it was noted
    desk.take_over()
    assert len(desk.reconcile({Kind.SET_WEIGHT: dict(world)}).done) == 1
    assert desk.reconcile({}).unknown == ()
    desk.move(Event.EXPOSED, Actor.CONTROLLER)
    assert desk.changes.get(desk.change.change_id).state is State.CANARY
