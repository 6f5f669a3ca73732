"""A proposal's way out, and what comes back from outside: branch, merges, decisions."""

from datetime import UTC, datetime
from typing import Any

from selfdrive_dagster.adapters.changes import Authority
from selfdrive_dagster.adapters.ledger import MADE
from selfdrive_dagster.adapters.outside import carry_out, look_outside, note_merge
from selfdrive_dagster.adapters.proposals import product_branch, propose, remote_of, shown_remote
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
from selfdrive_dagster.rollout.lifecycle import Actor, Event, State

GUARD = "selfdrive"


def put_forward(workshop: Workshop, findings: Findings) -> Proposal:
    """Write the branch of a change, push it where the settings say, and note what was put."""
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


def look_around(workshop: Workshop, run_id: str) -> dict[str, Any]:
    """Carry out what people decided, keep deadlines, and notice what others merged."""
    now = datetime.now(UTC)
    decided = [
        carry_out(
            decision,
            workshop.changes,
            workshop.engine,
            by=Authority(who=GUARD, role=Actor.HUMAN, run_id=run_id),
            now=now,
        )
        for decision in workshop.decisions.waiting()
    ]
    repository, service = workshop.repository(), workshop.settings.service
    seen = look_outside(
        repository,
        workshop.changes.all(active=True),
        proposals(workshop),
        remote=remote_of(repository, service.repository),
        branch=product_branch(repository, service.branch),
    )
    guard = Authority(who=GUARD, role=Actor.GUARD, run_id=run_id)
    overdue = workshop.changes.overdue(now)
    for change in overdue:
        workshop.changes.move(change.change_id, Event.DEADLINE, by=guard, now=now)
    for found in seen:
        if found.event is not None:
            note_merge(found, workshop.changes, by=guard, now=now)
    return {
        "decisions": len(decided),
        "overdue": [change.change_id for change in overdue],
        "seen": [f"{found.change_id}: {found.seen.value}, {found.says}" for found in seen],
    }


def proposals(workshop: Workshop) -> dict[str, Proposal]:
    """Return the newest proposal of each change, as the ledger names it."""
    digests: dict[str, str] = {}
    for row in workshop.ledger.entries():
        body = row.entry.body
        if row.entry.kind == MADE and body.get("asset") == "rollout/proposal":
            digests[row.entry.change_id] = str(body["sha256"])
    return {
        change_id: workshop.evidence.get(sha256, Proposal) for change_id, sha256 in digests.items()
    }


def waits(workshop: Workshop) -> bool:
    """Say whether there is anything to look around for."""
    return bool(
        workshop.decisions.waiting()
        or workshop.changes.overdue(datetime.now(UTC))
        or any(change.state is State.AWAITING_APPROVAL for change in workshop.changes.all())
    )
