"""Rollout: dare we. A branch that others take or refuse, and what a person signed for it."""

from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.issues.opening import issue_of
from selfdrive_dagster.model import Diagnosis, Reproduction
from selfdrive_dagster.orchestration import pages
from selfdrive_dagster.orchestration.approving import approved
from selfdrive_dagster.orchestration.attempts import earlier_of
from selfdrive_dagster.orchestration.build import plain_job
from selfdrive_dagster.orchestration.observing import last_turn
from selfdrive_dagster.orchestration.proposing import look_around, put_forward
from selfdrive_dagster.orchestration.stages import Bench, Made, Move, change_asset
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.rollout import Findings, Proposal
from selfdrive_dagster.rollout.approval import Approval
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State
from selfdrive_dagster.validation import Proof


@change_asset(
    reads={
        "board": ("issues/ranking", Board),
        "diagnosis": ("patches/diagnosis", Diagnosis),
        "reproduction": ("patches/reproducer", Reproduction),
        "search": ("patches/candidates", Search),
        "proof": ("validation/report", Proof),
    },
    kinds={"git", "markdown"},
    version="1",
)
def proposal(
    bench: Bench,
    board: Board,
    diagnosis: Diagnosis,
    reproduction: Reproduction,
    search: Search,
    proof: Proof,
) -> Made:
    """A branch with the patch, its reproducer as a test, and the page a reviewer reads."""
    findings = Findings(
        change_id=bench.change_id,
        issue=issue_of(board, bench.change_id),
        diagnosis=diagnosis,
        reproduction=reproduction,
        search=search,
        proof=proof,
        earlier=earlier_of(bench.workshop, bench.change()),
    )
    put = put_forward(bench.workshop, findings)
    known = frozenset({Fact.REPORT_RECORDED, Fact.BRANCH_PUSHED})
    move = Move(State.VALIDATED, Event.PROPOSE, Actor.LOOP, known)
    return Made(put, pages.of_proposal(put), move)


@change_asset(
    reads={"proposal": ("rollout/proposal", Proposal), "proof": ("validation/report", Proof)},
    kinds={"git"},
    version="1",
)
def approval(bench: Bench, proposal: Proposal, proof: Proof) -> Made:
    """A person's signature over base, patch, tree, report and policy, verified once more."""
    bench.say(f"{proposal.branch} at {proposal.commit[:12]}: is it what was signed?")
    found, move = approved(bench, proof)
    return Made(found, pages.of_approval(found), move)


@change_asset(
    reads={
        "proposal": ("rollout/proposal", Proposal),
        "approval": ("rollout/approval", Approval),
    },
    kinds={"traefik"},
    version="1",
)
def stage(bench: Bench, proposal: Proposal, approval: Approval) -> Made:
    """The last turn of a rollout: what live evidence said, how strongly, and on which windows."""
    bench.say(f"{proposal.commit[:12]}, as {approval.statement.approver} allowed it")
    found = last_turn(bench.workshop, bench.change_id)
    return Made(found, pages.of_stage(found))


look_outside = plain_job(
    "look_outside", "Notices what others merged and carries out what people decided.", look_around
)
