"""Validation: does it? One report per change, and once more on the head it is merged into."""

from selfdrive_dagster.model import Reproduction, SandboxLevel
from selfdrive_dagster.orchestration import pages
from selfdrive_dagster.orchestration.promoting import proven_on_head
from selfdrive_dagster.orchestration.stages import Bench, Made, Move, change_asset
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State
from selfdrive_dagster.validation import Proof, prove_if_reproduced


@change_asset(
    reads={
        "made": ("patches/reproducer", Reproduction),
        "tried": ("patches/candidates", Search),
    },
    kinds={"pytest"},
    version="1",
)
def report(bench: Bench, made: Reproduction, tried: Search) -> Made:
    """What the gate proved of each candidate: checks, verdicts, and the one to propose."""
    revision = bench.change().base_revision
    product, _ = bench.workshop.product(revision)
    base, sandbox = bench.workshop.base(revision, bench.say), bench.workshop.sandbox
    calls, least = bench.workshop.calls(), bench.workshop.settings.patches.confidence
    proof = prove_if_reproduced(
        tried.plausible, made, base, product, sandbox, bench.say, calls=calls, least=least
    )
    full = {Fact.FULL_SANDBOX} if sandbox.level() is SandboxLevel.FULL else set()
    event = Event.UNPROVEN if proof.best is None else Event.PROVEN
    known = frozenset({Fact.REPORT_RECORDED, *full})
    move = Move(State.VALIDATING, event, Actor.VALIDATOR, known)
    return Made(proof, pages.of_proof(proof, tried), move)


@change_asset(
    reads={
        "proposal": ("rollout/proposal", Proposal),
        "made": ("patches/reproducer", Reproduction),
        "proof": ("validation/report", Proof),
    },
    kinds={"pytest", "git"},
    version="1",
)
def head(bench: Bench, proposal: Proposal, made: Reproduction, proof: Proof) -> Made:
    """The patch that users met, proven on the product's branch as it is by now."""
    found = proven_on_head(bench, proposal, made, proof)
    return Made(found, pages.of_head(found))
