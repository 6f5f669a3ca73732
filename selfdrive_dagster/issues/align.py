"""Alignment: how alike two traces are, and which fingerprints may be one issue.

Training-free: two traces are walked from the raise outwards once, side by side, stepping over what
only one of them has (a decorator, a renamed function). Frames near the raise weigh most. A function
that raises for everybody says nothing of the cause, so where the raiser is shared its caller counts
as the place. Belongs here: the comparison. Does not belong: who decides (`members`).

What comes out depends on the traces alone, never on their order.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import msgspec

from selfdrive_dagster.issues.frames import Site
from selfdrive_dagster.issues.traces import Step, Trace, shared_raisers

ALIGNMENT = "2026-11"
"""The version of this comparison, named by each merge that it made."""

CALLERS = 4
"""A raiser with as many different callers in history raises for everybody."""

SUGGEST = 0.5
"""From here on two fingerprints are shown as perhaps one issue."""

MERGE = 0.8
"""From here on they are one: calibrated on the development half of `bench/grouping.py`."""

DECAY = 0.5
WINDOW = 3
SKIPPED = 0.15
DEPTH = 8
MOST = 60
"""A place that so many traces share tells none of them apart: they are not compared for it."""

SAYS_NOTHING = 10


class Suggestion(msgspec.Struct, frozen=True, kw_only=True):
    """Two fingerprints that may be one issue, `score` in [0, 1], and why."""

    fingerprint: str
    like: str
    score: float
    says: str


def suggest(traces: Sequence[Trace], least: float = SUGGEST) -> tuple[Suggestion, ...]:
    """Return the pairs of fingerprints that are alike enough, the most alike first."""
    shared = shared_raisers(traces, CALLERS)
    by_name = {trace.fingerprint: trace for trace in traces}
    found = []
    for one, other in sorted(_pairs(traces)):
        score, says = compare(by_name[one], by_name[other], shared)
        if score >= least:
            found.append(Suggestion(fingerprint=one, like=other, score=score, says=says))
    return tuple(sorted(found, key=lambda each: (-each.score, each.fingerprint, each.like)))


def compare(
    one: Trace, other: Trace, shared: frozenset[tuple[str, str]] = frozenset()
) -> tuple[float, str]:
    """Return how alike two traces are, 0 to 1, and in words."""
    if one.type != other.type or one.in_app != other.in_app or not (one.steps and other.steps):
        return 0.0, "another type, or no place to compare"
    place = (one.steps[0].module, one.steps[0].function)
    if place in shared and place == (other.steps[0].module, other.steps[0].function):
        score, same = _walk(one.steps[1:], other.steps[1:])
        return score, f"{'.'.join(place)} raises for everybody; {same} of its callers alike"
    score, same = _walk(one.steps, other.steps)
    return score, f"{one.type}, {same} functions alike from the raise outwards"


def _walk(one: Sequence[Step], other: Sequence[Step]) -> tuple[float, int]:
    """Walk two traces outwards; return the share of weight that is alike, and the steps."""
    one, other = one[:DEPTH], other[:DEPTH]
    i = j = steps = same = 0
    alike = whole = 0.0
    passed: tuple[dict[Site, float], dict[Site, float]] = ({}, {})
    while i < len(one) or j < len(other):
        weight = DECAY**steps
        over, near = _next_pair(one[i:], other[j:], is_raise=steps == 0)
        if near:
            passed[0].update((site_at(step), weight) for step in one[i : i + over[0]])
            passed[1].update((site_at(step), weight) for step in other[j : j + over[1]])
            i, j = i + over[0] + 1, j + over[1] + 1
            alike += weight * near
            whole += weight * (1.0 + SKIPPED * sum(over))
            same += 1
        else:
            i, j = i + 1, j + 1
            whole += weight
        steps += 1
    whole += _replaced(*passed)
    return (alike / whole if whole else 0.0), same


def _replaced(one: Mapping[Site, float], other: Mapping[Site, float]) -> float:
    """Return the weight of functions that stand for each other.

    What only one trace has was added to it; where each has what the other lacks, they differ.
    """
    mine = [weight for site, weight in one.items() if site not in other]
    theirs = [weight for site, weight in other.items() if site not in one]
    return sum(max(pair) for pair in zip(mine, theirs, strict=False))


def site_at(step: Step) -> Site:
    """Return where a step stands."""
    return Site(step.module, step.function)


def _next_pair(
    one: Sequence[Step], other: Sequence[Step], *, is_raise: bool
) -> tuple[tuple[int, int], float]:
    """Return how many steps to pass on either side until two are alike, and how alike."""
    for over in range(WINDOW):
        for skip in ((over, 0), (0, over)):
            if skip[0] < len(one) and skip[1] < len(other):
                near = likeness(one[skip[0]], other[skip[1]], is_raise=is_raise)
                if near:
                    return skip, near
    return (0, 0), 0.0


def likeness(one: Step, other: Step, *, is_raise: bool) -> float:
    """Return how alike two functions are: the same one, one renamed, or one moved."""
    is_known = bool(one.line and other.line)
    is_same_line = is_known and one.line == other.line
    if (one.module, one.function) == (other.module, other.function):
        if is_same_line:
            return 1.0
        return 0.95 if not is_known else 0.3 if is_raise else 0.85
    if is_same_line and len(one.line) >= SAYS_NOTHING:
        return 0.9 if one.module == other.module or one.function == other.function else 0.7
    if one.function == other.function and not is_raise and len(one.function) > 3:
        return 0.5
    return 0.0


def _pairs(traces: Iterable[Trace]) -> set[tuple[str, str]]:
    """Return the pairs that are worth a look: one type, and one place or line near the raise."""
    blocks: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    for trace in traces:
        for step in trace.steps[:WINDOW]:
            blocks[(trace.type, step.module, step.function)].add(trace.fingerprint)
            if len(step.line) >= SAYS_NOTHING:
                blocks[(trace.type, "line", step.line)].add(trace.fingerprint)
    pairs: set[tuple[str, str]] = set()
    for names in blocks.values():
        if len(names) <= MOST:
            pairs.update(combinations(sorted(names), 2))
    return pairs
