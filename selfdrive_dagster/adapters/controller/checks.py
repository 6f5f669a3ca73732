"""What must be known before a move, each fact by a look of its own. A failed look knows nothing.

Only the facts that the lifecycle's table asks for are looked at: an approval's check reads git,
evidence and a signature.
"""

from collections.abc import Callable, Set
from datetime import datetime
from typing import NamedTuple

from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.controller.merging import Merging
from selfdrive_dagster.adapters.controller.tools import Tools
from selfdrive_dagster.adapters.fencing import Controllers
from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.errors import Refused, SelfdriveError
from selfdrive_dagster.rollout.lifecycle import IN_FLIGHT, RULES, Event, Fact, State
from selfdrive_dagster.rollout.traffic import Traffic


class Question(NamedTuple):
    """A change that wants to move, the commit it is about, and the traffic as it was read."""

    change: Change
    commit: str
    traffic: Traffic
    now: datetime


class Checks:
    """The looks of one controller."""

    def __init__(self, tools: Tools, merging: Merging) -> None:
        self._tools = tools
        self._merging = merging

    def known(
        self, question: Question, event: Event, given: Set[Fact]
    ) -> tuple[frozenset[Fact], str]:
        """Return the facts that a move needs and that hold, and why others are not known."""
        facts, told = set(given), []
        for fact in needed(question.change.state, event):
            if fact in facts or fact not in LOOKS:
                continue
            try:
                if LOOKS[fact](self, question):
                    facts.add(fact)
            except SelfdriveError as fault:
                told.append(fault.message)
        return frozenset(facts), " ".join(dict.fromkeys(told))

    def why_not_raised(self, change: Change, now: datetime) -> str:
        """Say why no more users may meet a change now, whatever its state, "" when they may."""
        if self.is_stopped():
            return "the kill switch is thrown"
        try:
            self._tools.approvals.holding(change.change_id, now)
        except SelfdriveError as fault:
            return fault.message
        return ""

    def is_stopped(self) -> bool:
        """Say whether the kill switch is thrown."""
        return FrontFiles(self._tools.stores.home).is_killed()

    def _approval_holds(self, question: Question) -> bool:
        self._merging.head()  # a signer may have been taken out since the branch was last seen
        self._tools.approvals.holding(question.change.change_id, question.now)
        return True

    def _stable_restorable(self, question: Question) -> bool:
        """Say whether users have the change's base; another commit with the same files is as good.

        Our own revert makes such a commit. What others merged is theirs to serve, which is said.
        """
        seen, base = question.traffic.seen, question.change.base_revision
        if seen is None or not seen.stable_healthy:
            return False
        repository = self._tools.stores.repository
        if seen.stable == base or repository.tree(seen.stable) == repository.tree(base):
            return True
        raise Refused(
            f"The front serves {seen.stable[:12]}, and the change stands on {base[:12]}, with what "
            "others merged. That is yours to serve: stop `selfdrive serve`, then selfdrive serve "
            f"--revision {base}"
        )

    def _none_in_flight(self, question: Question) -> bool:
        others = self._tools.changes.all(active=True)
        return not any(
            one.state in IN_FLIGHT and one.service == question.change.service
            for one in others
            if one.change_id != question.change.change_id
        )

    def _lease_held(self, _question: Question) -> bool:
        holder = Controllers(self._tools.stores.engine).current(self._tools.service)
        return holder is not None and holder.epoch == self._tools.epoch

    def _not_stopped(self, _question: Question) -> bool:
        return not self.is_stopped()

    def _valid_on_head(self, question: Question) -> bool:
        if self._merging.landed(question.change) is not None:
            return True  # it was, when it landed; others may have gone on since
        return self._merging.fitting(question.change, question.commit) is not None

    def _landed(self, question: Question) -> bool:
        if landed := self._merging.landed(question.change):
            return self._merging.holds(landed.commit)
        landing = self._merging.fitting(question.change, question.commit)
        return landing is not None and self._merging.head() == landing.commit


LOOKS: dict[Fact, Callable[[Checks, Question], bool]] = {
    Fact.APPROVAL_HOLDS: Checks._approval_holds,
    Fact.BRANCH_AS_APPROVED: Checks._approval_holds,  # its check compares the branch's tree
    Fact.STABLE_RESTORABLE: Checks._stable_restorable,
    Fact.NONE_IN_FLIGHT: Checks._none_in_flight,
    Fact.LEASE_HELD: Checks._lease_held,
    Fact.NOT_STOPPED: Checks._not_stopped,
    Fact.VALID_ON_HEAD: Checks._valid_on_head,
    Fact.MERGED_AS_EXPECTED: Checks._landed,
}


def needed(state: State, event: Event) -> tuple[Fact, ...]:
    """Return the facts that the table asks for."""
    return next((rule.needs for rule in RULES if (rule.state, rule.event) == (state, event)), ())
