"""Nine real bugs from PyPI: from the crash, or the failing test, to a report.

`python bench/real_bugs.py [--only NAME] [--seconds N] [--out FILE] [--cache FOLDER]`

Two consecutive releases each (repair.md §11). The old one is the product. Where it crashes, the
triggering call runs under the real Sentry SDK and the crash comes out of the receiver's segment;
the new release's tests stay hidden and judge the patch afterwards. Where it does not raise, the
new tests are put into the tree and the failing ones lead. These fixes were known while the
templates were written: the figures are an upper bound.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import judging
import msgspec
import products
import receiving
from statements import Statement, holds, on_parse

from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.config import load
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.validation.repair import Budget, Repair, repair

REQUIREMENTS = (
    "pytest",
    "hypothesis",
    "pytest-mock",
    "freezegun",
    "semver",
    "pytest-cov",
    "sentry-sdk",
)


class Pair(msgspec.Struct, frozen=True):
    """One development pair. `trigger` is "" when the bug does not raise."""

    package: str
    old: str
    new: str
    trigger: str = ""

    @property
    def name(self) -> str:
        """Return `package old`."""
        return f"{self.package} {self.old}"


PAIRS = (
    Pair(
        "natsort", "8.0.1", "8.0.2",
        'from natsort import natsorted, ns\nnatsorted(["b", "."], alg=ns.PATH)\n',
    ),
    Pair(
        "html2text", "2024.2.25", "2024.2.26",
        "import html2text\nh = html2text.HTML2Text()\nh.emphasis_mark = '_'\n"
        "h.strong_mark = ''\nh.handle('A <b>B</b> <i>C</i>.')\n",
    ),
    Pair(
        "itsdangerous", "2.1.0", "2.1.1",
        "from itsdangerous import TimestampSigner\n"
        "TimestampSigner('secret-key').unsign(b'value.TgPVoaGhoQ.AGBfQ6G6cr07byTRt0zAdPljHOY')\n",
    ),
    Pair(
        "cachetools", "7.0.2", "7.0.3",
        "from cachetools import LRUCache, cachedmethod\nclass Shelf:\n"
        "    @cachedmethod(lambda self: LRUCache(2), info=True)\n"
        "    def book(self, number):\n        return number\nShelf.book\n",
    ),
    Pair(
        "cachetools", "7.2.0", "7.2.1",
        "from cachetools import RRCache\nRRCache(2, choice=min).popitem()\n",
    ),
    Pair("parse", "1.4", "1.4.1", "import parse\nparse.parse('a {:d} b', 'a 0 b')\n"),
    Pair("parse", "1.11.1", "1.12.0"),
    Pair("parse", "1.21.0", "1.21.1"),
    Pair("parse", "1.22.2", "1.22.3"),
)  # fmt: skip


class Row(msgspec.Struct, kw_only=True):
    """What came of one pair. `right` is None when there was no patch to judge."""

    package: str
    track: str
    outcome: str = "run"
    way: str = ""
    tried: int = 0
    per_second: float = 0.0
    plausible: int = 0
    verdict: str = ""
    claim: str = ""
    seconds: float = 0.0
    right: bool | None = None
    broken: tuple[str, ...] = ()
    family: str = ""
    supports: tuple[str, ...] = ()
    patch: str = ""
    true_fix: str = ""
    why: tuple[str, ...] = ()
    statements: tuple[Statement, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pairs, print the table and the patches, write them as JSON.

    Returns 1 if a wrong patch was certified or a statement on parse 1.4 does not hold.
    """
    options = read_options(arguments)
    cache = products.cache_folder(options.cache)
    box = BwrapSandbox(cache / "sandbox")
    rows = []
    print(f"load at the start: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")
    for pair in PAIRS:
        if not options.only or options.only in pair.name:
            rows.append(run_pair(pair, cache, box, options.seconds))
            print_row(rows[-1])
    print_table(rows)
    out = options.out or cache / "real_bugs.json"
    out.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1))
    print(f"\nload at the end: {os.getloadavg()[0]:.1f}; written to {out}")
    wrong = [row.package for row in rows if row.verdict == "certified" and row.right is False]
    broken = [row.package for row in rows if row.statements and not holds(row.statements)]
    print(f"wrong patches CERTIFIED: {len(wrong)} {wrong or ''}")
    print(f"statements on parse 1.4 broken: {broken or 'none'}")
    return 1 if wrong or broken else 0


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="part of a pair's name, such as 'parse 1.4'")
    parser.add_argument("--seconds", type=float, default=120.0, help="of search for each pair")
    parser.add_argument("--out", type=Path, help="JSON file; else real_bugs.json in the cache")
    parser.add_argument("--cache", type=Path, help="folder that downloads stay in")
    return parser.parse_args(arguments)


def run_pair(pair: Pair, cache: Path, box: BwrapSandbox, seconds: float) -> Row:
    """Take one pair to a report. What cannot be had is told in the row, never dropped."""
    row = Row(package=pair.name, track="trace" if pair.trigger else "failing test")
    try:
        old = products.source_of(pair.package, pair.old, cache)
        new = products.source_of(pair.package, pair.new, cache)
        python = products.interpreter("libraries", REQUIREMENTS, cache)
        with tempfile.TemporaryDirectory() as folder:
            _run(pair, row, Path(folder), old, new, python, box, seconds)
    except products.NotToBeHad as error:
        row.outcome = f"not run: {error}"
    except SelfdriveError as error:
        row.outcome = f"ended: {error.message[:200]}"
    return row


def _run(
    pair: Pair,
    row: Row,
    work: Path,
    old: Path,
    new: Path,
    python: str,
    box: BwrapSandbox,
    seconds: float,
) -> None:
    repo = products.lay_out(old, work / "repo", python)
    hidden = products.test_files(new)
    if not pair.trigger:
        for path, text in hidden.items():
            (repo / path).parent.mkdir(parents=True, exist_ok=True)
            (repo / path).write_text(text)
        products.commit(repo, "Report a fault by a test")
    (work / "export").mkdir()
    settings = load(repo)
    product, history = open_product(repo, settings, work / "export")
    row.true_fix = judging.true_fix(old, new, settings.service.source, (pair.old, pair.new))
    crash = None
    if pair.trigger:
        (work / "home").mkdir(mode=0o700)
        roots = product.import_roots()
        crash = receiving.crash_of(pair.trigger, repo, roots, python, work / "home")
    start = time.monotonic()
    found = repair(product, history, box, crash=crash, budget=Budget(seconds=seconds))
    row.seconds = round(time.monotonic() - start, 1)
    fill(row, found)
    wanted = reference(new, work / "new", product, box)
    if found.best is not None:
        judged = judging.judge(found.best.patch, product, hidden, wanted, box)
        row.right, row.broken = judged.right, judged.broken[:5]
    if pair.package == "parse" and pair.old == "1.4" and found.reproduction.reproducer:
        row.statements = on_parse(found.reproduction.reproducer, product, box)


def reference(new: Path, folder: Path, product: Product, box: BwrapSandbox) -> SuiteRun:
    """Run the new release's tests on the new release, in the same environment."""
    products.lay_out(new, folder, product.python)
    return run_suite(judging.at(product, folder), box)


def fill(row: Row, found: Repair) -> None:
    """Put a repair's figures into its row."""
    made, search = found.reproduction.reproducer, found.search
    row.way = made.way.value if made else "none"
    row.tried, row.plausible = search.tried, len(search.plausible)
    row.per_second = round(search.tried / search.seconds, 1) if search.seconds else 0.0
    row.verdict = found.verdict.value if found.verdict else "none"
    by_id = {candidate.id: candidate for candidate in search.plausible}
    best = found.best or next((by_id[report.candidate_id] for report in found.reports), None)
    if best is not None:
        row.claim, row.family, row.patch = best.claim.value, best.family, best.patch
        row.supports = tuple(f"{s.kind} {s.where}: {s.says}" for s in best.supports)
    row.why = (
        *(f"{a.way.value} of {a.target}: {a.outcome}" for a in found.reproduction.attempts),
        *(f"{r.verdict.value} {by_id[r.candidate_id].family}: {r.reason}" for r in found.reports),
    )


def print_row(row: Row) -> None:
    """Print one pair: the patch beside the true fix, and why."""
    print(f"\n=== {row.package} ({row.track}) {row.outcome}")
    for sentence in row.why:
        print(f"  {sentence[:300]}")
    for support in row.supports:
        print(f"  supported by {support[:300]}")
    print(f"--- patch ({row.family}, {row.verdict}, {judged(row)})\n{row.patch}")
    print(f"--- true fix\n{row.true_fix}")
    for statement in row.statements:
        print(statement.told())
    sys.stdout.flush()


def judged(row: Row) -> str:
    """Say what the hidden tests made of the patch."""
    if row.right is None:
        return "not proposed"
    return "right" if row.right else f"WRONG: breaks {', '.join(row.broken)}"


HEAD = ("package", "track", "reproducer", "tried", "/s", "verdict", "claim", "seconds", "judged")


def print_table(rows: list[Row]) -> None:
    """Print one line for each pair."""
    lines = [HEAD] + [
        (
            row.package, row.track, row.way, str(row.tried), f"{row.per_second:.0f}",
            row.verdict if row.outcome == "run" else row.outcome[:40], row.claim,
            f"{row.seconds:.1f}", judged(row)[:40],
        )
        for row in rows
    ]  # fmt: skip
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEAD))]
    print()
    for line in lines:
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)))


if __name__ == "__main__":
    sys.exit(main())
