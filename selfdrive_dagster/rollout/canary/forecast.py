"""How long a verdict will take, told before anything starts."""

import math

from selfdrive_dagster.rollout.canary.eprocess import SAFE_BETS, log_mean
from selfdrive_dagster.rollout.canary.plan import Plan, Stage

LONGEST_MINUTES = 60.0 * 24 * 365


def minutes_to_safe(stage: Stage, plan: Plan, *, sessions_per_minute: float, rate: float) -> float:
    """Return in how many minutes an equal canary is likely found SAFE; inf if not in a year.

    `rate` is how often the rarest guardrail is hit in a session. About half of equal canaries
    need longer, since the expected growth of the evidence is taken for the real one.
    """
    if sessions_per_minute <= 0 or not 0 < rate < 1:
        return math.inf
    growth = [_growth(stage, bet, sessions_per_minute * rate) for bet in SAFE_BETS]
    wanted = math.log(plan.safe_threshold)
    low, high = 0.0, 1.0
    while log_mean([high * one for one in growth]) < wanted:
        low, high = high, 2 * high
        if high > LONGEST_MINUTES:
            return math.inf
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        reached = log_mean([middle * one for one in growth]) >= wanted
        low, high = (low, middle) if reached else (middle, high)
    enough = stage.minimum / (sessions_per_minute * stage.share)
    dwell = stage.windows * plan.window_seconds / 60
    return max(high, enough, dwell)


def _growth(stage: Stage, bet: float, affected: float) -> float:
    """Return a bet's expected gain a minute under equal arms, in nats."""
    share = stage.share
    spread = (share * bet + 1 - share) / (share * stage.margin + 1 - share)
    return affected * (share * math.log(bet / stage.margin) - math.log(spread))


def exposures_for_silence(rate: float, doubt: float = 0.05) -> int:
    """Return how many sessions must pass without the issue before its absence means something.

    At the old `rate` a session a day of luck is not enough: n ≥ ln(doubt) / ln(1 − rate).
    Raises ValueError when the rate lies outside (0, 1].
    """
    if not 0 < rate <= 1:
        raise ValueError(f"a rate lies above 0 and up to 1, not at {rate}")
    return 1 if rate == 1 else math.ceil(math.log(doubt) / math.log1p(-rate))
