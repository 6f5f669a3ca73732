"""Looking: all that is known of one rollout now, gathered for steering.

What fails to be seen is unknown, and told; it keeps nothing else from being seen. Does not belong
here: what follows from it.
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import msgspec

from selfdrive_dagster.adapters.canary import DamagedWindows, Watched
from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.controller.courses import Course
from selfdrive_dagster.adapters.controller.journal import returned_for
from selfdrive_dagster.adapters.controller.resting import Resting
from selfdrive_dagster.adapters.controller.tools import Tools
from selfdrive_dagster.adapters.controller.traffic import is_taken_up, served
from selfdrive_dagster.adapters.controller.watch import Watch
from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.rollout.canary import Judgement, Verdict
from selfdrive_dagster.rollout.lifecycle import ROLLING, State
from selfdrive_dagster.rollout.observed import Observed
from selfdrive_dagster.rollout.steering import Sight, differs
from selfdrive_dagster.rollout.traffic import Cause, Traffic

LEARNING = (State.CANARY, State.HOLD, State.BAKING)
"""States in which evidence comes in."""


class Looked(NamedTuple):
    """What the evidence says: one judgement, or why there is none."""

    observed: Observed | None = None
    blind: str = ""
    damaged: bool = False

    @property
    def judgement(self) -> Judgement | None:
        """The judgement, None when nothing could be judged."""
        return self.observed.judgement if self.observed else None


class Looking:
    """The eyes of one controller. It keeps a watch on the change that meets users."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._resting = Resting(tools.ledger, tools.desk.evidence)
        self._watch: Watch | None = None
        self._again: Callable[[datetime], Observed] | None = None
        self._drifts: dict[str, datetime] = {}

    def evidence(
        self, change: Change, course: Course, now: datetime, landed: datetime | None = None
    ) -> Looked:
        """Gather and judge, where users meet a change.

        Since it `landed` everybody meets it, or is about to: without another arm nothing can be
        compared any more, and what was known then is what counts.
        """
        if change.state not in LEARNING:
            if self._watch is not None and self._watch.change_id == change.change_id:
                self._watch = self._again = None
            return Looked()
        try:
            watch = self._watching(change, course)
            steps = served(self._tools, change.change_id)
            named = self._resting.named(change.change_id)
            state, stage = change.state, change.stage
            if landed is not None:
                return Looked(watch.look_back(state, stage, named, landed))
            self._again = lambda at: watch.look(state, stage, steps, named, at)
            return Looked(self._again(now))
        except DamagedWindows as fault:
            self._watch = None
            return Looked(blind=fault.message, damaged=True)
        except (SelfdriveError, OSError) as fault:
            self._watch = None  # what it had read and not stored is read again
            return Looked(blind=f"the evidence cannot be read: {fault}")

    def harm_without_database(self, change_id: str, now: datetime) -> str:
        """Judge a change from the disk, if it was watched last; the harm in words, "" for none."""
        if self._again is None or self._watch is None or self._watch.change_id != change_id:
            return ""
        try:
            found = self._again(now).judgement
        except (SelfdriveError, OSError):
            return ""
        return found.reason if found.verdict is Verdict.HARM else ""

    def sight(
        self,
        change: Change,
        course: Course,
        traffic: Traffic,
        looked: Looked,
        now: datetime,
    ) -> Sight:
        """Put together what is known of evidence and traffic."""
        seen = traffic.seen
        ours = seen is not None and seen.change_id == change.change_id
        fits = ours and seen is not None and seen.canary == course.commit
        sight = Sight(
            state=change.state,
            stage=change.stage,
            since=change.since,
            begun=course.begun or change.since,
            deadline=change.deadline,
            share=seen.share if seen else None,
            ordered=traffic.wanted.share,
            acknowledged=is_taken_up(traffic),
            stable_healthy=seen.stable_healthy if seen else None,
            canary_healthy=seen.canary_healthy if seen and fits else None,
            returned=self._returned(change, course),
            held_for=course.held_for,
            judgement=looked.judgement,
            blind=looked.blind,
            damaged=looked.damaged,
        )
        return self._with_drift(sight, change.change_id, now)

    def _with_drift(self, sight: Sight, change_id: str, now: datetime) -> Sight:
        since = self._drifts.pop(change_id, now)
        if not differs(sight):
            return sight
        self._drifts[change_id] = since
        return msgspec.structs.replace(sight, drifts_since=since)

    def _returned(self, change: Change, course: Course) -> Cause | None:
        """Return why traffic went back to stable since this rollout was staged, None if not."""
        if change.state not in (*ROLLING, State.PROMOTED) or course.staged is None:
            return None
        return returned_for(self._tools.stores.home, change.change_id, course.staged)

    def _watching(self, change: Change, course: Course) -> Watch:
        if self._watch is None or self._watch.change_id != change.change_id:
            if course.exposed is None:
                raise BadInput(f"The ledger does not tell when users first met {change.change_id}.")
            watched = Watched(
                service=change.service,
                issue_id=change.issue_id,
                canary=course.commit,
                stable=change.base_revision,
                begin=course.exposed,
                window_seconds=course.plan.window_seconds,
            )
            self._watch = Watch(self._tools.stores, watched, change.change_id, course.plan)
        return self._watch
