"""Settling: of each intent that nobody closed, the world is asked whether it was done.

Before each look at a change, so that what a crash left open is closed, or given up, by what the
front and git show. Does not belong here: doing it again, which follows from the change's state.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from selfdrive_dagster.adapters.controller.merging import Merging
from selfdrive_dagster.adapters.controller.tools import Pace, Tools
from selfdrive_dagster.adapters.effects import Effect
from selfdrive_dagster.adapters.reconciling import reconcile
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.rollout.effects import Kind, key_of
from selfdrive_dagster.rollout.steering import TOLERANCE
from selfdrive_dagster.rollout.traffic import Traffic

IN_GIT = (Kind.MERGE, Kind.REVERT)


class World(NamedTuple):
    """Where effects show."""

    traffic: Traffic
    merging: Merging


def settle(tools: Tools, merging: Merging, pace: Pace, now: datetime) -> tuple[str, ...]:
    """Close what was intended and was done, and give up what no later look would do.

    Returns what was given up, for people. Git is asked at a pace: it may be far away.
    """
    if not tools.effects.open(tools.service):
        return ()
    world = World(tools.traffic(now), merging)

    def observe(effect: Effect) -> Mapping[str, Any] | None:
        if effect.kind in IN_GIT and pace.rests(effect.key, now):
            raise Refused(f"{effect.key} was looked for just now.")
        if effect.kind in IN_GIT:
            pace.refused(effect.key, now)
        if SHOWN[effect.kind](effect, world):
            return {"generation": world.traffic.wanted.generation, "at": now.isoformat()}
        if effect.kind in ORDERED and ORDERED[effect.kind](effect, world.traffic):
            raise Refused(f"{effect.key} is ordered, and not seen yet.")
        return None

    found = reconcile(
        tools.effects,
        tools.changes,
        observe,
        service=tools.service,
        by=tools.courses.by,
        epoch=tools.epoch,
        now=now,
    )
    over = list(found.given_up)
    for effect in found.repeat:
        change = tools.changes.get(effect.change_id)
        own = change and key_of(change.change_id, change.version, effect.kind)
        if change and not effect.key.startswith(str(own)):
            why = f"the change has moved since; it is {change.state.value}"
            by = tools.courses.by(effect.change_id)
            given = tools.effects.give_up(effect.key, why, by=by, epoch=tools.epoch, now=now)
            over.append(given)
    return tuple(f"{one.change_id}: {one.kind.value} given up: {one.given_up}" for one in over)


def _started(effect: Effect, world: World) -> bool:
    seen = world.traffic.seen
    canary = seen is not None and seen.canary == effect.wanted["canary"]
    return canary and seen is not None and bool(seen.canary_healthy)


def _weighed(effect: Effect, world: World) -> bool:
    seen = world.traffic.seen
    if seen is None or seen.share is None or seen.change_id != effect.change_id:
        return False
    return abs(seen.share - float(effect.wanted["share"])) < TOLERANCE


def _made_stable(effect: Effect, world: World) -> bool:
    seen = world.traffic.seen
    return seen is not None and seen.stable == effect.wanted["stable"] and seen.stable_healthy


def _merged(effect: Effect, world: World) -> bool:
    return world.merging.holds(str(effect.wanted["commit"]))


def _reverted(effect: Effect, world: World) -> bool:
    return world.merging.is_out(str(effect.wanted["commit"]))


def _never(_effect: Effect, _world: World) -> bool:
    return False


SHOWN: dict[Kind, Callable[[Effect, World], bool]] = {
    **dict.fromkeys(Kind, _never),  # what no controller intends
    Kind.START_REVISION: _started,
    Kind.SET_WEIGHT: _weighed,
    Kind.MAKE_STABLE: _made_stable,
    Kind.MERGE: _merged,
    Kind.REVERT: _reverted,
}
"""How the world shows that an effect was done. It raises a SelfdriveError where it cannot tell."""


def _is_ours(effect: Effect, traffic: Traffic) -> bool:
    return traffic.wanted.change_id == effect.change_id


ORDERED: dict[Kind, Callable[[Effect, Traffic], bool]] = {
    Kind.START_REVISION: lambda effect, traffic: (
        _is_ours(effect, traffic) and traffic.wanted.canary == effect.wanted["canary"]
    ),
    Kind.SET_WEIGHT: lambda effect, traffic: (
        _is_ours(effect, traffic)
        and abs(traffic.wanted.share - float(effect.wanted["share"])) < TOLERANCE
    ),
    Kind.MAKE_STABLE: lambda effect, traffic: (
        _is_ours(effect, traffic) and traffic.wanted.stable == effect.wanted["stable"]
    ),
}
"""What was given to the front and not put into effect yet is neither repeated nor given up."""
