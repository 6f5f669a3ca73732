"""People: what was decided on rollouts, carried out at the next look. Calling back goes first.

Does not belong here: approvals, which a run of the loop examines, and other services' changes.
"""

from collections.abc import Iterator
from datetime import datetime

from selfdrive_dagster.adapters.changes import Authority, Change, MoveRefused
from selfdrive_dagster.adapters.controller.checks import Checks, Question
from selfdrive_dagster.adapters.controller.tools import Tools
from selfdrive_dagster.adapters.controller.traffic import is_taken_up
from selfdrive_dagster.adapters.decisions import Decision
from selfdrive_dagster.adapters.outside import (
    ROLLED_OUT,
    carry_out,
    is_left_to_others,
    set_aside,
    told_by,
)
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.rollout.lifecycle import ROLLING, Actor, Event, Fact
from selfdrive_dagster.rollout.traffic import Cause, leads_back

ABORT, ADVANCE = "abort", "advance_on_weak_evidence"


class People:
    """The decisions that one controller carries out."""

    def __init__(self, tools: Tools, checks: Checks) -> None:
        self._tools = tools
        self._checks = checks

    def waiting(self, now: datetime) -> tuple[Decision, ...]:
        """Return the decisions on this service's rollouts, those that call back first."""
        found = []
        for decision in self._all():
            change = self._tools.changes.get(decision.change_id)
            ours = change is not None and change.service == self._tools.service
            if change is None or not ours or decision.verdict not in (*ROLLED_OUT, ADVANCE):
                continue
            if is_left_to_others(decision, self._tools.changes, now):
                found.append(decision)
        return tuple(sorted(found, key=lambda one: one.verdict != ABORT))

    def carry_out(self, decision: Decision, now: datetime) -> tuple[str, ...]:
        """Carry one decision out, or set it aside and say why. Returns what came of it."""
        change = self._tools.changes.get(decision.change_id)
        if change is None:
            return ()
        if decision.verdict == ADVANCE:
            return (f"{change.change_id}: {self._advance(decision, change, now)}",)
        wanted = self._tools.actuator.read().wanted
        ours = change.state in ROLLING or wanted.change_id == change.change_id
        if decision.verdict == ABORT and ours and leads_back(wanted):
            self._tools.actuator.to_stable(f"{decision.actor}: {decision.reason}", Cause.COMMAND)
        question = Question(change, "", self._tools.traffic(now), now)
        known, _ = self._checks.known(question, Event.RESUME, frozenset())
        carry_out(
            decision,
            self._tools.changes,
            self._tools.stores.engine,
            by=self._by(change),
            now=now,
            known=known,
        )
        return (f"{change.change_id}: {decision.verdict} by {decision.actor}",)

    def _all(self) -> Iterator[Decision]:
        after = 0
        while page := self._tools.decisions.waiting(after=after):
            yield from page
            after = page[-1].decision_id

    def _advance(self, decision: Decision, change: Change, now: datetime) -> str:
        """Carry a signed step on weak evidence out, or set it aside and say why."""
        tools = self._tools
        engine, by = tools.stores.engine, self._by(change)
        try:
            found = tools.approvals.advancing(decision, change.stage, now)
        except SelfdriveError as fault:
            set_aside(decision, engine, fault.message, by=by, now=now)
            return fault.message
        given = {Fact.SIGNATURE_VERIFIED, Fact.REASON_GIVEN, *tools.standing(change, now).facts}
        traffic, course = tools.traffic(now), tools.courses.of(change)
        if is_taken_up(traffic) and traffic.seen and traffic.seen.share == traffic.wanted.share:
            given.add(Fact.WEIGHT_READ_BACK)
        question = Question(change, course.commit, traffic, now)
        facts, _ = self._checks.known(question, Event.ADVANCE, given)
        try:
            tools.changes.move(
                change.change_id, Event.ADVANCE, now=now, facts=facts, epoch=tools.epoch,
                by=Authority(who=decision.actor, role=Actor.OPERATOR, signature=decision.signature),
                body={**dict(told_by(decision)), "statement": found.statement_sha256},
                decision_id=decision.decision_id, stages=len(course.plan.stages),
            )  # fmt: skip
        except MoveRefused as refused:
            set_aside(decision, engine, refused.refusal.reason, by=by, now=now)
            return refused.message
        return f"advance by {decision.actor}, on weak evidence"

    def _by(self, change: Change) -> Authority:
        return self._tools.courses.by(change.change_id)
