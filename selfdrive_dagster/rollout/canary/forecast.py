"""How long a rollout will take, told before anything starts.

Belongs here: what is to be expected of an equal canary. Does not belong: what really happened.
"""

import math
from collections.abc import Callable, Mapping, Sequence

from selfdrive_dagster.rollout.canary.eprocess import RATE_BETS, SAFE_BETS, log_mean
from selfdrive_dagster.rollout.canary.plan import Guardrail, Measure, Plan, Stage

LONGEST_MINUTES = 60.0 * 24 * 365

SLOWER = (0.50, 0.10, 0.01)
"""By definition so many sessions exceed a median, a 90th and a 99th percentile."""

Spent = tuple[float, float]
"""A share, and how many sessions of both arms began while it held."""


def minutes_to_pass(
    plan: Plan,
    *,
    sessions_per_minute: float,
    rates: Mapping[str, float],
    lag_minutes: float = 0.0,
) -> tuple[float, ...]:
    """Return after how many minutes an equal canary is likely to have passed each stage.

    `rates` tell in which part of all sessions a guardrail is hit; one that is not named never is.
    A session begins with a first request, so there are taken to be as many.
    `lag_minutes` is how much later than the proxy telemetry tells. inf where a year would not be
    enough. About half of equal canaries need longer, since the expected growth of the evidence is
    taken for the real one.
    """
    begun: list[tuple[float, float]] = []
    ended: list[float] = []
    for stage in plan.stages:
        begun.append((stage.share, ended[-1] if ended else 0.0))
        is_safe = _safe_by(plan, stage, begun, sessions_per_minute, rates, lag_minutes)
        ended.append(_first(is_safe, begun[-1][1]) if math.isfinite(begun[-1][1]) else math.inf)
    return tuple(ended)


def _safe_by(
    plan: Plan,
    stage: Stage,
    begun: Sequence[tuple[float, float]],
    pace: float,
    rates: Mapping[str, float],
    lag: float,
) -> Callable[[float], bool]:
    """Return whether a stage is likely to be SAFE at a minute since the rollout began."""
    window = plan.window_seconds / 60
    wanted = math.log(plan.safe_threshold)

    def is_safe(minute: float) -> bool:
        told = _spent(begun, plan.warm_up_windows * window, minute - window, pace)
        late = _spent(begun, plan.warm_up_windows * window, minute - window - lag, pace)
        here = sum(sessions for share, sessions in told if share == stage.share)
        if here < max(stage.minimum / stage.share, stage.windows * window * pace):
            return False
        return all(_expected(rail, stage, late, rates) >= wanted for rail in plan.guardrails)

    return is_safe


def _spent(
    begun: Sequence[tuple[float, float]], after: float, until: float, pace: float
) -> list[Spent]:
    """Return how many sessions began at each share between two minutes."""
    ends = [start for _, start in begun[1:]] + [math.inf]
    return [
        (share, pace * max(0.0, min(end, until) - max(start, after)))
        for (share, start), end in zip(begun, ends, strict=True)
    ]


def _expected(
    rail: Guardrail, stage: Stage, spent: Sequence[Spent], rates: Mapping[str, float]
) -> float:
    """Return the expected logarithm of a guardrail's SAFE, as `readings` would make it."""
    usual = SLOWER if rail.measure is Measure.LATENCY else (rates.get(rail.name, 0.0),)
    return min(_not_worse(rail.tolerable, stage.margin, spent, rate) for rate in usual)


def _not_worse(tolerable: float, margin: float, spent: Sequence[Spent], rate: float) -> float:
    relative = log_mean(
        [
            sum(sessions * rate * _growth(share, bet, margin) for share, sessions in spent)
            for bet in SAFE_BETS
        ]
    )
    if not tolerable:
        return relative
    canary = sum(share * sessions for share, sessions in spent)
    below = [
        canary
        * (rate * math.log(part) + (1 - rate) * math.log((1 - part * tolerable) / (1 - tolerable)))
        for part in RATE_BETS
    ]
    return log_mean([relative, log_mean(below)])


def _growth(share: float, bet: float, margin: float) -> float:
    """Return a bet's expected gain from one affected session under equal arms, in nats."""
    spread = (share * bet + 1 - share) / (share * margin + 1 - share)
    return share * math.log(bet / margin) - math.log(spread)


def _first(is_safe: Callable[[float], bool], after: float) -> float:
    """Return the first minute after another at which it is safe, to within 1 %."""
    if not is_safe(after + LONGEST_MINUTES):
        return math.inf
    low, high = 0.0, 1.0
    while not is_safe(after + high):
        low, high = high, 2 * high
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (low, middle) if is_safe(after + middle) else (middle, high)
    return after + high


def exposures_for_silence(rate: float, doubt: float = 0.05) -> int:
    """Return how many sessions must pass without the issue before its absence means something.

    At the old `rate` a session a day of luck is not enough: n ≥ ln(doubt) / ln(1 − rate).
    Raises ValueError when the rate lies outside (0, 1].
    """
    if not 0 < rate <= 1:
        raise ValueError(f"a rate lies above 0 and up to 1, not at {rate}")
    return 1 if rate == 1 else math.ceil(math.log(doubt) / math.log1p(-rate))
