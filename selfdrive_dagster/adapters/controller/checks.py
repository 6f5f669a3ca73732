"""What must be known before a move, each fact by a look of its own. A failed look knows nothing.

Only the facts that the lifecycle's table asks for are looked at: an approval's check reads git,
evidence and a signature.
"""

from collections.abc import Callable, Set
from datetime import datetime
from typing import NamedTuple

from selfdrive_dagster.adapters.approving import Approvals
from selfdrive_dagster.adapters.changes import Change, Changes
from selfdrive_dagster.adapters.controller.stores import Stores
from selfdrive_dagster.adapters.fencing import Controllers
from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.adapters.git.landing import contains
from selfdrive_dagster.adapters.proposals import product_branch, released_head, remote_of
from selfdrive_dagster.errors import SelfdriveError
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

    def __init__(self, stores: Stores, approvals: Approvals, changes: Changes, epoch: int) -> None:
        self._stores = stores
        self._approvals = approvals
        self._changes = changes
        self._epoch = epoch

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
        return frozenset(facts), " ".join(told)

    def branch(self) -> tuple[str | None, str]:
        """Return the remote and the branch that the product is released from."""
        repository, service = self._stores.repository, self._stores.settings.service
        return (
            remote_of(repository, service.repository),
            product_branch(repository, service.branch),
        )

    def head(self) -> str:
        """Return the commit that the product's branch is at now."""
        return released_head(self._stores.repository, self._stores.settings.service)

    def _approval_holds(self, question: Question) -> bool:
        self._approvals.holding(question.change.change_id, question.now)
        return True

    def _stable_restorable(self, question: Question) -> bool:
        seen = question.traffic.seen
        base = question.change.base_revision
        return seen is not None and seen.stable_healthy and seen.stable == base

    def _none_in_flight(self, question: Question) -> bool:
        others = self._changes.all(active=True)
        return not any(
            one.state in IN_FLIGHT and one.service == question.change.service
            for one in others
            if one.change_id != question.change.change_id
        )

    def _lease_held(self, question: Question) -> bool:
        holder = Controllers(self._stores.engine).current(question.change.service)
        return holder is not None and holder.epoch == self._epoch

    def _not_stopped(self, _question: Question) -> bool:
        return not FrontFiles(self._stores.home).is_killed()

    def _valid_on_head(self, question: Question) -> bool:
        return self.head() in (question.change.base_revision, question.commit)

    def _landed(self, question: Question) -> bool:
        return self.head() == question.commit

    def _is_out(self, question: Question) -> bool:
        return not contains(self._stores.repository, self.head(), question.commit)


LOOKS: dict[Fact, Callable[[Checks, Question], bool]] = {
    Fact.APPROVAL_HOLDS: Checks._approval_holds,
    Fact.BRANCH_AS_APPROVED: Checks._approval_holds,  # its check compares the branch's tree
    Fact.STABLE_RESTORABLE: Checks._stable_restorable,
    Fact.NONE_IN_FLIGHT: Checks._none_in_flight,
    Fact.LEASE_HELD: Checks._lease_held,
    Fact.NOT_STOPPED: Checks._not_stopped,
    Fact.VALID_ON_HEAD: Checks._valid_on_head,
    Fact.MERGED_AS_EXPECTED: Checks._landed,
    Fact.REVERTED_OR_NEVER_MERGED: Checks._is_out,
}


def needed(state: State, event: Event) -> tuple[Fact, ...]:
    """Return the facts that the table asks for."""
    return next((rule.needs for rule in RULES if (rule.state, rule.event) == (state, event)), ())
