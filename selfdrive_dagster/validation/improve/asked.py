"""Improvements that a model drafted, through the same gate, with what a sandbox can know.

The patch passes the rules, its own test passes on it, the whole suite ends as before. A faster
route is proven as the built-in engine's are. Whether fewer visitors click in rage no sandbox can
tell: such a change is never more than inconclusive until production was looked at. All of them wait
for a person. Belongs here: order and verdict. Does not belong: drafting (`patches.asking`).
"""

import time

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import (
    Ask,
    Check,
    Claim,
    Product,
    Progress,
    Report,
    Reproducer,
    Sandbox,
    Verdict,
    Way,
    digest,
    silent,
)
from selfdrive_dagster.patches.asking.hurting import Hurt, place
from selfdrive_dagster.patches.asking.improvements import Asked
from selfdrive_dagster.patches.asking.proposer import Claude
from selfdrive_dagster.patches.improve import (
    Hot,
    Idea,
    SlowPath,
    Target,
    Workload,
    handler_of,
    profile,
    workload_of,
)
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.patches.syntax import Tree
from selfdrive_dagster.patches.text import apply_patch
from selfdrive_dagster.validation import checks
from selfdrive_dagster.validation.improve.gain import Gain
from selfdrive_dagster.validation.improve.proving import (
    candidate_of,
    prove_improvements,
    verdict_of,
)
from selfdrive_dagster.validation.policy import check_policy
from selfdrive_dagster.validation.repair import measure_base


class ProvenAsked(msgspec.Struct, frozen=True, kw_only=True):
    """A model's draft with its report; `gain` only where time was the signal."""

    asked: Asked
    report: Report
    gain: Gain | None = None


class AskedImprovement(msgspec.Struct, frozen=True, kw_only=True):
    """All that came of asking a model. `best` is a proposal: a person decides, always."""

    hurt: Hurt
    tried: tuple[ProvenAsked, ...]
    best: Asked | None
    asks: tuple[Ask, ...]
    abstained: str
    seconds: float
    needs_approval: bool = True


def ask_about(
    hurt: Hurt,
    slow: SlowPath | None,
    model: Claude,
    product: Product,
    sandbox: Sandbox,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> AskedImprovement:
    """Measure what there is to measure, then ask: of a slow path the model sees the profile."""
    base = measure_base(product, sandbox, progress)
    workload, hot = None, tuple[Hot, ...]()
    if slow is not None:
        tree = Tree(product)
        handler = handler_of(tree, slow.route)
        workload, _ = workload_of(slow, handler, tree, base, product, sandbox)
        hot = profile(workload, product, sandbox).hot if workload else ()
    return improve_by_asking(hurt, model, base, product, sandbox, hot=hot, workload=workload,
                             seed=seed, progress=progress)  # fmt: skip


def improve_by_asking(
    hurt: Hurt,
    model: Claude,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    *,
    hot: tuple[Hot, ...] = (),
    workload: Workload | None = None,
    seed: int = 0,
    progress: Progress = silent,
) -> AskedImprovement:
    """Ask once and prove each draft; the first that nothing speaks against is best."""
    start = time.monotonic()
    diagnosis = place(hurt, Tree(product), hot)
    progress(f"asking {model.name} about {hurt.kind.replace('_', ' ')}")
    drafts = model.improve(hurt, diagnosis, product)
    asks = model.told()
    tried = []
    for number, asked in enumerate(drafts, start=1):
        progress(f"proving draft {number} of {len(drafts)}")
        tried.append(_prove(asked, number, workload, base, product, sandbox, seed))
    best = next((one for one in tried if _may_be_put_forward(one.report)), None)
    why = "" if best else _why_none(tuple(tried), asks)
    return AskedImprovement(
        hurt=hurt,
        tried=tuple(tried),
        best=best.asked if best else None,
        asks=asks,
        abstained=why,
        seconds=round(time.monotonic() - start, 3),
    )


def _may_be_put_forward(report: Report) -> bool:
    """Say whether nothing speaks against a draft but that its effect is yet to be seen."""
    unknown = [check.name for check in report.checks if check.passed is None]
    failed = any(check.passed is False for check in report.checks)
    return report.verdict is Verdict.CERTIFIED or (not failed and unknown == ["effect"])


def _why_none(tried: tuple[ProvenAsked, ...], asks: tuple[Ask, ...]) -> str:
    if tried:
        return f"of {len(tried)} drafts none held; {tried[0].report.reason}"
    told = asks[-1] if asks else None
    says = f"{told.result.value.replace('_', ' ')}: {told.says}" if told else "nothing was asked"
    return f"no draft came ({says.rstrip(': ')})"


def _prove(
    asked: Asked,
    rank: int,
    workload: Workload | None,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    seed: int,
) -> ProvenAsked:
    start = time.monotonic()
    idea = Idea(
        draft=asked.draft,
        target=Target(path=asked.draft.path, function=asked.draft.function),
        says="a model's draft",
    )
    found = _own_checks(asked, base, product, sandbox, seed)
    gain = None
    if all(check.passed for check in found) and asked.effect.signal == "p95_ms" and workload:
        [timed] = prove_improvements((idea,), workload, base, product, sandbox, seed=seed)
        found += [check for check in timed.report.checks if check.name not in _names(found)]
        gain = timed.gain
    elif all(check.passed for check in found):
        says = f"only production can tell: {asked.effect.says}"
        found.append(Check(name="effect", passed=None, says=says))
    verdict, reason = verdict_of(tuple(found))
    report = Report(
        candidate_id=candidate_of(idea, rank).id,
        claim=Claim.IMPROVEMENT,
        verdict=verdict,
        reason=reason,
        checks=tuple(found),
        base_revision=product.revision,
        patch_sha256=digest(asked.draft.patch.encode()),
        reproducer_sha256=digest(asked.test.encode()),
        sandbox_level=sandbox.level().value,
        seed=seed,
        seconds=round(time.monotonic() - start, 3),
    )
    return ProvenAsked(asked=asked, report=report, gain=gain)


def _names(found: list[Check]) -> set[str]:
    return {check.name for check in found}


def _own_checks(
    asked: Asked, base: SuiteRun, product: Product, sandbox: Sandbox, seed: int
) -> list[Check]:
    try:
        overlay = apply_patch(product.read, asked.draft.patch)
    except BadInput as error:
        return [Check(name="applies", passed=False, says=error.message)]
    found = [
        Check(name="applies", passed=True, says=f"changes {', '.join(overlay)}"),
        check_policy(asked.draft.patch, overlay, product),
    ]
    if not all(check.passed for check in found):
        return found
    tests: dict[str, str | None] = {asked.test_path: asked.test}
    run = run_suite(product, sandbox, node_ids=(asked.test_path,), overlay=tests)
    told = {one.outcome for one in run.tests.values()}
    if not run.tests:
        return [*found, Check(name="test", passed=False, says="its test file holds no test")]
    holds = "passes on the base too: it pins what stays" if told == {"passed"} else (
        "fails on the base: it pins what is new")  # fmt: skip
    found.append(Check(name="test", passed=True, says=f"its test {holds}"))
    made = Reproducer(
        way=Way.WRITTEN_BY_MODEL,
        path=asked.test_path,
        source=asked.test,
        node_ids=tuple(run.tests),
        exception_type="",
        function="",
        target_path="",
    )
    case = checks.Case(product=product, sandbox=sandbox, reproducer=made, base=base, seed=seed)
    return [*found, *checks.on_patch(overlay, case)]
