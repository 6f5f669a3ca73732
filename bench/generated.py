"""Generated bugs: one edit by cosmic-ray in a well-tested package, which its own suite notices.

The packages are others than those the templates were tuned on, and the edits are another
project's. A seeded draw takes mutants of lines that a passing test runs, in turn from each family
of operators and none twice from one line, so that the operators with most variants do not crowd out
the others. They are tried against the suite, a batch in one process; those that a test notices are
the bugs. What the same draw makes of a release is always the same, so `prepared.py` keeps it.
"""

import json
import random
import subprocess
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from itertools import islice
from pathlib import Path

import msgspec
import products
from packages import Package

from selfdrive_dagster.model import Job, Product, Sandbox
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.trying import change_of

MOST_TRIED = 120
"""Mutants of one package that its suite is asked about."""


class Bug(msgspec.Struct, frozen=True, kw_only=True):
    """One mutant that a test notices: the whole new text of a file.

    `reached_by` are passing tests of the original that run the line.
    """

    package: str
    operator: str
    path: str
    line: int
    source: str
    noticed_by: str = ""
    reached_by: tuple[str, ...] = ()

    @property
    def family(self) -> str:
        """The family of the operator that made it."""
        return self.operator.partition("/")[2].partition("_")[0]

    @property
    def name(self) -> str:
        """Return `package path:line operator`."""
        return f"{self.package} {self.path}:{self.line} {self.operator.partition('/')[2]}"


def code_files(source: Path, package: Package) -> list[str]:
    """Return the Python files of a release that are mutated, tests left out."""
    tests = set(products.test_files(source))
    found: list[Path] = []
    for part in package.code:
        place = source / part
        found += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    paths = (file.relative_to(source).as_posix() for file in found if file.is_file())
    return [path for path in dict.fromkeys(paths) if path not in tests]


class Place(msgspec.Struct, frozen=True):
    """Where an operator of cosmic-ray changes a file."""

    operator: str
    path: str
    occurrence: int
    line: int

    @property
    def family(self) -> str:
        """The family of the operator: `ReplaceBinaryOperator` of `core/…_Add_Sub`."""
        return self.operator.partition("/")[2].partition("_")[0]


def places(source: Path, package: Package, python: str) -> list[Place]:
    """Return every place of a release that an operator changes."""
    told = _ask(python, "list", str(source), *code_files(source, package))
    return [msgspec.json.decode(line, type=Place) for line in told]


def in_turn(found: list[Place], chance: random.Random) -> Iterator[Place]:
    """Yield places in turn from each family, each time by chance, and none twice from a line."""
    families: dict[str, list[Place]] = defaultdict(list)
    for place in found:
        families[place.family].append(place)
    for members in families.values():
        chance.shuffle(members)
    seen: set[tuple[str, int]] = set()
    while families:
        for name in sorted(families):
            left = families[name]
            while left and (left[-1].path, left[-1].line) in seen:
                left.pop()
            if not left:
                del families[name]
                continue
            place = left.pop()
            seen.add((place.path, place.line))
            yield place


def mutants(
    source: Path,
    package: Package,
    python: str,
    chance: random.Random,
    ran: Mapping[str, Collection[int]],
) -> list[Bug]:
    """Return at most MOST_TRIED mutants of a release, whether a test notices them or not.

    `ran` are the lines of each file that a passing test runs: elsewhere none is noticed.
    """
    found = [one for one in places(source, package, python) if one.line in ran.get(one.path, ())]
    drawn = list(islice(in_turn(found, chance), MOST_TRIED))
    lines = "\n".join(msgspec.json.encode(place).decode() for place in drawn)
    told = _ask(python, "make", str(source), given=lines)
    return [msgspec.convert({**json.loads(line), "package": package.name}, Bug) for line in told]


def _ask(python: str, *words: str, given: str = "") -> list[str]:
    program = Path(__file__).with_name("cosmic.py")
    command = [python, str(program), *words]
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def noticed(bugs: list[Bug], base: SuiteRun, product: Product, box: Sandbox) -> list[Bug]:
    """Return the bugs that a passing test of the base notices, with that test."""
    suite = sorted(base.with_outcome("passed"), key=lambda i: base.tests[i].seconds)
    job = Job(
        program="trial",
        tree=product.root,
        python=product.python,
        import_roots=product.import_roots(),
        seconds=900.0,
        spec={
            "candidates": [
                {"id": str(n), **change_of(bug.path, product.read(bug.path), bug.source)}
                for n, bug in enumerate(bugs)
            ],
            "targets": suite[:1],
            "suite": suite[1:],
            "args": list(product.tests),
            "deadline_seconds": 5.0,
            "stop_after": 0,
        },
    )
    ran = box.run(job)
    if not any(line.get("kind") == "end" for line in ran.lines):
        raise products.NotToBeHad(f"no mutant could be tried: {ran.stderr[-200:]}")
    found = []
    for line in ran.lines:
        if line.get("kind") == "trial" and line.get("outcome") == "killed":
            bug = bugs[int(line["id"])]
            found.append(msgspec.structs.replace(bug, noticed_by=str(line.get("by"))))
    return found
