"""What `real_bugs.py` tells: a row for each pair and track, a table, each patch beside the fix."""

from collections.abc import Iterator, Sequence

import msgspec
from statements import Statement


class Row(msgspec.Struct, kw_only=True):
    """What came of one pair in one track.

    `by_tests` says that the new release's tests and answers hold, `right` that its probe does too;
    both are None when there was no patch to judge. `answers` is `equal.py`'s word on the patch
    beside the new release, `probe` what the pair's probe printed otherwise, "" when nothing.
    `first` is seconds from the start to the first plausible patch, `confidence` the gate's number
    for the patch, 0 to 1.
    """

    package: str
    track: str
    outcome: str = "run"
    way: str = ""
    tried: int = 0
    per_second: float = 0.0
    plausible: int = 0
    first: float | None = None
    verdict: str = ""
    confidence: float | None = None
    claim: str = ""
    seconds: float = 0.0
    by_tests: bool | None = None
    right: bool | None = None
    answers: str = ""
    probe: str = ""
    broken: tuple[str, ...] = ()
    differing: str = ""
    family: str = ""
    supports: tuple[str, ...] = ()
    patch: str = ""
    true_fix: str = ""
    why: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()


def judged(row: Row) -> str:
    """Say what the new release made of the patch."""
    if row.right is None:
        return "not proposed"
    if row.right:
        return f"right ({row.answers})"
    if row.broken:
        return f"WRONG: breaks {row.broken[0]}"
    return f"WRONG: {row.probe or f'answers {row.differing}'}"


HEAD = (
    "track", "package", "reproducer", "verdict", "sure", "claim", "plausible", "tried", "/s",
    "first", "seconds", "judged",
)  # fmt: skip


def print_table(rows: Sequence[Row]) -> None:
    """Print a line for each pair and track, and what each track comes to."""
    lines = [HEAD] + [
        (
            row.track, row.package, row.way,
            row.verdict if row.outcome == "run" else row.outcome[:40],
            "-" if row.confidence is None else f"{row.confidence:.2f}", row.claim,
            str(row.plausible), str(row.tried), f"{row.per_second:.0f}",
            "-" if row.first is None else f"{row.first:.1f}", f"{row.seconds:.1f}",
            judged(row)[:60],
        )
        for row in rows
    ]  # fmt: skip
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    print()
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))
    print()
    for track in dict.fromkeys(row.track for row in rows):
        print(summary(track, [row for row in rows if row.track == track]))


def summary(track: str, rows: Sequence[Row]) -> str:
    """Say in a line what a track comes to. *Repaired*: certified, and right."""
    certified = [row for row in rows if row.verdict == "certified"]
    return (
        f"{track}: {sum(row.plausible > 0 for row in rows)} plausible, "
        f"{sum(row.by_tests is True for row in rows)} right by tests and answers, "
        f"{sum(row.right is True for row in rows)} of them by the probe too, "
        f"{sum(row.right is True for row in certified)} repaired (certified, right by all three), "
        f"{sum(row.right is False for row in certified)} certified and wrong, "
        f"{sum(row.verdict == 'contained' for row in rows)} contained, of {len(rows)}"
    )


UNQUOTED = ("html2text",)
"""Packages whose licence (GPL-3) does not let their lines stand in what we commit."""


def beside(rows: Sequence[Row], *, kept: bool = False) -> Iterator[str]:
    """Yield each patch beside the true fix, and why it was or was not proposed.

    What is `kept` in the repository quotes no package of UNQUOTED.
    """
    yield "Changed lines are quoted from natsort, cachetools, parse (MIT) and itsdangerous (BSD-3);"
    yield "each stays under its licence and its authors' copyright."
    for row in rows:
        yield f"\n=== {row.package} ({row.track}) {'' if row.outcome == 'run' else row.outcome}"
        yield from (f"  {sentence[:300]}" for sentence in row.why)
        if not (kept and row.package.startswith(UNQUOTED)):
            yield from (f"  supported by {support[:300]}" for support in row.supports)
        if kept and row.package.startswith(UNQUOTED):
            yield f"--- patch ({row.family or 'none'}, {row.verdict}, {judged(row)}): GPL-3, shown"
            yield "without --diffs, in the cache"
        elif row.outcome == "run":
            yield f"--- patch ({row.family or 'none'}, {row.verdict}, {judged(row)})\n{row.patch}"
            yield f"--- true fix\n{row.true_fix}"
        yield from (statement.told() for statement in row.statements)
