"""One crash, or one failing suite, taken all the way: diagnosis, reproducer, patches, proof.

This is the loop's middle without its memory: `selfdrive repair` calls it whole, the assets
call its stages one by one and keep evidence between them.
"""

import time

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import (
    Candidate,
    Confidence,
    Crash,
    Diagnosis,
    Ending,
    GoodCall,
    History,
    Product,
    Progress,
    Report,
    Reproduction,
    Sandbox,
    Verdict,
    silent,
)
from selfdrive_dagster.patches import diagnose, failing_test_reproducer, reproduce
from selfdrive_dagster.patches.asking.reproducing import reproduce_by_writers
from selfdrive_dagster.patches.diagnosis.localise import TestLines, coverage_of
from selfdrive_dagster.patches.proposers import Proposer
from selfdrive_dagster.patches.reverts import with_reverts
from selfdrive_dagster.patches.search import PROPOSERS, Search, search_if_reproduced
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.validation.confidence import LEAST
from selfdrive_dagster.validation.gate import prove_if_reproduced
from selfdrive_dagster.validation.patched import allowed_in

MOST_ALONE = 4
"""Failing tests that are tried alone when no patch mends all of them."""


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What one repair may use. Candidates bound the search; seconds are the safety net."""

    max_candidates: int = 400
    seconds: float = 600.0
    seed: int = 0
    confidence: float = LEAST


class Repair(msgspec.Struct, frozen=True, kw_only=True):
    """All that came of it; `notes` say what was not looked at."""

    diagnosis: Diagnosis
    reproduction: Reproduction
    search: Search
    reports: tuple[Report, ...]
    best: Candidate | None
    seconds: float
    notes: tuple[str, ...] = ()
    confidences: dict[str, Confidence] = {}

    @property
    def telling(self) -> Report | None:
        """The report of the best candidate; else the first ambiguous one, else the first."""
        if self.best is not None:
            return next(r for r in self.reports if r.candidate_id == self.best.id)
        torn = (r for r in self.reports if r.verdict is Verdict.AMBIGUOUS)
        return next(torn, self.reports[0] if self.reports else None)

    @property
    def verdict(self) -> Verdict | None:
        """The verdict of the telling report, None where nothing was judged."""
        return self.telling.verdict if self.telling else None


def measure_base(product: Product, sandbox: Sandbox, progress: Progress = silent) -> SuiteRun:
    """Run the whole suite on the base revision, watching which lines each test runs.

    A suite that cannot be collected is no error here: a crash is diagnosed all the same, and
    the gate knows that nothing can be proven without passing tests.
    """
    progress("running the product's own tests on the base revision")
    run = run_suite(product, sandbox, lines=True)
    passed = len(run.with_outcome("passed"))
    progress(f"{passed} of {len(run.collected)} tests pass in {run.seconds:.1f} s")
    if not run.collected:
        progress(why_no_tests(run))
    return run


def why_no_tests(run: SuiteRun) -> str:
    """Say in a line why a suite could not be collected."""
    if run.ending is not Ending.EXITED:
        return f"the session {run.ending.value.replace('_', ' ')} before a test was collected"
    told = run.errors[0] if run.errors else run.stderr
    lines = [line.strip() for line in told.splitlines() if line.strip()]
    causes = [line.removeprefix("E").strip() for line in lines if line.startswith("E ")]
    path = run.errors[0].partition(":")[0] + ": " if run.errors else ""
    return path + "; ".join(causes[-3:] or lines[-1:] or ["no test was found"])


def why_not_all(run: SuiteRun) -> str:
    """Say in a line what is missing from a suite that was collected."""
    if run.errors:
        return why_no_tests(run)
    ended, told = run.ending.value.replace("_", " "), len(run.tests)
    return f"the session {ended} after {told} of {len(run.collected)} tests"


def repair(
    product: Product,
    history: History,
    sandbox: Sandbox,
    *,
    crash: Crash | None,
    budget: Budget,
    progress: Progress = silent,
    proposers: tuple[Proposer, ...] = PROPOSERS,
    calls: tuple[GoodCall, ...] = (),
) -> Repair:
    """Take a crash to a proof; without a crash, the suite's failing tests, else one of them.

    Raises BadInput when there is neither, Refused when the sandbox is not full.
    """
    start = time.monotonic()
    base = measure_base(product, sandbox, progress)
    targets = _targets(product, crash, base)
    found: list[Repair] = []
    for target in targets:
        left = budget.seconds - (time.monotonic() - start)
        if found and left <= 0:
            break
        given = msgspec.structs.replace(budget, seconds=left if found else budget.seconds)
        if len(targets) > 1 and not found:  # keep time for each alone, should they be unrelated
            given = msgspec.structs.replace(budget, seconds=budget.seconds / 2)
        found.append(
            _once(product, history, sandbox, crash, target, base, given, progress, proposers, calls)
        )
        if found[-1].best is not None:
            break
    best = max(found, key=_how_far)
    asks = tuple(ask for one in found for ask in one.search.asks)
    return msgspec.structs.replace(
        best,
        search=msgspec.structs.replace(best.search, asks=asks),
        seconds=round(time.monotonic() - start, 3),
    )


def _how_far(one: Repair) -> tuple[bool, bool, int]:
    """Order repairs by how far they came: one held, one was judged, or how many were tried."""
    return one.best is not None, bool(one.reports), one.search.tried


def _targets(product: Product, crash: Crash | None, base: SuiteRun) -> tuple[tuple[str, ...], ...]:
    """Return the groups of failing tests to try, one after the other; one empty for a crash.

    All together first: one cause explains most reports. Then each test alone, the cases of a
    parametrised one together, since unrelated faults have no patch in common.
    Raises BadInput when there is neither a crash nor a failing test.
    """
    if crash is not None:
        return ((),)
    if not base.collected:
        raise BadInput(
            f"The tests of {product.name} cannot be run: {why_no_tests(base)}",
            remedy="check [service] tests and python in selfdrive.toml, or run `selfdrive doctor`",
        )
    failing = base.with_outcome("failed", "error")
    if not failing and (base.errors or not base.complete):
        raise BadInput(
            f"No test of {product.name} failed, but not all could be run: {why_not_all(base)}",
            remedy="mend that first, or give a crash with --trace FILE",
        )
    if not failing:
        raise BadInput(
            f"All {len(base.collected)} tests of {product.name} pass: nothing to repair.",
            remedy="give a crash with --trace FILE",
        )
    names = dict.fromkeys(node_id.partition("[")[0] for node_id in failing)
    alone = [tuple(i for i in failing if i.partition("[")[0] == name) for name in names]
    return (failing, *alone[:MOST_ALONE]) if len(alone) > 1 else (failing,)


def _once(
    product: Product,
    history: History,
    sandbox: Sandbox,
    crash: Crash | None,
    failing: tuple[str, ...],
    base: SuiteRun,
    budget: Budget,
    progress: Progress,
    proposers: tuple[Proposer, ...],
    calls: tuple[GoodCall, ...],
) -> Repair:
    """Take one target to a proof."""
    start = time.monotonic()
    diagnosis, reproduction = _understand(product, history, sandbox, crash, failing, base, progress)
    reproduction = reproduce_by_writers(
        proposers, diagnosis, reproduction, product, sandbox, progress
    )
    found = search_if_reproduced(
        diagnosis,
        reproduction,
        base,
        product,
        sandbox,
        max_candidates=budget.max_candidates,
        seconds=budget.seconds,
        progress=progress,
        proposers=with_reverts(proposers, history),
        allowed=allowed_in(product),
    )
    proof = prove_if_reproduced(
        found.plausible,
        reproduction,
        base,
        product,
        sandbox,
        progress,
        seed=budget.seed,
        calls=calls,
        least=budget.confidence,
    )
    return Repair(
        diagnosis=diagnosis,
        reproduction=reproduction,
        search=found,
        reports=proof.reports,
        best=proof.best,
        confidences=proof.confidences,
        seconds=round(time.monotonic() - start, 3),
    )


def _understand(
    product: Product,
    history: History,
    sandbox: Sandbox,
    crash: Crash | None,
    failing: tuple[str, ...],
    base: SuiteRun,
    progress: Progress,
) -> tuple[Diagnosis, Reproduction]:
    coverage = coverage_of(base)
    if crash is not None:
        diagnosis = diagnose(product, history, crash=crash, coverage=coverage)
        progress(diagnosis.sentence)
        return diagnosis, reproduce(diagnosis, product, sandbox, progress, coverage=coverage)
    # Other failing tests say nothing of this target: neither that its lines are sound nor guilty.
    told = tuple(one for one in coverage if _speaks(one, failing))
    diagnosis = diagnose(product, history, crash=None, failing_tests=failing, coverage=told)
    progress(diagnosis.sentence)
    return diagnosis, failing_test_reproducer(
        product, sandbox, progress, node_ids=failing, base=base
    )


def _speaks(test: TestLines, failing: tuple[str, ...]) -> bool:
    return not test.failed or not test.watched or test.node_id in failing
