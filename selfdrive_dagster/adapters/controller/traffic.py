"""Traffic that follows the state: whatever was interrupted, the next look brings it about.

Each order is intended in the database before it is given; that it was done is told by what the
front shows (`settling`). Down leads a way that asks nobody. Does not belong here: when a state
changes.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.controller.courses import Course
from selfdrive_dagster.adapters.controller.merging import Merging
from selfdrive_dagster.adapters.controller.tools import Tools
from selfdrive_dagster.errors import Refused, SelfdriveError
from selfdrive_dagster.model import digest
from selfdrive_dagster.rollout.canary import Step as Served
from selfdrive_dagster.rollout.effects import Kind, key_of
from selfdrive_dagster.rollout.lifecycle import State
from selfdrive_dagster.rollout.steering import TOLERANCE, share_of
from selfdrive_dagster.rollout.traffic import Cause, Traffic, Wanted

RENEW = timedelta(seconds=20)
"""A lease is renewed when it was given so long ago: it lasts a minute."""

MayRaise = Callable[[Change, datetime], str]
"""Says why no more users may meet a change now, "" when they may."""


class Follower:
    """Gives the orders that a change's state stands for, under one epoch."""

    def __init__(self, tools: Tools, merging: Merging, why_not_raised: MayRaise) -> None:
        self._tools = tools
        self._actuator = tools.actuator
        self._merging = merging
        self._why_not_raised = why_not_raised

    def follow(self, change: Change, course: Course, now: datetime) -> None:
        """Bring the traffic to where the change stands. Raises Refused where it must not be."""
        order = ORDERS.get(change.state)
        if order:
            order(self, change, course, self._actuator.read(), now)

    def without(self, change: Change, course: Course, traffic: Traffic) -> bool | None:
        """Say whether the stable that is served has nothing of a change, None when unknown."""
        served = traffic.seen.stable if traffic.seen else ""
        if not served or served == change.base_revision:
            return True if served else None
        try:
            return not self._merging.is_in(change, course.commit, served)
        except SelfdriveError:
            return None

    def _stage(self, change: Change, course: Course, traffic: Traffic, now: datetime) -> None:
        """Want the canary beside a fresh stable, unless somebody took it back."""
        wanted = traffic.wanted
        if wanted.change_id == change.change_id:
            return
        self._require_raised(change, now)
        told = {"canary": course.commit, "stable": change.base_revision}
        self._intend(change, Kind.START_REVISION, 0, told, now)
        self._actuator.stage(
            generation=wanted.generation,
            stable=change.base_revision,
            change_id=change.change_id,
            canary=course.commit,
            plan=digest(course.plan),
        )

    def _weigh(self, change: Change, course: Course, traffic: Traffic, now: datetime) -> None:
        """Want the state's share, and renew the lease before it runs out."""
        wanted = traffic.wanted
        share = share_of(change.state, change.stage, course.plan)
        if not is_ours(wanted, change, course):
            return  # it was taken back: steering tells of it
        if share is not None and abs(wanted.share - share) > TOLERANCE:
            if share > wanted.share:
                self._require_raised(change, now)
            self._intend(change, Kind.SET_WEIGHT, change.stage, {"share": share}, now)
            self._actuator.set(share, wanted.generation)
            return
        until = wanted.lease_until
        if until is not None and until - now < timedelta(seconds=60) - RENEW:
            self._require_raised(change, now)  # a void approval lets the lease run out
            self._actuator.set(wanted.share, wanted.generation)

    def _return(self, change: Change, course: Course, traffic: Traffic, _now: datetime) -> None:
        """Serve the base alone, also where a later change stands on this one: it goes with it."""
        wanted = traffic.wanted
        if wanted.canary:
            own = wanted.change_id == change.change_id
            cause = Cause.COMMAND if own else Cause.FAULT
            wanted = self._actuator.to_stable(f"{change.change_id} is rolled back", cause).wanted
        if wanted.stable == change.base_revision or not wanted.stable:
            return
        if self._merging.is_in(change, course.commit, wanted.stable):
            self._actuator.stage(
                generation=wanted.generation,
                stable=change.base_revision,
                change_id=change.change_id,
            )

    def _bake(self, change: Change, course: Course, traffic: Traffic, now: datetime) -> None:
        """Keep the bake's share; once the change is merged, make what users met the new stable.

        Where it was merged on a later head that is another commit: what others put into the branch
        is theirs to serve.
        """
        if self._merging.landed(change) is None:
            self._weigh(change, course, traffic, now)
            return
        wanted = traffic.wanted
        if wanted.change_id != change.change_id or wanted.stable == course.commit:
            return
        if wanted.back is not None:
            return  # it was taken back: steering tells of it
        self._require_raised(change, now)
        self._intend(change, Kind.MAKE_STABLE, 0, {"stable": course.commit}, now)
        self._actuator.stage(
            generation=wanted.generation,
            stable=course.commit,
            change_id=change.change_id,
            before=wanted.stable,
        )

    def _require_raised(self, change: Change, now: datetime) -> None:
        """Raise Refused while no more users may meet a change: it was allowed, and may be over."""
        if why := self._why_not_raised(change, now):
            raise Refused(f"{change.change_id} gets no more users: {why}")

    def _intend(
        self, change: Change, kind: Kind, stage: int, told: dict[str, Any], now: datetime
    ) -> None:
        self._tools.effects.intend(
            change.change_id,
            kind,
            key=key_of(change.change_id, change.version, kind),
            stage=stage,
            wanted=told,
            epoch=self._tools.epoch,
            now=now,
        )


def is_ours(wanted: Wanted, change: Change, course: Course) -> bool:
    """Say whether the front has this change's canary."""
    return (wanted.change_id, wanted.canary) == (change.change_id, course.commit)


def is_taken_up(traffic: Traffic) -> bool:
    """Say whether the front has put the newest order into effect."""
    return traffic.seen is not None and traffic.seen.generation == traffic.wanted.generation


def is_served(traffic: Traffic, commit: str) -> bool:
    """Say whether a commit is the stable that is served."""
    return traffic.seen is not None and traffic.seen.stable == commit


def served(tools: Tools, change_id: str) -> tuple[Served, ...]:
    """Return the shares of a rollout, oldest first; unknown between an order and its effect."""
    found = []
    for effect in tools.effects.of(change_id):
        if effect.kind is not Kind.SET_WEIGHT or effect.given_up:
            continue
        found.append(Served(effect.at, None))
        if effect.done_at is not None:
            found.append(Served(effect.done_at, float(effect.wanted["share"])))
    return tuple(found)


ORDERS = {
    State.STAGED: Follower._stage,
    State.CANARY: Follower._weigh,
    State.HOLD: Follower._weigh,
    State.BAKING: Follower._bake,
    State.ROLLING_BACK: Follower._return,
}
"""What each state asks of the traffic; the others leave it alone."""
