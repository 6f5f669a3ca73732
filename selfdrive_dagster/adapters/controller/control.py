"""Control: one look at everything that rolls out, and at most one move for each change.

The order of a look: what the front did by itself, what people decided, the change on its way,
then the next one that is approved. Harm is answered in the traffic first and noted afterwards.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy.exc import OperationalError

from selfdrive_dagster.adapters.approving import Approvals, Desk
from selfdrive_dagster.adapters.canary import Watched, WindowStore
from selfdrive_dagster.adapters.changes import Authority, Change, Changes, MoveRefused
from selfdrive_dagster.adapters.controller.checks import Checks, Question
from selfdrive_dagster.adapters.controller.journal import adopt, returned_for
from selfdrive_dagster.adapters.controller.stores import Stores
from selfdrive_dagster.adapters.controller.traffic import Follower, is_taken_up
from selfdrive_dagster.adapters.controller.watch import Watch, freeze_thresholds
from selfdrive_dagster.adapters.decisions import Decision, Decisions
from selfdrive_dagster.adapters.effects import Effects
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.fencing import Controllers
from selfdrive_dagster.adapters.git.landing import land, take_back
from selfdrive_dagster.adapters.ledger import MADE, Ledger
from selfdrive_dagster.adapters.outside import (
    ROLLED_OUT,
    carry_out,
    is_left_to_others,
    set_aside,
    told_by,
)
from selfdrive_dagster.adapters.standing import standing_of
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.breaker import Standing
from selfdrive_dagster.rollout.canary import Plan, Verdict
from selfdrive_dagster.rollout.canary import Step as Served
from selfdrive_dagster.rollout.canary.plan import PLANS
from selfdrive_dagster.rollout.effects import Kind, key_of
from selfdrive_dagster.rollout.lifecycle import IN_FLIGHT, ROLLING, Actor, Event, Fact, State
from selfdrive_dagster.rollout.observed import Observed
from selfdrive_dagster.rollout.steering import Sight, Step, steer
from selfdrive_dagster.rollout.traffic import Cause, Traffic

WHO = "selfdrive"
VERDICT = "rollout.verdict"
"""The kind of the ledger row that tells of a verdict that changed."""

DRIVEN = (*IN_FLIGHT, State.ROLLED_BACK, State.PROMOTED)
LEARNING = (State.CANARY, State.HOLD, State.BAKING)
"""States in which evidence comes in."""

APPROVED = f"change.{Event.APPROVE.value}"
ADVANCE = "advance_on_weak_evidence"


class Course(NamedTuple):
    """What is fixed of a rollout: its commit, and the signature that allows it."""

    commit: str
    signature: str


class Controller:
    """One service's controller. Make one per process: it takes over from any other."""

    def __init__(
        self, stores: Stores, actuator: TraefikActuator, holder: str, now: datetime
    ) -> None:
        engine = stores.engine
        self.plan: Plan = PLANS[stores.settings.rollout.plan]
        self._stores = stores
        self._actuator = actuator
        self._service = stores.settings.service.name
        self.epoch = Controllers(engine).take_over(self._service, holder, now)
        self._changes, self._effects = Changes(engine), Effects(engine)
        self._ledger, self._decisions = Ledger(engine), Decisions(engine)
        self._evidence = Evidence(stores.home)
        desk = Desk(self._ledger, self._evidence, stores.repository, stores.settings)
        self._approvals = Approvals(desk)
        self._checks = Checks(stores, self._approvals, self._changes, self.epoch)
        self._follower = Follower(actuator, self._effects, self.epoch)
        self._watch: Watch | None = None
        self._seen: Observed | None = None
        self._look_again: Callable[[datetime], Observed] | None = None
        self._told: dict[str, str] = {}

    def tick(self, now: datetime) -> tuple[str, ...]:
        """Look once and move what can be moved; return what happened, for people.

        With the database gone nothing goes forward, and harm is answered all the same.
        """
        try:
            return tuple(self._tick(now))
        except OperationalError as fault:
            harm = self._answer_harm_alone(now)
            return (harm or self._once("database", f"the database does not answer: {fault.orig}"),)

    def _tick(self, now: datetime) -> Iterator[str]:
        yield from adopt(self._stores.home, self._ledger, self._signature_of)
        yield from self._carry_out(now)
        changes = [one for one in self._changes.all(active=True) if one.service == self._service]
        for change in changes:
            if change.state in DRIVEN:
                yield from self._guarded(self._drive, change, now)
        for change in changes:
            if change.state is State.AWAITING_APPROVAL:
                yield from self._guarded(self._carry_over, change, now)
        if not any(one.state in IN_FLIGHT for one in changes):
            approved = next((one for one in changes if one.state is State.APPROVED), None)
            if approved is not None:
                yield from self._guarded(self._begin, approved, now)

    def _guarded(
        self, work: Callable[[Change, datetime], str], change: Change, now: datetime
    ) -> Iterator[str]:
        """Do a change's turn; what fails is told once and keeps no other from its own."""
        try:
            told = work(change, now)
        except SelfdriveError as fault:
            told = fault.message
        if told and self._told.get(change.change_id) != told:
            self._told[change.change_id] = told
            yield f"{change.change_id}: {told}"

    def _once(self, about: str, told: str) -> str:
        new = self._told.get(about) != told
        self._told[about] = told
        return told if new else ""

    # The beginning

    def _begin(self, change: Change, now: datetime) -> str:
        """Begin to roll an approved change out, if nothing speaks against it."""
        head = self._checks.head()
        if head != change.base_revision:
            says = f"the product's branch went on to {head[:12]}"
            told = {"says": says, "was": change.base_revision, "base_revision": head}
            return self._move(
                change, Event.BASE_MOVED, Actor.GUARD, frozenset(), now, "", told, base=head
            )
        course = self._course(change.change_id)
        if reasons := self._standing(change, now).reasons:
            return "; ".join(reasons)
        question = Question(change, course.commit, self._actuator.read(), now)
        facts, why = self._checks.known(question, Event.BUILT, frozenset())
        return self._move(change, Event.BUILT, Actor.CONTROLLER, facts, now, why, {
            "commit": course.commit, "plan": msgspec.to_builtins(self.plan),
        })  # fmt: skip

    def _carry_over(self, change: Change, now: datetime) -> str:
        """Bring an earlier approval forward again, once, after the base moved and was proven anew.

        It is the same signed statement; whether it holds for the new base is examined as ever.
        """
        rows = self._ledger.find(APPROVED, change.change_id)
        if not rows or any(
            one.change_id == change.change_id
            and one.verdict == "approve"
            and one.at >= change.since
            for one in self._decisions.of(change.change_id)
        ):
            return ""
        given = rows[0].entry
        self._decisions.record(
            change.change_id,
            "approve",
            actor=given.actor,
            reason=str(given.body.get("reason", "")),
            now=now,
            digests=given.body["digests"],
            signature=given.signature,
        )
        return f"the approval of {given.actor} is brought forward on {change.base_revision[:12]}"

    def _standing(self, change: Change, now: datetime) -> Standing:
        """Say whether the loop may go on with this change, by what became of those before it."""
        return standing_of(
            self._stores.engine,
            service=change.service,
            issue_id=change.issue_id,
            now=now,
            rests=self.plan.rests,
        )

    # On the way

    def _drive(self, change: Change, now: datetime) -> str:
        """Bring the traffic to where a change stands, look, and take the step that follows."""
        course = self._course(change.change_id)
        by = self._by(change, Actor.CONTROLLER)
        traffic = self._follower.follow(change, course.commit, self.plan, by, now)
        observed = self._observe(change, course, now)
        sight = self._sight(change, traffic, observed)
        if change.state is State.ROLLED_BACK:
            self._take_back(change, course, now)
        step = steer(sight, self.plan, now)
        if step is None:
            return self._note_verdict(change, observed, now)
        question = Question(change, course.commit, traffic, now)
        return self._take(step, question, observed)

    def _take(self, step: Step, question: Question, observed: Observed | None) -> str:
        """Do what a step needs done before it, then ask the lifecycle for it."""
        change, now = question.change, question.now
        body: dict[str, Any] = {"says": step.says}
        given = set(step.facts)
        if observed is not None:
            body |= {"observed": self._evidence.put(observed)}
            given.add(Fact.EVIDENCE_STORED)
        if step.event is Event.HARM:
            self._actuator.to_stable(f"{change.change_id}: {step.says}", Cause.HARM)
        ready = step.event is not Event.EXPOSED or freeze_thresholds(
            self._stores, change.change_id, self.plan, now
        )
        if not ready:
            return "too few sessions so far to say what is usually slow"
        if step.event is Event.EXPOSED:
            WindowStore(self._stores.home, change.change_id).name_canary(question.commit)
        if step.event is Event.BAKED:
            self._land(change, question.commit, now)
            WindowStore(self._stores.home, change.change_id).keep_canary()
        given |= self._standing(change, now).facts
        facts, why = self._checks.known(question, step.event, given)
        return self._move(change, step.event, step.actor, facts, now, why, body)

    def _move(
        self,
        change: Change,
        event: Event,
        actor: Actor,
        facts: frozenset[Fact],
        now: datetime,
        why: str,
        body: dict[str, Any],
        base: str = "",
    ) -> str:
        """Ask the lifecycle; return what came of it in words.

        A spent error budget stops everything but reliability work, and a patch of a crash is
        that: BUDGET_LEFT holds for all that this loop makes.
        """
        try:
            moved = self._changes.move(
                change.change_id,
                event,
                by=self._by(change, actor),
                now=now,
                facts=facts | {Fact.BUDGET_LEFT},
                body=body,
                stages=len(self.plan.stages),
                epoch=self.epoch,
                base_revision=base,
            )
        except MoveRefused as refused:
            return f"{refused.message} {why}".strip()
        after = moved.change
        stage = f" {after.stage} of {len(self.plan.stages)}" if after.state is State.CANARY else ""
        return f"{event.value}: {change.state.value} -> {after.state.value}{stage}. " + str(
            body.get("says", "")
        )

    def _sight(self, change: Change, traffic: Traffic, observed: Observed | None) -> Sight:
        seen = traffic.seen
        return Sight(
            state=change.state,
            stage=change.stage,
            since=change.since,
            share=seen.share if seen else None,
            acknowledged=is_taken_up(traffic),
            stable_healthy=seen.stable_healthy if seen else None,
            canary_healthy=seen.canary_healthy if seen else None,
            returned=self._returned(change),
            held_for=self._held_for(change),
            judgement=observed.judgement if observed else None,
        )

    def _returned(self, change: Change) -> Cause | None:
        """Return why traffic went back to stable since this rollout was staged, None if not."""
        if change.state not in ROLLING:
            return None
        rows = self._ledger.find(f"change.{Event.BUILT.value}", change.change_id)
        return returned_for(self._stores.home, change.change_id, rows[0].entry.at) if rows else None

    def _held_for(self, change: Change) -> str:
        """Return the event that led to HOLD, "" elsewhere."""
        if change.state is not State.HOLD:
            return ""
        rows = [
            r for r in self._ledger.entries(change.change_id) if r.entry.body.get("to") == "hold"
        ]
        return rows[-1].entry.kind.removeprefix("change.") if rows else ""

    # Evidence

    def _observe(self, change: Change, course: Course, now: datetime) -> Observed | None:
        """Gather and judge, where users meet the change."""
        if change.state not in LEARNING:
            self._look_again = None
            return None
        watch = self._watching(change, course)
        steps = self._served(change)
        state, stage = change.state, change.stage

        def look(at: datetime) -> Observed:
            return watch.look(state, stage, steps, at)

        self._look_again = look
        return look(now)

    def _watching(self, change: Change, course: Course) -> Watch:
        if self._watch is None or self._watch.change_id != change.change_id:
            rows = self._ledger.find(f"change.{Event.EXPOSED.value}", change.change_id)
            if not rows:
                raise BadInput(f"The ledger does not tell when users first met {change.change_id}.")
            watched = Watched(
                service=change.service,
                issue_id=change.issue_id,
                canary=course.commit,
                stable=change.base_revision,
                begin=rows[0].entry.at,
                window_seconds=self.plan.window_seconds,
            )
            self._watch = Watch(self._stores, watched, change.change_id, self.plan)
        return self._watch

    def _served(self, change: Change) -> tuple[Served, ...]:
        """Return the shares that were ordered since the rollout began, oldest first."""
        return tuple(
            Served(effect.at, float(effect.wanted["share"]))
            for effect in self._effects.of(change.change_id)
            if effect.kind is Kind.SET_WEIGHT and not effect.given_up
        )

    def _note_verdict(self, change: Change, observed: Observed | None, now: datetime) -> str:
        """Tell the ledger when what the evidence says has changed."""
        before, self._seen = self._seen, observed or self._seen
        if observed is None:
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
        self._append(change, VERDICT, body, now)
        return f"{found.verdict.value}: {found.reason}"

    def _answer_harm_alone(self, now: datetime) -> str:
        """Judge from the disk, and send everybody to stable on harm: that needs no database."""
        if self._look_again is None or self._watch is None:
            return ""
        found = self._look_again(now).judgement
        wanted = self._actuator.read().wanted
        if found.verdict is not Verdict.HARM or not wanted.canary:
            return ""
        self._actuator.to_stable(f"{wanted.change_id}: {found.reason}", Cause.HARM)
        return f"{wanted.change_id} went back to stable without the database: {found.reason}"

    def _advance(self, decision: Decision, change: Change, now: datetime) -> str:
        """Carry a signed step on weak evidence out, or set it aside and say why."""
        engine, by = self._stores.engine, self._by(change, Actor.CONTROLLER)
        try:
            found = self._approvals.advancing(decision, change.stage, now)
        except SelfdriveError as fault:
            set_aside(decision, engine, fault.message, by=by, now=now)
            return fault.message
        given = {Fact.SIGNATURE_VERIFIED, Fact.REASON_GIVEN, *self._standing(change, now).facts}
        traffic = self._actuator.read()
        if is_taken_up(traffic) and traffic.seen and traffic.seen.share == traffic.wanted.share:
            given.add(Fact.WEIGHT_READ_BACK)
        question = Question(change, self._course(change.change_id).commit, traffic, now)
        facts, _ = self._checks.known(question, Event.ADVANCE, given)
        try:
            self._changes.move(
                change.change_id, Event.ADVANCE, now=now, facts=facts, epoch=self.epoch,
                by=Authority(who=decision.actor, role=Actor.OPERATOR, signature=decision.signature),
                body={**dict(told_by(decision)), "statement": found.statement_sha256},
                decision_id=decision.decision_id, stages=len(self.plan.stages),
            )  # fmt: skip
        except MoveRefused as refused:
            set_aside(decision, engine, refused.refusal.reason, by=by, now=now)
            return refused.message
        return f"advance by {decision.actor}, on weak evidence"

    # Git

    def _land(self, change: Change, commit: str, now: datetime) -> None:
        """Move the product's branch to what users met, once."""
        self._done_once(change, Kind.MERGE, {"commit": commit}, now, lambda: land(
            self._stores.repository, *self._checks.branch(), commit, change.base_revision,
        ))  # fmt: skip

    def _take_back(self, change: Change, course: Course, now: datetime) -> None:
        """Undo the merge of a change that came back after it, once."""
        if change.stage and self._effects_done(change, Kind.MERGE):
            self._done_once(change, Kind.REVERT, {"commit": course.commit}, now, lambda: take_back(
                self._stores.repository, *self._checks.branch(), course.commit, now,
            ))  # fmt: skip

    def _effects_done(self, change: Change, kind: Kind) -> bool:
        return any(
            one.kind is kind and not one.is_open and not one.given_up
            for one in self._effects.of(change.change_id)
        )

    def _done_once(
        self,
        change: Change,
        kind: Kind,
        wanted: dict[str, Any],
        now: datetime,
        work: Callable[[], object],
    ) -> None:
        key = key_of(change.change_id, change.version, kind)
        effect = self._effects.intend(
            change.change_id, kind, key=key, stage=change.stage, wanted=wanted,
            epoch=self.epoch, now=now,
        )  # fmt: skip
        if effect.is_open:
            result = {"result": str(work() or "")}
            by = self._by(change, Actor.CONTROLLER)
            self._effects.done(key, result, by=by, epoch=self.epoch, now=now)

    # People, and the ledger

    def _carry_out(self, now: datetime) -> Iterator[str]:
        """Carry out what people decided on rollouts, the eldest first."""
        for decision in self._decisions.waiting():
            change = self._changes.get(decision.change_id)
            if change is None or not is_left_to_others(decision, self._changes, now):
                continue
            if decision.verdict == ADVANCE:
                yield f"{change.change_id}: {self._advance(decision, change, now)}"
            if decision.verdict not in ROLLED_OUT:
                continue
            if decision.verdict == "abort" and change.state in ROLLING:
                self._actuator.to_stable(f"{decision.actor}: {decision.reason}", Cause.COMMAND)
            by = self._by(change, Actor.CONTROLLER)
            question = Question(change, "", self._actuator.read(), now)
            known, _ = self._checks.known(question, Event.RESUME, frozenset())
            carry_out(decision, self._changes, self._stores.engine, by=by, now=now, known=known)
            yield f"{decision.change_id}: {decision.verdict} by {decision.actor}"

    def _course(self, change_id: str) -> Course:
        """Return what is fixed of a rollout. Raises BadInput when it was never approved."""
        rows = self._ledger.find(MADE, change_id, {"asset": "rollout/proposal"})
        signature = self._signature_of(change_id)
        if not rows or not signature:
            raise BadInput(f"{change_id} has no proposal that was approved.")
        proposal = self._evidence.get(str(rows[0].entry.body["sha256"]), Proposal)
        return Course(commit=proposal.commit, signature=signature)

    def _signature_of(self, change_id: str) -> str:
        """Return the signature under which we act on a change, "" without one."""
        rows = self._ledger.find(APPROVED, change_id)
        return rows[0].entry.signature if rows else ""

    def _by(self, change: Change, role: Actor) -> Authority:
        return Authority(who=WHO, role=role, signature=self._signature_of(change.change_id))

    def _append(self, change: Change, kind: str, body: dict[str, Any], now: datetime) -> None:
        self._ledger.append(
            Entry(
                at=now,
                actor=WHO,
                kind=kind,
                change_id=change.change_id,
                issue_id=change.issue_id,
                body=body,
                run_id="",
                signature=self._signature_of(change.change_id),
            )
        )


def is_told(before: Observed, now: Observed) -> bool:
    """Say whether a verdict is the one that was told last: of this change, at this stage."""
    old, new = ((one.change_id, one.stage, one.judgement.verdict) for one in (before, now))
    return old == new
