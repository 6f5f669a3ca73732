"""What the parts of one controller share: its doors, its epoch, the pace of its tries."""

from datetime import datetime, timedelta
from typing import NamedTuple

from selfdrive_dagster.adapters.approving import Approvals, Desk
from selfdrive_dagster.adapters.changes import Change, Changes
from selfdrive_dagster.adapters.controller.courses import Courses
from selfdrive_dagster.adapters.controller.stores import Stores
from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.adapters.effects import Effects
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.standing import standing_of
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.rollout.breaker import Standing
from selfdrive_dagster.rollout.traffic import FRESH_SECONDS, Traffic

PACE = timedelta(seconds=5)
"""What was refused and asks git or a remote is not tried again before."""


class Tools(NamedTuple):
    """The doors of one controller."""

    stores: Stores
    actuator: TraefikActuator
    changes: Changes
    effects: Effects
    ledger: Ledger
    decisions: Decisions
    desk: Desk
    approvals: Approvals
    courses: Courses
    service: str
    epoch: int

    def standing(self, change: Change, now: datetime) -> Standing:
        """Say whether the loop may go on with a change, by what became of those before it."""
        return standing_of(
            self.stores.engine,
            service=change.service,
            issue_id=change.issue_id,
            now=now,
            rests=self.courses.of(change).plan.rests,
        )

    def traffic(self, now: datetime) -> Traffic:
        """Return what is wanted, and what the front sees if it looked just now."""
        return fresh(self.actuator.read(), now)


def fresh(traffic: Traffic, now: datetime) -> Traffic:
    """Return traffic of which only what was seen lately is known."""
    seen = traffic.seen
    if seen is None or (now - seen.at).total_seconds() <= FRESH_SECONDS:
        return traffic
    return Traffic(wanted=traffic.wanted)


class Pace:
    """Keeps what was refused from being tried at each look. It forgets with the process."""

    def __init__(self) -> None:
        self._again: dict[str, datetime] = {}

    def rests(self, what: str, now: datetime) -> bool:
        """Say whether something is not to be tried yet."""
        return now < self._again.get(what, now)

    def refused(self, what: str, now: datetime) -> None:
        """Let something rest for a while."""
        self._again[what] = now + PACE

    def done(self, what: str) -> None:
        """Let something be tried at once."""
        self._again.pop(what, None)
