"""Change points: what the detector finds in generated series, beside other detectors.

`python bench/change_points.py [--series 200] [--seed 1] [--cell NAME] [--out FILE]`

336 hourly points around 800 ms, log-normal with sigma 0.1, a change at hour 240 (the recipe of the
telemetry reference §6), and the same with seasons, gaps and hours that resemble each other. *Hit*:
a rise is told within 6 hours of the change. *Elsewhere*: one is told that is no hit; without a
change that is a false alarm. Beside `find_rise` run a single-split Welch t (t > 5, ≥ 5 %) and, if
they are installed, ruptures' KernelCPD (penalty 3 ln n σ², ≥ 5 %) and Apache Otava (window 50,
p < .001, ≥ 5 %), these three by direction only, as people use them: none knows a season. Exit
code 1 if the promised cells (plain, seasonal) miss .95 at +20 %, .7 at +10 % or .05 false a series,
or if ruptures parts a series otherwise than `partition`.
"""

import argparse
import itertools
import math
import os
import random
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import fmean

import msgspec

from selfdrive_dagster.issues.detect.changes import SHORTEST, find_rise, partition
from selfdrive_dagster.issues.detect.seasons import spread

HOURS, AT, NEAR = 336, 240, 6
SIZES = (0.0, 0.05, 0.1, 0.2, 0.5)
Series = list[float | None]


class Shape(msgspec.Struct, frozen=True):
    """What a cell's series have: a daily and a weekly rhythm, unknown hours, likeness."""

    day: float = 0.0
    weekend: float = 0.0
    unknown: float = 0.0
    likeness: float = 0.0
    wild: float = 0.0


CELLS = {
    "plain": Shape(),
    "daily rhythm": Shape(day=0.3),
    "daily rhythm, 30 % unknown": Shape(day=0.3, unknown=0.3),
    "weekends 30 % slower": Shape(day=0.3, weekend=0.3),
    "2 % wild hours": Shape(wild=0.02),
    "hours alike, ρ .5": Shape(likeness=0.5),
    "hours alike, ρ .8": Shape(likeness=0.8),
}
PROMISED = ("plain", "daily rhythm")


def draw(chance: random.Random, shape: Shape, size: float) -> Series:
    """Return one series."""
    told: Series = []
    noise = chance.gauss(0, 0.1)
    for hour in range(HOURS):
        fresh = math.sqrt(1 - shape.likeness**2) * chance.gauss(0, 0.1)
        noise = shape.likeness * noise + fresh
        value = 800.0 * math.exp(noise + shape.day * math.sin(2 * math.pi * hour / 24))
        value *= 1 + (size if hour >= AT else 0.0)
        value *= 1 + (shape.weekend if hour // 24 % 7 >= 5 else 0.0)
        value *= 5.0 if chance.random() < shape.wild else 1.0
        told.append(None if chance.random() < shape.unknown else value)
    return told


Detector = Callable[[Series], list[int]]
"""Takes a series, returns the hours at which it tells a rise."""


def ours(series: Series) -> list[int]:
    found = find_rise(series, share=0.1, least=50.0)
    return [] if found is None else [found.at]


def rises(series: Series, cuts: Sequence[int], places: Sequence[int]) -> list[int]:
    """Return the cuts (positions among the known) at which the mean rises by 5 %."""
    values = [value for value in series if value is not None]
    bounds = [0, *cuts, len(values)]
    return [
        places[cut]
        for before, cut, after in zip(bounds, cuts, bounds[2:], strict=False)
        if fmean(values[cut:after]) >= 1.05 * fmean(values[before:cut])
    ]


def known(series: Series) -> tuple[list[int], list[float]]:
    """Return the known hours and their values."""
    places = [hour for hour, value in enumerate(series) if value is not None]
    return places, [value for value in series if value is not None]


def step_noise(values: Sequence[float]) -> float:
    """Return σ from the differences of neighbours."""
    return spread([b - a for a, b in itertools.pairwise(values)]) / math.sqrt(2)


def welch(series: Series) -> list[int]:
    """Return the best single split, by Welch's t."""
    places, values = known(series)
    count = len(values)
    sums = [0.0, *itertools.accumulate(values)]
    squares = [0.0, *itertools.accumulate(value * value for value in values)]

    def moments(begin: int, end: int) -> tuple[float, float]:
        size, total = end - begin, sums[end] - sums[begin]
        spare = squares[end] - squares[begin] - total * total / size
        return total / size, spare / (size - 1) / size

    best, at = 0.0, 0
    for cut in range(SHORTEST, count - SHORTEST):
        (one, error), (two, other) = moments(0, cut), moments(cut, count)
        if (t := abs(two - one) / math.sqrt(error + other)) > best:
            best, at = t, cut
    return rises(series, [at], places) if best > 5 else []


def kernel_cpd(values: Sequence[float], sigma: float) -> list[int]:
    import numpy
    import ruptures

    signal = numpy.asarray(values).reshape(-1, 1)
    search = ruptures.KernelCPD(kernel="linear", min_size=SHORTEST).fit(signal)
    return [int(at) for at in search.predict(pen=3 * math.log(len(values)) * sigma**2)][:-1]


def ruptures_alone(series: Series) -> list[int]:
    places, values = known(series)
    return rises(series, kernel_cpd(values, step_noise(values)), places)


def otava(series: Series) -> list[int]:
    from otava.analysis import compute_change_points

    places, values = known(series)
    try:
        found, _ = compute_change_points(values, 50, 0.001, 0.05)
    except ValueError:  # raised bare on some seasonal inputs
        return []
    return rises(series, [point.index for point in found], places)


def detectors() -> dict[str, Detector]:
    """Return the detectors that can run here; the others are named on stderr."""
    chosen: dict[str, Detector] = {"find_rise": ours, "Welch t": welch}
    for name, module, run in (
        ("ruptures", "ruptures", ruptures_alone),
        ("otava", "otava.analysis", otava),
    ):
        try:
            __import__(module)
        except ImportError as fault:
            print(f"{name}: left out, {fault}", file=sys.stderr)
        else:
            chosen[name] = run
    return chosen


class Row(msgspec.Struct, frozen=True):
    """One detector on one cell: shares of the series by size of the change, and ms a series."""

    cell: str
    detector: str
    hits: dict[str, float]
    elsewhere: dict[str, float]
    ms: float


def measure(cell: str, name: str, run: Detector, count: int, seed: int) -> Row:
    """Return how a detector does on the cell's series; all detectors see the same ones."""
    hits, elsewhere, start = {}, {}, time.perf_counter()
    for size in SIZES:
        chance = random.Random(f"{seed} {cell} {size}")
        hit = other = 0
        for _ in range(count):
            told = run(draw(chance, CELLS[cell], size))
            right = [at for at in told if size and abs(at - AT) <= NEAR]
            hit += bool(right)
            other += len(told) - len(right[:1])
        hits[f"{size:+.0%}"], elsewhere[f"{size:+.0%}"] = hit / count, other / count
    spent = 1000 * (time.perf_counter() - start) / count / len(SIZES)
    return Row(cell=cell, detector=name, hits=hits, elsewhere=elsewhere, ms=spent)


def broken(row: Row) -> list[str]:
    """Return the promises that a row of ours breaks."""
    promises = (
        ("+20 %", row.hits["+20%"] >= 0.95),
        ("+10 %", row.hits["+10%"] >= 0.7),
        ("false", row.elsewhere["+0%"] <= 0.05),
    )
    judged = row.detector == "find_rise" and row.cell in PROMISED
    return [f"{row.cell}: {what}" for what, kept in promises if judged and not kept]


def unequal(count: int, seed: int) -> int | None:
    """Return how many of `count` series ruptures parts otherwise, None without ruptures."""
    try:
        import ruptures  # noqa: F401
    except ImportError:
        return None
    chance, differing = random.Random(seed), 0
    for _ in range(count):
        _, values = known(draw(chance, Shape(), chance.choice(SIZES)))
        logs = [math.log(value) for value in values]
        sigma = step_noise(logs)
        differing += kernel_cpd(logs, sigma) != partition(logs, sigma)
    return differing


def main() -> int:
    """Measure, print, and say whether the promises hold."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--series", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cell", choices=CELLS)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    print(
        f"seed {given.seed}, {given.series} series a cell and size, load {os.getloadavg()[0]:.1f}"
    )
    rows, faults = [], []
    for cell in [given.cell] if given.cell else CELLS:
        print(f"\n{cell:<28}" + "".join(f"{f'hit {s:+.0%}':>10}" for s in SIZES[1:])
              + "".join(f"{f'else {s:+.0%}':>11}" for s in SIZES) + f"{'ms':>8}")  # fmt: skip
        for name, run in detectors().items():
            row = measure(cell, name, run, given.series, given.seed)
            cells = [f"{share:>10.2f}" for share in list(row.hits.values())[1:]]
            cells += [f"{share:>11.2f}" for share in row.elsewhere.values()]
            print(f"  {name:<26}" + "".join(cells) + f"{row.ms:>8.1f}", flush=True)
            rows.append(row)
            faults += broken(row)
    differing = unequal(given.series, given.seed)
    if differing is None:
        print("\nruptures is not installed: whether it parts alike is unknown")
    else:
        print(f"\nparted otherwise than ruptures: {differing} of {given.series}")
        faults += ["ruptures parts otherwise"] * bool(differing)
    if given.out:
        given.out.write_bytes(msgspec.json.encode(rows))
    print("\n".join(f"broken: {fault}" for fault in faults) or "every promise holds")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
