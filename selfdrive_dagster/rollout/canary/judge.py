"""The judge: all windows so far in, one verdict out. It reads no clock but the one it is given.

HARM wins over SAFE, and whatever is missing, stale, unbalanced or unmeasured is NO_DATA: neither
that nor INCONCLUSIVE ever raises exposure. Does not belong here: who acts on the verdict.
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum

import msgspec

from selfdrive_dagster.rollout.canary.counts import Arms, Window
from selfdrive_dagster.rollout.canary.eprocess import (
    HARM_BETS,
    LATENCY_BETS,
    SAFE_BETS,
    Pair,
    log_e,
    log_e_below,
    log_e_block,
    log_e_ratio,
    log_mean,
)
from selfdrive_dagster.rollout.canary.plan import Guardrail, Measure, Plan, Stage

STALE_WINDOWS = 2
"""The newest window may be so many windows old."""

USUAL_MEDIAN = 0.5
"""By its definition half of all sessions are slower than the median."""


class Verdict(Enum):
    """What the evidence says of a stage."""

    HARM = "harm"
    SAFE = "safe"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One guardrail: affected sessions, and both e-values as natural logarithms."""

    name: str
    affected: Arms
    log_harm: float
    log_safe: float


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict with everything it was drawn from. `exposed` leaves the warm-up out."""

    verdict: Verdict
    reason: str
    at: datetime
    share: float
    exposed: Arms
    windows: int
    log_ratio: float
    log_harm_threshold: float
    log_safe_threshold: float
    readings: tuple[Reading, ...]


def judge(windows: Sequence[Window], stage: Stage, plan: Plan, now: datetime) -> Judgement:
    """Judge a stage from every window since the rollout began, oldest first.

    The first `plan.warm_up_windows` count for neither arm. HARM accumulates over the whole
    rollout; SAFE is read against this stage's margin from the same counts.
    """
    counted = tuple(windows[plan.warm_up_windows :])
    ratio = log_e_ratio((one.exposed, one.share) for one in counted)
    missing = _missing(windows, counted, plan, now)
    readings = () if missing else tuple(_read(rail, counted, stage) for rail in plan.guardrails)
    verdict, reason = _draw(windows, counted, readings, missing, ratio, stage, plan)
    return Judgement(
        verdict=verdict,
        reason=reason,
        at=now,
        share=stage.share,
        exposed=_sum(one.exposed for one in counted),
        windows=len(counted),
        log_ratio=ratio,
        log_harm_threshold=math.log(plan.harm_threshold),
        log_safe_threshold=math.log(plan.safe_threshold),
        readings=readings,
    )


def _draw(
    windows: Sequence[Window],
    counted: Sequence[Window],
    readings: tuple[Reading, ...],
    missing: str,
    ratio: float,
    stage: Stage,
    plan: Plan,
) -> tuple[Verdict, str]:
    """Return the verdict: fuse, data, harm, safe, in this order."""
    if burnt := _fuse(windows, plan):
        return Verdict.HARM, burnt
    if missing:
        return Verdict.NO_DATA, missing
    if ratio >= math.log(1 / plan.ratio_alpha):
        return Verdict.NO_DATA, "sessions do not reach the arms in the configured shares"
    worst = max(readings, key=lambda one: one.log_harm)
    if worst.log_harm >= math.log(plan.harm_threshold):
        return Verdict.HARM, _tell(worst, counted)
    here = [one for one in counted if one.share == stage.share]
    exposed = _sum(one.exposed for one in here)
    if len(here) < stage.windows or exposed.canary < stage.minimum:
        says = (
            f"{exposed.canary} of {stage.minimum} sessions, {len(here)} of {stage.windows} windows"
        )
        return Verdict.INCONCLUSIVE, f"too early at this share: {says}"
    weakest = min(readings, key=lambda one: one.log_safe)
    if weakest.log_safe >= math.log(plan.safe_threshold):
        return Verdict.SAFE, f"every guardrail is less than {stage.margin:g} times as bad, or rare"
    return Verdict.INCONCLUSIVE, f"{weakest.name} may still be {stage.margin:g} times as bad"


def _missing(
    windows: Sequence[Window], counted: Sequence[Window], plan: Plan, now: datetime
) -> str:
    """Return what keeps the evidence from being judged, "" when nothing does."""
    if not windows:
        return "no session was seen yet"
    age = now - windows[-1].start - timedelta(seconds=plan.window_seconds)
    if age > timedelta(seconds=STALE_WINDOWS * plan.window_seconds):
        return f"the newest window ended {age.total_seconds():.0f} s ago"
    if not counted:
        return f"warming up: {len(windows)} of {plan.warm_up_windows} windows"
    exposed = _sum(one.exposed for one in counted)
    for arm in ("canary", "stable"):
        if not getattr(exposed, arm):
            return f"no session reached the {arm} arm"
    wanted = [name for rail in plan.guardrails for name in rail.counted]
    absent = [name for name in wanted if any(name not in one.affected for one in counted)]
    return f"not measured: {', '.join(absent)}" if absent else ""


def _fuse(windows: Sequence[Window], plan: Plan) -> str:
    """Return why the canary is plainly broken, "" when it is not; the warm-up counts too."""
    exposed = _sum(one.exposed for one in windows).canary
    for rail in plan.guardrails:
        if rail.measure is not Measure.EVENT or exposed < plan.fuse_units:
            continue
        hit = _sum(one.affected.get(rail.name, Arms()) for one in windows)
        usual = _sum(one.exposed for one in windows).stable
        rate = hit.stable / usual if usual else 0.0
        if hit.canary / exposed >= max(plan.fuse_share, 2 * rate):
            return f"{rail.name} in {hit.canary} of {exposed} canary sessions: the fuse blew"
    return ""


def _read(rail: Guardrail, counted: Sequence[Window], stage: Stage) -> Reading:
    pairs = {name: [(one.exposed, one.affected[name]) for one in counted] for name in rail.counted}
    safe = min(_not_worse(each, rail, stage) for each in pairs.values())
    if rail.measure is Measure.EVENT:
        harm = log_e(pairs[rail.name], HARM_BETS, 1.0)
    else:
        harm = _slower(*pairs.values())
    first = next(iter(pairs.values()))
    hit = _sum(affected for _, affected in first)
    return Reading(name=rail.name, affected=hit, log_harm=harm, log_safe=safe)


def _not_worse(pairs: list[Pair], rail: Guardrail, stage: Stage) -> float:
    """Return the e-value against "worse by the margin, and in more sessions than tolerable"."""
    relative = log_e(pairs, SAFE_BETS, stage.margin)
    if not rail.tolerable:
        return relative
    return log_mean([relative, log_e_below(pairs, rail.tolerable)])


def _slower(half: list[Pair], tenth: list[Pair], hundredth: list[Pair]) -> float:
    """Return the mean e-value of three quantiles, which is one again."""
    return log_mean(
        [
            log_e_block(half, LATENCY_BETS, USUAL_MEDIAN),
            log_e(tenth, LATENCY_BETS, 1.0),
            log_e(hundredth, LATENCY_BETS, 1.0),
        ]
    )


def _tell(worst: Reading, counted: Sequence[Window]) -> str:
    exposed, hit = _sum(one.exposed for one in counted), worst.affected
    return (
        f"{worst.name} in {hit.canary} of {exposed.canary} canary sessions, "
        f"in {hit.stable} of {exposed.stable} others"
    )


def _sum(counts: Iterable[Arms]) -> Arms:
    return sum(counts, start=Arms())
