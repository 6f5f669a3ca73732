"""What the demonstration's plan promises, simulated window by window with the judge itself.

`python bench/demo_plan.py [--runs 300] [--seed 1]`

Equal and bad canaries under the demonstration's traffic, with telemetry that comes late and the
fuse taken out, so that only the e-processes decide. Printed is how rollouts end, in which stage,
and after how many seconds. Exit code 1 when equal canaries are rolled back in more than 5 %, do
not pass in about 50 to 130 s (the median), or a canary that harms 10 % of its sessions passes in
more than 5 %; two standard errors are allowed for.
"""

import argparse
import math
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from msgspec.structs import replace  # noqa: E402

from selfdrive_dagster.rollout.canary import (  # noqa: E402
    DEMO_PLAN,
    Arms,
    Count,
    Step,
    Verdict,
    Window,
    judge,
    minutes_to_pass,
    share_in,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
PLAN = replace(DEMO_PLAN, fuse_units=10**9)
"""The fuse is left out: what is promised here is the e-processes' alone."""

LOOK_SECONDS = 2.0
LONGEST_SECONDS = 300.0
SLOWER = {"latency.p50": 0.5, "latency.p90": 0.1, "latency.p99": 0.01}
PROMISE = 0.05


@dataclass(frozen=True)
class Case:
    """A canary under traffic: new sessions a second, and how often a session is affected.

    `issue` is the issue's rate in stable, and in the canary unless it is mended; `errors` happen
    in both arms, in one of ten at a first request; `harm` comes on top in the canary, as an
    error of the server, a new crash, both, or a first request that fails.
    """

    says: str
    sessions: float = 17.0
    lag_seconds: float = 30.0
    errors: float = 0.02
    issue: float = 0.05
    harm: float = 0.0
    harms: tuple[str, ...] = ("errors",)
    is_mended: bool = False


CASES = (
    *(
        Case(f"equal, {sessions} a second, lag {lag} s", sessions=sessions, lag_seconds=lag)
        for sessions in (10, 17, 25)
        for lag in (20, 40)
    ),
    Case("equal, nothing ever fails", errors=0.0, issue=0.0),
    Case("equal, 5 % fail in both", errors=0.05),
    Case("mended", is_mended=True),
    *(
        Case(f"{harm:.0%} harmed, {' and '.join(kinds)}", harm=harm, harms=kinds, is_mended=True)
        for harm in (0.05, 0.10, 0.15)
        for kinds in (("errors",), ("new_crashes",), ("errors", "new_crashes"), ("first_requests",))
    ),
    Case("10% harmed, errors, 10 a second", sessions=10, harm=0.10, is_mended=True),
)


@dataclass(frozen=True)
class Ending:
    """How a rollout ended: the verdict that ended it, its stage from 1, and when."""

    verdict: Verdict
    stage: int
    seconds: float


def hits(chance: random.Random, sessions: int, rate: float) -> int:
    return sum(chance.random() < rate for _ in range(sessions))


def poisson(chance: random.Random, mean: float) -> int:
    limit, count, product = math.exp(-mean), 0, chance.random()
    while product > limit:
        count, product = count + 1, product * chance.random()
    return count


def both(chance: random.Random, exposed: Arms, canary: float, stable: float) -> Count:
    arms = Arms(hits(chance, exposed.canary, canary), hits(chance, exposed.stable, stable))
    return Count(exposed, arms)


def draw(
    chance: random.Random, case: Case, steps: list[Step], number: int
) -> tuple[Window, dict[str, Count]]:
    """Return a window as the log tells it, and what telemetry will add."""
    start = BEGIN + timedelta(seconds=number * PLAN.window_seconds)
    share = next(step.share for step in reversed(steps) if step.at <= start)
    sessions = poisson(chance, case.sessions * PLAN.window_seconds)
    canary = hits(chance, sessions, share)
    exposed = Arms(canary, sessions - canary)
    harm = dict.fromkeys(case.harms, case.harm)
    log = {"errors": both(chance, exposed, worse(case.errors, harm, "errors"), case.errors)}
    log |= {name: both(chance, exposed, rate, rate) for name, rate in SLOWER.items()}
    first = case.errors / 10
    log["first_requests"] = both(chance, exposed, worse(first, harm, "first_requests"), first)
    late = {
        "issue": both(chance, exposed, 0.0 if case.is_mended else case.issue, case.issue),
        "new_crashes": both(chance, exposed, worse(0.0, harm, "new_crashes"), 0.0),
    }
    said = share_in(steps, start, PLAN.window_seconds)
    return Window(start=start, share=said, exposed=exposed, measured=log), late


def worse(rate: float, harm: dict[str, float], kind: str) -> float:
    return 1 - (1 - rate) * (1 - harm.get(kind, 0.0))


def roll_out(chance: random.Random, case: Case) -> Ending:
    """Look every two seconds, as a controller does, and go up on SAFE."""
    width = PLAN.window_seconds
    steps = [Step(BEGIN, PLAN.stages[0].share)]
    drawn: list[tuple[Window, dict[str, Count]]] = []
    stage, now, last = 0, 0.0, Verdict.NO_DATA
    while now < LONGEST_SECONDS:
        now += LOOK_SECONDS
        while (len(drawn) + 2) * width <= now:  # closed after a window of follow-up
            drawn.append(draw(chance, case, steps, len(drawn)))
        come = int((now - case.lag_seconds) // width) - 1
        windows = [
            replace(window, measured={**window.measured, **late}) if number < come else window
            for number, (window, late) in enumerate(drawn)
        ]
        at = BEGIN + timedelta(seconds=now)
        last = judge(windows, PLAN.stages[stage], PLAN, at).verdict
        if last is Verdict.HARM or (last is Verdict.SAFE and stage + 1 == len(PLAN.stages)):
            break
        if last is Verdict.SAFE:
            stage += 1
            steps.append(Step(at, PLAN.stages[stage].share))
    return Ending(last, stage + 1, now)


def tell(case: Case, endings: list[Ending]) -> bool:
    """Print a case's endings; False when a promise is broken."""
    ends = Counter((one.verdict, one.stage) for one in endings)
    share = {key: 100 * count / len(endings) for key, count in ends.items()}
    harm = [share.get((Verdict.HARM, stage), 0.0) for stage in (1, 2)]
    safe = share.get((Verdict.SAFE, 2), 0.0)
    seconds = sorted(one.seconds for one in endings)
    median, late = seconds[len(seconds) // 2], seconds[int(0.9 * len(seconds))]
    rest = abs(100 - sum(harm) - safe)
    print(
        f"{case.says:38}{safe:>8.1f}{harm[0]:>10.1f}{harm[1]:>10.1f}{rest:>8.1f}"
        f"{median:>8.0f}{late:>8.0f}"
    )
    chance = 200 * math.sqrt(PROMISE * (1 - PROMISE) / len(endings))
    most = 100 * PROMISE + chance
    if not case.harm:
        return sum(harm) <= most and 50 <= median <= 130
    return case.harm < 0.10 or safe <= most


def main() -> int:
    """Simulate and print; 1 when a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    chosen = parser.parse_args()
    started = time.monotonic()
    for lag in (20, 40):
        ends = minutes_to_pass(
            PLAN, sessions_per_minute=17 * 60, rates={"errors": 0.02}, lag_minutes=lag / 60
        )
        told = " and ".join(f"{60 * end:.0f}" for end in ends)
        print(f"forecast at 17 sessions a second, lag {lag} s: stages pass after {told} s")
    print(f"{'of ' + str(chosen.runs) + ' rollouts, in %':38}{'passed':>8}{'harm at 1':>10}"
          f"{'at 2':>10}{'open':>8}{'median':>8}{'9 of 10':>8}")  # fmt: skip
    kept = []
    for case in CASES:
        made = (random.Random(f"{chosen.seed}/{run}") for run in range(chosen.runs))
        kept.append(tell(case, [roll_out(chance, case) for chance in made]))
    print(f"seconds from the first session; seed {chosen.seed}, {time.monotonic() - started:.0f} s")
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
