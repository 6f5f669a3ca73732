"""The gate for improvements: the rules and runs of every patch, equal answers, a measured gain.

What is cheap comes first, and a draft that fails one check is not run further. An improvement that
passes all is certified, and still put before a human: no level of autonomy merges one by itself.
Belongs here: the order and the verdict. Does not belong: the single checks.
"""

import time

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import (
    Candidate,
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
    short_id,
    silent,
)
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.improve import Idea, Workload
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.text import apply_patch
from selfdrive_dagster.validation import checks
from selfdrive_dagster.validation.improve.equality import compare
from selfdrive_dagster.validation.improve.gain import Gain
from selfdrive_dagster.validation.improve.measuring import measure
from selfdrive_dagster.validation.policy import check_policy

PROVEN_AT_MOST = 8
COVERING = 8


class Proven(msgspec.Struct, frozen=True, kw_only=True):
    """One idea with its report; `gain` is None where none was measured."""

    idea: Idea
    candidate: Candidate
    report: Report
    gain: Gain | None


def prove_improvements(
    ideas: tuple[Idea, ...],
    workload: Workload,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    *,
    seed: int = 0,
    progress: Progress = silent,
) -> tuple[Proven, ...]:
    """Judge ideas in their order, at most eight; the one with the largest gain stands first."""
    done: list[Proven] = []
    for number, idea in enumerate(ideas[:PROVEN_AT_MOST], start=1):
        progress(f"proving {number} of {len(ideas[:PROVEN_AT_MOST])}: {idea.says}")
        done.append(_prove(idea, number, workload, base, product, sandbox, seed))
    done.sort(key=lambda one: (one.report.verdict is not Verdict.CERTIFIED,
                               one.gain.ratio if one.gain else 1.0))  # fmt: skip
    return tuple(done)


def _prove(
    idea: Idea,
    rank: int,
    workload: Workload,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    seed: int,
) -> Proven:
    start = time.monotonic()
    found, gain = _checks(idea, workload, base, product, sandbox, seed)
    verdict, reason = verdict_of(tuple(found))
    candidate = candidate_of(idea, rank)
    report = Report(
        candidate_id=candidate.id,
        claim=Claim.IMPROVEMENT,
        verdict=verdict,
        reason=reason,
        checks=tuple(found),
        base_revision=product.revision,
        patch_sha256=digest(candidate.patch.encode()),
        reproducer_sha256=digest(workload),
        sandbox_level=sandbox.level().value,
        seed=seed,
        seconds=round(time.monotonic() - start, 3),
    )
    return Proven(idea=idea, candidate=candidate, report=report, gain=gain)


def _checks(
    idea: Idea,
    workload: Workload,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    seed: int,
) -> tuple[list[Check], Gain | None]:
    """Return the checks up to the first that does not pass."""
    try:
        overlay = apply_patch(product.read, idea.draft.patch)
    except BadInput as error:
        return [Check(name="applies", passed=False, says=error.message)], None
    found = [
        Check(name="applies", passed=True, says=f"changes {', '.join(overlay)}"),
        check_policy(idea.draft.patch, overlay, product),
    ]
    if not _all_passed(found):
        return found, None
    found += compare(idea, workload, _covering(idea, base), product, sandbox, seed=seed)
    if not _all_passed(found):
        return found, None
    check, gain = measure(idea, workload, product, sandbox)
    found.append(check)
    if _all_passed(found):
        case = checks.Case(
            product=product, sandbox=sandbox, reproducer=as_test(workload), base=base, seed=seed
        )
        found += checks.on_patch(overlay, case)
    return found, gain


def _all_passed(found: list[Check]) -> bool:
    return all(check.passed for check in found)


def verdict_of(found: tuple[Check, ...]) -> tuple[Verdict, str]:
    """Return the verdict and its reason. Unknown is never a pass."""
    failed = next((check for check in found if check.passed is False), None)
    if failed is not None:
        return Verdict.UNCERTIFIED, f"{failed.name}: {failed.says}"
    unknown = next((check for check in found if check.passed is None), None)
    if unknown is not None or not any(check.name == "suite_again" for check in found):
        says = f"{unknown.name}: {unknown.says}" if unknown else "not all was checked"
        return Verdict.INCONCLUSIVE, says
    return Verdict.CERTIFIED, "equal answers, a measured gain, and every other check passed"


def candidate_of(idea: Idea, rank: int) -> Candidate:
    """Return an idea as the candidate that reports and pages name."""
    return candidate_of_draft(idea.draft, rank)


def candidate_of_draft(draft: Draft, rank: int) -> Candidate:
    """Return a draft, whoever made it, as a candidate that claims an improvement."""
    return Candidate(
        id=short_id("cnd", draft.patch),
        generator=draft.generator,
        family=draft.family,
        path=draft.path,
        line=draft.line,
        function=draft.function,
        patch=draft.patch,
        claim=Claim.IMPROVEMENT,
        invented="",
        rank=rank,
        author=draft.author,
    )


def as_test(workload: Workload) -> Reproducer:
    """Return a workload as the gate's runs want it: tests that must pass on the patch."""
    return Reproducer(
        way=Way.HTTP_REPLAY if workload.source else Way.FAILING_TEST,
        path=workload.path,
        source=workload.source,
        node_ids=tuple(dict.fromkeys(workload.node_ids)),
        exception_type="",
        function="",
        target_path="",
    )


def _covering(idea: Idea, base: SuiteRun) -> tuple[str, ...]:
    """Return passing tests that run lines of the changed file, the most local first."""
    path = idea.draft.path
    passing = base.with_outcome("passed")
    found = [node_id for node_id in passing if path in base.lines.get(node_id, {})]
    found.sort(key=lambda node_id: (len(base.lines[node_id]), node_id))
    return tuple(found[:COVERING])
