"""Generated single-edit bugs in well-tested packages: how many are mended, and how rightly.

`python bench/repair.py [--jobs 2] [--per-package 16] [--seed 1] [--seconds 60] [--max-candidates
400] [--fixkit 2] [--only toolz] [--out FILE] [--resume]`

The protocol is that of repair.md §11. Packages are split into an open half, which may be looked at
while templates are written, and a blind half (`packages.py`). Each bug (`generated.py`) is put
into a release of its own, which is the whole history: nothing tells what was there before. A tool
gets the failing tests and a budget; the original judges (`mending.py`): its text, its syntax, or
its answers to the calls that the suite makes and to small changes of them, and its suite. FixKit
runs on a seeded part of the same bugs with the same failing tests, seconds and judge, after the
engine and never while the engine runs, and shows a control that it mends (`peer.py`).

Each row is written to `--out` as a line of JSON when it is there; with `--resume` a run that was
stopped goes on, and only under the same options and the same engine. `--tables FILE` prints the
tables of rows that are there. Exit code 1 when fewer bugs than asked for were made.
"""

import argparse
import functools
import hashlib
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from itertools import zip_longest
from pathlib import Path

import msgspec
import peer
import products
from mending import ENGINE, Row, mend
from packages import PACKAGES
from prepared import Prepared, in_parallel
from repair_tables import told

from selfdrive_dagster.validation.repair import Budget

Task = tuple[str, Prepared, int]
"""A tool, a package, and the number of one of its bugs."""


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """The first line of a file of rows: what all of them were made with."""

    seed: int
    seconds: float
    max_candidates: int
    engine: str


def main() -> int:
    """Run the bench; print a line for each bug and the tables."""
    chosen = _arguments()
    if chosen.tables:
        print("\n".join(told(read_rows(chosen.tables, None))))
        return 0
    cache = products.cache_folder(chosen.cache)
    packages = tuple(one for one in PACKAGES if not chosen.only or one.name in chosen.only)
    made = in_parallel(packages, chosen.seed, cache, chosen.jobs)
    run = Run(
        seed=chosen.seed,
        seconds=chosen.seconds,
        max_candidates=chosen.max_candidates,
        engine=engine(),
    )
    out = chosen.out or cache / f"repair-{short(msgspec.json.encode(run))}.jsonl"
    rows = read_rows(out, run) if chosen.resume and out.exists() else []
    out.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in (run, *rows)))
    known = {(row.tool, row.bug) for row in rows}
    wanted = [
        (tool, one, n)
        for tool, one, n in tasks(made, chosen.per_package, chosen.fixkit, chosen.seed)
        if (tool, one.bugs[n].name) not in known
    ]
    print(
        f"{len(wanted)} runs to make, {len(rows)} there; load {os.getloadavg()[0]:.1f}", flush=True
    )
    if chosen.fixkit:
        print("\n".join(peer.controls(cache, peer.APPROACHES, chosen.seed)), flush=True)
    budget = Budget(seconds=chosen.seconds, max_candidates=chosen.max_candidates)
    cores = max(1.0, (os.cpu_count() or 1) / chosen.jobs)
    run_each = functools.partial(run_one, cache, budget, chosen.seed, cores)
    for row in in_pool(wanted, chosen.jobs, run_each):
        rows.append(row)
        with out.open("ab") as file:
            file.write(msgspec.json.encode(row) + b"\n")
        print(line_of(row), flush=True)
    print("\n".join(told(rows)))
    print(f"\nload at the end {os.getloadavg()[0]:.1f}; rows in {out}")
    asked = chosen.per_package * len(packages)
    return 0 if sum(row.tool == ENGINE for row in rows) >= 0.9 * asked else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--per-package", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0, help="of search for each bug")
    parser.add_argument("--max-candidates", type=int, default=400, help="for each bug")
    parser.add_argument("--fixkit", type=int, default=0, help="bugs of each package for FixKit")
    parser.add_argument("--jobs", type=int, default=2, help="bugs at a time, a process each")
    parser.add_argument("--only", action="append", default=[], help="a package's name")
    parser.add_argument("--cache", type=Path)
    parser.add_argument(
        "--out", type=Path, help="rows; else in the cache, one file for each engine"
    )
    parser.add_argument("--resume", action="store_true", help="go on with the rows of --out")
    parser.add_argument("--tables", type=Path, help="print the tables of a file of rows")
    return parser.parse_args()


def engine() -> str:
    """Return git's name of the library's tree, and a name of what was edited since."""
    here = Path(__file__).parent.parent

    def ask(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *words], cwd=here, capture_output=True, text=True, check=False
        )

    tree = ask("rev-parse", "HEAD:selfdrive_dagster").stdout.strip()
    edited = ask("diff", "HEAD", "--", "selfdrive_dagster").stdout
    return tree + (f" edited {short(edited.encode())}" if edited else "")


def short(told: bytes) -> str:
    """Return 12 hex digits that name some bytes."""
    return hashlib.sha256(told).hexdigest()[:12]


def read_rows(file: Path, run: Run | None) -> list[Row]:
    """Read rows that are there. Ends the program when they were made with another `run`."""
    first, *lines = file.read_bytes().splitlines()
    before = msgspec.json.decode(first, type=Run)
    if run is not None and before != run:
        raise SystemExit(f"{file} was made with {before}, not {run}: choose another --out")
    return [row for line in lines for row in _row(line)]


def _row(line: bytes) -> Iterator[Row]:
    try:
        yield msgspec.json.decode(line, type=Row)
    except msgspec.DecodeError:
        return  # the last line of a run that was killed while it wrote; its bug is run again


def tasks(made: dict[str, Prepared], each: int, peers: int, seed: int) -> Iterator[Task]:
    """Yield what is to be run: the engine's bugs, packages in turn, then the peer's part of them.

    In turn, so that a run that is stopped has something of each package.
    """
    yield from _in_turn((ENGINE, one, range(min(each, len(one.bugs)))) for one in made.values())
    for tool in peer.APPROACHES if peers else ():
        yield from _in_turn(
            (tool, one, subset(one, each, peers, seed)) for one in made.values() if one.bugs
        )


def subset(one: Prepared, each: int, peers: int, seed: int) -> list[int]:
    """Return the numbers of the bugs that a peer gets, by chance."""
    among = range(min(each, len(one.bugs)))
    chance = random.Random(f"{seed} {one.package.name}")
    return sorted(chance.sample(among, min(peers, len(among))))


def _in_turn(drawn: Iterable[tuple[str, Prepared, Iterable[int]]]) -> Iterator[Task]:
    for turn in zip_longest(*([(tool, one, n) for n in them] for tool, one, them in drawn)):
        yield from (task for task in turn if task is not None)


def run_one(cache: Path, budget: Budget, seed: int, cores: float, task: Task) -> Row:
    """Run one tool on one bug. The engine uses all cores it finds, so its share is counted."""
    tool, one, number = task
    if tool == ENGINE:
        return mend(one, number, cache, budget, cores)
    return peer.mend(one, number, cache, tool, budget.seconds, seed)


def in_pool(wanted: list[Task], jobs: int, run: Callable[[Task], Row]) -> Iterator[Row]:
    """Yield rows as they are ready; the peer begins when the engine's last row is there."""
    with ProcessPoolExecutor(jobs) as pool:
        for own in (True, False):
            part = [task for task in wanted if (task[0] == ENGINE) is own]
            for done in as_completed([pool.submit(run, task) for task in part]):
                yield done.result()


def line_of(row: Row) -> str:
    """Return a row as a line. Of the blind half it tells no place, lest a log give one away."""
    first = "-" if row.first is None else f"{row.first:.1f} s"
    name = f"{row.package}, {row.family}" if row.blind else row.bug
    says = row.ended or ("" if row.blind else row.differing)
    return (
        f"{row.tool:10} {name[:64]:64} {row.tried:4} tried {row.plausible:3} plausible, "
        f"first {first:>7} {row.verdict:13} {row.right:9} {row.seconds:5.1f} s {says}"[:220]
    )


if __name__ == "__main__":
    sys.exit(main())
