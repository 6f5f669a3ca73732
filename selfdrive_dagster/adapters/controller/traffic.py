"""Traffic that follows the state: whatever was interrupted, the next look brings it about.

Each order is intended in the database before it is given and noted as done when the proxy itself
tells so. Down leads a way that asks nobody. Does not belong here: when a state changes.
"""

from datetime import datetime, timedelta
from typing import Any

from selfdrive_dagster.adapters.changes import Authority, Change
from selfdrive_dagster.adapters.effects import Effects
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.model import digest
from selfdrive_dagster.rollout.canary import Plan
from selfdrive_dagster.rollout.effects import Kind, key_of
from selfdrive_dagster.rollout.lifecycle import State
from selfdrive_dagster.rollout.steering import TOLERANCE, share_of
from selfdrive_dagster.rollout.traffic import Cause, Traffic, Wanted

RENEW = timedelta(seconds=20)
"""A lease is renewed when it was given so long ago: it lasts a minute."""


class Follower:
    """Gives the orders that a change's state stands for, under one epoch."""

    def __init__(self, actuator: TraefikActuator, effects: Effects, epoch: int) -> None:
        self._actuator = actuator
        self._effects = effects
        self._epoch = epoch

    def follow(
        self, change: Change, commit: str, plan: Plan, by: Authority, now: datetime
    ) -> Traffic:
        """Bring the traffic to where the change stands, and return it as it is then."""
        traffic = self._actuator.read()
        self._close(change, traffic, by, now)
        order = ORDERS.get(change.state)
        return order(self, change, commit, plan, traffic, now) if order else traffic

    def _stage(
        self, change: Change, commit: str, plan: Plan, traffic: Traffic, now: datetime
    ) -> Traffic:
        """Want the canary beside a fresh stable, unless somebody took it back."""
        wanted = traffic.wanted
        if wanted.change_id == change.change_id:
            return traffic
        told = {"canary": commit, "stable": change.base_revision}
        self._intend(change, Kind.START_REVISION, 0, told, now)
        return self._actuator.stage(
            generation=wanted.generation,
            stable=change.base_revision,
            change_id=change.change_id,
            canary=commit,
            plan=digest(plan),
        )

    def _weigh(
        self, change: Change, commit: str, plan: Plan, traffic: Traffic, now: datetime
    ) -> Traffic:
        """Want the state's share, and renew the lease before it runs out."""
        wanted = traffic.wanted
        share = share_of(change.state, change.stage, plan)
        if not is_ours(wanted, change, commit):
            return traffic  # it was taken back: steering tells of it
        if share is not None and abs(wanted.share - share) > TOLERANCE:
            self._intend(change, Kind.SET_WEIGHT, change.stage, {"share": share}, now)
            return self._actuator.set(share, wanted.generation)
        until = wanted.lease_until
        if until is not None and until - now < timedelta(seconds=60) - RENEW:
            return self._actuator.set(wanted.share, wanted.generation)
        return traffic

    def _return(
        self, change: Change, _commit: str, _plan: Plan, traffic: Traffic, _now: datetime
    ) -> Traffic:
        """Serve the base alone."""
        wanted = traffic.wanted
        if wanted.canary:
            return self._actuator.to_stable(f"{change.change_id} is rolled back", Cause.COMMAND)
        if wanted.stable != change.base_revision and wanted.change_id == change.change_id:
            return self._actuator.stage(
                generation=wanted.generation, stable=change.base_revision,
                change_id=change.change_id,
            )  # fmt: skip
        return traffic

    def _promote(
        self, change: Change, commit: str, _plan: Plan, traffic: Traffic, now: datetime
    ) -> Traffic:
        """Make the change the new stable; once another change has the front, it is."""
        wanted = traffic.wanted
        if wanted.change_id != change.change_id or wanted.stable == commit:
            return traffic
        self._intend(change, Kind.MAKE_STABLE, 0, {"stable": commit}, now)
        return self._actuator.stage(
            generation=wanted.generation, stable=commit, change_id=change.change_id
        )

    def _intend(
        self, change: Change, kind: Kind, stage: int, told: dict[str, Any], now: datetime
    ) -> None:
        self._effects.intend(
            change.change_id,
            kind,
            key=key_of(change.change_id, change.version, kind),
            stage=stage,
            wanted=told,
            epoch=self._epoch,
            now=now,
        )

    def _close(self, change: Change, traffic: Traffic, by: Authority, now: datetime) -> None:
        """Note as done what the front shows as done, and give up what nobody will do any more."""
        for effect in self._effects.of(change.change_id):
            if not effect.is_open or effect.kind not in SHOWN:
                continue
            if SHOWN[effect.kind](effect.wanted, traffic):
                seen = {"generation": traffic.wanted.generation, "at": now.isoformat()}
                self._effects.done(effect.key, seen, by=by, epoch=self._epoch, now=now)
            elif effect.key != key_of(change.change_id, change.version, effect.kind):
                why = f"the change is {change.state.value} by now"
                self._effects.give_up(effect.key, why, by=by, epoch=self._epoch, now=now)


def is_ours(wanted: Wanted, change: Change, commit: str) -> bool:
    """Say whether the front has this change's canary."""
    return (wanted.change_id, wanted.canary) == (change.change_id, commit)


def is_taken_up(traffic: Traffic) -> bool:
    """Say whether the front has put the newest order into effect."""
    return traffic.seen is not None and traffic.seen.generation == traffic.wanted.generation


def _started(told: dict[str, Any], traffic: Traffic) -> bool:
    seen = traffic.seen
    return seen is not None and seen.canary == told["canary"] and bool(seen.canary_healthy)


def _weighed(told: dict[str, Any], traffic: Traffic) -> bool:
    seen = traffic.seen
    same = seen is not None and seen.share is not None
    return same and abs(float(seen.share or 0.0) - told["share"]) < TOLERANCE  # type: ignore[union-attr]


def _made_stable(told: dict[str, Any], traffic: Traffic) -> bool:
    seen = traffic.seen
    return seen is not None and seen.stable == told["stable"] and seen.stable_healthy


SHOWN = {
    Kind.START_REVISION: _started,
    Kind.SET_WEIGHT: _weighed,
    Kind.MAKE_STABLE: _made_stable,
}
"""How the front shows that an order is carried out."""

ORDERS = {
    State.STAGED: Follower._stage,
    State.CANARY: Follower._weigh,
    State.HOLD: Follower._weigh,
    State.BAKING: Follower._weigh,
    State.ROLLING_BACK: Follower._return,
    State.PROMOTED: Follower._promote,
}
"""What each state asks of the traffic; the others leave it alone."""
