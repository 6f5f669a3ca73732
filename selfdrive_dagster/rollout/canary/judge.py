"""The judge: all windows so far in, one verdict out. It reads no clock but the one it is given.

HARM wins over SAFE, and whatever is missing, stale, unbalanced or unmeasured is NO_DATA: neither
that nor INCONCLUSIVE ever raises exposure. But what is missing of one guardrail does not keep the
harm that another one measured from being acted on. Does not belong here: who acts on the verdict,
how one guardrail is read (`readings`).
"""

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum

import msgspec

from selfdrive_dagster.rollout.canary.counts import Arms, Count, Window
from selfdrive_dagster.rollout.canary.eprocess import log_e_ratio
from selfdrive_dagster.rollout.canary.plan import Measure, Plan, Stage
from selfdrive_dagster.rollout.canary.readings import Reading, read


class Verdict(Enum):
    """What the evidence says of a stage."""

    HARM = "harm"
    SAFE = "safe"
    INCONCLUSIVE = "inconclusive"
    NO_DATA = "no_data"


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """A verdict with everything it was drawn from. `exposed` leaves the warm-up out.

    `readings` are those of the guardrails that were measured at all; their e-values are natural
    logarithms, as are the thresholds.
    """

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


def judge(
    windows: Sequence[Window], stage: Stage, plan: Plan, now: datetime, lost: str = ""
) -> Judgement:
    """Judge a stage from every window since the rollout began, oldest first.

    The first `plan.warm_up_windows` count for neither arm. HARM accumulates over the whole
    rollout; SAFE is read against this stage's margin from the same counts. `lost` says that
    windows are missing which were there before: nothing is safe then, and harm stays harm.
    """
    counted = tuple(windows[plan.warm_up_windows :])
    ratio = log_e_ratio((one.exposed, one.share) for one in counted)
    found = (read(rail, counted, stage) for rail in plan.guardrails)
    readings = tuple(one for one in found if one is not None)
    verdict, reason = _draw(windows, counted, readings, ratio, stage, plan, now, lost)
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
    ratio: float,
    stage: Stage,
    plan: Plan,
    now: datetime,
    lost: str,
) -> tuple[Verdict, str]:
    """Return the verdict: fuse, harm, lost, data, ratio, unmeasured, safe, in this order.

    Harm comes before what is missing: an e-value rests on the sessions that were seen, not on the
    shares that were configured, and a canary that drives people away spoils the ratio as well.
    """
    if burnt := _fuse(windows, plan):
        return Verdict.HARM, burnt
    worst = max(readings, key=lambda one: one.log_harm, default=None)
    if worst is not None and worst.log_harm >= math.log(plan.harm_threshold):
        return Verdict.HARM, worst.tell()
    if lost:
        return Verdict.NO_DATA, lost
    if missing := _missing(windows, counted, plan, now):
        return Verdict.NO_DATA, missing
    if ratio >= math.log(1 / plan.ratio_alpha):
        return Verdict.NO_DATA, "sessions do not reach the arms in the configured shares"
    if absent := _unmeasured(readings, len(counted), plan):
        return Verdict.NO_DATA, absent
    return _safe_or_not(counted, readings, stage, plan)


def _safe_or_not(
    counted: Sequence[Window], readings: tuple[Reading, ...], stage: Stage, plan: Plan
) -> tuple[Verdict, str]:
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
    """Return what keeps the proxy's evidence from being judged, "" when nothing does."""
    newest = next((one for one in reversed(windows) if one.exposed.total), None)
    if newest is None:
        return "no session was seen yet"
    age = now - newest.start - timedelta(seconds=plan.window_seconds)
    if age > timedelta(seconds=plan.stale_windows * plan.window_seconds):
        return f"the newest window with a session ended {age.total_seconds():.0f} s ago"
    if not counted:
        return f"warming up: {len(windows)} of {plan.warm_up_windows} windows"
    return _silent_arm(_sum(one.exposed for one in counted), "")


def _unmeasured(readings: tuple[Reading, ...], windows: int, plan: Plan) -> str:
    """Return which guardrail is not measured well enough to exclude harm, "" when all are."""
    found = {one.name: one for one in readings}
    if absent := [rail.name for rail in plan.guardrails if rail.name not in found]:
        return f"not measured: {', '.join(absent)}"
    for rail in plan.guardrails:
        one = found[rail.name]
        if one.gaps:
            return f"not measured: {one.name} in {one.gaps} of {windows} windows"
        if one.lag > plan.lag_windows:
            return f"{one.name} lags {one.lag} windows, more than {plan.lag_windows}"
        # That no request came without an arm loses no data, and is no evidence: e stays at 1.
        silent = _silent_arm(one.counted.exposed, f" as {one.name} is counted")
        if silent and rail.measure is not Measure.REQUEST:
            return silent
        if one.log_ratio >= math.log(1 / plan.ratio_alpha):
            return f"{MISSING[rail.measure]}: {one.name} was counted in {_told(one)}"
    return ""


MISSING = {
    Measure.EVENT: "telemetry of one arm is missing",
    Measure.LATENCY: "telemetry of one arm is missing",
    Measure.REQUEST: "first requests do not reach the arms by their shares",
}
"""What it means that a guardrail's sessions or requests were not drawn at the configured share."""


def _told(one: Reading) -> str:
    exposed = one.counted.exposed
    return f"{exposed.canary} canary {one.unit} and {exposed.stable} others, not as configured"


def _silent_arm(exposed: Arms, where: str) -> str:
    """Return which arm nobody was seen in, "" when there is none."""
    for arm, seen in (("canary", exposed.canary), ("stable", exposed.stable)):
        if not seen:
            return f"no session reached the {arm} arm{where}"
    return ""


def _fuse(windows: Sequence[Window], plan: Plan) -> str:
    """Return why the canary is plainly broken, "" when it is not; the warm-up counts too."""
    for rail in plan.guardrails:
        seen = (one.measured.get(rail.name, Count()) for one in windows)
        total = sum(seen, start=Count())
        exposed, hit = total.exposed, total.affected
        if rail.measure is Measure.LATENCY or exposed.canary < plan.fuse_units:
            continue
        rate = hit.stable / exposed.stable if exposed.stable else 0.0
        if hit.canary / exposed.canary >= max(plan.fuse_share, 2 * rate):
            says = f"{rail.name} in {hit.canary} of {exposed.canary} canary {rail.unit}"
            return f"{says}: the fuse blew"
    return ""


def _sum(counts: Iterable[Arms]) -> Arms:
    return sum(counts, start=Arms())
