"""A small world of rollouts: two services, racing controllers, a proxy, a clock that jumps.

What is stored survives every crash; what a controller has in mind does not, and may be old. The
world tells its facts truly, as far as it knows them; whatever else is a fact is drawn. Who made it
watches each answer of the lifecycle before it is written. Does not belong here: what must never
happen.
"""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random

from selfdrive_dagster.rollout.effects import Kind, stage_to_weigh, why_not
from selfdrive_dagster.rollout.lifecycle import (
    BEGINNING,
    DOWN,
    ENDS,
    IN_FLIGHT,
    ROLLING,
    RULES,
    STILL,
    Actor,
    Event,
    Fact,
    Refusal,
    State,
    Transition,
    advance,
    deadline_of,
)

START = datetime(2026, 11, 23, tzinfo=UTC)
SHARES = (0.01, 0.05, 0.25, 0.5)
STAGES = len(SHARES)
BAKE = 0.95
LEASE = timedelta(seconds=60)
WHO = {rule.event: rule.actor for rule in RULES} | {Event.DEADLINE: Actor.GUARD}
ALL = frozenset(Fact)
NEXT = {state: [rule.event for rule in RULES if rule.state is state] for state in State}
EVENTS, ACTORS, FACTS = tuple(Event), tuple(Actor), tuple(Fact)
SHORT, LONG = (1, 2, 5, 10, 20, 40) * 16, (600, 7200, 300_000, 3_000_000)
JUMPS = [timedelta(seconds=one) for one in (*SHORT, *LONG)]
SELDOM = {Event.REJECT, Event.MERGED, Event.BASE_MOVED, Event.PATCH_EDITED, Event.FAIL}
SELDOM |= {Event.TAKEN_UP, Event.RELEASED, Event.SOAKED, *(line[0] for line in (*DOWN, *STILL))}

KNOWN = {
    Fact.LEASE_HELD,
    Fact.NOT_STOPPED,
    Fact.EVIDENCE_STORED,
    Fact.WEIGHT_READ_BACK,
    Fact.HELD_FOR_DATA,
    Fact.STABLE_ALONE,
    Fact.REVERTED_OR_NEVER_MERGED,
}
"""Facts that the world knows; the others are drawn, NONE_IN_FLIGHT too: it was read before."""


@dataclass(slots=True)
class Stored:
    """A change as the database has it, and below the line what whoever watches remembers of it."""

    number: int
    service: int
    state: State = BEGINNING
    stage: int = 0
    deadline: datetime | None = None
    # ---
    approved: bool = False
    merged: bool = False
    promoted: bool = False
    held_for_data: bool = False
    back_since: int = 0
    """The generation of the traffic when the change was sent back."""


@dataclass(slots=True)
class Proxy:
    """A service's traffic: which change has which share, under which lease."""

    share: float = 0.0
    owner: int = -1
    generation: int = 0
    lease_until: datetime = START


@dataclass(slots=True)
class Controller:
    """One of two that want to control a service. What it has in mind may be old."""

    epoch: int = 0
    intent: tuple[int, float, int] | None = None
    """Change, share and the generation that was read: between intent and deed others act."""


@dataclass
class World:
    """Everything, with the steps that may happen to it."""

    chance: Random
    watch: Callable[["World", Stored, Transition | Refusal, frozenset[Fact]], None]
    now: datetime = START
    stopped: bool = False
    silent: bool = False
    gap: bool = False
    changes: list[Stored] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=lambda: [Proxy(), Proxy()])
    epochs: list[int] = field(default_factory=lambda: [0, 0])
    fired: Counter[tuple[State, Event]] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    told: deque[str] = field(default_factory=lambda: deque(maxlen=16))

    def __post_init__(self) -> None:
        self.controllers = [[Controller(), Controller()] for _ in self.proxies]
        self.draws = [frozenset(FACTS) - KNOWN] * 10 + [
            frozenset(self.chance.sample(FACTS, self.chance.randrange(len(FACTS)))) - KNOWN
            for _ in range(5)
        ]
        for number in range(6):
            self.changes.append(self.fresh(number))

    def fresh(self, number: int) -> Stored:
        deadline = deadline_of(BEGINNING, self.now)
        return Stored(number=number, service=number % 2, deadline=deadline)

    def step(self) -> None:
        """Let one thing happen."""
        action = self.chance.choices(ACTIONS, cum_weights=WEIGHTS)[0]
        action(self)

    # What happens to a change.

    def happen(self) -> None:
        flies = self.in_flight(self.chance.randrange(2)) if self.chance.random() < 0.6 else []
        change = self.chance.choice(flies or self.changes)
        likely = self.chance.random()
        known = (NEXT[change.state] if likely < 0.9 else ()) or EVENTS
        usual = [event for event in known if event not in SELDOM]
        if not usual and self.chance.random() < 0.8:
            return
        event = self.chance.choice(usual if usual and self.chance.random() < 0.93 else known)
        actor = WHO[event] if likely < 0.95 else self.chance.choice(ACTORS)
        controller = self.chance.choice(self.controllers[change.service])
        if actor is Actor.CONTROLLER and controller.epoch != self.epochs[change.service]:
            self.refused["stale epoch"] += 1
            return
        self.move(change, event, actor, self.facts(change))

    def keep_deadlines(self) -> None:
        for change in self.changes:
            if change.deadline is not None and self.now >= change.deadline:
                self.move(change, Event.DEADLINE, Actor.GUARD, frozenset())

    def facts(self, change: Stored) -> frozenset[Fact]:
        """What is known of a change: the truth where the world has it, else a draw."""
        proxy = self.proxies[change.service]
        true = (
            (Fact.LEASE_HELD, self.now < proxy.lease_until),
            (Fact.NOT_STOPPED, not self.stopped),
            (Fact.EVIDENCE_STORED, not self.gap),
            (Fact.WEIGHT_READ_BACK, self.reads_back(change)),
            (Fact.HELD_FOR_DATA, change.held_for_data),
            (Fact.STABLE_ALONE, self.stable_alone(change)),
            (Fact.REVERTED_OR_NEVER_MERGED, not change.merged),
        )
        return self.chance.choice(self.draws).union(fact for fact, holds in true if holds)

    def reads_back(self, change: Stored) -> bool:
        proxy = self.proxies[change.service]
        return proxy.owner == change.number and self.exposed(change.service) == share_of(change)

    def stable_alone(self, change: Stored) -> bool:
        """Whether traffic was returned *since* the change was sent back.

        That there is none is not enough: a weight that was intended before may still be set, and
        only a new generation refuses it. This walk found that.
        """
        proxy = self.proxies[change.service]
        return proxy.share == 0.0 and proxy.generation > change.back_since

    def exposed(self, service: int) -> float:
        """The share that counts: none beyond the lease."""
        proxy = self.proxies[service]
        return proxy.share if self.now < proxy.lease_until else 0.0

    def move(self, change: Stored, event: Event, actor: Actor, facts: frozenset[Fact]) -> None:
        """Do what the store does: look up, refuse a second rollout, write."""
        step = advance(
            change.state,
            event,
            actor,
            facts=facts,
            now=self.now,
            deadline=change.deadline,
            stage=change.stage,
            stages=STAGES,
        )
        if isinstance(step, Refusal):
            self.refused["table"] += 1
            self.watch(self, change, step, facts)
            return
        begins = step.to in ROLLING and step.state not in ROLLING
        if begins and any(self.in_flight(change.service)):
            self.refused["second rollout"] += 1
            return
        self.told.append(f"{change.number} {step.state.value} {event.value} {step.to.value}")
        self.watch(self, change, step, facts)
        self.fired[step.state, event] += 1
        self.remember(change, step)
        change.state, change.stage, change.deadline = step.to, step.stage, step.deadline
        if step.to in ENDS and not self.silent:
            self.open_more()

    def remember(self, change: Stored, step: Transition) -> None:
        """Keep of a change what its state alone does not tell."""
        if step.event is Event.APPROVE:
            change.approved = True
        if step.event is Event.BAKED:
            change.merged = change.promoted = True
        if step.to is State.VALIDATING is not step.state:
            change.approved = False
        if step.to is State.HOLD is not step.state:
            change.held_for_data = step.event is Event.NO_DATA
        if step.to is State.ROLLING_BACK is not step.state:
            change.back_since = self.proxies[change.service].generation

    def open_more(self) -> None:
        """Put new changes where others ended and left no trace in the traffic."""
        for at, change in enumerate(self.changes):
            if change.state in ENDS and self.proxies[change.service].owner != change.number:
                self.changes[at] = self.fresh(change.number + len(self.changes))
                if self.chance.random() < 0.7:
                    self.lead_on(self.changes[at])

    def lead_on(self, change: Stored) -> None:
        """Bring a change to its rollout soon: most of the walk shall happen there."""
        for event in (Event.START, Event.PROVEN, Event.PROPOSE, Event.APPROVE):
            self.move(change, event, WHO[event], ALL)

    def in_flight(self, service: int) -> list[Stored]:
        return [one for one in self.changes if one.service == service and one.state in IN_FLIGHT]

    # What happens to traffic.

    def intend(self) -> None:
        """A controller reads the store and the proxy, and notes what it is about to do."""
        service = self.chance.randrange(2)
        controller = self.chance.choice(self.controllers[service])
        if controller.epoch != self.epochs[service]:
            self.refused["stale epoch"] += 1
            return
        for change in self.in_flight(service):
            at = stage_to_weigh(change.state, change.stage)
            if not why_not(Kind.SET_WEIGHT, at, change.state, change.stage):
                generation = self.proxies[service].generation
                controller.intent = change.number, share_of(change), generation

    def act(self) -> None:
        """A controller does what it intended, however long ago that was."""
        service = self.chance.randrange(2)
        controller, proxy = self.chance.choice(self.controllers[service]), self.proxies[service]
        if controller.intent is None:
            return
        owner, share, generation = controller.intent
        controller.intent = None
        if generation != proxy.generation:
            self.refused["stale generation"] += 1
            return
        self.told.append(f"{owner} weighs {share}")
        proxy.share, proxy.owner = share, owner
        proxy.generation += 1
        proxy.lease_until = self.now + LEASE

    def renew(self) -> None:
        """The current controller prolongs the lease of what is there."""
        for service, proxy in enumerate(self.proxies):
            flies = [one.number for one in self.in_flight(service) if one.state in ROLLING]
            if self.now < proxy.lease_until and proxy.owner in flies and not self.stopped:
                proxy.lease_until = self.now + LEASE

    def to_stable(self) -> None:
        """Anybody returns a service's traffic: it needs no store, no epoch and no lease."""
        service = self.chance.randrange(2)
        proxy = self.proxies[service]
        rolls = proxy.share and any(one.state in ROLLING for one in self.in_flight(service))
        if rolls and self.chance.random() < 0.9:
            return  # people do that seldom; on the way back it is always done
        proxy.share, proxy.owner = 0.0, -1
        proxy.generation += 1
        self.told.append(f"service {service} to stable")
        self.open_more()

    def drift(self) -> None:
        proxy = self.chance.choice(self.proxies)
        if proxy.share:
            proxy.share = self.chance.random()

    # What happens to those who act, and around them.

    def take_over(self) -> None:
        service = self.chance.randrange(2)
        self.epochs[service] += 1
        self.chance.choice(self.controllers[service]).epoch = self.epochs[service]

    def crash(self) -> None:
        """A controller dies and starts again: nothing but what is stored is left."""
        service = self.chance.randrange(2)
        self.controllers[service][self.chance.randrange(2)] = Controller()

    def jump(self) -> None:
        self.now += self.chance.choice(JUMPS)

    def weather(self) -> None:
        """Telemetry stops or comes back; somebody pulls the kill switch or releases it."""
        self.gap = self.chance.random() < 0.3
        self.stopped = self.chance.random() < 0.1

    def revert(self) -> None:
        for change in self.changes:
            if change.state is State.ROLLED_BACK:
                change.merged = False

    def fall_silent(self) -> None:
        """Nobody acts any more but the clock: leave the world where that leads it."""
        self.silent = True
        for _ in range(12):
            self.now += timedelta(days=31)
            self.keep_deadlines()


def share_of(change: Stored) -> float:
    """The share that a change's plan gives it where it stands."""
    if change.state is State.BAKING:
        return BAKE
    at = stage_to_weigh(change.state, change.stage)
    return SHARES[at - 1] if change.state in ROLLING and at else 0.0


LIKELY = (
    (World.happen, 50),
    (World.intend, 20),
    (World.act, 20),
    (World.renew, 10),
    (World.to_stable, 2),
    (World.drift, 0.2),
    (World.take_over, 1.5),
    (World.crash, 0.5),
    (World.jump, 4),
    (World.weather, 0.5),
    (World.revert, 1),
    (World.keep_deadlines, 3),
)
ACTIONS = tuple(action for action, _ in LIKELY)
WEIGHTS = tuple(sum(weight for _, weight in LIKELY[: at + 1]) for at in range(len(LIKELY)))
