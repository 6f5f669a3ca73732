"""Moving: a step is asked of the lifecycle once all that it needs is known, and told.

What has to be done before a step is done here: a merge before a promotion, and only when nothing
else is missing. Does not belong here: which step it is.
"""

from datetime import datetime
from typing import Any

from selfdrive_dagster.adapters.canary import WindowStore
from selfdrive_dagster.adapters.changes import Change, MoveRefused
from selfdrive_dagster.adapters.controller.checks import Checks, Question, needed
from selfdrive_dagster.adapters.controller.courses import WHO
from selfdrive_dagster.adapters.controller.looking import LEARNING
from selfdrive_dagster.adapters.controller.merging import Merging
from selfdrive_dagster.adapters.controller.tools import Pace, Tools
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.rollout.lifecycle import Event, Fact, State
from selfdrive_dagster.rollout.observed import Observed
from selfdrive_dagster.rollout.steering import Step

VERDICT = "rollout.verdict"
"""The kind of the ledger row that tells of a verdict that changed."""

PACED = (Event.EXPOSED, Event.SAFE, Event.BAKED, Event.DATA_BACK)
"""Steps that lead to users and look at git or a signature: refused, they wait a little."""


AFTER_MERGING = {Fact.MERGED_AS_EXPECTED, Fact.SERVED_TO_ALL}
"""All that is not known of a baked change that may be merged."""


class Moves:
    """The moves of one controller."""

    def __init__(self, tools: Tools, checks: Checks, merging: Merging, pace: Pace) -> None:
        self._tools = tools
        self._checks = checks
        self._merging = merging
        self._pace = pace
        self._evidence = Evidence(tools.stores.home)
        self._seen: Observed | None = None

    def take(self, step: Step, question: Question, observed: Observed | None) -> str:
        """Do what a step needs done before it, then ask the lifecycle for it."""
        change, now = question.change, question.now
        paced = step.event in PACED
        if paced and self._pace.rests(change.change_id, now):
            return ""
        given = step.facts | ({Fact.EVIDENCE_STORED} if observed else set())
        if paced:
            self._pace.refused(change.change_id, now)
            given |= {Fact.BUDGET_LEFT, *self._tools.standing(change, now).facts}
        facts, why = self._checks.known(question, step.event, given)
        wants = [one for one in needed(change.state, step.event) if one not in facts]
        if step.event is Event.BAKED and set(wants) == AFTER_MERGING:
            self._merging.land(change, question.commit, now)
            self._pace.done(change.change_id)
            WindowStore(self._tools.stores.home, change.change_id).keep_canary()
            facts, why = self._checks.known(question, step.event, given)
            wants = [one for one in needed(change.state, step.event) if one not in facts]
        if step.event is Event.BAKED and Fact.VALID_ON_HEAD in wants and not why:
            self._merging.ask(change, now)
            why = "The product's branch went on: it is awaited that the patch is proven there."
        if wants == [Fact.SERVED_TO_ALL]:
            return "merged; it is promoted once the front serves it to everybody"
        if wants:
            names = ", ".join(one.value for one in wants)
            return f"stays {change.state.value}, not known: {names}. {why}".strip()
        if step.event is Event.EXPOSED:
            WindowStore(self._tools.stores.home, change.change_id).name_canary(question.commit)
        body: dict[str, Any] = {"says": step.says}
        if observed is not None:
            body["observed"] = self._evidence.put(observed)
        return self.move(change, step, facts, now, body)

    def move(
        self,
        change: Change,
        step: Step,
        facts: frozenset[Fact],
        now: datetime,
        body: dict[str, Any],
        why: str = "",
        base: str = "",
    ) -> str:
        """Ask the lifecycle; return what came of it in words.

        A spent error budget stops everything but reliability work, and a patch of a crash is
        that: BUDGET_LEFT holds for all that this loop makes.
        """
        stages = len(self._tools.courses.of(change).plan.stages)
        try:
            moved = self._tools.changes.move(
                change.change_id,
                step.event,
                by=self._tools.courses.by(change.change_id, step.actor),
                now=now,
                facts=facts,
                body=body,
                stages=stages,
                epoch=self._tools.epoch,
                base_revision=base,
            )
        except MoveRefused as refused:
            return f"{refused.message} {why}".strip()
        self._pace.done(change.change_id)
        after = moved.change
        stage = f" {after.stage} of {stages}" if after.state is State.CANARY else ""
        led = f"{step.event.value}: {change.state.value} -> {after.state.value}{stage}."
        return f"{led} {body.get('says', '')}".strip()

    def note_verdict(self, change: Change, observed: Observed | None, now: datetime) -> str:
        """Tell the ledger when what the evidence says has changed."""
        before, self._seen = self._seen, observed or self._seen
        if observed is None or change.state not in LEARNING:
            return ""
        found = observed.judgement
        if before is not None and is_told(before, observed):
            return ""
        body = {
            "verdict": found.verdict.value,
            "says": found.reason,
            "observed": self._evidence.put(observed),
            "stage": change.stage,
        }
        self._tools.ledger.append(
            Entry(
                at=now,
                actor=WHO,
                kind=VERDICT,
                change_id=change.change_id,
                issue_id=change.issue_id,
                body=body,
                run_id="",
                signature=self._tools.courses.signature_of(change.change_id),
            )
        )
        return f"{found.verdict.value}: {found.reason}"


def is_told(before: Observed, now: Observed) -> bool:
    """Say whether a verdict is the one that was told last: of this change, at this stage."""
    old, new = ((one.change_id, one.stage, one.judgement.verdict) for one in (before, now))
    return old == new
