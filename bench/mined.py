"""How often which shape of edit mends real code: frequencies for the order of the templates.

`python bench/mined.py [--releases 16] [--cache FOLDER] [--write]`

Consecutive releases of packages, others than those of `packages.py` and of the development pairs
(repair.md §11), are compared. A pair counts when its code differs in at most four hunks, tests,
comments, documentation and version numbers left out; each smallest difference is one count for its
family (`shapes.py`). `--write` puts the counts, with what they come from, where the templates read
them. Only wheels are fetched, by `pip`: nothing of them is run.
"""

import argparse
import ast
import datetime
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path

import products
import real_bugs
from packages import PACKAGES as MEASURED
from shapes import Change, changes, shape

from selfdrive_dagster.model.product import is_test_path
from selfdrive_dagster.patches.templates import table

PACKAGES = (
    "pluggy", "iniconfig", "packaging", "click", "jsonpatch", "deepdiff", "furl", "humanize",
    "freezegun", "python-dotenv",
)  # fmt: skip
MOST_HUNKS = 4
PLACE = Path(table.__file__).with_name("frequencies.toml")


def main() -> int:
    """Print the counts; exit 1 when fewer than twenty pairs could be compared."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--releases", type=int, default=16)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--write", action="store_true")
    chosen = parser.parse_args()
    cache = products.cache_folder(chosen.cache)
    known = {one.name for one in MEASURED} | {one.package for one in real_bugs.PAIRS}
    counts: Counter[str] = Counter()
    used: list[str] = []
    for package in PACKAGES:
        if package in known:
            raise SystemExit(f"{package} is one that others are measured on")
        for old, new, found in fixes(package, chosen.releases, cache):
            counts.update(found)
            used.append(f"{package} {old} {new}")
        print(f"{package}: {len(used)} pairs so far", flush=True)
        if chosen.write:
            PLACE.write_text(as_toml(counts, used), encoding="utf-8")
    for name, count in counts.most_common():
        print(f"{count:5} {name or 'no family'}")
    return 0 if len(used) >= 20 else 1


def fixes(package: str, releases: int, cache: Path) -> Iterator[tuple[str, str, list[str]]]:
    """Yield old version, new version and the shapes of each small pair of a package."""
    files = {version: code(package, version, cache) for version in versions(package, releases)}
    for (old, before), (new, after) in pairwise(files.items()):
        if before and after:
            both = [
                (_plain(before[path]), _plain(after[path]))
                for path in sorted(before.keys() & after.keys())
                if before[path] != after[path]
            ]
            if 0 < sum(_hunks(*one) for one in both) <= MOST_HUNKS:
                yield old, new, [_family(one, a) for a, b in both for one in changes(a, b, a)]


COPIED = ("ingredient", "donor")
"""Families that put in what the file holds already."""


def _family(change: Change, old: ast.Module) -> str:
    """Return the family of a difference, "" where it would have to copy what is not there."""
    name = shape(*change)
    if name in COPIED and change[1] is not None:
        new = ast.dump(change[1])
        return name if any(ast.dump(node) == new for node in ast.walk(old)) else ""
    return name


def versions(package: str, releases: int) -> list[str]:
    """Return the newest releases of a package, oldest first; `[]` when it cannot be asked."""
    command = [sys.executable, "-m", "pip", "index", "versions", package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(r"Available versions: (.*)", done.stdout)
    return found.group(1).split(", ")[:releases][::-1] if found else []


def code(package: str, version: str, cache: Path) -> dict[str, str]:
    """Return the texts of a release's code by path, `{}` when it has no wheel for any machine."""
    folder = cache / "wheels" / f"{package}-{version}"
    if not folder.is_dir():
        command = [
            sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:",
            "--dest", str(folder), f"{package}=={version}",
        ]  # fmt: skip
        subprocess.run(command, capture_output=True, check=False)
        folder.mkdir(parents=True, exist_ok=True)
    wheels = sorted(folder.glob("*.whl"))
    if not wheels:
        return {}
    with zipfile.ZipFile(wheels[0]) as wheel:
        paths = [one for one in wheel.namelist() if one.endswith(".py") and not is_test_path(one)]
        return {path: wheel.read(path).decode("utf-8", "replace") for path in paths}


def _hunks(old: ast.Module, new: ast.Module) -> int:
    """Count the runs of lines that differ, spelled alike."""
    told = SequenceMatcher(
        None, ast.unparse(old).splitlines(), ast.unparse(new).splitlines(), autojunk=False
    )
    return sum(tag != "equal" for tag, *_ in told.get_opcodes())


def _plain(text: str) -> ast.Module:
    """Return a tree without docstrings, imports, annotations and what tells the version.

    A text that is no Python of today is an empty one.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return ast.Module(body=[], type_ignores=[])
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            node.annotation = None
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            node.returns = None
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            if isinstance(block, list) and block:
                setattr(node, name, [one for one in block if not _is_aside(one)] or [ast.Pass()])
    return tree


def _is_aside(node: ast.stmt) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return True
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return any("version" in getattr(one, "id", "").lower() for one in targets)


def as_toml(counts: Counter[str], used: list[str]) -> str:
    """Return the counts with their provenance."""
    today = datetime.datetime.now(datetime.UTC).date()
    pairs = "\n".join(f'    "{one}",' for one in used)
    rows = "\n".join(f"{name} = {count}" for name, count in sorted(counts.items()) if name)
    head = "# How often each family's shape mended real code: `python bench/mined.py --write`."
    told = f'made = "{today}"\nunlike_any = {counts[""]}\npairs = [\n{pairs}\n]'
    return f"{head}\n{told}\n\n[counts]\n{rows}\n"


if __name__ == "__main__":
    sys.exit(main())
