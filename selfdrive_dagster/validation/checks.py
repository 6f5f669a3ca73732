"""The single checks of the gate that run tests: fails on base, passes on patch, suite holds.

Each returns `Check` records; none knows of verdicts. Node ids are compared as exact sets:
a missing, extra or repeated test fails, whatever the exit code says (SWE-smith#24).
"""

import secrets
from difflib import SequenceMatcher

import msgspec

from selfdrive_dagster.model import Check, Ending, Product, Reproducer, Sandbox, Way
from selfdrive_dagster.patches.suite import Lines, SuiteRun, run_suite
from selfdrive_dagster.validation.naming import named_as_on

Overlay = dict[str, str | None]
GOOD = ("passed", "skipped", "xfailed")


class Oracles(msgspec.Struct, frozen=True, kw_only=True):
    """Good calls of production that hold on the base: a test file, its tests, the lines they run.

    `given` counts all that were recorded; `sha256` is their digest.
    """

    path: str
    source: str
    node_ids: tuple[str, ...]
    lines: dict[str, Lines]
    given: int
    sha256: str


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """What every check of one proof shares; `base` is the whole suite's run on the base.

    `oracles` is None where no good call of production can be compared.
    """

    product: Product
    sandbox: Sandbox
    reproducer: Reproducer
    base: SuiteRun
    seed: int
    oracles: Oracles | None = None


class Canary(msgspec.Struct, frozen=True):
    """A test that must fail. Its name and message are drawn anew for every run.

    They are secrets until the session starts: a patch must not know them beforehand.
    """

    name: str
    message: str

    @classmethod
    def fresh(cls) -> "Canary":
        """Draw a canary."""
        return cls(f"test_canary_{secrets.token_hex(8)}", secrets.token_hex(8))

    @property
    def node_id(self) -> str:
        """The id under which the suite program runs it."""
        return f"selfdrive::{self.name}"

    @property
    def spec(self) -> dict[str, str]:
        """What the suite program is told."""
        return {"name": self.name, "message": self.message}

    def check(self, side: str, run: SuiteRun) -> Check:
        """Say whether it died in a run, as it must."""
        test = run.tests.get(self.node_id)
        if test is None and run.ending is not Ending.EXITED:
            says = f"the session {run.ending.value} before the test that must fail"
            return Check(name=f"canary_{side}", passed=None, says=says)
        died = test is not None and test.outcome == "failed" and self.message in test.message
        says = "the test that must fail failed" if died else "the test that must fail did not"
        return Check(name=f"canary_{side}", passed=died, says=says)


def on_base(case: Case) -> list[Check]:
    """Run the reproducer alone on the base: once for all candidates of a proof."""
    canary = Canary.fresh()
    run = run_suite(
        case.product,
        case.sandbox,
        node_ids=case.reproducer.node_ids,
        overlay=_test(case.reproducer),
        canary=canary.spec,
    )
    return [canary.check("base", run), _fails_on_base(run, case.reproducer)]


def on_patch(overlay: Overlay, case: Case) -> list[Check]:
    """Run reproducer and suite on the patch twice, the second time with another hash seed.

    What did not hold the first time is not run again: it cannot become better.
    """
    base = case.base
    if not base.complete or base.errors:
        says = base.errors[0] if base.errors else f"the base suite {base.ending.value}"
        return [Check(name="suite", passed=None, says=f"the base suite cannot be read: {says}")]
    if not base.with_outcome("passed"):
        says = "no test of the product passes, so nothing tells what must stay as it is"
        return [Check(name="suite", passed=None, says=says)]
    must_pass = {*case.reproducer.node_ids, *base.with_outcome(*GOOD)}
    found: list[Check] = []
    for again, hash_seed in (("", 0), ("_again", case.seed % 4_000_000_000 + 1)):
        canary, name = Canary.fresh(), f"suite{again}"
        run = run_suite(
            case.product,
            case.sandbox,
            overlay={**overlay, **_test(case.reproducer)},
            canary=canary.spec,
            hash_seed=hash_seed,
        )
        run, renamed = named_as_on(base, run, must_pass)
        found += [
            canary.check(name, run),
            _suite_holds(name, run, canary, case, renamed),
            _passes(f"passes_on_patch{again}", run, case.reproducer),
            _mends_all(f"mends_all{again}", run, overlay, case),
        ]
        if not all(check.passed for check in found):
            break
    return found


def _test(reproducer: Reproducer) -> Overlay:
    return {} if reproducer.source is None else {reproducer.path: reproducer.source}


def _fails_on_base(run: SuiteRun, reproducer: Reproducer) -> Check:
    says, passed = "the reproducer fails on the base revision", True
    for node_id in reproducer.node_ids:
        test = run.tests.get(node_id)
        if test is None and run.ending is not Ending.EXITED:
            says = f"the session on the base revision {run.ending.value} before {node_id}"
            return Check(name="fails_on_base", passed=None, says=says)
        if test is None or test.outcome not in ("failed", "error"):
            passed, says = False, f"{node_id} does not fail on the base revision"
        elif reproducer.way is not Way.FAILING_TEST and not _same_failure(test.mro, reproducer):
            passed, says = False, f"{node_id} raises {test.exception_type} on the base revision"
    return Check(name="fails_on_base", passed=passed, says=says)


def _same_failure(mro: tuple[str, ...], reproducer: Reproducer) -> bool:
    short = reproducer.exception_type.rpartition(".")[2]
    return any(name.rpartition(".")[2] == short for name in mro)


def _passes(name: str, run: SuiteRun, reproducer: Reproducer) -> Check:
    bad = [
        f"{node_id} {run.tests[node_id].outcome if node_id in run.tests else 'did not run'}"
        for node_id in reproducer.node_ids
        if node_id not in run.tests or run.tests[node_id].outcome != "passed"
    ]
    says = "; ".join(bad) or "the reproducer passes on the patch"
    return Check(name=name, passed=not bad, says=says)


def _mends_all(name: str, run: SuiteRun, overlay: Overlay, case: Case) -> Check:
    """Say whether other tests that run the changed lines and failed alike pass as well.

    A patch that mends one of several and leaves the rest has gone round the fault, not to it. Alike
    is what raised the same class: a test that hangs says nothing of one with a wrong answer. A
    crash's own reproducer says nothing of tests that failed before it.
    """
    if case.reproducer.way is not Way.FAILING_TEST:
        return Check(name=name, passed=True, says="its claim does not rest on a failing test")
    base, own = case.base, case.reproducer.node_ids
    kinds = {base.tests[node_id].exception_type for node_id in own if node_id in base.tests}
    left = [
        node_id
        for node_id in base.with_outcome("failed", "error")
        if node_id not in own
        and base.tests[node_id].exception_type in kinds
        and any(_reaches(node_id, path, text, case) for path, text in overlay.items())
        and (node_id not in run.tests or run.tests[node_id].outcome not in GOOD)
    ]
    says = "no other test that failed alike runs the changed lines"
    if left:
        says = f"{len(left)} more that failed alike run the changed lines and still fail: {left[0]}"
    return Check(name=name, passed=not left, says=says)


def _reaches(node_id: str, path: str, text: str | None, case: Case) -> bool:
    ran = set(case.base.lines.get(node_id, {}).get(path, ()))
    old = case.product.read(path) if case.product.has(path) else ""
    return bool(ran & _changed_lines(old, text or ""))


def _suite_holds(name: str, run: SuiteRun, canary: Canary, case: Case, renamed: int) -> Check:
    base, reproducer = case.base, case.reproducer
    expected = {*base.collected, *reproducer.node_ids, canary.node_id}
    faults = [] if run.complete else [f"the session {run.ending.value} without an end"]
    faults += [f"{node_id} is missing" for node_id in sorted(expected - set(run.tests))]
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
    numbers = {"tests": len(run.tests), "passed": len(run.with_outcome("passed"))}
    numbers |= {"renamed": renamed} if renamed else {}
    others = len(set(base.tests) - set(reproducer.node_ids))
    which = f"all {len(base.tests)}" if others == len(base.tests) else f"all {others} other"
    says = "; ".join(faults[:5]) or f"{which} tests of the base end as before"
    return Check(name=name, passed=not faults, says=says, numbers=numbers)


def _changed_lines(old: str, new: str) -> frozenset[int]:
    """Return the old lines, by number, that a patch takes away or that stand next to new ones."""
    found: set[int] = set()
    pairs = SequenceMatcher(None, old.splitlines(), new.splitlines(), autojunk=False)
    for tag, first, last, _, _ in pairs.get_opcodes():
        if tag != "equal":
            found |= set(range(first + 1, last + 1)) or {first, first + 1}
    return frozenset(found)
