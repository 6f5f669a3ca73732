"""Control: one look at everything that rolls out, and at most one move for each change.

The order of a look: what the front did by itself, what people decided, what a crash left open,
the change on its way, then the next one that is approved. Harm is answered in the traffic first
and noted afterwards. What fails in one of them is told, and keeps no other from its turn.
"""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import partial

import msgspec
from sqlalchemy.exc import SQLAlchemyError

from selfdrive_dagster.adapters.approving import Approvals, Desk
from selfdrive_dagster.adapters.changes import Change, Changes
from selfdrive_dagster.adapters.controller.beginning import Beginning
from selfdrive_dagster.adapters.controller.checks import Checks, Question
from selfdrive_dagster.adapters.controller.courses import Course, Courses
from selfdrive_dagster.adapters.controller.journal import Adoption
from selfdrive_dagster.adapters.controller.looking import Looked, Looking
from selfdrive_dagster.adapters.controller.merging import Merging
from selfdrive_dagster.adapters.controller.moving import Moves
from selfdrive_dagster.adapters.controller.people import People
from selfdrive_dagster.adapters.controller.settling import settle
from selfdrive_dagster.adapters.controller.stores import Stores
from selfdrive_dagster.adapters.controller.tools import Pace, Tools
from selfdrive_dagster.adapters.controller.traffic import Follower, is_served
from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.adapters.effects import Effects
from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.fencing import Controllers
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.rollout.canary import Plan
from selfdrive_dagster.rollout.canary.plan import PLANS
from selfdrive_dagster.rollout.lifecycle import IN_FLIGHT, ROLLING, State
from selfdrive_dagster.rollout.steering import is_harm, steer
from selfdrive_dagster.rollout.traffic import Cause, leads_back

DRIVEN = (*IN_FLIGHT, State.ROLLED_BACK, State.PROMOTED)
FAULTS = (SelfdriveError, OSError)


class Controller:
    """One service's controller. Make one per process: it takes over from any other.

    `plan` is that of rollouts that begin now; None: the one that the settings name.
    """

    def __init__(
        self,
        stores: Stores,
        actuator: TraefikActuator,
        holder: str,
        now: datetime,
        plan: Plan | None = None,
    ) -> None:
        engine, service = stores.engine, stores.settings.service.name
        ledger, evidence = Ledger(engine), Evidence(stores.home)
        desk = Desk(ledger, evidence, stores.repository, stores.settings)
        self._tools = tools = Tools(
            stores=stores,
            actuator=actuator,
            changes=Changes(engine),
            effects=Effects(engine),
            ledger=ledger,
            decisions=Decisions(engine),
            desk=desk,
            approvals=Approvals(desk),
            courses=Courses(ledger, evidence, plan or PLANS[stores.settings.rollout.plan]),
            service=service,
            epoch=Controllers(engine).take_over(service, holder, now),
        )
        self._merging = Merging(tools)
        self._checks = Checks(tools, self._merging)
        self._follower = Follower(tools, self._merging, self._checks.why_not_raised)
        self._people = People(tools, self._checks)
        self._looking = Looking(tools)
        self._adoption = Adoption(stores.home, ledger, tools.courses.signature_of)
        self._pace = pace = Pace()
        self._moves = Moves(tools, self._checks, self._merging, pace)
        self._beginning = Beginning(tools, self._checks, self._merging, self._moves, pace)
        self._told: dict[str, str] = {}

    @property
    def epoch(self) -> int:
        """Whose turn it is: this one's."""
        return self._tools.epoch

    def tick(self, now: datetime) -> tuple[str, ...]:
        """Look once and move what can be moved; return what happened, for people.

        With the database gone nothing goes forward, and harm is answered all the same.
        """
        told: list[str] = []
        self._tools.stores.repository.shadow.waiting.begin()
        try:
            for line in self._tick(now):
                told.append(line)  # one by one: what was done stays told when the next one fails
            self._told.pop("database", None)
        except SQLAlchemyError as fault:
            words = getattr(fault, "orig", None) or fault
            told.append(self._answer_harm_alone(now))
            told += self._once("database", f"the database does not answer: {words}")
        return tuple(line for line in told if line)

    def _tick(self, now: datetime) -> Iterator[str]:
        holder = Controllers(self._tools.stores.engine).current(self._tools.service)
        if holder is None or holder.epoch != self.epoch:
            yield from self._once("epoch", "another controller took over: this one does nothing")
            return
        yield from self._tried("journal", self._adoption.look)
        yield from self._tried("decisions", lambda: self._decided(now))
        yield from self._tried(
            "effects", lambda: settle(self._tools, self._merging, self._pace, now)
        )
        for change in self._active(DRIVEN):
            yield from self._guarded(self._drive, change, now)
        for change in self._active((State.AWAITING_APPROVAL,)):
            yield from self._guarded(self._beginning.carry_over, change, now)
        for change in self._active((State.APPROVED,)):
            if not self._active(IN_FLIGHT):
                yield from self._guarded(self._beginning.begin, change, now)

    def _active(self, states: tuple[State, ...]) -> list[Change]:
        active = self._tools.changes.all(active=True)
        ours = [one for one in active if one.service == self._tools.service]
        return [one for one in ours if one.state in states]

    def _decided(self, now: datetime) -> Iterator[str]:
        for decision in self._people.waiting(now):
            carry_out = partial(self._people.carry_out, decision, now)
            yield from self._tried(f"decision {decision.decision_id}", carry_out)

    def _tried(self, about: str, work: Callable[[], Iterable[str]]) -> Iterator[str]:
        """Do a part of a look; what fails is told once and keeps no other from its turn."""
        try:
            yield from work()
        except FAULTS as fault:
            yield from self._once(about, f"{about}: {words_of(fault)}")
        else:
            self._told.pop(about, None)

    def _guarded(
        self, work: Callable[[Change, datetime], str], change: Change, now: datetime
    ) -> Iterator[str]:
        """Do a change's turn; what it says again is not told again."""
        try:
            told = work(change, now)
        except FAULTS as fault:
            told = words_of(fault)
        if told:
            yield from self._once(change.change_id, f"{change.change_id}: {told}")

    def _once(self, about: str, told: str) -> Iterator[str]:
        if self._told.get(about) != told:
            self._told[about] = told
            yield told

    def _drive(self, change: Change, now: datetime) -> str:
        """Answer harm, bring the traffic to where a change stands, and take the step that follows.

        An order that is refused keeps nobody from looking: what it says is told if nothing is done.
        """
        course = self._tools.courses.of(change)
        landed = self._merging.landed(change) if change.state is State.BAKING else None
        looked = self._looking.evidence(change, course, now, landed.at if landed else None)
        self._call_back(change, looked)
        try:
            self._follower.follow(change, course, now)
            refused = ""
        except FAULTS as fault:
            refused = words_of(fault)
        traffic = self._tools.traffic(now)
        sight = self._looking.sight(change, course, traffic, looked, now)
        sight = msgspec.structs.replace(
            sight,
            stopped=self._checks.is_stopped(),
            is_merged=landed is not None,
            is_everywhere=landed is not None and is_served(traffic, course.commit),
            is_without=self._is_without(change, course, now),
            is_out=self._is_out(change, course, now),
        )
        step = steer(sight, course.plan, now)
        if step is None:
            return self._moves.note_verdict(change, looked.observed, now) or refused
        question = Question(change, course.commit, traffic, now)
        return self._moves.take(step, question, looked.observed) or refused

    def _call_back(self, change: Change, looked: Looked) -> None:
        """Send everybody to stable on harm, on STOP and where evidence is lost, before all else."""
        wanted = self._tools.actuator.read().wanted
        ours = wanted.change_id == change.change_id and leads_back(wanted)
        if change.state not in ROLLING or not ours:
            return
        if looked.judgement and is_harm(change.state, looked.judgement):
            cause, says = Cause.HARM, looked.judgement.reason
        elif self._checks.is_stopped():
            cause, says = Cause.KILL_SWITCH, "the kill switch is thrown"
        elif looked.damaged:
            cause, says = Cause.FAULT, looked.blind
        else:
            return
        self._tools.actuator.to_stable(f"{change.change_id}: {says}", cause)

    def _is_without(self, change: Change, course: Course, now: datetime) -> bool | None:
        if change.state is not State.ROLLING_BACK:
            return None
        return self._follower.without(change, course, self._tools.traffic(now))

    def _is_out(self, change: Change, course: Course, now: datetime) -> bool | None:
        """Bring the product's branch to be without a change that came back, at a pace."""
        if change.state is not State.ROLLED_BACK or self._pace.rests(change.change_id, now):
            return None
        self._pace.refused(change.change_id, now)
        return self._merging.take_back(change, course.commit, now)

    def _answer_harm_alone(self, now: datetime) -> str:
        """Judge from the disk, and send everybody to stable on harm: that needs no database."""
        try:
            wanted = self._tools.actuator.read().wanted
            harm = self._looking.harm_without_database(wanted.change_id, now)
            if not (harm and wanted.canary):
                return ""
            self._tools.actuator.to_stable(f"{wanted.change_id}: {harm}", Cause.HARM)
        except FAULTS as fault:
            return words_of(fault)
        return f"{wanted.change_id} went back to stable without the database: {harm}"


def words_of(fault: Exception) -> str:
    """Return what a fault says, in one piece."""
    return fault.message if isinstance(fault, SelfdriveError) else str(fault)
