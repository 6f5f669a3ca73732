"""The bugs of each package with what its own suite told, made once and kept in the cache folder.

`python bench/prepared.py [--seed 1] [--jobs 2] [--only toolz] [--wanted 16]` makes what is missing
and prints counts, never a bug: whoever works on templates may run it. What is kept is named after
the package, the seed and the digest of all that decides which bugs come out. It is never committed.
Exit code 1 when a package gives fewer bugs than wanted.
"""

import argparse
import ast
import functools
import hashlib
import random
import sys
import tempfile
import time
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from pathlib import Path

import msgspec
import products
from generated import Bug, mutants, noticed
from packages import PACKAGES, REQUIREMENTS, Package

from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.config import load
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import History, Product
from selfdrive_dagster.patches.suite import SuiteRun, run_suite

MOST_KEPT = 24
BATCH = 40
"""Mutants that the suite is asked about at once."""
MOST_REACHING = 60


class Passed(msgspec.Struct, frozen=True):
    """A test that passes on the original: how long it took there, and which files it ran."""

    node_id: str
    seconds: float
    paths: tuple[str, ...]


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """A package's bugs, in the order of the draw. `says` why there are none."""

    package: Package
    bugs: tuple[Bug, ...] = ()
    passed: tuple[Passed, ...] = ()
    tried: int = 0
    suite_seconds: float = 0.0
    making_seconds: float = 0.0
    says: str = ""


def prepare(package: Package, seed: int, cache: Path) -> Prepared:
    """Return what was kept, else make it and keep it; what cannot be made is told in `says`."""
    kept = cache / "generated" / f"{package.name}-{package.version}-{seed}-{digest(package)}.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=Prepared)
    try:
        made = make(package, seed, cache)
    except (products.NotToBeHad, SelfdriveError) as error:
        return Prepared(package=package, says=str(error)[:200])
    kept.parent.mkdir(exist_ok=True)
    fresh = kept.with_suffix(".new")
    fresh.write_bytes(msgspec.json.encode(made))
    fresh.rename(kept)
    return made


def digest(package: Package) -> str:
    """Return 12 hex digits of all that decides which bugs a seed gives; layout and prose do not."""
    told = hashlib.sha256(msgspec.json.encode((package, REQUIREMENTS, MOST_KEPT, BATCH)))
    for name in ("generated.py", "cosmic.py"):
        tree = ast.parse(Path(__file__).with_name(name).read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
                node.body = [one for one in node.body if not _is_prose(one)]
        told.update(ast.dump(tree).encode())
    return told.hexdigest()[:12]


def _is_prose(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def make(package: Package, seed: int, cache: Path) -> Prepared:
    """Run the suite on the release, draw mutants, and keep those that a test notices.

    Raises NotToBeHad when the release, or a suite that passes, is not to be had.
    """
    start = time.monotonic()
    source, python = release(package, cache)
    cosmic = products.interpreter("cosmic", ("cosmic-ray",), cache)
    box = BwrapSandbox(cache / "sandbox")
    with tempfile.TemporaryDirectory() as folder:
        original, _ = opened(package, source, Path(folder) / "original", python)
        base = run_suite(original, box, lines=True)
        if base.errors or not base.with_outcome("passed"):
            why = (*base.errors, base.stderr, "no test passes")
            raise products.NotToBeHad(f"its suite does not run here: {why[0]}")
        drawn = mutants(source, package, cosmic, random.Random(seed), lines_run(base))
        bugs: list[Bug] = []
        tried = 0
        while len(bugs) < MOST_KEPT and tried < len(drawn):
            bugs += noticed(drawn[tried : tried + BATCH], base, original, box)
            tried = min(tried + BATCH, len(drawn))
    return Prepared(
        package=package,
        bugs=tuple(
            msgspec.structs.replace(bug, reached_by=reaching(base, bug)) for bug in bugs[:MOST_KEPT]
        ),
        passed=tuple(
            Passed(i, base.tests[i].seconds, tuple(base.lines.get(i, ())))
            for i in base.with_outcome("passed")
        ),
        tried=tried,
        suite_seconds=round(base.seconds, 2),
        making_seconds=round(time.monotonic() - start, 1),
    )


def reaching(base: SuiteRun, bug: Bug) -> tuple[str, ...]:
    """Return passing tests that run a bug's line, at most MOST_REACHING."""
    ran = base.lines
    passed = base.with_outcome("passed")
    found = (i for i in passed if bug.line in ran.get(i, {}).get(bug.path, ()))
    return tuple(islice(found, MOST_REACHING))


def lines_run(base: SuiteRun) -> dict[str, set[int]]:
    """Return the lines of each file that a passing test runs."""
    ran: dict[str, set[int]] = defaultdict(set)
    for node_id in base.with_outcome("passed"):
        for path, lines in base.lines.get(node_id, {}).items():
            ran[path].update(lines)
    return ran


def release(package: Package, cache: Path) -> tuple[Path, str]:
    """Return a package's unpacked source and the Python that runs its tests."""
    source = products.source_of(package.name, package.version, cache)
    return source, products.interpreter("generated", REQUIREMENTS, cache)


def opened(
    package: Package, source: Path, folder: Path, python: str, bug: Bug | None = None
) -> tuple[Product, History]:
    """Return a release as a product, with a bug in it or without."""
    folder.mkdir()
    changed = {} if bug is None else {bug.path: bug.source}
    repo = products.lay_out(source, folder / "repo", python, changed, package.tests)
    (folder / "export").mkdir()
    return open_product(repo, load(repo), folder / "export")


def in_parallel(
    packages: tuple[Package, ...], seed: int, cache: Path, jobs: int
) -> dict[str, Prepared]:
    """Prepare packages, some at a time; what was kept costs nothing."""
    release(packages[0], cache)  # the environments are made once, before two want them
    products.interpreter("cosmic", ("cosmic-ray",), cache)
    with ProcessPoolExecutor(jobs) as pool:
        made = pool.map(functools.partial(prepare, seed=seed, cache=cache), packages)
        found = {}
        for package, one in zip(packages, made, strict=True):
            found[package.name] = one
            print(told(one), flush=True)
    return found


def told(one: Prepared) -> str:
    """Return a package's counts in a line."""
    name = f"{one.package.name} {one.package.version}"
    half = "blind" if one.package.blind else "open"
    if one.says:
        return f"{name:24} {half:5} not run: {one.says}"
    return (
        f"{name:24} {half:5} {len(one.passed):5} tests in {one.suite_seconds:5.1f} s, "
        f"{len(one.bugs):3} bugs kept of {one.tried} mutants, made in {one.making_seconds:.0f} s"
    )


def main() -> int:
    """Prepare the packages and print their counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--only", action="append", default=[])
    parser.add_argument("--wanted", type=int, default=16)
    parser.add_argument("--cache", type=Path)
    chosen = parser.parse_args()
    packages = tuple(one for one in PACKAGES if not chosen.only or one.name in chosen.only)
    cache = products.cache_folder(chosen.cache)
    found = in_parallel(packages, chosen.seed, cache, chosen.jobs)
    few = [name for name, one in found.items() if len(one.bugs) < chosen.wanted]
    total = sum(min(len(one.bugs), chosen.wanted) for one in found.values())
    print(f"{total} bugs of {len(found) - len(few)} packages; fewer than wanted: {few or 'none'}")
    return 1 if few else 0


if __name__ == "__main__":
    sys.exit(main())
