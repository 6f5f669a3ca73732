"""What happens to a canary, minute by minute: independent sessions, drawn at random."""

import math
import random
from collections.abc import Callable, Iterator
from statistics import NormalDist

from canary_rules import Seen

from selfdrive_dagster.rollout.canary import Arms, Count

REQUESTS = 6000
"""New sessions a minute, both arms: 100 a second."""

SIGMA = 0.8
"""Of the lognormal that a session's slowest request is drawn from."""

Rate = Callable[[int], float]
"""How often a session is affected, by the minute."""


def binomial(chance: random.Random, n: int, p: float) -> int:
    """Draw the number of hits; a normal approximation where it is a good one."""
    mean = n * p
    if n > 400 and mean > 60 and n - mean > 60:
        return min(n, max(0, round(chance.gauss(mean, math.sqrt(mean * (1 - p))))))
    if 0 < p < 0.2 and n > 60:  # by the gaps between hits
        hits, at, scale = 0, 0, math.log1p(-p)
        while True:
            at += 1 + int(math.log(1 - chance.random()) / scale)
            if at > n:
                return hits
            hits += 1
    return sum(chance.random() < p for _ in range(n))


def arms(share: float) -> Arms:
    """Return the sessions of a minute."""
    canary = round(REQUESTS * share)
    return Arms(canary, REQUESTS - canary)


def always(rate: float) -> Rate:
    """The same rate in every minute."""
    return lambda _: rate


def errors(
    chance: random.Random, share: float, canary: Rate, stable: Rate, count: int
) -> Iterator[Seen]:
    """Yield minutes in which each arm is affected at its own rate."""
    exposed = arms(share)
    for minute in range(count):
        x = binomial(chance, exposed.canary, canary(minute))
        y = binomial(chance, exposed.stable, stable(minute))
        yield {"errors": Count(exposed, Arms(x, y))}


def bursts(
    chance: random.Random, share: float, base: float, count: int, *, sessions: bool
) -> Iterator[Seen]:
    """Yield minutes in which a failing session fails four times, counted as one or as four."""
    for seen in errors(chance, share, always(base / 4), always(base / 4), count):
        one = seen["errors"]
        many = Arms(
            burst(chance, one.affected.canary, one.exposed.canary),
            burst(chance, one.affected.stable, one.exposed.stable),
        )
        yield {"errors": one if sessions else Count(one.exposed, many)}


def burst(chance: random.Random, sessions: int, most: int) -> int:
    """Return the errors of that many sessions, geometric with mean 4."""
    made = sum(1 + int(math.log(1 - chance.random()) / math.log(0.75)) for _ in range(sessions))
    return min(made, most)


Slow = tuple[float, float]
"""A factor, and the part of sessions that are so much slower."""


def latencies(chance: random.Random, share: float, slow: Slow, count: int) -> Iterator[Seen]:
    """Yield minutes in which the canary's slow sessions are slower, counted at three quantiles."""
    exposed = arms(share)
    canary, stable = exceeding(slow), exceeding((1.0, 0.0))
    for _ in range(count):
        pairs = zip(
            nested(chance, exposed.canary, canary),
            nested(chance, exposed.stable, stable),
            strict=True,
        )
        names = ("latency.p50", "latency.p90", "latency.p99")
        yield {name: Count(exposed, Arms(x, y)) for name, (x, y) in zip(names, pairs, strict=True)}


def exceeding(slow: Slow) -> tuple[float, float, float]:
    """Return how often a session exceeds the usual median, 90th and 99th percentile."""
    factor, part = slow
    normal = NormalDist()
    usual = [normal.inv_cdf(quantile) for quantile in (0.50, 0.90, 0.99)]
    shifted = [1 - normal.cdf(mark - math.log(factor) / SIGMA) for mark in usual]
    plain = (0.50, 0.10, 0.01)
    first, second, third = (part * s + (1 - part) * p for s, p in zip(shifted, plain, strict=True))
    return first, second, third


def nested(chance: random.Random, sessions: int, rates: tuple[float, ...]) -> list[int]:
    """Draw how many exceed each mark; who exceeds a higher one exceeds the lower ones."""
    drawn, left, before = [], sessions, 1.0
    for rate in rates:
        left = binomial(chance, left, rate / before)
        drawn.append(left)
        before = rate
    return drawn
