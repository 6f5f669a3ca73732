"""How slow sessions usually are: frozen before a rollout, so that a canary cannot move the mark.

Belongs here: quantiles of sessions' slowest requests. Does not belong: counting who exceeds them
(`sessions`).
"""

import math
from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec

from selfdrive_dagster.adapters.canary.requests import Request, answered

ENOUGH = 200
"""From fewer sessions no 99th percentile can be told."""

MOST = 50_000
"""So many sessions are looked at; later ones change little."""


class Thresholds(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of the slowest request in a session's first window, in seconds."""

    p50: float
    p90: float
    p99: float
    sessions: int
    window_seconds: float


def usual_slowness(
    requests: Iterable[Request], window_seconds: float, before: datetime
) -> Thresholds | None:
    """Return the quantiles of stable sessions before a moment; None when they are too few.

    A session counts when it was followed for a whole window, as in the rollout. `requests` come
    in the order of the log. None means that latency cannot be measured: NO_DATA, never "fine".
    """
    width = timedelta(seconds=window_seconds)
    began: dict[str, datetime] = {}
    slowest: dict[str, float] = {}
    for request in requests:
        at = answered(request)
        if not request.session or request.arm != "stable" or at >= before:
            continue
        if request.session not in began and len(began) >= MOST:
            continue
        start = began.setdefault(request.session, at)
        if at < start + width:
            slowest[request.session] = max(slowest.get(request.session, 0.0), request.seconds)
    followed = sorted(slowest[one] for one, start in began.items() if start + width <= before)
    if len(followed) < ENOUGH:
        return None
    return Thresholds(
        p50=_quantile(followed, 0.50),
        p90=_quantile(followed, 0.90),
        p99=_quantile(followed, 0.99),
        sessions=len(followed),
        window_seconds=window_seconds,
    )


def _quantile(ordered: list[float], part: float) -> float:
    return ordered[math.ceil(part * len(ordered)) - 1]
