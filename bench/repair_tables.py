"""The tables of `repair.py`, made from rows alone: by tool, package and family of edits.

*Abstained*: no patch CERTIFIED. A mitigation that is CONTAINED says itself that its value is
invented, so it counts as abstention and has a column of its own. A peer has no gate: each of its
plausible patches is its claim. *Unknown*: too few answers to say (`equal.py`); it is neither
right nor wrong, and precision is told without it and with it as wrong.
"""

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from mending import ENGINE, Row

RIGHT = ("text", "syntax", "answers")
CLAIMED = ("certified", "claimed")
MILLISECONDS = 2.0
"""Tests of about a millisecond: the median of a bug's failing and covering ones is at most this."""


class Interval(NamedTuple):
    """A share's bounds, 0 to 1."""

    low: float
    high: float


def wilson(part: int, whole: int, confidence: float = 0.95) -> Interval:
    """Return the score interval of a share (Wilson 1927); (0, 1) when nothing was counted."""
    if not whole:
        return Interval(0.0, 1.0)
    z = statistics.NormalDist().inv_cdf((1 + confidence) / 2)
    middle = (part + z * z / 2) / (whole + z * z)
    half = z / (whole + z * z) * math.sqrt(part * (whole - part) / whole + z * z / 4)
    return Interval(max(0.0, middle - half), min(1.0, middle + half))


HEAD = ("bugs", "plausible", "claimed", "right", "wrong", "unknown", "contained", "abstained")


def counts(rows: Sequence[Row]) -> tuple[int, ...]:
    """Return the figures of some rows, in the order of HEAD."""
    claimed = [row for row in rows if row.verdict in CLAIMED]
    right = sum(row.right in RIGHT for row in claimed)
    wrong = sum(row.right == "different" for row in claimed)
    return (
        len(rows), sum(row.plausible > 0 for row in rows), len(claimed), right, wrong,
        len(claimed) - right - wrong, sum(row.verdict == "contained" for row in rows),
        len(rows) - len(claimed),
    )  # fmt: skip


def table(title: str, rows: Sequence[Row], key: Callable[[Row], str]) -> Iterable[str]:
    """Yield the lines of a table with a row for each value of `key`, and one in all."""
    yield f"{title:26}" + "".join(f"{word:>11}" for word in HEAD)
    groups = {name: [row for row in rows if key(row) == name] for name in sorted(map(key, rows))}
    for name, members in (*groups.items(), ("in all", rows)):
        yield f"{name:26}" + "".join(f"{figure:11}" for figure in counts(members))


def package_of(row: Row) -> str:
    """Return a row's package, the open half marked."""
    return row.package if row.blind else f"{row.package} (open half)"


def ended_by(row: Row) -> str:
    """Return what a bug's run ended by: nothing to judge, or the check that had the last word."""
    if row.ended:
        return "an error"
    if not row.plausible:
        return "nothing plausible"
    check = row.reason.partition(":")[0] if ":" in row.reason else ""
    return check if check.isidentifier() else row.verdict


def told(rows: Sequence[Row]) -> Iterable[str]:
    """Yield all tables: the engine's, then each peer beside it on the same bugs."""
    own = [row for row in rows if row.tool == ENGINE]
    for title, key in (("package", package_of), ("edit", lambda row: row.family),
                       ("verdict", lambda row: row.verdict), ("ended by", ended_by)):  # fmt: skip
        yield from ("", *table(title, own, key))
    for half, members in (
        ("blind half", [row for row in own if row.blind]),
        ("both halves", own),
    ):
        yield from ("", f"{half}: {len(members)} bugs", *(f"  {line}" for line in figures(members)))
    peers = [row for row in rows if row.tool != ENGINE]
    if peers:
        names = {row.bug for row in peers}
        same = [row for row in rows if row.bug in names]
        yield from (
            "",
            f"side by side on {len(names)} bugs",
            *table("tool", same, lambda r: r.tool),
        )
        for tool in sorted({row.tool for row in same}):
            yield f"{tool}: {'; '.join(pace([row for row in same if row.tool == tool]))}"


def figures(rows: Sequence[Row]) -> Iterable[str]:
    """Yield precision, share and pace of the engine's rows."""
    bugs, _, claimed, right, wrong, unknown, contained, _ = counts(rows)
    yield f"precision of CERTIFIED: {share(right, right + wrong)}"
    yield f"  with {unknown} unknown as wrong: {share(right, claimed)}"
    yield f"repaired equal to the original: {share(right, bugs)}"
    like = sum(row.right in RIGHT for row in rows if row.verdict == "contained")
    yield f"CONTAINED, equal to the original all the same: {share(like, contained)}"
    yield from pace(rows)
    quick = [row for row in rows if 0 < row.test_ms <= MILLISECONDS and row.searching]
    yield f"candidates/s/core where tests take about 1 ms: {rate(quick)}"


def pace(rows: Sequence[Row]) -> list[str]:
    """Say how soon and how fast, and how many runs broke."""
    firsts = sorted(row.first for row in rows if row.first is not None)
    median = f"{statistics.median(firsts):.1f} s" if firsts else "-"
    broke = sum(row.ended.startswith("crashed") for row in rows)
    return [
        f"first plausible: median {median} of {len(firsts)}",
        f"candidates/s/core: {rate([row for row in rows if row.searching])}",
        f"crashed: {broke}, ended without a search: {sum(bool(row.ended) for row in rows) - broke}",
    ]


def rate(rows: Sequence[Row]) -> str:
    """Return candidates over seconds of search on a core, in sum and at the median of bugs."""
    if not rows:
        return "no such bug"
    each = statistics.median(row.tried / row.searching / row.cores for row in rows)
    whole = sum(row.tried for row in rows) / sum(row.searching * row.cores for row in rows)
    return f"{whole:.1f} in sum, {each:.1f} at the median of {len(rows)} bugs"


def share(part: int, whole: int) -> str:
    """Return `part of whole`, in percent with its 95 % interval where there is a whole."""
    if not whole:
        return f"{part} of {whole}"
    low, high = wilson(part, whole)
    return f"{part} of {whole}, {part / whole:.1%} (95 %: {low:.1%} to {high:.1%})"
