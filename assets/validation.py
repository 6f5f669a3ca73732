"""Validation: does it? One report per change, over the candidates that might."""

from selfdrive_dagster.model import Reproduction, SandboxLevel
from selfdrive_dagster.orchestration import pages
from selfdrive_dagster.orchestration.stages import Bench, Made, change_asset
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State
from selfdrive_dagster.validation import prove_if_reproduced


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
    proof = prove_if_reproduced(tried.plausible, made, base, product, sandbox, bench.say)
    known = {Fact.REPORT_RECORDED}
    if sandbox.level() is SandboxLevel.FULL:
        known.add(Fact.FULL_SANDBOX)
    event = Event.UNPROVEN if proof.best is None else Event.PROVEN
    bench.move(State.VALIDATING, event, Actor.VALIDATOR, known, {"reports": len(proof.reports)})
    return Made(proof, pages.of_proof(proof, tried))
