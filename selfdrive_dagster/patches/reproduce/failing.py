"""The failing-test track: the product's own failing tests are the reproducer."""

from selfdrive_dagster.model import (
    Attempt,
    Product,
    Progress,
    Reproducer,
    Reproduction,
    Sandbox,
    Way,
    silent,
)
from selfdrive_dagster.patches.suite import SuiteRun, run_suite


def failing_test_reproducer(
    product: Product,
    sandbox: Sandbox,
    progress: Progress = silent,
    *,
    node_ids: tuple[str, ...] | None = None,
    base: SuiteRun | None = None,
) -> Reproduction:
    """Run the suite on base; the tests that fail twice become the reproducer.

    With `node_ids` only those are considered. `base` is the whole suite's run on the base, where
    there is one already: it is the first of the two. Raises Refused below a full sandbox.
    """
    if base is None:
        progress("running the product's tests")
    first = base or run_suite(product, sandbox, node_ids=node_ids)
    failing = tuple(
        i for i in first.with_outcome("failed", "error") if node_ids is None or i in node_ids
    )
    if not failing:
        return _none(_why_none(first))
    progress(f"{len(failing)} failing, running them again")
    second = run_suite(product, sandbox, node_ids=failing, hash_seed=1, plain=True)
    steady = tuple(one for one in failing if one in second.with_outcome("failed", "error"))
    attempts = tuple(_attempt(one, _why_not(one, second)) for one in failing if one not in steady)
    if not steady:
        return Reproduction(reproducer=None, attempts=attempts)
    kinds = dict.fromkeys(first.tests[one].exception_type for one in steady)
    reproducer = Reproducer(
        way=Way.FAILING_TEST,
        path=steady[0].partition("::")[0],
        source=None,
        node_ids=steady,
        exception_type=next(iter(kinds)),
        function="",
        target_path="",
    )
    found = tuple(_attempt(one, "fails on the base revision, twice") for one in steady)
    return Reproduction(reproducer=reproducer, attempts=(*attempts, *found))


def _why_not(node_id: str, second: SuiteRun) -> str:
    """Say why a test that failed once is no reproducer: it may not have run again at all."""
    if node_id in second.tests:
        return f"failed once, then {second.tests[node_id].outcome}: it is flaky"
    return f"failed once, and did not run again: the session {second.ending.value}"


def _why_none(run: SuiteRun) -> str:
    if run.errors:
        return f"no test failed, but modules could not be collected: {ascii(run.errors[0])[1:300]}"
    if not run.complete:
        return f"the suite did not come to its end: it {run.ending.value.replace('_', ' ')}"
    if not run.collected:
        return f"no test was found; {ascii(run.stderr[-300:])[1:-1]}"
    return f"all {len(run.collected)} tests pass or are skipped"


def _none(reason: str) -> Reproduction:
    return Reproduction(reproducer=None, attempts=(_attempt("the suite", reason),))


def _attempt(target: str, outcome: str) -> Attempt:
    return Attempt(way=Way.FAILING_TEST, target=target, outcome=outcome)
