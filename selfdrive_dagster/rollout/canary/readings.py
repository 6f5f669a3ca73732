"""One guardrail, read over the windows in which it was measured.

Belongs here: which e-process reads which kind of guardrail, and what is missing of it. Does not
belong: the arithmetic (`eprocess`), and the verdict over all guardrails (`judge`).
"""

from collections.abc import Iterator, Sequence

import msgspec

from selfdrive_dagster.rollout.canary.counts import Count, Window
from selfdrive_dagster.rollout.canary.eprocess import (
    HARM_BETS,
    LATENCY_BETS,
    SAFE_BETS,
    block_gains,
    gains,
    last,
    log_e,
    log_e_below,
    log_e_ratio,
    log_es_from_any,
    log_mean,
)
from selfdrive_dagster.rollout.canary.plan import Guardrail, Measure, Stage

USUAL_MEDIAN = 0.5
"""By its definition half of all sessions are slower than the median."""


class Reading(msgspec.Struct, frozen=True, kw_only=True):
    """One guardrail: its own sessions or requests, and both e-values as natural logarithms.

    Of a latency `counted` is the median's count. `windows` were measured; `lag` are the newest
    that were not, `gaps` those in between. `log_ratio` is the evidence against "what is counted
    here was drawn at the configured shares": it grows when one arm's telemetry is lost.
    """

    name: str
    counted: Count
    log_harm: float
    log_safe: float
    log_ratio: float
    windows: int
    lag: int
    gaps: int
    unit: str = "sessions"

    def tell(self) -> str:
        """Say in how many sessions of each arm it was hit."""
        exposed, hit = self.counted.exposed, self.counted.affected
        return (
            f"{self.name} in {hit.canary} of {exposed.canary} canary {self.unit}, "
            f"in {hit.stable} of {exposed.stable} others"
        )


def read(rail: Guardrail, windows: Sequence[Window], stage: Stage) -> Reading | None:
    """Read a guardrail over these windows, oldest first; None where no window measured it."""
    seen = [number for number, window in enumerate(windows) if _is_measured(rail, window)]
    if not seen:
        return None
    measured = [windows[number] for number in seen if _is_readable(rail, windows[number])]
    counts = {name: [one.measured[name] for one in measured] for name in rail.counted}
    first = next(iter(counts.values()))
    shares = [one.share for one in measured]
    return Reading(
        name=rail.name,
        counted=sum(first, start=Count()),
        log_harm=last(_worse(rail, counts)),
        log_safe=min(_not_worse(each, rail, stage) for each in counts.values()),
        log_ratio=log_e_ratio(
            (one.exposed, share) for one, share in zip(first, shares, strict=True)
        ),
        windows=len(seen),
        lag=len(windows) - 1 - seen[-1],
        gaps=seen[-1] + 1 - len(seen),
        unit=rail.unit,
    )


def harm_so_far(rail: Guardrail, windows: Sequence[Window]) -> list[tuple[Window, float]]:
    """Return the logarithm of HARM's e-value as it stood after each window that was read."""
    measured = [one for one in windows if _is_measured(rail, one) and _is_readable(rail, one)]
    counts = {name: [one.measured[name] for one in measured] for name in rail.counted}
    return list(zip(measured, _worse(rail, counts), strict=True))


def _is_measured(rail: Guardrail, window: Window) -> bool:
    return all(name in window.measured for name in rail.counted)


def _is_readable(rail: Guardrail, window: Window) -> bool:
    """Say whether a window's requests were drawn at one share.

    Their e-process pays for one draw each at the window's share. Of a window with two an incident
    in its later part would look like the canary's, so none of it is read.
    """
    return rail.measure is not Measure.REQUEST or window.share is not None


def _worse(rail: Guardrail, counts: dict[str, list[Count]]) -> Iterator[float]:
    """Yield the e-value against "no worse"; of a latency the mean of three, which is one again."""
    if rail.measure is not Measure.LATENCY:
        yield from log_es_from_any(gains(counts[rail.name], HARM_BETS, 1.0))
        return
    half, tenth, hundredth = counts.values()
    three = (
        log_es_from_any(block_gains(half, LATENCY_BETS, USUAL_MEDIAN)),
        log_es_from_any(gains(tenth, LATENCY_BETS, 1.0)),
        log_es_from_any(gains(hundredth, LATENCY_BETS, 1.0)),
    )
    yield from (log_mean(each) for each in zip(*three, strict=True))


def _not_worse(counts: Sequence[Count], rail: Guardrail, stage: Stage) -> float:
    """Return the e-value against "worse by the margin, and in more sessions than tolerable"."""
    relative = log_e(counts, SAFE_BETS, stage.margin)
    if not rail.tolerable:
        return relative
    return log_mean([relative, log_e_below(counts, rail.tolerable)])
