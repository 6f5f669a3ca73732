"""The store in a random walk: whatever is asked, database, table and ledger tell one story.

The walk of `rollout/test_lifecycle_walk.py` asks the pure table; this one asks PostgreSQL.
"""

from collections import Counter
from datetime import timedelta
from random import Random

import pytest
from fakes.rolling import ALL, NOW, STAGES, TO_APPROVED, by, led
from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import Change, Changes, MoveRefused
from selfdrive_dagster.adapters.effects import Effects
from selfdrive_dagster.adapters.fencing import Controllers
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.reconciling import reconcile
from selfdrive_dagster.audit import verify
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.rollout.effects import Kind, key_of, why_not
from selfdrive_dagster.rollout.lifecycle import (
    ENDS,
    IN_FLIGHT,
    ROLLING,
    RULES,
    Actor,
    Event,
    Fact,
    Refusal,
    State,
    advance,
)

SEED, STEPS = 20261123, 2000
WHO = {one.event: one.actor for one in RULES} | {Event.DEADLINE: Actor.GUARD}
USUAL = (Event.SAFE, Event.STOP, Event.PAUSE, Event.HARM)
EVENTS, FACTS = tuple(Event), tuple(Fact)
KINDS = (*Kind, *(Kind.SET_WEIGHT,) * len(Kind))
HOURS = (0.01,) * 8 + (0.5, 25)
NEXT = {
    State.VALIDATING: Event.PROVEN,
    State.VALIDATED: Event.PROPOSE,
    State.AWAITING_APPROVAL: Event.APPROVE,
    State.APPROVED: Event.BUILT,
    State.STAGED: Event.EXPOSED,
    State.CANARY: Event.SAFE,
    State.HOLD: Event.RESUME,
    State.BAKING: Event.BAKED,
    State.PROMOTED: Event.HARM,
    State.ROLLING_BACK: Event.RESTORED,
    State.ROLLED_BACK: Event.REVERTED,
    State.MERGED_OUTSIDE: Event.RELEASED,
    State.OBSERVING: Event.SOAKED,
}
"""The usual way, with late harm at its end: so the walk has all of a rollout."""


class Walk:
    """Three approved changes of one service, two controllers, and the world's own truth."""

    def __init__(self, engine: Engine, chance: Random) -> None:
        self.engine, self.chance, self.now = engine, chance, NOW
        self.changes, self.effects = Changes(engine), Effects(engine)
        self.moves: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.truth: set[str] = set()
        self.closed: set[str] = set()
        self.ids = [self.fresh() for _ in range(3)]
        self.take_over()

    def fresh(self) -> str:
        change_id = led(self.engine, f"{len(self.moves)}", *TO_APPROVED).change_id
        self.moves[change_id] = 1 + len(TO_APPROVED)
        return change_id

    def step(self) -> None:
        """Let one thing happen, by the current controller or by one that was."""
        which, current = self.chance.randrange(3), self.chance.random() < 0.85
        if self.change(which).state in ENDS:
            self.ids[which] = self.fresh()
        action = self.chance.choices(ACTIONS, WEIGHTS)[0]
        action(self, which, current)
        states = [one.state for one in self.changes.all()]
        assert len([state for state in states if state in ROLLING]) <= 1

    def change(self, which: int) -> Change:
        return self.changes.get(self.ids[which])

    def take_over(self, *_: object) -> None:
        self.epoch = Controllers(self.engine).take_over("shop", "somebody", self.now)

    def wait(self, *_: object) -> None:
        self.now += timedelta(hours=self.chance.choice(HOURS))

    def go_on(self, which: int, current: bool) -> None:
        """Do what comes next for a change, with all that is needed for it."""
        change = self.change(which)
        late = change.deadline is not None and self.now >= change.deadline
        event = Event.DEADLINE if late else NEXT.get(change.state, Event.STOP)
        if event is Event.SAFE and self.chance.random() < 0.4:
            event = Event.PAUSE
        self.move(which, event, ALL, current)

    def fall(self, which: int, current: bool) -> None:
        """Ask for anything, with some facts known."""
        event = self.chance.choice(self.chance.choice((USUAL, EVENTS)))
        some = frozenset(self.chance.sample(FACTS, self.chance.randrange(len(FACTS))))
        self.move(which, event, self.chance.choice((ALL, some)), current)

    def move(self, which: int, event: Event, facts: frozenset[Fact], current: bool) -> None:
        """Ask for a move; the database answers what the table and the service's rule say."""
        before, epoch = self.change(which), self.epoch - (not current)
        wanted = advance(
            before.state,
            event,
            WHO[event],
            facts=facts,
            now=self.now,
            deadline=before.deadline,
            stage=before.stage,
            stages=STAGES,
        )
        begins = not isinstance(wanted, Refusal) and wanted.to in ROLLING
        others = [one.state for one in self.changes.all() if one.change_id != before.change_id]
        blocked = begins and before.state not in ROLLING and any(one in IN_FLIGHT for one in others)
        try:
            moved = self.changes.move(
                before.change_id,
                event,
                by=by(WHO[event]),
                now=self.now,
                facts=facts,
                stages=STAGES,
                epoch=epoch,
            )
        except Refused as refused:
            if isinstance(refused, MoveRefused):
                assert isinstance(wanted, Refusal) or blocked
                self.seen["second rollout"] += blocked
            else:
                assert epoch != self.epoch
                self.seen["zombie"] += 1
            assert self.change(which) == before
            return
        assert epoch == self.epoch
        assert not isinstance(wanted, Refusal)
        assert not blocked
        assert (moved.change.state, moved.change.stage) == (wanted.to, wanted.stage)
        assert moved.change == self.change(which)
        self.moves[before.change_id] += 1
        self.seen[event.value] += 1

    def do(self, which: int, current: bool) -> None:
        """Intend something and, unless the controller dies, do it in the world."""
        kind, dies = self.chance.choice(KINDS), self.chance.random() < 0.5
        change, epoch = self.change(which), self.epoch - (not current)
        key, stage = key_of(change.change_id, change.version, kind), max(change.stage, 1)
        try:
            effect = self.effects.intend(
                change.change_id, kind, key=key, stage=stage, wanted={}, epoch=epoch, now=self.now
            )
        except Refused:
            stale = epoch != self.epoch
            assert stale or why_not(kind, stage, change.state, change.stage)
            return
        assert epoch == self.epoch
        assert effect.is_open == (key not in self.closed)
        assert not (effect.is_open and why_not(kind, stage, change.state, change.stage))
        if effect.is_open and not dies:
            self.truth.add(key)

    def reconcile(self, _: int, current: bool) -> None:
        """Ask the world: what was done is closed, and nothing else is."""
        epoch = self.epoch - (not current)
        waiting = self.effects.open("shop")
        try:
            found = reconcile(
                self.effects,
                self.changes,
                lambda effect: {"seen": True} if effect.key in self.truth else None,
                service="shop",
                by=lambda _: by(Actor.CONTROLLER),
                epoch=epoch,
                now=self.now,
            )
        except Refused:
            assert epoch != self.epoch
            return
        assert {one.key for one in found.done} == {one.key for one in waiting} & self.truth
        for name in ("done", "repeat", "waits", "given_up"):
            self.seen[name] += len(getattr(found, name))
        for effect in found.repeat:
            change = self.changes.get(effect.change_id)
            assert not why_not(effect.kind, effect.stage, change.state, change.stage)
            if self.chance.random() < 0.3:
                self.truth.add(effect.key)
        self.closed |= {one.key for one in (*found.done, *found.given_up)}
        left = {one.key for one in self.effects.open("shop")}
        assert left == {one.key for one in (*found.repeat, *found.waits)}

    def ends_well(self) -> None:
        """Each move and each closed effect is one row, and the chain holds."""
        ledger = Ledger(self.engine)
        for change_id, moves in self.moves.items():
            kinds = Counter(row.entry.kind.partition(".")[0] for row in ledger.entries(change_id))
            closed = [one for one in self.effects.of(change_id) if not one.is_open]
            assert (kinds["change"], kinds["effect"]) == (moves, len(closed))
        assert verify(ledger.entries()) is None


LIKELY = (
    (Walk.go_on, 40),
    (Walk.fall, 10),
    (Walk.do, 25),
    (Walk.reconcile, 12),
    (Walk.wait, 5),
    (Walk.take_over, 3),
)
ACTIONS, WEIGHTS = zip(*LIKELY, strict=True)
MET = ("baked", "restored", "harm", "second rollout", "zombie")
MET += ("done", "repeat", "waits", "given_up")
"""What the walk must have met to be worth something."""


@pytest.mark.slow
def test_database_table_and_ledger_tell_one_story(engine: Engine) -> None:
    walk = Walk(engine, Random(SEED))
    for number in range(STEPS):
        try:
            walk.step()
        except AssertionError as fault:
            pytest.fail(f"seed {SEED}, step {number}: {fault}")
    walk.ends_well()
    assert [name for name in MET if not walk.seen[name]] == [], walk.seen
