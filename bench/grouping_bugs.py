"""Real crashes to group: single edits of well-tested packages and real bugs, under the real SDK.

A bug is one edit of one function, or one release that crashed. An edit that crashes on the very
path, line by line, and with the very type of another is left out: nothing could tell the two apart.
Everything is fetched at run time into a cache folder, where the events stay; only names stand here.
"""

import ast
import json
import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import products
from mutations import Mutation, mutations
from real_bugs import PAIRS, REQUIREMENTS, Pair

from selfdrive_dagster.model.product import is_test_path

HERE = Path(__file__).parent
SEED = 20261127
WANTED = 6
"""Edits of one package, at most."""

TRIES = 40
SECONDS = 40

PACKAGES = (
    "bidict 0.24.1", "boltons 26.2.0", "cachetools 8.0.0", "configobj 5.0.9", "funcy 2.1",
    "glom 25.12.0", "html2text 2025.4.15", "intervaltree 3.2.1", "isodate 0.7.2", "jmespath 1.1.0",
    "mako 1.4.3", "mistune 3.4.0", "natsort 8.4.0", "parse 1.22.4", "pathspec 1.1.1",
    "portion 2.6.3", "prettytable 3.18.0", "schema 0.7.8", "simpleeval 1.0.8", "sqlparse 0.6.1",
    "tabulate 0.10.0", "tinydb 4.9.0", "toolz 1.2.0", "voluptuous 0.16.0", "wtforms 3.3.2",
    "xmltodict 1.0.4",
)  # fmt: skip

OTHERS = ("coverage", "sortedcontainers", "markupsafe", "attrs", "face", "jinja2", "wcwidth")
NEEDS = (*REQUIREMENTS, *OTHERS)

UNLIKELY = frozenset({"error mistaken", "encoding narrowed"})
"""Edits that change what is raised on purpose, or crash nobody."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One event that the SDK would have sent, the test that met it, and how it was called."""

    test: str
    way: str
    event: dict[str, Any]


class Bug(msgspec.Struct, frozen=True, kw_only=True):
    """One bug with all that was seen of it. `name` is its label."""

    name: str
    product: str
    edit: str
    told: tuple[Told, ...]


class Found(msgspec.Struct, kw_only=True):
    """The bugs of one release, and how many edits crashed on the path of another."""

    bugs: list[Bug]
    alike: int = 0
    tried: int = 0
    says: str = ""


def all_bugs(cache: Path, tell: Callable[[str], None]) -> dict[str, Found]:
    """Return every bug by release, made once. What cannot be had is told."""
    found = {}
    for name in PACKAGES:
        found[name] = each = kept(cache, name, lambda name=name: edits_of(*name.split(), cache))
        count = f"{len(each.bugs)} bugs, {each.tried} edits tried, {each.alike} like another"
        tell(f"{name}: {count} {each.says}")
    for pair in PAIRS:
        if pair.trigger:
            found[pair.name] = kept(cache, pair.name, lambda pair=pair: real_bug(pair, cache))
            tell(f"{pair.name}: a real bug {found[pair.name].says}")
    return found


def kept(cache: Path, name: str, make: Callable[[], Found]) -> Found:
    """Return what was made before, or make it and keep it."""
    path = cache / "grouping" / f"{name.replace(' ', '-')}.json"
    if path.exists():
        return msgspec.json.decode(path.read_bytes(), type=Found)
    try:
        made = make()
    except (products.NotToBeHad, subprocess.SubprocessError, ValueError, OSError) as fault:
        return Found(bugs=[], says=f"(not to be had: {fault})")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.encode(made))
    return made


def edits_of(package: str, version: str, cache: Path) -> Found:
    """Edit a package until its tests crash in `WANTED` different places."""
    source = products.source_of(package, version, cache)
    python = products.interpreter("grouping", NEEDS, cache)
    found = Found(bugs=[])
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / package
        lay_out(source, tree)
        known = failing(tree, python)
        functions: set[tuple[str, str]] = set()
        places: set[tuple[Any, ...]] = set()
        for edit in drawn(tree, covered(tree, python), random.Random(f"{SEED} {package}")):
            if len(found.bugs) >= WANTED or found.tried >= TRIES:
                break
            function = (edit.path, function_at(edit, tree))
            if function in functions:
                continue
            found.tried += 1
            if not (told := run_edited(tree, edit, python, known)):
                continue
            place = place_of(told[0].event)
            found.alike += place in places
            if place not in places:
                places.add(place)
                functions.add(function)
                name = f"{package}: {edit.kind} at {edit.path}:{edit.line}"
                bug = Bug(name=name, product=package, edit=edit.becomes[:200], told=told)
                found.bugs.append(bug)
    return found


def real_bug(pair: Pair, cache: Path) -> Found:
    """Run what crashed an old release."""
    source = products.source_of(pair.package, pair.old, cache)
    python = products.interpreter("grouping", NEEDS, cache)
    with tempfile.TemporaryDirectory() as folder:
        tree = Path(folder) / pair.package
        lay_out(source, tree)
        body = "\n".join(f"    {line}" for line in pair.trigger.splitlines())
        (tree / "test_trigger.py").write_text(f"def test_trigger():\n{body}\n")
        told = run(tree, python, (), "test_trigger.py")
    bug = Bug(name=pair.name, product=pair.package, edit="", told=told)
    return Found(bugs=[bug] if told else [], says="" if told else "(did not crash)")


def lay_out(source: Path, tree: Path) -> None:
    """Copy a release and put the door and the probe in place."""
    shutil.copytree(source, tree, ignore=shutil.ignore_patterns("*.pyc", "docs", "*.egg-info"))
    shutil.copy(HERE / "grouping_front.py", tree / "front.py")
    shutil.copy(HERE / "grouping_probe.py", tree.parent / "grouping_probe.py")


def failing(tree: Path, python: str) -> tuple[str, ...]:
    """Return the tests that crash before anything was edited."""
    return tuple(sorted({told.test for told in run(tree, python, (), most=10_000)}))


def run_edited(tree: Path, edit: Mutation, python: str, known: tuple[str, ...]) -> tuple[Told, ...]:
    """Return what the tests of a product with one edit tell."""
    path = tree / edit.path
    before = path.read_text(encoding="utf-8")
    path.write_text(edit.source, encoding="utf-8")
    try:
        return run(tree, python, known)
    except subprocess.TimeoutExpired:
        return ()
    finally:
        path.write_text(before, encoding="utf-8")


def run(
    tree: Path, python: str, known: tuple[str, ...], target: str = "", most: int = 3
) -> tuple[Told, ...]:
    """Run the tests under the probe. Raises TimeoutExpired."""
    out = tree.parent / "told.jsonl"
    out.unlink(missing_ok=True)
    environ = {
        "GROUPING_ROOT": str(tree),
        "GROUPING_OUT": str(out),
        "GROUPING_KNOWN": json.dumps(known),
        "GROUPING_MOST": str(most),
    }
    options = ["-p", "grouping_probe", "--maxfail", str(4 * most)]
    tests(tree, [python, "-B", "-m", "pytest"], [*options, *([target] if target else [])], environ)
    lines = out.read_bytes().splitlines() if out.exists() else []
    return tuple(msgspec.json.decode(line, type=Told) for line in lines)


def tests(tree: Path, program: list[str], options: list[str], environ: dict[str, str]) -> None:
    """Run a product's tests, whatever comes of them. Raises TimeoutExpired."""
    own = {
        "PATH": os.environ["PATH"],
        "HOME": str(tree.parent),
        "PYTHONPATH": f"{tree}:{tree / 'src'}:{tree.parent}",
        "PYTHONHASHSEED": "0",
    }
    quiet = ["-q", "-o", "addopts=", "-W", "ignore", "-p", "no:cacheprovider"]
    quiet.append("--continue-on-collection-errors")  # what other tests need may not be installed
    subprocess.run(
        [*program, *quiet, *options],
        cwd=tree,
        env={**own, **environ},
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )


def covered(tree: Path, python: str) -> dict[str, set[int]]:
    """Return the lines that the tests run, by file: an edit elsewhere crashes nobody."""
    data, told = tree.parent / "coverage.data", tree.parent / "coverage.json"
    coverage = [python, "-m", "coverage"]
    kept_at = {"COVERAGE_FILE": str(data)}
    tests(tree, [*coverage, "run", f"--source={tree}", "-m", "pytest"], [], kept_at)
    command = [*coverage, "json", "-i", "-q", f"--data-file={data}", "-o", str(told)]
    subprocess.run(command, cwd=tree, capture_output=True, timeout=SECONDS, check=True)
    files = json.loads(told.read_bytes())["files"]
    return {path: set(each["executed_lines"]) for path, each in files.items()}


def drawn(tree: Path, lines: dict[str, set[int]], chance: random.Random) -> Iterator[Mutation]:
    """Yield edits of covered lines in a random order, file by file, so that none has them all."""
    piles = []
    for path, ran in sorted(lines.items()):
        if is_test_path(path) or Path(path).name in ("setup.py", "front.py"):
            continue
        edits = [
            edit
            for edit in mutations(path, (tree / path).read_text(encoding="utf-8"))
            if edit.line in ran and edit.kind not in UNLIKELY
        ]
        chance.shuffle(edits)
        piles.append(edits)
    while any(piles):
        chance.shuffle(piles)
        for pile in piles:
            if pile:
                yield pile.pop()


def function_at(edit: Mutation, tree: Path) -> str:
    """Return the innermost function around the edited line, "" at the top of a module."""
    around = [
        node
        for node in ast.walk(ast.parse((tree / edit.path).read_text(encoding="utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
        and node.lineno <= edit.line <= (node.end_lineno or node.lineno)
    ]
    return max(around, key=lambda node: node.lineno).name if around else ""


def place_of(event: dict[str, Any]) -> tuple[Any, ...]:
    """Return type, and file and line of each of the product's frames below the test."""
    first = next(each for each in event["exception"]["values"] if each.get("stacktrace"))
    own = [frame for frame in first["stacktrace"]["frames"] if frame.get("in_app")]
    own = [frame for frame in own if not is_test_path(frame["filename"])]
    return (first["type"], *((frame["filename"], frame["lineno"]) for frame in own[-8:]))
