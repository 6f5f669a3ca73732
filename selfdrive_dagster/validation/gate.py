"""The gate: prove candidates one after the other, the likeliest first, until one holds.

Tests always come from the base revision; the patch only ever replaces the product's own
files. Every run carries a canary that must fail. `checks.py` holds the single checks; this
module only orders them and draws the verdict.
"""

import time

import msgspec

from selfdrive_dagster.errors import BadInput
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
    Way,
    digest,
    silent,
)
from selfdrive_dagster.patches.claims import is_repair
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.text import apply_patch
from selfdrive_dagster.validation import (
    checks,
    confidence,
    general,
    good_calls,
    mutating,
    neighbours,
)
from selfdrive_dagster.validation.dominance import Standing, size_of, standings
from selfdrive_dagster.validation.policy import check_policy
from selfdrive_dagster.validation.reaching import reaching_tests, vouching

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
    read = [_read(candidate, case) for candidate in candidates[:COMPARED_AT_MOST]]
    runnable = tuple(text for text in read if text.overlay is not None)
    if calls and runnable:
        case = _with_oracles(case, calls, progress)
    on_base = checks.on_base(case) if runnable else []
    compared = _compare_all(runnable, case, progress)
    known = {text.candidate.id: _known(text, compared, case) for text in runnable}
    known = _with_standings(runnable, known, compared)
    reports: list[Report] = []
    for number, text in enumerate(read[:PROVEN_AT_MOST], start=1):
        progress(f"proving candidate {number} of {len(read)}: {text.candidate.family}")
        about = known.get(text.candidate.id, _Known())
        reports.append(_report(text, about, on_base, case, least, first=number == 1))
        if reports[-1].verdict in (Verdict.CERTIFIED, Verdict.CONTAINED):
            break
    mended = len(reproducer.node_ids)
    told = {
        one: confidence.confidence(k.standing, k.neighbours, None, mended)
        for one, k in known.items()
    }
    told |= {one.candidate_id: one.confidence for one in reports if one.confidence}
    best = _best([text.candidate for text in read], reports)
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


class _Text(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate as text: `overlay` is None when it does not fit or must not run."""

    candidate: Candidate
    checks: tuple[Check, ...]
    overlay: Overlay | None

    @property
    def source(self) -> str | None:
        """The new text of the one file it changes; None if it changes several."""
        overlay = self.overlay or {}
        return overlay.get(self.candidate.path) if len(overlay) == 1 else None


def _read(candidate: Candidate, case: checks.Case) -> _Text:
    """Decide what can be decided before anything runs."""
    judged, claim = _granted(candidate, case.reproducer)
    try:
        overlay = apply_patch(case.product.read, candidate.patch)
    except BadInput as error:
        refused = Check(name="applies", passed=False, says=error.message)
        return _Text(candidate=judged, checks=(claim, refused), overlay=None)
    applies = Check(name="applies", passed=True, says=f"changes {', '.join(overlay)}")
    policy = check_policy(candidate.patch, overlay, case.product)
    allowed = overlay if policy.passed else None
    return _Text(candidate=judged, checks=(claim, applies, policy), overlay=allowed)


def _granted(candidate: Candidate, reproducer: Reproducer) -> tuple[Candidate, Check]:
    """Return the candidate with the claim that its evidence allows; nobody's word is enough."""
    if candidate.claim is Claim.MITIGATION:
        says = "it claims no more than a mitigation"
    elif is_repair(candidate.supports, failing_test=reproducer.way is Way.FAILING_TEST):
        says = "a repair: a failing test, a sibling idiom or two independent oracles support it"
    else:
        says = "it claims a repair that nothing supports, so it is judged as a mitigation"
        invented = candidate.invented or "does something that nothing in the project supports"
        replace = msgspec.structs.replace
        candidate = replace(candidate, claim=Claim.MITIGATION, invented=invented)
    return candidate, Check(name="claim", passed=True, says=says)


Compared = dict[str, neighbours.Comparison]


def _compare_all(texts: tuple[_Text, ...], case: checks.Case, progress: Progress) -> Compared:
    """Run one neighbour experiment for each file that candidates change."""
    compared: Compared = {}
    for path in dict.fromkeys(text.candidate.path for text in texts):
        here = [t for t in texts if t.candidate.path == path and t.source is not None]
        if not here:
            continue
        progress(f"comparing {len(here)} candidates with the base on neighbouring inputs")
        compared[path] = neighbours.compare(
            tuple(text.candidate for text in here),
            {text.candidate.id: text.source for text in here if text.source is not None},
            case.reproducer,
            reaching_tests(path, case),
            case.product,
            case.sandbox,
            seed=case.seed,
            oracles=vouching(case),
        )
    return compared


class _Known(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a candidate before the whole suite runs; None where it is not."""

    neighbours: Check | None = None
    general: Check | None = None
    standing: Standing | None = None
    unfinished: str = ""

    @property
    def votes(self) -> bool:
        """Say whether recorded calls and its own values leave it a possible answer."""
        return all(check is not None and check.passed for check in (self.neighbours, self.general))


def _known(text: _Text, compared: Compared, case: checks.Case) -> _Known:
    comparison = compared.get(text.candidate.path) if text.source is not None else None
    return _Known(
        neighbours=_neighbour_check(text.candidate, comparison),
        general=_general_check(text.candidate, text.overlay or {}, comparison, case),
        unfinished=comparison.unfinished if comparison else "",
    )


def _with_standings(
    texts: tuple[_Text, ...], known: dict[str, _Known], compared: Compared
) -> dict[str, _Known]:
    """Let the repairs that may be right stand against each other; mitigations have no vote."""
    repairs = [
        text.candidate
        for text in texts
        if text.candidate.claim is Claim.REPAIR and text.candidate.path in compared
        if text.source is not None and not compared[text.candidate.path].lacks(text.candidate.id)
    ]
    voters = tuple(one for one in repairs if known[one.id].votes)
    sizes = {one.id: float(size_of(one.patch)) for one in repairs}
    found = standings(voters, sizes, compared)
    replace = msgspec.structs.replace
    return {name: replace(one, standing=found.get(name)) for name, one in known.items()}


def _report(
    text: _Text,
    known: _Known,
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
        early = [known.neighbours, known.general, _ambiguity_check(candidate, known)]
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


def _confidence(text: _Text, known: _Known, holds: bool, case: checks.Case) -> Confidence:
    """Return how sure we are; mutants are tried only of a repair that passed all else."""
    noticed = None
    if holds and text.source is not None and text.candidate.claim is Claim.REPAIR:
        noticed = mutating.notice(
            text.candidate, text.source, case.reproducer, case.base, case.product, case.sandbox
        )
    mended = len(case.reproducer.node_ids)
    return confidence.confidence(known.standing, known.neighbours, noticed, mended)


def _neighbour_check(candidate: Candidate, compared: neighbours.Comparison | None) -> Check:
    if compared is None:
        says = "the patch changes more than one file, so it was not compared"
        return Check(name="neighbours", passed=None, says=says)
    return neighbours.judge(compared, candidate)


def _ambiguity_check(candidate: Candidate, known: _Known) -> Check:
    """A repair's behaviour must dominate among those of the repairs that may be right.

    Mitigations invent their value and say so; their rivals prove nothing against them.
    """
    if candidate.claim is Claim.MITIGATION:
        return Check(name="unambiguous", passed=True, says="a mitigation names what it invents")
    if known.unfinished:
        return Check(name="unambiguous", passed=None, says=known.unfinished)
    if known.standing is None:
        says = "it could not be compared with others, or other checks speak against it"
        return Check(name="unambiguous", passed=None, says=says)
    return known.standing.check()


def _general_check(
    candidate: Candidate,
    overlay: Overlay,
    compared: neighbours.Comparison | None,
    case: checks.Case,
) -> Check:
    if candidate.claim is Claim.MITIGATION or case.reproducer.way is not Way.FAILING_TEST:
        says = "its claim does not rest on a failing test"
        return Check(name="general", passed=True, says=says)
    try:
        return general.judge(candidate, overlay, case.reproducer, case.product, compared)
    except SyntaxError as error:
        says = f"{candidate.path} or a failing test cannot be read: {error.msg}"
        return Check(name="general", passed=None, says=says)


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
