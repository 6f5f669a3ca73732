"""E-processes: evidence that may be looked at after every window, for ever.

An e-value has an expectation of at most 1 while the null hypothesis holds, so it exceeds 1/α at
*any* time with a chance of at most α (Ville's inequality); a p-value that is looked at each
minute does not have that. Given how many sessions of a window were affected, the chance that an
affected one is a canary's is θ(r) = w·r / (w·r + 1 − w) at the risk ratio r, where w is the
canary's share of the exposed. A bet r against the null r0 therefore gains

    x·ln(r/r0) − (x + y)·ln((w·r + 1 − w) / (w·r0 + 1 − w))

from x affected canary sessions and y affected stable ones: the counts form of "Anytime-Valid
Inference for Multinomial Count Data" (Lindon & Malek, NeurIPS 2022, arXiv 2011.03567). It
conditions on the affected, so load, weights and incidents that hit both arms cancel out.

Where most sessions are affected, as with a median latency, the block form of Turner, Ly and
Grünwald (arXiv 2106.02693) is used instead. Bets are averaged as e-values, never as logarithms.
"""

import math
from collections.abc import Iterable, Iterator, Sequence

from selfdrive_dagster.rollout.canary.counts import Arms, Count

HARM_BETS = (1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 20.0)
"""Risk ratios that are bet on against "no worse"."""

LATENCY_BETS = (1.1, 1.25, 1.5, 2.0, 3.0, 5.0, 10.0)
"""The same for exceedances of a latency, where small shifts matter."""

SAFE_BETS = (0.8, 0.9, 1.0, 1.1)
"""Risk ratios that are bet on against "worse by the margin"."""

AT_ONCE = 0.9
"""The part of each bet that is laid on harm from the first window on."""

RATE_BETS = (0.1, 0.3, 0.6)
"""Parts of a tolerable rate that are bet on against that rate."""

PRIOR_SESSIONS = 2000
"""So many sessions the historical rate weighs in the block form."""


def gain(count: Count, bet: float, null: float) -> float:
    """Return what one window adds to the logarithm of a bet, in nats."""
    exposed, affected = count.exposed, count.affected
    if not affected.total or not exposed.total:
        return 0.0
    share = exposed.canary / exposed.total
    spread = (share * bet + 1 - share) / (share * null + 1 - share)
    return affected.canary * math.log(bet / null) - affected.total * math.log(spread)


def log_e(counts: Iterable[Count], bets: Sequence[float], null: float) -> float:
    """Return the logarithm of the e-value of all windows: the bets' mean."""
    totals = [0.0] * len(bets)
    for gained in gains(counts, bets, null):
        totals = [total + more for total, more in zip(totals, gained, strict=True)]
    return log_mean(totals)


def gains(counts: Iterable[Count], bets: Sequence[float], null: float) -> Iterator[list[float]]:
    """Yield what each window adds to each bet."""
    for count in counts:
        yield [gain(count, bet, null) for bet in bets]


def block_gains(
    counts: Iterable[Count], bets: Sequence[float], rate: float
) -> Iterator[list[float]]:
    """Yield the same, against "no worse", for outcomes that are not rare.

    `rate` is the historical one. What is expected of a window is fixed before it is seen.
    """
    hits, sessions = PRIOR_SESSIONS * rate, float(PRIOR_SESSIONS)
    for count in counts:
        usual = min(max(hits / sessions, 1e-6), 0.95)
        yield [_block_gain(count, min(bet * usual, 0.95), usual) for bet in bets]
        hits, sessions = hits + count.affected.stable, sessions + count.exposed.stable


def log_es_from_any(gained: Iterable[Sequence[float]]) -> Iterator[float]:
    """Yield the logarithm of the e-value after each window, of harm that may begin in any.

    A bet that has run since the first window pays for every quiet one, and would hear of harm
    that begins in the bake hours late. So a part of each bet, fixed before, is only laid in a
    later window: AT_ONCE in the first one, (1 − AT_ONCE) / (n·(n + 1)) in the n-th after it. What
    is not laid yet keeps its worth, so the whole is an e-value at any time as each part is.
    """
    laid: list[float] = []
    for number, window in enumerate(gained):
        laid = laid or [-math.inf] * len(window)
        rest = (1 - AT_ONCE) / (number + 1)
        now = AT_ONCE if number == 0 else (1 - AT_ONCE) / (number * (number + 1))
        laid = [_log_sum(one, math.log(now)) + more for one, more in zip(laid, window, strict=True)]
        yield _log_sum(log_mean(laid), math.log(rest))


def _log_sum(one: float, other: float) -> float:
    """Return the logarithm of the sum of two numbers given by theirs."""
    high, low = max(one, other), min(one, other)
    return high + math.log1p(math.exp(low - high))


def last(values: Iterable[float]) -> float:
    """Return the last of the values; before the first window an e-value is 1."""
    last = 0.0
    for value in values:
        last = value
    return last


def _block_gain(count: Count, worse: float, usual: float) -> float:
    exposed, affected = count.exposed, count.affected
    if not exposed.total:
        return 0.0
    null = (exposed.canary * worse + exposed.stable * usual) / exposed.total
    return _likelihood(exposed.canary, affected.canary, worse, null) + _likelihood(
        exposed.stable, affected.stable, usual, null
    )


def _likelihood(exposed: int, affected: int, rate: float, null: float) -> float:
    hit, missed = math.log(rate / null), math.log((1 - rate) / (1 - null))
    return affected * hit + (exposed - affected) * missed


def log_e_below(counts: Iterable[Count], rate: float) -> float:
    """Return the same against "in `rate` of canary sessions or more", whatever stable does.

    Where nothing happens in either arm no ratio can be known, but silence in enough sessions
    rules a rate out: a binomial e-process with bets on lower rates.
    """
    exposed = affected = 0
    for count in counts:
        exposed += count.exposed.canary
        affected += count.affected.canary
    return log_mean([_likelihood(exposed, affected, part * rate, rate) for part in RATE_BETS])


def log_mean(logs: Sequence[float]) -> float:
    """Return the logarithm of the mean of numbers given by their logarithms."""
    highest = max(logs)
    return highest + math.log(sum(math.exp(one - highest) for one in logs) / len(logs))


def log_e_ratio(windows: Iterable[tuple[Arms, float | None]], weight: float = 400.0) -> float:
    """Return the e-value, as a logarithm, against "sessions are drawn at the configured share".

    `windows` are exposed sessions with the share that was configured; where that is None, 0 or 1
    nothing can be said. The alternative is a beta mixture of `weight` sessions around that share,
    two-sided, with what earlier windows of the same share showed (sample ratio mismatch; a
    beta-binomial e-value).
    """
    total = 0.0
    seen: dict[float, Arms] = {}
    for exposed, share in windows:
        if share is None or not 0.0 < share < 1.0:
            continue
        before = seen.get(share, Arms())
        alpha, beta = weight * share + before.canary, weight * (1 - share) + before.stable
        total += _log_beta(alpha + exposed.canary, beta + exposed.stable) - _log_beta(alpha, beta)
        total -= exposed.canary * math.log(share) + exposed.stable * math.log(1 - share)
        seen[share] = before + exposed
    return total


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
