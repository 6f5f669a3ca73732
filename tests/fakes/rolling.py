"""Changes on their way to users, in a real database: opened and led to any state by its table."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import Authority, Change, Changes
from selfdrive_dagster.model import short_id
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
ALL = frozenset(Fact)
STAGES = 2

TO_APPROVED = (
    (Event.START, Actor.LOOP),
    (Event.PROVEN, Actor.VALIDATOR),
    (Event.PROPOSE, Actor.LOOP),
    (Event.APPROVE, Actor.HUMAN),
)
TO_STAGED = (*TO_APPROVED, (Event.BUILT, Actor.CONTROLLER))
TO_CANARY = (*TO_STAGED, (Event.EXPOSED, Actor.CONTROLLER))
TO_BAKING = (*TO_CANARY, (Event.SAFE, Actor.ANALYST), (Event.SAFE, Actor.ANALYST))
TO_PROMOTED = (*TO_BAKING, (Event.BAKED, Actor.CONTROLLER))


def by(role: Actor) -> Authority:
    """Somebody in a role, who acts on an approval's signature."""
    return Authority(who=role.value, role=role, signature="-----BEGIN SSH SIGNATURE-----")


def led(
    engine: Engine,
    name: str,
    *steps: tuple[Event, Actor],
    service: str = "shop",
    issue: str = "",
    base: str = "abc",
    now: datetime = NOW,
    body: Mapping[str, Any] = {},
) -> Change:
    """Open the change of that name and lead it through some steps, with all facts known."""
    changes, change_id = Changes(engine), short_id("chg", name)
    changes.open(
        change_id,
        short_id("iss", issue or name),
        service=service,
        base_revision=base,
        by=by(Actor.LOOP),
        now=now,
    )
    for event, role in steps:
        changes.move(change_id, event, by=by(role), now=now, facts=ALL, body=body, stages=STAGES)
    change = changes.get(change_id)
    assert change is not None
    return change
