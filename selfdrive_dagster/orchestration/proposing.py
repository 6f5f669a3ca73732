"""A proposal's way out, and what comes back from outside: branch, merges, decisions."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, ParamSpec, TypeVar

from selfdrive_dagster.adapters.approving.amending import AMEND, examine
from selfdrive_dagster.adapters.changes import Authority, Change, Moved
from selfdrive_dagster.adapters.decisions import Decision
from selfdrive_dagster.adapters.ledger import MADE
from selfdrive_dagster.adapters.outside import (
    WAITING,
    Found,
    Seen,
    carry_out,
    is_left_to_others,
    look_outside,
    note_merge,
    set_aside,
)
from selfdrive_dagster.adapters.proposals import product_branch, propose, remote_of, shown_remote
from selfdrive_dagster.audit import Link
from selfdrive_dagster.errors import Refused, SelfdriveError
from selfdrive_dagster.model import digest
from selfdrive_dagster.orchestration.observing import note_release
from selfdrive_dagster.orchestration.text import plain
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.rollout import (
    Destination,
    Findings,
    Proposal,
    branch_name,
    draw_proposal,
    message_of,
    page_path,
    write_page,
)
from selfdrive_dagster.rollout.lifecycle import Actor, Event, State, is_over

GUARD = "selfdrive"
ROUND_SECONDS = 300
"""How often git is asked while a proposal waits."""

T = TypeVar("T")
P = ParamSpec("P")


def put_forward(workshop: Workshop, findings: Findings) -> Proposal:
    """Write the branch of a change, push it where the settings say, and note what was put.

    Raises Refused when a report was made on another base than the branch would stand on.
    """
    refuse_another_base(findings)
    repository, service = workshop.repository(), workshop.settings.service
    remote = remote_of(repository, service.repository)
    destination = Destination(
        branch=branch_name(findings.change_id),
        into=product_branch(repository, service.branch),
        remote=shown_remote(remote),
    )
    page = write_page(findings, destination)
    put = propose(
        repository,
        remote=remote,
        branch=destination.branch,
        base=findings.diagnosis.revision,
        candidate=findings.proposed,
        reproducer=findings.reproduction.reproducer,
        page=page,
        page_path=page_path(findings.change_id),
        message=message_of(findings),
        when=datetime.now(UTC),
    )
    return draw_proposal(findings, destination, commit=put.commit, page=page)


def refuse_another_base(findings: Findings) -> None:
    """Refuse what was proven elsewhere: a report holds on its own base alone."""
    base = findings.diagnosis.revision
    bases = {report.base_revision for report in findings.proof.reports}
    if others := sorted(bases - {base}):
        raise Refused(
            f"{findings.change_id} was diagnosed on {base[:12]} and proven on "
            f"{', '.join(other[:12] for other in others)}: nothing is certified there.",
            remedy="run the change again from its diagnosis, in the Dagster UI",
        )


def look_around(workshop: Workshop, run_id: str) -> dict[str, Any]:
    """Carry out what people decided, notice what others merged, then keep deadlines.

    In this order: a merge is a fact, even when its change is overdue by now. Each change has
    its own turn; a fault of one is told and keeps no other from it.
    """
    now, faults = datetime.now(UTC), Faults()
    person = Authority(who=GUARD, role=Actor.HUMAN, run_id=run_id)
    guard = Authority(who=GUARD, role=Actor.GUARD, run_id=run_id)
    changes = workshop.changes
    decided = [
        faults.of(d.change_id, carry_out_here, workshop, d, person, now)
        for d in for_us(workshop, now)
    ]
    known = proposals(workshop, faults)
    seen = faults.of("git", outside, workshop, known)
    for found in seen or ():
        if found.event is not None:
            faults.of(found.change_id, note_merge, found, changes, by=guard, now=now)
    analyst = Authority(who=GUARD, role=Actor.ANALYST, run_id=run_id)
    released = [
        f"{change.change_id}: {version}"
        for change in changes.all(active=True)
        if change.state is State.MERGED_OUTSIDE
        and (version := faults.of(change.change_id, note_release, workshop, change, analyst, now))
    ]
    over = [c for c in due(workshop, now) if c.change_id not in unknown_in(seen, known)]
    for change in over:
        name = change.change_id
        faults.of(name, changes.move, name, Event.DEADLINE, by=guard, now=now)
    return {
        "decisions": sum(done is not None for done in decided),
        "overdue": [change.change_id for change in over],
        "seen": [f"{found.change_id}: {found.seen.value}, {found.says}" for found in seen or ()],
        "released": released,
        "faults": faults.told,
    }


def carry_out_here(
    workshop: Workshop, decision: Decision, by: Authority, now: datetime
) -> Moved | Link:
    """Carry a decision out; an amendment only if its author signed it."""
    if decision.verdict == AMEND:
        try:
            examine(decision, workshop.evidence, workshop.repository())
        except SelfdriveError as fault:
            return set_aside(decision, workshop.engine, fault.message, by=by, now=now)
    return carry_out(decision, workshop.changes, workshop.engine, by=by, now=now)


def for_us(workshop: Workshop, now: datetime) -> tuple[Decision, ...]:
    """Return the waiting decisions that a look around carries out, or sets aside as too late."""
    changes = workshop.changes
    waiting = workshop.decisions.waiting()
    return tuple(one for one in waiting if not is_left_to_others(one, changes, now))


class Faults:
    """What went wrong with single changes, in the order in which it was met."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def of(self, who: str, work: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T | None:
        """Do the work and return what it returns; note its fault and return None."""
        try:
            return work(*arguments, **named)
        except (SelfdriveError, OSError) as fault:
            self.told.append(plain(f"{who}: {fault}"))
            return None


def outside(workshop: Workshop, known: Mapping[str, Proposal]) -> tuple[Found, ...]:
    """Ask git what became of these proposals. Raises SelfdriveError when it cannot be asked."""
    if not known:
        return ()
    repository, service = workshop.repository(), workshop.settings.service
    return look_outside(
        repository,
        workshop.changes.all(active=True),
        known,
        remote=remote_of(repository, service.repository),
        branch=product_branch(repository, service.branch),
    )


def unknown_in(seen: tuple[Found, ...] | None, known: Mapping[str, Proposal]) -> set[str]:
    """Return the changes of which nobody knows whether they were merged: they do not expire."""
    if seen is None:
        return set(known)
    return {found.change_id for found in seen if found.seen is Seen.UNKNOWN}


def proposals(workshop: Workshop, faults: Faults) -> dict[str, Proposal]:
    """Return the newest proposal of each change that waits, as the ledger names it."""
    found = {
        change.change_id: faults.of(change.change_id, proposal_of, workshop, change.change_id)
        for change in workshop.changes.all(active=True)
        if change.state in WAITING
    }
    return {change_id: proposal for change_id, proposal in found.items() if proposal is not None}


def proposal_of(workshop: Workshop, change_id: str) -> Proposal | None:
    """Return the newest proposal of a change, None when the ledger knows none."""
    rows = workshop.ledger.find(MADE, change_id, {"asset": "rollout/proposal"})
    return workshop.evidence.get(str(rows[0].entry.body["sha256"]), Proposal) if rows else None


def due(workshop: Workshop, now: datetime) -> tuple[Change, ...]:
    """Return the changes whose time is over, the time in which the loop was off left out."""
    return tuple(
        change
        for change in workshop.changes.overdue(now)
        if is_over(change.state, change.deadline, up_since=workshop.up_since, now=now)
    )


def waits(workshop: Workshop, now: datetime) -> str | None:
    """Name what there is to look around for, as a run key; None when nothing waits.

    What is new is looked at at once. What was looked at already, and a proposal that others may
    have merged, comes round after some minutes: then it has another name.
    """
    told = [f"decision {decision.decision_id}" for decision in for_us(workshop, now)]
    told += [change.change_id for change in due(workshop, now) if change.state not in WAITING]
    others = (*WAITING, State.MERGED_OUTSIDE)
    watched = any(change.state in others for change in workshop.changes.all(active=True))
    if not told and not watched:
        return None
    return f"look_outside:{int(now.timestamp()) // ROUND_SECONDS}:{digest(told)[:16]}"
