"""Patches: what might help, per change: diagnosis, reproducer, candidates."""

from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.issues.opening import issue_of
from selfdrive_dagster.model import Diagnosis, Reproduction
from selfdrive_dagster.orchestration import pages
from selfdrive_dagster.orchestration.attempts import earlier_of
from selfdrive_dagster.orchestration.stages import Bench, Made, Move, change_asset
from selfdrive_dagster.patches import diagnose, reproduce
from selfdrive_dagster.patches.asking.reproducing import reproduce_by_writers
from selfdrive_dagster.patches.diagnosis.localise import coverage_of
from selfdrive_dagster.patches.reverts import with_reverts
from selfdrive_dagster.patches.search import Search, search_if_reproduced
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State
from selfdrive_dagster.validation.patched import allowed_in

KINDS = {"python", "git"}


@change_asset(reads={"board": ("issues/ranking", Board)}, kinds=KINDS, version="1")
def diagnosis(bench: Bench, board: Board) -> Made:
    """Where and why: frames in the tree, suspect commit, suspicious lines, observed inputs."""
    issue = issue_of(board, bench.change_id)
    service, head = bench.workshop.settings.service.name, bench.workshop.head()
    told = pages.why_now(issue)
    change = bench.open(issue.issue_id, service=service, base_revision=head, body=told)
    revision = change.base_revision
    crash = bench.crash(board.crashes[issue.issue_id])
    product, history = bench.workshop.product(revision)
    coverage = coverage_of(bench.workshop.base(revision, bench.say))
    found = diagnose(product, history, crash=crash, coverage=coverage, since=issue.first_seen)
    allowed = frozenset({Fact.BUDGET_LEFT, Fact.NOT_QUARANTINED})
    start = Move(State.DRAFT, Event.START, Actor.LOOP, allowed)
    return Made(found, pages.of_diagnosis(found, issue), start)


@change_asset(reads={"found": ("patches/diagnosis", Diagnosis)}, kinds={"pytest"}, version="1")
def reproducer(bench: Bench, found: Diagnosis) -> Made:
    """A test that fails on the base revision for the recorded reason, or why there is none."""
    product, _ = bench.workshop.product(found.revision)
    coverage = coverage_of(bench.workshop.base(found.revision, bench.say))
    sandbox, writers = bench.workshop.sandbox, bench.workshop.proposers(bench.change_id)
    made = reproduce(found, product, sandbox, bench.say, coverage=coverage)
    made = reproduce_by_writers(writers, found, made, product, sandbox, bench.say)
    return Made(made, pages.of_reproduction(made))


@change_asset(
    reads={
        "found": ("patches/diagnosis", Diagnosis),
        "made": ("patches/reproducer", Reproduction),
    },
    kinds={"python"},
    version="1",
)
def candidates(bench: Bench, found: Diagnosis, made: Reproduction) -> Made:
    """Patches that pass the reproducer and the tests that reach them, ranked."""
    product, history = bench.workshop.product(found.revision)
    limits = bench.workshop.settings.patches
    tried: Search = search_if_reproduced(
        found,
        made,
        bench.workshop.base(found.revision, bench.say),
        product,
        bench.workshop.sandbox,
        max_candidates=limits.max_candidates,
        seconds=limits.seconds,
        progress=bench.say,
        proposers=with_reverts(bench.workshop.proposers(bench.change_id), history),
        earlier=earlier_of(bench.workshop, bench.change()),
        allowed=allowed_in(product),
    )
    return Made(tried, pages.of_search(tried))
