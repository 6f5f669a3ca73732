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
from selfdrive_dagster.validation import checks, general, good_calls, neighbours
from selfdrive_dagster.validation.policy import check_policy
from selfdrive_dagster.validation.reaching import reaching_tests, vouching

PROVEN_AT_MOST = 8

Overlay = dict[str, str | None]


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """The reports of all candidates that were judged; `best` is the one to propose, or None."""

    reports: tuple[Report, ...]
    best: Candidate | None


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
) -> Proof:
    """Judge plausible candidates in order; stop at the first one that is certified.

    `base` is the whole suite's run on the base revision, with lines; `calls` were recorded in
    production. Repairs come first; of the mitigations behind them one that is contained is enough.
    """
    case = checks.Case(
        product=product, sandbox=sandbox, reproducer=reproducer, base=base, seed=seed
    )
    read = [_read(candidate, case) for candidate in candidates[:PROVEN_AT_MOST]]
    runnable = tuple(text for text in read if text.overlay is not None)
    if calls and runnable:
        case = _with_oracles(case, calls, progress)
    on_base = checks.on_base(case) if runnable else []
    compared = _compare_all(runnable, case, progress)
    reports: list[Report] = []
    for number, text in enumerate(read, start=1):
        progress(f"proving candidate {number} of {len(read)}: {text.candidate.family}")
        reports.append(_report(text, runnable, compared, on_base, case))
        if reports[-1].verdict in (Verdict.CERTIFIED, Verdict.CONTAINED):
            break
    return Proof(reports=tuple(reports), best=_best([text.candidate for text in read], reports))


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
    """Judge one patch alone, whoever made it."""
    proof = prove((candidate,), reproducer, base, product, sandbox, seed=seed, calls=calls)
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


def _report(
    text: _Text,
    rivals: tuple[_Text, ...],
    compared: Compared,
    on_base: list[Check],
    case: checks.Case,
) -> Report:
    start = time.monotonic()
    candidate, found = text.candidate, list(text.checks)
    if text.overlay is not None:
        found += [*on_base, *checks.on_patch(text.overlay, case)]
        if case.oracles is not None:
            found.append(good_calls.on_patch(case.oracles, text.overlay, case))
        comparison = compared.get(candidate.path) if text.source is not None else None
        found.append(_neighbour_check(candidate, comparison))
        found.append(_general_check(candidate, text.overlay, comparison, case))
        found.append(_ambiguity_check(candidate, rivals, comparison))
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
    )


def _neighbour_check(candidate: Candidate, compared: neighbours.Comparison | None) -> Check:
    if compared is None:
        says = "the patch changes more than one file, so it was not compared"
        return Check(name="neighbours", passed=None, says=says)
    return neighbours.judge(compared, candidate)


def _ambiguity_check(
    candidate: Candidate, rivals: tuple[_Text, ...], compared: neighbours.Comparison | None
) -> Check:
    """A repair must stand with the majority of repairs that fit all tests as well.

    Mitigations invent their value and say so; their rivals prove nothing against them.
    """
    if candidate.claim is Claim.MITIGATION:
        return Check(name="unambiguous", passed=True, says="a mitigation names what it invents")
    same_file = [
        rival.candidate
        for rival in rivals
        if rival.candidate.path == candidate.path
        and rival.candidate.claim is Claim.REPAIR
        and rival.source is not None
        and compared is not None
        and rival.candidate.id not in compared.incomparable | compared.fatal
    ]
    if compared is not None and compared.unfinished:
        return Check(name="unambiguous", passed=None, says=compared.unfinished)
    if compared is None or candidate not in same_file:
        return Check(name="unambiguous", passed=None, says="it could not be compared with others")
    groups = neighbours.clusters(compared, tuple(same_file))
    own = next(group for group in groups if candidate.id in group)
    numbers = {"rivals": len(same_file), "groups": len(groups), "agreeing": len(own)}
    if 2 * len(own) > len(same_file):
        says = f"{len(own)} of {len(same_file)} plausible repairs behave like this one"
        return Check(name="unambiguous", passed=True, says=says, numbers=numbers)
    other = next(group[0] for group in groups if candidate.id not in group)
    tells = neighbours.telling_input(compared, candidate.id, other)
    says = f"other plausible repairs behave otherwise: {tells}"
    return Check(name="unambiguous", passed=False, says=says, numbers=numbers)


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
