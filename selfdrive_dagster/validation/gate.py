"""The gate: prove candidates one after the other, the likeliest first, until one holds.

Tests always come from the base revision; the patch only ever replaces the product's own
files. Every run carries a canary that must fail. `checks.py` holds the single checks; this
module only orders them and draws the verdict.
"""

import time

import msgspec

from selfdrive_dagster.model import (
    Candidate,
    Check,
    Claim,
    Confidence,
    GoodCall,
    Product,
    Progress,
    Report,
    Reproducer,
    Reproduction,
    Sandbox,
    Verdict,
    digest,
    silent,
)
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.validation import (
    checks,
    confidence,
    good_calls,
    mutating,
)
from selfdrive_dagster.validation.patched import Text, read
from selfdrive_dagster.validation.rivals import (
    Known,
    ambiguity_check,
    compare_all,
    known_of,
    with_standings,
)

PROVEN_AT_MOST = 8
COMPARED_AT_MOST = 12
"""Plausible candidates that are compared; more of them tell little more of what dominates."""

Overlay = dict[str, str | None]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The reports of all candidates that were judged; `best` is the one to propose, or None.

    `confidences` tells of each candidate that was compared, judged or not, by its id.
    """

    reports: tuple[Report, ...]
    best: Candidate | None
    confidences: dict[str, Confidence] = {}


def prove(
    candidates: tuple[Candidate, ...],
    reproducer: Reproducer,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    *,
    seed: int = 0,
    calls: tuple[GoodCall, ...] = (),
    progress: Progress = silent,
    least: float = confidence.LEAST,
) -> Proof:
    """Judge plausible candidates in order; stop at the first one that is certified.

    `base` is the whole suite's run on the base revision, with lines; `calls` were recorded in
    production. Repairs come first; of the mitigations behind them one that is contained is enough.
    A repair of which we are less sure than `least` is not certified.
    """
    case = checks.Case(
        product=product, sandbox=sandbox, reproducer=reproducer, base=base, seed=seed
    )
    texts = [read(candidate, case) for candidate in candidates[:COMPARED_AT_MOST]]
    runnable = tuple(text for text in texts if text.overlay is not None)
    if calls and runnable:
        case = _with_oracles(case, calls, progress)
    on_base = checks.on_base(case) if runnable else []
    compared = compare_all(runnable, case, progress)
    known = {text.candidate.id: known_of(text, compared, case) for text in runnable}
    known = with_standings(runnable, known, compared)
    reports: list[Report] = []
    for number, text in enumerate(texts[:PROVEN_AT_MOST], start=1):
        progress(f"proving candidate {number} of {len(texts)}: {text.candidate.family}")
        about = known.get(text.candidate.id, Known())
        reports.append(_report(text, about, on_base, case, least, first=number == 1))
        if reports[-1].verdict in (Verdict.CERTIFIED, Verdict.CONTAINED):
            break
    mended = len(reproducer.node_ids)
    told = {
        one: confidence.confidence(k.standing, k.neighbours, None, mended)
        for one, k in known.items()
    }
    told |= {one.candidate_id: one.confidence for one in reports if one.confidence}
    best = _best([text.candidate for text in texts], reports)
    return Proof(reports=tuple(reports), best=best, confidences=told)


def prove_if_reproduced(
    candidates: tuple[Candidate, ...],
    reproduction: Reproduction,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    progress: Progress = silent,
    *,
    seed: int = 0,
    calls: tuple[GoodCall, ...] = (),
    least: float = confidence.LEAST,
) -> Proof:
    """Prove, or return an empty proof: without a reproducer nothing is ever proven."""
    if reproduction.reproducer is None:
        return Proof(reports=(), best=None)
    return prove(
        candidates,
        reproduction.reproducer,
        base,
        product,
        sandbox,
        seed=seed,
        calls=calls,
        progress=progress,
        least=least,
    )


def prove_one(
    candidate: Candidate,
    reproducer: Reproducer,
    base: SuiteRun,
    product: Product,
    sandbox: Sandbox,
    *,
    seed: int = 0,
    calls: tuple[GoodCall, ...] = (),
) -> Report:
    """Judge one patch alone, whoever made it; how sure we are decides on proposing, not here."""
    proof = prove(
        (candidate,), reproducer, base, product, sandbox, seed=seed, calls=calls, least=0.0
    )
    return proof.reports[0]


def _with_oracles(
    case: checks.Case, calls: tuple[GoodCall, ...], progress: Progress
) -> checks.Case:
    """Add the recorded calls that the base answers as production did, and say how many do."""
    oracles = good_calls.settle(calls, case)
    holding = len(oracles.node_ids) if oracles else 0
    progress(f"{holding} of {len(calls)} good calls of production hold on the base")
    return msgspec.structs.replace(case, oracles=oracles)


def _report(
    text: Text,
    known: Known,
    on_base: list[Check],
    case: checks.Case,
    least: float,
    *,
    first: bool,
) -> Report:
    """Judge one candidate. The suite runs only where it can still decide, and for the first one,
    which is shown where none holds: of it what is unknown should be no more than it must."""
    start = time.monotonic()
    candidate, found = text.candidate, list(text.checks)
    sure = None
    if text.overlay is not None:
        early = [known.neighbours, known.general, ambiguity_check(candidate, known)]
        told = [check for check in early if check is not None]
        if all(check.passed or (first and check.passed is None) for check in told):
            found += [*on_base, *checks.on_patch(text.overlay, case)]
            if case.oracles is not None:
                found.append(good_calls.on_patch(case.oracles, text.overlay, case))
        found += told
        sure = _confidence(text, known, all(check.passed for check in found), case)
        if all(check.passed for check in found):
            found.append(confidence.check(candidate.claim, sure, least))
    verdict, reason = draw_verdict(candidate.claim, tuple(found))
    return Report(
        candidate_id=candidate.id,
        claim=candidate.claim,
        verdict=verdict,
        reason=reason,
        checks=tuple(found),
        base_revision=case.product.revision,
        patch_sha256=digest(candidate.patch.encode()),
        reproducer_sha256=digest(case.reproducer),
        sandbox_level=case.sandbox.level().value,
        seed=case.seed,
        seconds=round(time.monotonic() - start, 3),
        confidence=sure,
    )


def _confidence(text: Text, known: Known, holds: bool, case: checks.Case) -> Confidence:
    """Return how sure we are; mutants are tried only of a repair that passed all else."""
    noticed = None
    if holds and text.source is not None and text.candidate.claim is Claim.REPAIR:
        noticed = mutating.notice(
            text.candidate, text.source, case.reproducer, case.base, case.product, case.sandbox
        )
    mended = len(case.reproducer.node_ids)
    return confidence.confidence(known.standing, known.neighbours, noticed, mended)


def draw_verdict(claim: Claim, found: tuple[Check, ...]) -> tuple[Verdict, str]:
    """Return the verdict and its reason in words. Unknown is never a pass."""
    failed = next((check for check in found if check.passed is False), None)
    if failed is not None and failed.name == "unambiguous":
        return Verdict.AMBIGUOUS, failed.says
    if failed is not None:
        return Verdict.UNCERTIFIED, f"{failed.name}: {failed.says}"
    unknown = next((check for check in found if check.passed is None), None)
    if unknown is not None or not found:
        says = f"{unknown.name}: {unknown.says}" if unknown else "nothing was checked"
        return Verdict.INCONCLUSIVE, says
    if claim is Claim.REPAIR:
        return Verdict.CERTIFIED, "every check passed"
    return Verdict.CONTAINED, "every check passed, but the value is invented"


def _best(candidates: list[Candidate], reports: list[Report]) -> Candidate | None:
    for wanted in (Verdict.CERTIFIED, Verdict.CONTAINED):
        for candidate, report in zip(candidates, reports, strict=False):
            if report.verdict is wanted:
                return candidate
    return None
