"""The store in a random walk: whatever is asked, database, table and ledger tell one story."""

from collections import Counter
from datetime import timedelta
from itertools import count

import pytest
from fakes.rolling import ALL, NOW, STAGES, TO_APPROVED, by, led
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)
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

WHO = {one.event: one.actor for one in RULES} | {Event.DEADLINE: Actor.GUARD}
NUMBERS = count(1)
CHANGES = st.integers(0, 2)
KNOWN = st.just(ALL) | st.just(ALL) | st.just(ALL) | st.frozensets(st.sampled_from(Fact))
CONTROLLER = st.sampled_from((True, True, True, False))
"""Whether the current controller acts, or the one before it, who knows nothing of that."""
USUAL = (Event.SAFE, Event.STOP, Event.PAUSE, Event.HARM)
NEXT = {
    State.APPROVED: Event.BUILT,
    State.STAGED: Event.EXPOSED,
    State.CANARY: Event.SAFE,
    State.HOLD: Event.RESUME,
    State.BAKING: Event.BAKED,
    State.PROMOTED: Event.HARM,
    State.ROLLING_BACK: Event.RESTORED,
}
"""The usual way, with late harm at its end: so the walk has all of a rollout in forty steps."""


class Walk(RuleBasedStateMachine):
    """Three approved changes of one service, two controllers, and the world's own truth."""

    engine: Engine

    @initialize()
    def begin(self) -> None:
        self.changes, self.effects = Changes(self.engine), Effects(self.engine)
        self.service = f"service {next(NUMBERS)}"
        self.ids = [
            led(self.engine, f"{self.service} {one}", *TO_APPROVED, service=self.service).change_id
            for one in range(3)
        ]
        self.now = NOW
        self.moves = Counter({one: 1 + len(TO_APPROVED) for one in self.ids})
        self.truth: set[str] = set()
        self.closed: set[str] = set()
        self.take_over()

    def change(self, which: int) -> Change:
        return self.changes.get(self.ids[which])

    @rule()
    def take_over(self) -> None:
        self.epoch = Controllers(self.engine).take_over(self.service, "x", self.now)

    @rule(hours=st.sampled_from([0, 0, 0, 0.5, 25]))
    def wait(self, hours: float) -> None:
        self.now += timedelta(hours=hours)

    @rule(which=CHANGES, current=CONTROLLER)
    def go_on(self, which: int, current: bool) -> None:
        """Do what comes next for a change, with all that is needed for it."""
        self.move(which, NEXT.get(self.change(which).state, Event.STOP), ALL, current)

    @rule(
        which=CHANGES,
        event=st.sampled_from(USUAL) | st.sampled_from(Event),
        facts=KNOWN,
        current=CONTROLLER,
    )
    def any_move(self, which: int, event: Event, facts: frozenset[Fact], current: bool) -> None:
        self.move(which, event, facts, current)

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
        others = [self.change(one) for one in range(3) if one != which]
        begins = not isinstance(wanted, Refusal) and wanted.to in ROLLING
        blocked = (
            begins and before.state not in ROLLING and any(one.state in IN_FLIGHT for one in others)
        )
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
            else:
                assert epoch != self.epoch
            assert self.change(which) == before
            return
        assert epoch == self.epoch
        assert not isinstance(wanted, Refusal)
        assert not blocked
        assert (moved.change.state, moved.change.stage) == (wanted.to, wanted.stage)
        assert moved.change == self.change(which)
        self.moves[before.change_id] += 1

    @rule(which=CHANGES, kind=st.sampled_from(Kind), current=CONTROLLER, act=st.booleans())
    def do(self, which: int, kind: Kind, current: bool, act: bool) -> None:
        """Intend something and, unless the controller dies, do it in the world."""
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
        if act:
            self.truth.add(key)

    @rule(current=CONTROLLER)
    def reconcile(self, current: bool) -> None:
        """Ask the world: what was done is closed, and nothing else is."""
        epoch = self.epoch - (not current)
        waiting = self.effects.open(self.service)
        try:
            found = reconcile(
                self.effects,
                self.changes,
                lambda effect: {"seen": True} if effect.key in self.truth else None,
                service=self.service,
                by=by(Actor.CONTROLLER),
                epoch=epoch,
                now=self.now,
            )
        except Refused:
            assert epoch != self.epoch
            return
        assert {one.key for one in found.done} == {one.key for one in waiting} & self.truth
        for effect in found.repeat:
            change = self.changes.get(effect.change_id)
            assert not why_not(effect.kind, effect.stage, change.state, change.stage)
        self.closed |= {one.key for one in (*found.done, *found.given_up)}
        left = {one.key for one in self.effects.open(self.service)}
        assert left == {one.key for one in (*found.repeat, *found.waits)}

    @invariant()
    def one_rollout(self) -> None:
        states = [self.change(which).state for which in range(3)]
        assert len([state for state in states if state in ROLLING]) <= 1

    def teardown(self) -> None:
        """Each move and each closed effect is one row, and the chain holds."""
        ledger = Ledger(self.engine)
        for change_id in getattr(self, "ids", ()):
            kinds = Counter(row.entry.kind.partition(".")[0] for row in ledger.entries(change_id))
            closed = [one for one in self.effects.of(change_id) if not one.is_open]
            assert (kinds["change"], kinds["effect"]) == (self.moves[change_id], len(closed))
        assert verify(ledger.entries()) is None


@pytest.mark.slow
def test_database_table_and_ledger_tell_one_story(engine: Engine) -> None:
    class Here(Walk):
        pass

    Here.engine = engine
    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=25,
            stateful_step_count=40,
            deadline=None,
            phases=[Phase.generate],  # to shrink in a database takes minutes
            suppress_health_check=list(HealthCheck),
        ),
    )
