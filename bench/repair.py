"""Generated single-edit bugs in well-tested packages: how many are mended, and how rightly.

`python bench/repair.py [--per-package 16] [--seed 1] [--seconds 60] [--only toolz] [--out FILE]`

Each bug (`generated.py`) is put into a release of its own, which is the whole history: nothing
tells what was there before. `repair` gets the failing tests and a budget; the original judges
(`equal.py`): its text, its syntax, or its answers to the calls that the suite makes and to small
changes of them. *Precision* counts patches that are CERTIFIED; the rest are abstentions. Exit
code 1 when fewer bugs than asked for were made.
"""

import argparse
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import equal
import msgspec
import products
from generated import PACKAGES, REQUIREMENTS, Bug, Package, mutants, noticed

from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.config import load
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import History, Product
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.patches.text import apply_patch
from selfdrive_dagster.validation.repair import Budget, Repair, repair


class Row(msgspec.Struct, kw_only=True):
    """What became of one bug. `first` is seconds from the start to the first plausible patch."""

    bug: str
    family: str
    verdict: str = "none"
    claim: str = ""
    template: str = ""
    plausible: int = 0
    right: str = ""
    differing: str = ""
    tried: int = 0
    searching: float = 0.0
    seconds: float = 0.0
    first: float | None = None
    patch: str = ""
    ended: str = ""


def main() -> int:
    """Run the bench; print a line for each bug and the tables."""
    chosen = _arguments()
    cache = products.cache_folder(chosen.cache)
    rows: list[Row] = []
    for package in PACKAGES:
        if not chosen.only or package.name in chosen.only:
            try:
                rows += of_package(package, chosen, cache)
            except (products.NotToBeHad, SelfdriveError) as error:
                print(f"{package.name}: not run: {error}"[:200], flush=True)
    print_tables(rows)
    if chosen.out:
        chosen.out.write_bytes(msgspec.json.format(msgspec.json.encode(rows)))
    wanted = chosen.per_package * len(chosen.only or PACKAGES)
    return 0 if len(rows) >= 0.9 * wanted else 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--per-package", type=int, default=16)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def of_package(package: Package, chosen: argparse.Namespace, cache: Path) -> list[Row]:
    """Make a package's bugs and repair each."""
    source = products.source_of(package.name, package.version, cache)
    python = products.interpreter("generated", REQUIREMENTS, cache)
    cosmic = products.interpreter("cosmic", ("cosmic-ray",), cache)
    box = BwrapSandbox(cache / "sandbox")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        original, _ = opened(source, Path(folder) / "original", python)
        base = run_suite(original, box, lines=True)
        if not base.with_outcome("passed"):
            raise products.NotToBeHad(f"its suite does not run here: {base.errors[:1]}")
        drawn = mutants(source, package, cosmic, random.Random(chosen.seed))
        bugs = noticed(drawn, base, original, box)[: chosen.per_package]
        print(
            f"{package.name}: {len(base.collected)} tests, {len(drawn)} mutants tried", flush=True
        )
        for number, bug in enumerate(bugs):
            home = Path(folder) / f"bug{number}"
            rows.append(one(bug, source, home, python, original, base, box, chosen.seconds))
            print_row(rows[-1])
    return rows


def opened(
    source: Path, folder: Path, python: str, bug: Bug | None = None
) -> tuple[Product, History]:
    """Return a release as a product, with a bug in it or without."""
    folder.mkdir()
    changed = {} if bug is None else {bug.path: bug.source}
    repo = products.lay_out(source, folder / "repo", python, changed)
    (folder / "export").mkdir()
    return open_product(repo, load(repo), folder / "export")


def one(
    bug: Bug,
    source: Path,
    folder: Path,
    python: str,
    original: Product,
    base: SuiteRun,
    box: BwrapSandbox,
    seconds: float,
) -> Row:
    """Repair one bug from its failing tests and hold the answer to the original."""
    row = Row(bug=bug.name, family=bug.operator.partition("/")[2].partition("_")[0])
    start = time.monotonic()

    def hear(sentence: str) -> None:
        if row.first is None and sentence.endswith("is plausible"):
            row.first = round(time.monotonic() - start, 2)

    try:
        product, history = opened(source, folder, python, bug)
        start = time.monotonic()
        found = repair(
            product, history, box, crash=None, budget=Budget(seconds=seconds), progress=hear
        )
    except SelfdriveError as error:
        row.ended = error.message[:200]
        return row
    row.seconds = round(time.monotonic() - start, 1)
    fill(row, found)
    if found.best is not None:
        patched = apply_patch(product.read, found.best.patch)[found.best.path] or ""
        reaching = [
            i for i in base.with_outcome("passed") if found.best.path in base.lines.get(i, {})
        ]
        held = equal.compare(original, found.best.path, patched, reaching[:60], box)
        row.right = held.how if found.best.path == bug.path else "different"
        row.differing = held.differing
    return row


def fill(row: Row, found: Repair) -> None:
    """Put a repair's figures into its row."""
    row.tried, row.plausible = found.search.tried, len(found.search.plausible)
    row.searching = found.search.seconds
    row.verdict = found.verdict.value if found.verdict else "none"
    if found.best is not None:
        row.claim, row.template = found.best.claim.value, found.best.family
        row.patch = found.best.patch


def print_row(row: Row) -> None:
    """Print one bug in a line."""
    first = "-" if row.first is None else f"{row.first:.1f} s"
    print(
        f"  {row.bug:70} {row.tried:4} tried {row.plausible:3} plausible, first {first:>7} "
        f"{row.verdict:13} {row.right:9} {row.seconds:5.1f} s {row.ended or row.differing}"[:230],
        flush=True,
    )


def print_tables(rows: list[Row]) -> None:
    """Print figures by package, by family of edits, and in all."""
    for title, key in (("package", package_of), ("edit", family_of)):
        print(f"\n{title:28} bugs  plausible  certified  right  wrong  unknown  abstained")
        for name in sorted({key(row) for row in rows}):
            print(f"{name:28} {counts([row for row in rows if key(row) == name])}")
        print(f"{'in all':28} {counts(rows)}")
    certified = [row for row in rows if row.verdict == "certified"]
    known = [row for row in certified if row.right != "unknown"]
    right = sum(row.right in RIGHT for row in known)
    firsts = [row.first for row in rows if row.first is not None]
    searched = sum(row.searching for row in rows)
    print(f"\nprecision of CERTIFIED: {share(right, len(known))}")
    print(f"repaired equal to the original: {share(right, len(rows))}")
    if firsts:
        print(f"first plausible: median {statistics.median(firsts):.1f} s of {len(firsts)}")
    if searched:
        print(f"candidates/s: {sum(row.tried for row in rows) / searched:.0f} (one process)")
    print(f"load at the end {os.getloadavg()[0]:.1f}")


def package_of(row: Row) -> str:
    """Return the package of a bug."""
    return row.bug.split()[0]


def family_of(row: Row) -> str:
    """Return the family of the edit that made a bug."""
    return row.family


RIGHT = ("text", "syntax", "answers")


def counts(rows: Iterable[Row]) -> str:
    """Return the figures of some bugs, under the head of the table."""
    rows = list(rows)
    certified = [row for row in rows if row.verdict == "certified"]
    right = sum(row.right in RIGHT for row in certified)
    wrong = sum(row.right == "different" for row in certified)
    figures = (
        (4, len(rows)), (9, sum(row.plausible > 0 for row in rows)), (9, len(certified)),
        (5, right), (5, wrong), (7, len(certified) - right - wrong),
        (9, len(rows) - len(certified)),
    )  # fmt: skip
    return "  ".join(f"{figure:>{width}}" for width, figure in figures)


def share(part: int, whole: int) -> str:
    """Return `part of whole`, in percent where there is a whole."""
    return f"{part} of {whole}" + (f", {part / whole:.0%}" if whole else "")


if __name__ == "__main__":
    sys.exit(main())
