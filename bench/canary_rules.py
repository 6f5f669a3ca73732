"""Rules that look at a canary once a window and say whether to roll it back.

The first is this project's own judge; beside it stand rules in common use. Each is made anew for
a rollout, is shown one window after the other, and answers True for a rollback.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol

from selfdrive_dagster.rollout.canary import (
    Arms,
    Count,
    Guardrail,
    Measure,
    Plan,
    Stage,
    Verdict,
    Window,
    judge,
)

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
STAGE = Stage(share=0.05, margin=2.0)
PROMISE = 0.05
HOUR = 60

Seen = dict[str, Count]
"""One minute: what each guardrail counted."""


class Rule(Protocol):
    """One rule during one rollout."""

    def __call__(self, seen: Seen) -> bool:
        """Look at a further minute, and say whether to roll back now."""
        ...


def plan_of(*guardrails: Guardrail, warm_up: int = 0) -> Plan:
    """Return a plan that judges these guardrails; HARM at their number / 0.05."""
    return Plan(
        stages=(STAGE,), bake_minutes=0.0, guardrails=guardrails, warm_up_windows=warm_up,
        alpha=PROMISE,
    )  # fmt: skip


ERRORS = plan_of(Guardrail("errors"))
LATENCY = plan_of(Guardrail("latency", Measure.LATENCY))


class Judge:
    """This project's rule: `judge` over all windows so far, as the controller calls it."""

    def __init__(self, plan: Plan = ERRORS) -> None:
        self._plan = plan
        self._windows: list[Window] = []

    def __call__(self, seen: Seen) -> bool:
        start = BEGIN + timedelta(minutes=len(self._windows))
        exposed = next(iter(seen.values())).exposed
        window = Window(start=start, share=None, exposed=exposed, measured=seen)
        self._windows.append(window)
        told = judge(self._windows, STAGE, self._plan, start + timedelta(minutes=1))
        return told.verdict is Verdict.HARM


class RepeatedZ:
    """A two-proportion z-test at 5 %, one-sided, on all so far, repeated at every look."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._total = Count()

    def __call__(self, seen: Seen) -> bool:
        self._total += seen[self._name]
        total, hit = self._total.exposed, self._total.affected
        pooled = hit.total / total.total
        spread = math.sqrt(pooled * (1 - pooled) * (1 / total.canary + 1 / total.stable))
        return spread > 0 and rate(hit, total) > 1.645 * spread


class Threshold:
    """More than stable plus one percentage point, in five looks in a row."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._row = 0

    def __call__(self, seen: Seen) -> bool:
        count = seen[self._name]
        bad = rate(count.affected, count.exposed) > 0.01
        self._row = self._row + 1 if bad else 0
        return self._row >= 5


class MannWhitney:
    """Mann-Whitney at 98 % on each arm's rates by the minute, of the last hour; ties count half."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._canary: list[float] = []
        self._stable: list[float] = []

    def __call__(self, seen: Seen) -> bool:
        exposed, hit = seen[self._name].exposed, seen[self._name].affected
        self._canary.append(hit.canary / exposed.canary)
        self._stable.append(hit.stable / exposed.stable)
        del self._canary[:-HOUR], self._stable[:-HOUR]
        n = len(self._canary)
        if n < 5:
            return False
        u = rank_sum(self._canary, self._stable) - n * (n + 1) / 2
        return (u - n * n / 2) / math.sqrt(n * n * (2 * n + 1) / 12) > 2.054


def rank_sum(first: list[float], second: list[float]) -> float:
    """Return the sum of the first list's ranks among both."""
    ranked = sorted((*((v, 1) for v in first), *((v, 0) for v in second)))
    ranks, at = 0.0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        ranks += (at + end + 1) / 2 * sum(which for _, which in ranked[at:end])
        at = end
    return ranks


def rate(hit: Arms, exposed: Arms) -> float:
    """Return how much more often the canary is affected than stable."""
    return hit.canary / exposed.canary - hit.stable / exposed.stable


OTHERS: dict[str, Callable[[str], Rule]] = {
    "z-test 5 %": RepeatedZ,
    "threshold": Threshold,
    "Mann-Whitney": MannWhitney,
}
"""The rules beside ours, by the guardrail that they look at."""


def rules(name: str, plan: Plan) -> dict[str, Callable[[], Rule]]:
    """Return every rule; the others look at the guardrail `name` alone."""
    ours: dict[str, Callable[[], Rule]] = {"e-process": lambda: Judge(plan)}
    return ours | {says: (lambda made=made: made(name)) for says, made in OTHERS.items()}  # type: ignore[misc]
