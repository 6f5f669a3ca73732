"""Beginning: an approved change is staged, unless something speaks against it.

Does not belong here: what users then meet.
"""

from datetime import datetime

import msgspec

from selfdrive_dagster.adapters.canary import WindowStore
from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.controller.checks import Checks, Question
from selfdrive_dagster.adapters.controller.courses import APPROVED
from selfdrive_dagster.adapters.controller.merging import Merging
from selfdrive_dagster.adapters.controller.moving import Moves
from selfdrive_dagster.adapters.controller.tools import Pace, Tools
from selfdrive_dagster.adapters.controller.watch import freeze_thresholds
from selfdrive_dagster.rollout.lifecycle import Actor, Event
from selfdrive_dagster.rollout.steering import Step


class Beginning:
    """The beginnings of one controller."""

    def __init__(
        self, tools: Tools, checks: Checks, merging: Merging, moves: Moves, pace: Pace
    ) -> None:
        self._tools = tools
        self._checks = checks
        self._merging = merging
        self._moves = moves
        self._pace = pace

    def begin(self, change: Change, now: datetime) -> str:
        """Begin to roll an approved change out, if nothing speaks against it."""
        if self._pace.rests(change.change_id, now):
            return ""
        self._pace.refused(change.change_id, now)
        course = self._tools.courses.of(change)
        head = self._merging.head()
        if head != change.base_revision:
            says = f"the product's branch went on to {head[:12]}"
            told = {"says": says, "was": change.base_revision, "base_revision": head}
            step = Step(event=Event.BASE_MOVED, actor=Actor.GUARD, facts=frozenset(), says=says)
            return self._moves.move(change, step, frozenset(), now, told, base=head)
        if self._checks.is_stopped():
            return "the kill switch is thrown: nothing begins"
        if reasons := self._tools.standing(change, now).reasons:
            return "; ".join(reasons)
        if not freeze_thresholds(self._tools.stores, change.change_id, course.plan, now):
            return "too few sessions so far to say what is usually slow"
        question = Question(change, course.commit, self._tools.traffic(now), now)
        step = Step(event=Event.BUILT, actor=Actor.CONTROLLER, facts=frozenset(), says="")
        usual = WindowStore(self._tools.stores.home, change.change_id).thresholds()
        body = {
            "commit": course.commit,
            "plan": msgspec.to_builtins(course.plan),
            "thresholds": self._tools.desk.evidence.put(usual),
        }
        facts, why = self._checks.known(question, Event.BUILT, frozenset())
        return self._moves.move(change, step, facts, now, body, why)

    def carry_over(self, change: Change, now: datetime) -> str:
        """Bring an earlier approval forward again, once, after the base moved and was proven anew.

        It is the same signed statement; whether it holds for the new base is examined as ever.
        """
        rows = self._tools.ledger.find(APPROVED, change.change_id)
        if not rows or any(
            one.verdict == "approve" and one.at >= change.since
            for one in self._tools.decisions.of(change.change_id)
        ):
            return ""
        given = rows[0].entry
        self._tools.decisions.record(
            change.change_id,
            "approve",
            actor=given.actor,
            reason=str(given.body.get("reason", "")),
            now=now,
            digests=given.body["digests"],
            signature=given.signature,
        )
        return f"the approval of {given.actor} is brought forward on {change.base_revision[:12]}"
