"""After a crash: what was intended and not closed is looked for in the world, one by one.

What turns out done is closed with what was seen. What was not done is repeated, waits or is given
up, as `rollout.effects.fate` says for the state that the change has by now. Does not belong here:
how the world is looked at, and the repeating itself.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from selfdrive_dagster.adapters.changes import Authority, Changes
from selfdrive_dagster.adapters.effects import Effect, Effects
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.rollout.effects import Fate, fate

Observe = Callable[[Effect], Mapping[str, Any] | None]
"""Looks whether an effect was done: what it sees then, None when it surely was not.

It raises a SelfdriveError when that cannot be known.
"""


class Reconciled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of the open effects of a service, oldest first.

    `unknown` are those that could not be looked at, with the reason: they are not repeated.
    """

    done: tuple[Effect, ...] = ()
    repeat: tuple[Effect, ...] = ()
    waits: tuple[Effect, ...] = ()
    given_up: tuple[Effect, ...] = ()
    unknown: tuple[tuple[Effect, str], ...] = ()


def reconcile(
    effects: Effects,
    changes: Changes,
    observe: Observe,
    *,
    service: str,
    by: Callable[[str], Authority],
    epoch: int,
    now: datetime,
) -> Reconciled:
    """Close what can be closed, and return the rest sorted by what is to follow.

    `by` tells under which authority a change is acted on. Whoever repeats an effect intends it
    again first: its change may have moved meanwhile.
    Raises Refused when another controller took over.
    """
    kept: dict[Fate | None, list[Effect]] = {None: [], **{each: [] for each in Fate}}
    unknown: list[tuple[Effect, str]] = []
    for effect in effects.open(service):
        try:
            seen = observe(effect)
        except SelfdriveError as fault:
            unknown.append((effect, fault.message))
            continue
        who = by(effect.change_id)
        if seen is not None:
            kept[None].append(effects.done(effect.key, seen, by=who, epoch=epoch, now=now))
            continue
        change = changes.get(effect.change_id)
        assert change is not None  # the table refers to it
        follows = fate(effect.kind, effect.stage, change.state, change.stage)
        if follows is Fate.GIVE_UP:
            why = f"not done when {effect.change_id} came to be {change.state.value}"
            effect = effects.give_up(effect.key, why, by=who, epoch=epoch, now=now)
        kept[follows].append(effect)
    return Reconciled(
        done=tuple(kept[None]),
        repeat=tuple(kept[Fate.REPEAT]),
        waits=tuple(kept[Fate.WAIT]),
        given_up=tuple(kept[Fate.GIVE_UP]),
        unknown=tuple(unknown),
    )
