"""Which crashes get a reproducer, by which way, with stock SDK data and with the opt-in hook.

`python bench/reproducers.py [--only NAME] [--sdk stock|hook] [--cache FOLDER]`

The six crashing development pairs of `real_bugs.py` and the ten defects of the example shop under
its own traffic. A reproducer counts when it fails on the base in two processes (the library's own
proof) and passes on the true fix: the next release, or the defect's `fix.patch`.
"""

import argparse
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import mutants
import products
import real_bugs
import receiving

from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.adapters.segments import SegmentWriter
from selfdrive_dagster.config import load
from selfdrive_dagster.model import Crash, History, Product
from selfdrive_dagster.patches import diagnose, reproduce
from selfdrive_dagster.patches.diagnosis.localise import Coverage, coverage_of
from selfdrive_dagster.patches.suite import run_suite

SHOP = mutants.SHOP
HOLDS = "passes on the fix"
NO_CRASH = "no crash"
"""A defect that shows in a wrong answer only: a failing test leads to it."""


class Row(msgspec.Struct, kw_only=True):
    """One crash under one SDK. `holds` says whether the reproducer passes on the true fix."""

    name: str
    sdk: str
    way: str = "none"
    holds: str = ""
    why: tuple[str, ...] = ()


def main(arguments: Sequence[str] | None = None) -> int:
    """Reproduce all crashes and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="part of a name, such as 'parse 1.4' or 'shop'")
    parser.add_argument("--sdk", choices=("stock", "hook"), help="only one of the two")
    parser.add_argument("--cache", type=Path, help="folder that downloads stay in")
    options = parser.parse_args(arguments)
    cache = products.cache_folder(options.cache)
    box = BwrapSandbox(cache / "sandbox")
    rows = []
    for sdk in ("stock", "hook"):
        if options.sdk in (None, sdk):
            for row in _all(sdk, options.only, cache, box):
                rows.append(row)
                print(f"{row.name:28} {row.sdk:6} {row.way:20} {row.holds}", flush=True)
                for why in row.why if row.way == "none" else ():
                    print(f"    {why[:200]}")
    for sdk in ("stock", "hook"):
        mine = [row for row in rows if row.sdk == sdk]
        mine = [row for row in mine if row.way != NO_CRASH]
        made = [row for row in mine if row.way != "none"]
        hold = sum(row.holds == HOLDS for row in made)
        print(f"{sdk}: {len(made)} of {len(mine)} crashes reproduced, {hold} pass on the true fix")
    return 0


def _all(sdk: str, only: str, cache: Path, box: BwrapSandbox) -> Iterator[Row]:
    for pair in real_bugs.PAIRS:
        if pair.trigger and only in pair.name:
            yield of_pair(pair, sdk, cache, box)
    if only in "shop":
        yield from of_shop(sdk, box)


def of_pair(pair: real_bugs.Pair, sdk: str, cache: Path, box: BwrapSandbox) -> Row:
    """Reproduce the crash of the old release and hold the test to the new one."""
    row = Row(name=pair.name, sdk=sdk)
    old = products.source_of(pair.package, pair.old, cache)
    new = products.source_of(pair.package, pair.new, cache)
    python = products.interpreter("libraries", real_bugs.REQUIREMENTS, cache)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        repo = products.lay_out(old, work / "repo", python)
        fixed = products.lay_out(new, work / "fixed", python)
        for name in ("export", "home"):
            (work / name).mkdir(mode=0o700)
        product, history = open_product(repo, load(repo), work / "export")
        roots = product.import_roots()
        crash = receiving.crash_of(
            pair.trigger, repo, roots, python, work / "home", hook=sdk == "hook"
        )
        _reproduce(row, crash, product, history, box, fixed, None)
    return row


def _reproduce(
    row: Row,
    crash: Crash,
    product: Product,
    history: History,
    box: BwrapSandbox,
    fixed: Path,
    coverage: Coverage | None,
) -> None:
    found = diagnose(product, history, crash=crash)
    told = reproduce(found, product, box, coverage=coverage)
    row.why = tuple(f"{one.way.value} of {one.target}: {one.outcome}" for one in told.attempts)
    made = told.reproducer
    if made is None:
        return
    row.way = made.way.value
    run = run_suite(
        msgspec.structs.replace(product, root=str(fixed)),
        box,
        node_ids=made.node_ids,
        overlay={made.path: made.source},
    )
    passes = set(run.with_outcome("passed")) == set(made.node_ids)
    row.holds = HOLDS if passes else "FAILS on the fix"


def of_shop(sdk: str, box: BwrapSandbox) -> Iterator[Row]:
    """Serve the defective shop to its traffic, and reproduce the crash of each defect."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        make = [sys.executable, str(SHOP / "make_history.py"), str(work / "repo")]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        crashes = _shop_crashes(work, hook=sdk == "hook")
        (work / "export").mkdir()
        product, history = open_product(work / "repo", load(work / "repo"), work / "export")
        coverage = coverage_of(run_suite(product, box, lines=True))
        for defect in sorted(SHOP.glob("defects/*")):
            told = tomllib.loads((defect / "defect.toml").read_text())
            row = Row(name=f"shop {defect.name}", sdk=sdk)
            place = (str(told.get("exception")), str(told["function"]).rpartition(".")[2])
            crash = crashes.get(place)
            if crash is None:
                row.way, row.holds = NO_CRASH, str(told.get("kind"))
            else:
                fixed = _mended(work / "repo", work / defect.name, defect)
                _reproduce(row, crash, product, history, box, fixed, coverage)
            yield row


def _mended(repo: Path, folder: Path, defect: Path) -> Path:
    subprocess.run(["git", "clone", "-q", str(repo), str(folder)], check=True)
    subprocess.run(["git", "apply", str(defect / "fix.patch")], cwd=folder, check=True)
    return folder


def _shop_crashes(work: Path, *, hook: bool) -> dict[tuple[str, str], Crash]:
    """Return one crash, the latest, of each type and raising function of the shop."""
    home = work / "home"
    home.mkdir(mode=0o700)
    if hook:
        receiving.lay_hook(work)
    with receiving.receiver(home, "shop") as dsn:
        mutants.serve_and_visit(work / "repo", dsn, 1, hook=hook)
    SegmentWriter(home / "segments").close()
    found = {}
    for crash in receiving.stored_crashes(home):
        own = [one for one in crash.raised.frames if "/shop/" in one.path or one.in_app]
        key = (crash.raised.type, own[-1].function.rpartition(".")[2] if own else "")
        found[key] = crash
    return found


if __name__ == "__main__":
    print(datetime.now(UTC).isoformat(timespec="seconds"))
    sys.exit(main())
