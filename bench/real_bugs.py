"""Nine real bugs from PyPI: from the failing test, or the crash alone, to a judged patch.

`python bench/real_bugs.py [--only NAME] [--track TRACK] [--seconds N] [--jobs N] [--out FILE]
[--diffs FILE] [--cache FOLDER]`

Two consecutive releases each (repair.md §11). The old one is the product. Tracks: *failing test*,
the new release's tests are put into the tree and the failing ones lead; *trace*, the triggering
call runs under the unmodified Sentry SDK, the crash comes out of the receiver's segment, and the
new tests stay hidden; *trace + hook*, the same with the opt-in hook that sends what objects hold.
Three of the bugs raise nothing, so they have no trace. Judged by the new release: all tests that
pass on it pass with the patch, and, where its tests enter a function that the two have differently,
both give equal answers. These fixes were known while the templates were written: the figures are an
upper bound, to be quoted only beside a blind run (`repair.py`). A probe (`pairs.py`) asks what a
reader of the true fix would ask, since a suite and its calls can be deaf to an object's state.
"""

import argparse
import functools
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import equal
import judging
import msgspec
import probing
import products
import receiving
from pairs import PAIRS, REQUIREMENTS, Pair
from real_bugs_told import Row, beside, print_table
from statements import holds, on_parse

from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.config import load
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import Candidate, Product
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.patches.text import apply_patch
from selfdrive_dagster.validation.repair import Budget, Repair, repair

TEST, TRACE, HOOK = "failing test", "trace", "trace + hook"
TRACKS = (TEST, TRACE, HOOK)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the pairs, print the table, write rows and diffs.

    Returns 1 if a wrong patch was certified or a statement on parse 1.4 does not hold.
    """
    options = read_options(arguments)
    cache = products.cache_folder(options.cache)
    wanted = [
        (pair, track)
        for track in TRACKS
        for pair in PAIRS
        if options.only in pair.name and track == (options.track or track)
    ]
    print(f"load at the start: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}", flush=True)
    products.interpreter("libraries", REQUIREMENTS, cache)
    run = functools.partial(run_pair, cache=cache, seconds=options.seconds)
    rows: list[Row] = []
    out = options.out or cache / "real_bugs.json"
    diffs = options.diffs or cache / "real_bugs_diffs.txt"
    kept = options.diffs is not None
    with ProcessPoolExecutor(options.jobs) as pool:
        for row in pool.map(run, *zip(*wanted, strict=True)):
            rows.append(row)
            print(f"{row.track:13} {row.package}: {row.verdict or row.outcome}", flush=True)
            out.write_bytes(msgspec.json.format(msgspec.json.encode(rows), indent=1))
            diffs.write_text("\n".join(beside(rows, kept=kept)) + "\n")
    print_table(rows)
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
    parser.add_argument("--track", choices=TRACKS, help="one track; else all three")
    parser.add_argument("--seconds", type=float, default=120.0, help="of search for each pair")
    parser.add_argument("--jobs", type=int, default=1, help="pairs at a time")
    parser.add_argument("--out", type=Path, help="JSON file; else real_bugs.json in the cache")
    parser.add_argument(
        "--diffs", type=Path, help="each patch beside the true fix, to keep; else all in the cache"
    )
    parser.add_argument("--cache", type=Path, help="folder that downloads stay in")
    return parser.parse_args(arguments)


def run_pair(pair: Pair, track: str, cache: Path, seconds: float) -> Row:
    """Take one pair to a report. What cannot be had is told in the row, never dropped."""
    row = Row(package=pair.name, track=track)
    if track != TEST and not pair.trigger:
        row.outcome = "no trace: nothing is raised"
        return row
    try:
        old = products.source_of(pair.package, pair.old, cache)
        new = products.source_of(pair.package, pair.new, cache)
        python = products.interpreter("libraries", REQUIREMENTS, cache)
        with tempfile.TemporaryDirectory() as folder:
            box = BwrapSandbox(cache / "sandbox")
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
    hidden = products.test_files(new)
    fixed, wanted = reference(new, work / "new", python, box)
    unfit = wanted.with_outcome("failed", "error") if row.track == TEST else ()
    repo = products.lay_out(old, work / "repo", python, tests=without(unfit))
    if row.track == TEST:
        for path, text in hidden.items():
            (repo / path).parent.mkdir(parents=True, exist_ok=True)
            (repo / path).write_text(text)
        products.commit(repo, "Report a fault by a test")
    (work / "export").mkdir()
    settings = load(repo)
    product, history = open_product(repo, settings, work / "export")
    row.true_fix = judging.true_fix(old, new, settings.service.source, (pair.old, pair.new))
    crash = None
    if row.track != TEST:
        (work / "home").mkdir(mode=0o700)
        roots = product.import_roots()
        hook = row.track == HOOK
        crash = receiving.crash_of(pair.trigger, repo, roots, python, work / "home", hook=hook)
    start = time.monotonic()

    def hear(sentence: str) -> None:
        if row.first is None and sentence.endswith("is plausible"):
            row.first = round(time.monotonic() - start, 2)

    budget = Budget(seconds=seconds)
    found = repair(product, history, box, crash=crash, budget=budget, progress=hear)
    row.seconds = round(time.monotonic() - start, 1)
    fill(row, found)
    if found.best is not None:
        judge(row, pair, found.best, product, hidden, fixed, wanted, box)
    if row.track == TRACE and pair.name == "parse 1.4" and found.reproduction.reproducer:
        row.statements = on_parse(found.reproduction.reproducer, product, box)


def reference(new: Path, folder: Path, python: str, box: BwrapSandbox) -> tuple[Product, SuiteRun]:
    """Return the new release as a product, and its own tests' run on it."""
    repo = products.lay_out(new, folder / "repo", python)
    (folder / "export").mkdir()
    fixed, _ = open_product(repo, load(repo), folder / "export")
    return fixed, run_suite(fixed, box, lines=True)


def without(unfit: Sequence[str]) -> str:
    """Return the test command without tests that fail on the true fix too.

    A pair counts only by tests that pass with the fix (repair.md §11). Where a case is unfit, all
    cases of its function are left out: pytest takes the beginning of an id.
    """
    heads = dict.fromkeys("[".join(one.split("[")[:1] + [""] * ("[" in one)) for one in unfit)
    return " ".join(("pytest -q", *(f"--deselect={one}" for one in heads)))


def judge(
    row: Row,
    pair: Pair,
    best: Candidate,
    product: Product,
    hidden: dict[str, str],
    fixed: Product,
    wanted: SuiteRun,
    box: BwrapSandbox,
) -> None:
    """Hold the best patch to the new release: its tests, its answers, and what a probe prints."""
    whole = msgspec.structs.replace(product, tests=fixed.tests)
    judged = judging.judge(best.patch, whole, hidden, wanted, box)
    patched = apply_patch(product.read, best.patch)[best.path] or ""
    for quote in "'\"":  # a release names its version, which is no part of a fix
        patched = patched.replace(f"{quote}{pair.old}{quote}", f"{quote}{pair.new}{quote}")
    reaching = [i for i in wanted.with_outcome("passed") if best.path in wanted.lines.get(i, {})]
    held = equal.compare(fixed, best.path, patched, reaching[:60], box)
    row.broken, row.answers, row.differing = judged.broken[:5], held.how, held.differing
    row.probe = probing.differing(pair.probe, product, apply_patch(product.read, best.patch), fixed)
    row.by_tests = judged.right and held.how != "different"
    row.right = row.by_tests and not row.probe


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
        sure = found.confidences.get(best.id)
        row.confidence = sure.value if sure else None
        row.supports = tuple(f"{s.kind} {s.where}: {s.says}" for s in best.supports)
    row.why = (
        *(f"{a.way.value} of {a.target}: {a.outcome}" for a in found.reproduction.attempts),
        *(f"{r.verdict.value} {by_id[r.candidate_id].family}: {r.reason}" for r in found.reports),
        f"the search ended: {search.stopped}",
    )


if __name__ == "__main__":
    sys.exit(main())
