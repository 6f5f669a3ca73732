"""What the canary's statistics promise, simulated with the code that judges, beside other rules.

`python bench/canary.py [--runs 1000] [--seed 1] [--only aa power bursts latency]`

Sessions are independent; each arm's share of new sessions is fixed; a rule looks once a minute.
Beside the e-process stand a z-test repeated at each look, a fixed threshold (stable plus one
percentage point, five looks in a row) and Mann-Whitney on the minutes' rates. Printed are false
rollbacks while both revisions are equal, and what share of bad ones is found after how many
canary requests. Exit code 1 when the e-process breaks its promise of 5 %.
"""

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from selfdrive_dagster.rollout.canary.counts import Arms, Count  # noqa: E402
from selfdrive_dagster.rollout.canary.eprocess import HARM_BETS, gain, log_mean  # noqa: E402

BASELINES = (0.005, 0.01, 0.05)
SHARES = (0.01, 0.05, 0.10)
REQUESTS = 6000
"""New sessions a minute, both arms: 100 a second."""

DAY = 24 * 60
HOUR = 60
PROMISE = 0.05

Pair = tuple[Arms, Arms]
Rule = Callable[[], Callable[[Pair], bool]]


def binomial(chance: random.Random, n: int, p: float) -> int:
    """Draw the number of hits; a normal approximation where it is a good one."""
    mean = n * p
    if n > 400 and mean > 60:
        return min(n, max(0, round(chance.gauss(mean, math.sqrt(mean * (1 - p))))))
    if p < 0.2 and n > 60:  # by the gaps between hits
        hits, at, scale = 0, 0, math.log1p(-p)
        while p > 0:
            at += 1 + int(math.log(1 - chance.random()) / scale)
            if at > n:
                return hits
            hits += 1
        return 0
    return sum(chance.random() < p for _ in range(n))


def minutes(
    chance: random.Random,
    share: float,
    canary: Callable[[int], float],
    stable: Callable[[int], float],
    count: int,
    requests: int = REQUESTS,
) -> Iterator[Pair]:
    """Yield one window a minute; rates are given by the minute."""
    exposed = Arms(round(requests * share), requests - round(requests * share))
    for minute in range(count):
        x = binomial(chance, exposed.canary, canary(minute))
        y = binomial(chance, exposed.stable, stable(minute))
        yield exposed, Arms(x, y)


def e_process() -> Callable[[Pair], bool]:
    """The rule of this project, one guardrail: HARM at 1/0.05."""
    logs = [0.0] * len(HARM_BETS)
    limit = math.log(1 / PROMISE)

    def look(pair: Pair) -> bool:
        for number, bet in enumerate(HARM_BETS):
            logs[number] += gain(Count(*pair), bet, 1.0)
        return log_mean(logs) >= limit

    return look


def z_test() -> Callable[[Pair], bool]:
    """A two-proportion z-test at 5 %, one-sided, on all so far, repeated at every look."""
    total, hit = Arms(), Arms()

    def look(pair: Pair) -> bool:
        nonlocal total, hit
        total, hit = total + pair[0], hit + pair[1]
        pooled = hit.total / total.total
        spread = math.sqrt(pooled * (1 - pooled) * (1 / total.canary + 1 / total.stable))
        return (
            spread > 0 and (hit.canary / total.canary - hit.stable / total.stable) > 1.645 * spread
        )

    return look


def threshold() -> Callable[[Pair], bool]:
    """More than stable plus one percentage point, in five looks in a row."""
    row = 0

    def look(pair: Pair) -> bool:
        nonlocal row
        exposed, hit = pair
        bad = hit.canary / exposed.canary > hit.stable / exposed.stable + 0.01
        row = row + 1 if bad else 0
        return row >= 5

    return look


def mann_whitney() -> Callable[[Pair], bool]:
    """Mann-Whitney at 98 % on each arm's rates by the minute, ties counted half."""
    canary: list[float] = []
    stable: list[float] = []

    def look(pair: Pair) -> bool:
        exposed, hit = pair
        canary.append(hit.canary / exposed.canary)
        stable.append(hit.stable / exposed.stable)
        del canary[:-HOUR], stable[:-HOUR]
        n = len(canary)
        if n < 5:
            return False
        ranked = sorted((*((v, 1) for v in canary), *((v, 0) for v in stable)))
        ranks, at = 0.0, 0
        while at < len(ranked):
            end = at
            while end < len(ranked) and ranked[end][0] == ranked[at][0]:
                end += 1
            ranks += (at + end + 1) / 2 * sum(which for _, which in ranked[at:end])
            at = end
        u = ranks - n * (n + 1) / 2
        return (u - n * n / 2) / math.sqrt(n * n * (2 * n + 1) / 12) > 2.054

    return look


RULES: dict[str, Rule] = {
    "e-process": e_process,
    "z-test 5 %": z_test,
    "threshold": threshold,
    "Mann-Whitney": mann_whitney,
}


def stops(rule: Rule, pairs: Iterator[Pair]) -> int | None:
    """Return the minute (from 1) of a rollback, None when it never comes."""
    look = rule()
    return next((minute for minute, pair in enumerate(pairs, start=1) if look(pair)), None)


def always(rate: float) -> Callable[[int], float]:
    """The same rate in every minute."""
    return lambda _: rate


def false_rollbacks(runs: int, seed: int) -> bool:
    """Print the share of equal canaries that are rolled back within a day of looks."""
    print(f"\nA/A, a look each minute for 24 h, {REQUESTS} sessions a minute, false rollbacks in %")
    print(f"{'':14}" + "".join(f"{b:>9.1%}/{s:<4.0%}" for b in BASELINES for s in SHARES))
    kept = True
    for name, rule in RULES.items():
        some = runs if name == "e-process" else max(20, runs // 10)
        row = []
        for base in BASELINES:
            for share in SHARES:
                made = (
                    minutes(random.Random(f"{seed}/{n}"), share, always(base), always(base), DAY)
                    for n in range(some)
                )
                row.append(sum(stops(rule, pairs) is not None for pairs in made) / some)
        kept = kept and (name != "e-process" or max(row) <= PROMISE)
        print(f"{name:14}" + "".join(f"{100 * one:>14.1f}" for one in row) + f"   of {some}")
    return kept


def power(runs: int, seed: int) -> bool:
    """Print how often and after how many canary requests a bad canary is found in an hour."""
    some = max(50, runs // 4)
    print(f"\nBad canaries, found within an hour in % / median canary requests, of {some}")
    cells = [(0.005, 0.01, r) for r in (0.010, 0.025, 0.055)] + [(0.05, 0.05, 0.25)]
    print(f"{'base/share→rate':14}" + "".join(f"{b:>9.1%}/{s:.0%}→{r:<7.1%}" for b, s, r in cells))
    quick = True
    for name, rule in RULES.items():
        told = ""
        for base, share, rate in cells:
            found = [
                stops(
                    rule,
                    minutes(random.Random(f"{seed}/{n}"), share, always(rate), always(base), HOUR),
                )
                for n in range(some)
            ]
            seen = [one for one in found if one is not None]
            needed = sorted(math.inf if m is None else m * REQUESTS * share for m in found)
            median = needed[len(needed) // 2]
            told += f"{100 * len(seen) / some:>10.0f}/{median:<10.0f}"
            if name == "e-process" and (base, share, rate) == (0.005, 0.01, 0.025):
                quick = median <= 240
        print(f"{name:14}  {told}")
    print(f"5x at 0.5 % and a share of 1 %: {'within' if quick else 'NOT within'} 240 requests")
    return quick


def situations(runs: int, seed: int) -> bool:
    """Print false rollbacks where independence or calm is missing."""
    some = max(100, runs // 2)
    print(
        f"\nEqual canaries in trouble, base 0.5 %, share 5 %, an hour: false rollbacks in %, {some}"
    )
    share, base = 0.05, 0.005

    def storm(minute: int) -> float:
        return 0.10 if 20 <= minute < 25 else base

    def cold(minute: int) -> float:
        return 4 * base if minute < 3 else base

    def bursts(chance: random.Random, sessions: bool) -> Iterator[Pair]:
        for exposed, hit in minutes(chance, share, always(base / 4), always(base / 4), HOUR):
            errors = Arms(
                burst(chance, hit.canary, exposed.canary), burst(chance, hit.stable, exposed.stable)
            )
            yield exposed, hit if sessions else errors

    def late(chance: random.Random) -> Iterator[Pair]:
        pairs = minutes(chance, share, cold, cold_stable, HOUR)
        return (pair for minute, pair in enumerate(pairs) if minute >= 3)

    cold_stable = always(base)
    cases: dict[str, Callable[[random.Random], Iterator[Pair]]] = {
        "both arms 10 % errors for 5 min": lambda c: minutes(c, share, storm, storm, HOUR),
        "bursts of 4, errors counted": lambda c: bursts(c, False),
        "bursts of 4, sessions counted": lambda c: bursts(c, True),
        "cold canary 4x for 3 min": lambda c: minutes(c, share, cold, cold_stable, HOUR),
        "the same, warm-up excluded": late,
    }
    print(f"{'':34}" + "".join(f"{name:>14}" for name in RULES))
    kept = True
    for says, case in cases.items():
        row = [
            sum(stops(rule, case(random.Random(f"{seed}/{n}"))) is not None for n in range(some))
            / some
            for rule in RULES.values()
        ]
        ours = says not in ("bursts of 4, errors counted", "cold canary 4x for 3 min")
        kept = kept and (not ours or row[0] <= PROMISE)
        print(f"{says:34}" + "".join(f"{100 * one:>14.1f}" for one in row))
    print(
        "Errors counted one by one and a cold canary break every such rule: hence sessions, hence"
    )
    print("the warm-up. Both stand here to show it.")
    return kept


def burst(chance: random.Random, sessions: int, most: int) -> int:
    """Return the errors of that many sessions, geometric with mean 4."""
    errors = sum(1 + int(math.log(1 - chance.random()) / math.log(0.75)) for _ in range(sessions))
    return min(errors, most)


def main() -> int:
    """Simulate and print; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", default=["aa", "power", "situations"])
    chosen = parser.parse_args()
    parts: dict[str, Callable[[int, int], bool]] = {
        "aa": false_rollbacks,
        "power": power,
        "situations": situations,
    }
    start = time.monotonic()
    kept = [parts[name](chosen.runs, chosen.seed) for name in chosen.only]
    print(f"\nseed {chosen.seed}, {time.monotonic() - start:.0f} s")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
