"""The single checks of the gate that run tests: fails on base, passes on patch, suite holds.

Each returns `Check` records; none knows of verdicts. Node ids are compared as exact sets:
a missing, extra or repeated test fails, whatever the exit code says (SWE-smith#24).
"""

import random

import msgspec

from selfdrive_dagster.model import Check, Product, Reproducer, Sandbox, Way
from selfdrive_dagster.patches.suite import SuiteRun, run_suite

Overlay = dict[str, str | None]
GOOD = ("passed", "skipped", "xfailed")


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What every check of one proof shares; `base` is the whole suite's run on the base."""

    product: Product
    sandbox: Sandbox
    reproducer: Reproducer
    base: SuiteRun
    seed: int


def on_base(case: Case) -> list[Check]:
    """Run the reproducer alone on the base: once for all candidates of a proof."""
    run = run_suite(
        case.product,
        case.sandbox,
        node_ids=case.reproducer.node_ids,
        overlay=_test(case.reproducer),
        canary=_canary(case.seed, "base"),
    )
    return [_canary_check("base", run, case), _fails_on_base(run, case.reproducer)]


def on_patch(overlay: Overlay, case: Case) -> list[Check]:
    """Run reproducer and suite on the patch twice, the second time with another hash seed."""
    base = case.base
    if not base.complete or base.errors:
        says = base.errors[0] if base.errors else f"the base suite {base.ending.value}"
        return [Check(name="suite", passed=None, says=f"the base suite cannot be read: {says}")]
    found = []
    for name, hash_seed in (("suite", 0), ("suite_again", case.seed % 4_000_000_000 + 1)):
        run = run_suite(
            case.product,
            case.sandbox,
            overlay={**overlay, **_test(case.reproducer)},
            canary=_canary(case.seed, name),
            hash_seed=hash_seed,
        )
        found += [_canary_check(name, run, case), _suite_holds(name, run, case)]
        if name == "suite":
            found.append(_passes_on_patch(run, case.reproducer))
    return found


def _test(reproducer: Reproducer) -> Overlay:
    return {} if reproducer.source is None else {reproducer.path: reproducer.source}


def _canary(seed: int, side: str) -> dict[str, str]:
    rng = random.Random(f"{seed}:{side}")  # noqa: S311  the name must be unknown to the patch, not secret
    return {"name": f"test_canary_{rng.getrandbits(64):016x}", "message": f"{rng.getrandbits(64)}"}


def _canary_id(seed: int, side: str) -> str:
    return f"selfdrive::{_canary(seed, side)['name']}"


def _canary_check(side: str, run: SuiteRun, case: Case) -> Check:
    message = _canary(case.seed, side)["message"]
    died = _canary_died(run, _canary_id(case.seed, side), message)
    says = "the test that must fail failed" if died else "the test that must fail did not fail"
    return Check(name=f"canary_{side}", passed=died, says=says)


def _canary_died(run: SuiteRun, node_id: str, message: str) -> bool:
    test = run.tests.get(node_id)
    return test is not None and test.outcome == "failed" and message in test.message


def _fails_on_base(run: SuiteRun, reproducer: Reproducer) -> Check:
    says, passed = "the reproducer fails on the base revision", True
    for node_id in reproducer.node_ids:
        test = run.tests.get(node_id)
        if test is None or test.outcome not in ("failed", "error"):
            passed, says = False, f"{node_id} does not fail on the base revision"
        elif reproducer.way is not Way.FAILING_TEST and not _same_failure(test.mro, reproducer):
            passed, says = False, f"{node_id} raises {test.exception_type} on the base revision"
    return Check(name="fails_on_base", passed=passed, says=says)


def _same_failure(mro: tuple[str, ...], reproducer: Reproducer) -> bool:
    short = reproducer.exception_type.rpartition(".")[2]
    return any(name.rpartition(".")[2] == short for name in mro)


def _passes_on_patch(run: SuiteRun, reproducer: Reproducer) -> Check:
    bad = [
        f"{node_id} {run.tests[node_id].outcome if node_id in run.tests else 'did not run'}"
        for node_id in reproducer.node_ids
        if node_id not in run.tests or run.tests[node_id].outcome != "passed"
    ]
    says = "; ".join(bad) or "the reproducer passes on the patch"
    return Check(name="passes_on_patch", passed=not bad, says=says)


def _suite_holds(name: str, run: SuiteRun, case: Case) -> Check:
    base, reproducer = case.base, case.reproducer
    canary_id = _canary_id(case.seed, name)
    expected = {*base.collected, *reproducer.node_ids, canary_id}
    faults = [f"{node_id} is missing" for node_id in sorted(expected - set(run.tests))]
    # Our own file may inherit tests with the class whose state it borrows; the patch is not there.
    ours = f"{reproducer.path}::" if reproducer.source is not None else "\0"
    new = {node_id for node_id in set(run.tests) - expected if not node_id.startswith(ours)}
    faults += [f"{node_id} is new" for node_id in sorted(new)]
    faults += [f"{node_id} ran more than once" for node_id in run.repeated]
    for node_id, before in base.tests.items():
        after = run.tests.get(node_id)
        wanted = ("passed",) if node_id in reproducer.node_ids else (before.outcome,)
        if after and after.outcome not in wanted and before.outcome in GOOD:
            faults.append(f"{node_id} {after.outcome}, on base {before.outcome}")
    if not run.complete:
        faults.append(f"the session {run.ending.value} without an end")
    numbers = {"tests": len(run.tests), "passed": len(run.with_outcome("passed"))}
    says = "; ".join(faults[:5]) or f"all {len(base.tests)} tests of the base end as before"
    return Check(name=name, passed=not faults, says=says, numbers=numbers)
