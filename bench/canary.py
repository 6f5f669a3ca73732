"""What the canary's statistics promise, simulated with the code that judges, beside other rules.

`python bench/canary.py [--runs 1000] [--seed 1] [--only aa power situations latency late]`

Sessions are independent; each arm's share of new sessions is fixed; a rule looks once a minute.
Beside this project's judge stand a z-test repeated at each look, a fixed threshold (stable plus
one percentage point, five looks in a row) and Mann-Whitney on the minutes' rates. Printed are
false rollbacks while both revisions are equal, and what share of bad ones is found after how many
canary requests. Exit code 1 when a promise is broken: at most 5 % of equal canaries rolled back,
wherever sessions are independent and the warm-up is left out; five times 0.5 % at a share of 1 %
found within 240 canary requests (median) by a plan of one guardrail, HARM at 20; a latency of
twice the usual always found; twice the errors after twelve quiet hours at half the traffic found
within 15 minutes (median). With few `--runs` two standard errors are allowed for, and the median
may still miss by chance.
"""

import argparse
import math
import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import accumulate
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from canary_draws import (  # noqa: E402
    REQUESTS,
    Rate,
    Slow,
    always,
    bursts,
    errors,
    latencies,
)
from canary_rules import (  # noqa: E402
    ERRORS,
    HOUR,
    LATENCY,
    PROMISE,
    Judge,
    Rule,
    Seen,
    plan_of,
    rules,
)

from selfdrive_dagster.rollout.canary import DEFAULT_PLAN, Guardrail  # noqa: E402
from selfdrive_dagster.rollout.canary.eprocess import HARM_BETS, gains, log_es_from_any, log_mean  # noqa: E402

BASELINES = (0.005, 0.01, 0.05)
SHARES = (0.01, 0.05, 0.10)
DAY = 24 * 60

Draw = Callable[[random.Random], Iterator[Seen]]


def stops(rule: Rule, minutes: Iterator[Seen]) -> int | None:
    """Return the minute (from 1) of a rollback, None when it never comes."""
    return next((minute for minute, seen in enumerate(minutes, start=1) if rule(seen)), None)


def e_process_stops(
    minutes: Iterator[Seen], *, from_any: bool = True, threshold: float = 1 / PROMISE
) -> int | None:
    """Return the same for the judge's own process; a day of looks by the judge takes too long.

    Without `from_any` all bets are laid in the first window.
    """
    limit = math.log(threshold)
    gained = gains((seen["errors"] for seen in minutes), HARM_BETS, 1.0)
    values = log_es_from_any(gained) if from_any else map(log_mean, accumulate(gained, added))
    return next((minute for minute, value in enumerate(values, start=1) if value >= limit), None)


def is_kept(hits: float, runs: int) -> bool:
    """Say whether a share of hits may be chance while the promise of 5 % is kept."""
    return hits * runs <= PROMISE * runs + 2 * math.sqrt(PROMISE * (1 - PROMISE) * runs)


def added(totals: list[float], gained: list[float]) -> list[float]:
    return [total + more for total, more in zip(totals, gained, strict=True)]


def chances(runs: int, seed: int) -> Iterator[random.Random]:
    """Yield a generator per run: every rule is shown the same rollouts."""
    return (random.Random(f"{seed}/{run}") for run in range(runs))


def false_rollbacks(runs: int, seed: int) -> bool:
    """Print the share of equal canaries that are rolled back within a day of looks."""
    print(f"\nA/A, a look each minute for 24 h, {REQUESTS} sessions a minute, false rollbacks in %")
    print(f"{'':14}" + "".join(f"{b:>9.1%}/{s:<4.0%}" for b in BASELINES for s in SHARES))
    cells = [(base, share) for base in BASELINES for share in SHARES]
    kept = True
    for name, rule in rules("errors", ERRORS).items():
        some = runs if name == "e-process" else max(20, runs // 10)
        row = []
        for base, share in cells:
            made = (errors(c, share, always(base), always(base), DAY) for c in chances(some, seed))
            ends = (
                e_process_stops(each) if name == "e-process" else stops(rule(), each)
                for each in made
            )
            row.append(sum(end is not None for end in ends) / some)
        kept = kept and (name != "e-process" or is_kept(max(row), some))
        print(f"{name:14}" + "".join(f"{100 * one:>14.1f}" for one in row) + f"   of {some}")
    return kept and is_the_judges(seed)


def is_the_judges(seed: int) -> bool:
    """Compare with the judge itself, look by look for an hour, canaries of all kinds."""
    same = True
    for run, rate in enumerate((0.005, 0.0075, 0.01, 0.025)):
        ends = [
            stop(errors(random.Random(f"{seed}/{run}"), 0.05, always(rate), always(0.005), HOUR))
            for stop in (e_process_stops, lambda minutes: stops(Judge(ERRORS), minutes))
        ]
        same = same and ends[0] == ends[1]
    print(f"the judge itself stops at {'the same' if same else 'ANOTHER'} look")
    return same


def power(runs: int, seed: int) -> bool:
    """Print how often and after how many canary requests a bad canary is found in an hour."""
    some = max(20, runs // 2)
    print(f"\nBad canaries, found within an hour in % / median canary requests, of {some}")
    rates = [(0.005, 0.01, rate) for rate in (0.010, 0.025, 0.055)]
    rates += [(0.05, 0.05, rate) for rate in (0.055, 0.07, 0.10, 0.25)]
    print(f"{'base/share→rate':14}" + "".join(f"{b:>9.1%}/{s:.0%}→{r:<7.1%}" for b, s, r in rates))
    median = 0.0
    for name, rule in rules("errors", ERRORS).items():
        told = ""
        for base, share, rate in rates:
            made = (errors(c, share, always(rate), always(base), HOUR) for c in chances(some, seed))
            found, middle = findings([stops(rule(), each) for each in made], share)
            told += f"{100 * found:>10.0f}/{middle:<10.0f}"
            if name == "e-process" and (base, share, rate) == (0.005, 0.01, 0.025):
                median = middle
        print(f"{name:14}  {told}")
    quick = median <= 240
    print(f"5x at 0.5 % and a share of 1 %: {'within' if quick else 'NOT within'} 240 requests")
    print(f"the same where HARM begins at {DEFAULT_PLAN.harm_threshold:g}, as in the default plan: "
          f"{by_default(some, seed):.0f}")  # fmt: skip
    return quick


def by_default(runs: int, seed: int) -> float:
    """Return the median of canary requests at the default plan's threshold; promised is none."""
    limit, bad, base = DEFAULT_PLAN.harm_threshold, always(0.025), always(0.005)
    made = (errors(c, 0.01, bad, base, HOUR) for c in chances(runs, seed))
    return findings([e_process_stops(each, threshold=limit) for each in made], 0.01)[1]


def findings(ends: list[int | None], share: float) -> tuple[float, float]:
    """Return which part was found, and the median of canary requests until then."""
    needed = sorted(math.inf if end is None else end * REQUESTS * share for end in ends)
    return sum(end is not None for end in ends) / len(ends), needed[len(needed) // 2]


def situations(runs: int, seed: int) -> bool:
    """Print false rollbacks where independence or calm is missing."""
    some = max(20, runs // 2)
    share, base = 0.05, 0.005
    print(f"\nEqual canaries in trouble, base 0.5 %, share 5 %, an hour; false rollbacks in %, "
          f"of {some}")  # fmt: skip

    def storm(minute: int) -> float:
        return 0.10 if 20 <= minute < 25 else base

    def cold(minute: int) -> float:
        return 4 * base if minute < 3 else base

    def later(draw: Iterator[Seen]) -> Iterator[Seen]:
        return (seen for minute, seen in enumerate(draw) if minute >= 3)

    cases: list[tuple[str, bool, Draw]] = [
        ("both arms 10 % errors for 5 min", True, lambda c: errors(c, share, storm, storm, HOUR)),
        ("bursts of 4, errors counted", False,
         lambda c: bursts(c, share, base, HOUR, sessions=False)),
        ("bursts of 4, sessions counted", True,
         lambda c: bursts(c, share, base, HOUR, sessions=True)),
        ("cold canary 4x for 3 min", False,
         lambda c: errors(c, share, cold, always(base), HOUR)),
        ("the same, warm-up excluded", True,
         lambda c: errors(c, share, cold, always(base), HOUR)),
    ]  # fmt: skip
    print(f"{'':34}" + "".join(f"{name:>14}" for name in rules("errors", ERRORS)))
    kept = True
    for says, is_promised, draw in cases:
        # The judge leaves the warm-up out by itself; for the others it is done here.
        warm = says.endswith("excluded")
        plan = plan_of(Guardrail("errors"), warm_up=3) if warm else ERRORS
        row = []
        for name, rule in rules("errors", plan).items():
            made = (draw(chance) for chance in chances(some, seed))
            shown = (later(each) if warm and name != "e-process" else each for each in made)
            row.append(sum(stops(rule(), each) is not None for each in shown) / some)
        kept = kept and (not is_promised or is_kept(row[0], some))
        print(f"{says:34}" + "".join(f"{100 * one:>14.1f}" for one in row))
    print("Errors counted one by one and a cold canary break every such rule: hence sessions and a")
    print("warm-up. Both stand here to show it.")
    return kept


def harmed_from(begin: int, rate: float, base: float) -> Rate:
    return lambda minute: rate if minute >= begin else base


def late(runs: int, seed: int) -> bool:
    """Print how soon harm is found that begins after twelve quiet hours at a share of 50 %."""
    some, begin, share, base = max(20, runs // 20), 12 * HOUR, 0.5, 0.005
    print(f"\nHarm that begins after 12 h, base 0.5 %, share 50 %, median minutes, of {some}")
    kept = True
    for factor in (1.5, 2.0, 5.0):
        row = []
        for from_any in (True, False):
            draws = (
                errors(c, share, harmed_from(begin, factor * base, base), always(base), DAY)
                for c in chances(some, seed)
            )
            ends = [e_process_stops(each, from_any=from_any) or math.inf for each in draws]
            row.append(sorted(ends)[some // 2] - begin)
        kept = kept and (factor < 2 or row[0] <= 15)
        print(f"{factor:g} times as many errors: {row[0]:.0f}, {row[1]:.0f} if all bets are laid "
              "at once")  # fmt: skip
    return kept


SLOWED: dict[str, Slow] = {
    "none": (1.0, 0.0),
    "+10 %": (1.1, 1.0),
    "x2": (2.0, 1.0),
    "x5 on 2 %": (5.0, 0.02),
}


def latency(runs: int, seed: int) -> bool:
    """Print how often a slower canary is found within an hour, and the median minute."""
    some = max(20, runs // 4)
    print(f"\nSlower canaries, lognormal, found within an hour in % / median minute, of {some}")
    print(f"{'share':22}" + "".join(f"{says:>14}" for says in SLOWED))
    kept = True
    for share in (0.01, 0.05):
        for name, rule in rules("latency.p90", LATENCY).items():
            row = []
            for slow in SLOWED.values():
                made = (latencies(chance, share, slow, HOUR) for chance in chances(some, seed))
                row.append(findings([stops(rule(), each) for each in made], 1 / REQUESTS))
            if name == "e-process":
                kept = kept and is_kept(row[0][0], some) and row[2][0] == 1.0
            told = "".join(f"{100 * found:>8.0f}/{middle:<5.0f}" for found, middle in row)
            print(f"{share:<6.0%}{name:16}{told}")
    print("the others look at the sessions beyond the usual 90th percentile alone")
    return kept


def main() -> int:
    """Simulate and print; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parts: dict[str, Callable[[int, int], bool]] = {
        "aa": false_rollbacks,
        "power": power,
        "situations": situations,
        "latency": latency,
        "late": late,
    }
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", choices=list(parts), default=list(parts))
    chosen = parser.parse_args()
    start = time.monotonic()
    kept = {name: parts[name](chosen.runs, chosen.seed) for name in chosen.only}
    print(f"\nseed {chosen.seed}, {time.monotonic() - start:.0f} s")
    if broken := [name for name, held in kept.items() if not held]:
        print(f"broken: {', '.join(broken)}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
