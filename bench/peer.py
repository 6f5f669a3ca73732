"""FixKit beside the engine: on the same bugs, failing tests, seconds and judge.

FixKit 0.0.1 with the pins that let it be imported (repair.md §1), in an environment of its own, run
by `fixkit_inside.py` in a folder of its own without a network. It gets the failing tests and the
same covering tests as the engine's search, and the same seconds after it has localised. A tool that
mends nothing may be run wrongly, so there are controls (all three: `python bench/peer.py`): a
statement too many, which PyGenProg can delete; an expression that stands elsewhere, and a
comparison, for which PyCardumen and PyMutRepair were made.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec
import products
from generated import Bug, code_files
from mending import COVERING, Row, judge, median_ms, row_of
from packages import REQUIREMENTS
from prepared import Prepared, opened, release

from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.patches.suite import run_suite

PINS = ("fixkit==0.0.1", "sflkit==0.2.21", "tests4py<0.1", *REQUIREMENTS)
APPROACHES = ("PyGenProg",)
"""The README's, and the only one that mends its control. PyMutRepair replaces an operator only
where a whole statement is one, and PyCardumen copies every combination of the names in scope before
it evaluates anything: on a function of four lines it evaluates nothing in a minute."""

LOCALISING = 120.0
"""Seconds beyond the budget after which a run is ended from outside."""


CONTROL_SECONDS = 120.0
"""Long enough on a busy machine too: a control that fails must not fail by the clock."""


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of FixKit told. `files` is its best patch, None without one."""

    files: dict[str, str] | None = None
    first: float | None = None
    evaluations: int = 0
    searching: float = 0.0
    suspicious: int = 0
    error: str = ""


def run(
    root: Path,
    spec: dict[str, Any],
    seconds: float,
    cache: Path,
    import_roots: tuple[str, ...] = (".",),
) -> Ended:
    """Run FixKit on the product under `root/src`; everything it writes stays under `root`."""
    python = Path(products.interpreter("fixkit", PINS, cache))
    program = str(Path(__file__).with_name("fixkit_inside.py"))
    given = {"src": str(root / "src"), "out": str(root / "rep"), "seconds": seconds, **spec}
    box = [
        "bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp",
        "--bind", str(root), str(root), "--ro-bind", program, program, "--unshare-all",
        "--die-with-parent", "--new-session", "--chdir", str(root),
    ]  # fmt: skip
    env = {
        "PATH": f"{python.parent}:{os.environ['PATH']}",
        "PYTHONPATH": ":".join(import_roots),  # relative: each candidate runs in a copy
        "HOME": str(root),
    }
    try:
        done = subprocess.run(
            [*box, str(python), program], env=env, input=json.dumps(given), text=True,
            capture_output=True, timeout=seconds + LOCALISING, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return Ended(error=f"did not localise within {LOCALISING:g} s")
    return read(done.stdout, done.stderr)


def read(out: str, err: str) -> Ended:
    """Read the lines that `fixkit_inside.py` printed; FixKit's own log lines are between them."""
    lines = [json.loads(line) for line in out.splitlines() if line.startswith('{"kind"')]
    told = {line.pop("kind"): line for line in lines}
    end, plausible = told.get("end", {}), told.get("plausible", {})
    crash = told.get("crash", {}).get("error", "")
    if not end and not crash:
        crash = (err.strip().splitlines() or ["it ended without a word"])[-1]
    return Ended(
        files=end.get("files") or plausible.get("files"),
        first=plausible.get("seconds"),
        evaluations=end.get("evaluations", 0),
        searching=end.get("searching", 0.0),
        suspicious=told.get("localised", {}).get("suspicious", 0),
        error=crash,
    )


def mend(
    prepared: Prepared, number: int, cache: Path, approach: str, seconds: float, seed: int
) -> Row:
    """Let FixKit try one bug, and hold its best patch to the original."""
    bug = prepared.bugs[number]
    row = row_of(prepared, bug, approach)
    try:
        with tempfile.TemporaryDirectory() as folder:
            _mend(prepared, bug, row, Path(folder), cache, approach, seconds, seed)
    except SelfdriveError as error:
        row.ended = error.message[:200]
    except Exception as error:
        row.ended = f"bench: {type(error).__name__}: {error}"[:200]
    return row


def _mend(
    prepared: Prepared,
    bug: Bug,
    row: Row,
    folder: Path,
    cache: Path,
    approach: str,
    seconds: float,
    seed: int,
) -> None:
    source, python = release(prepared.package, cache)
    box = BwrapSandbox(cache / "sandbox")
    product, _ = opened(prepared.package, source, folder / "bug", python, bug)
    failing = run_suite(product, box).with_outcome("failed", "error")
    covering = sorted(
        (
            test
            for test in prepared.passed
            if bug.path in test.paths and test.node_id not in failing
        ),
        key=lambda test: test.seconds,
    )
    root = folder / "fixkit"
    root.mkdir()
    Path(product.root).rename(root / "src")
    spec = {
        "approach": approach,
        "seed": seed,
        "cov": covered(prepared, source),
        "excludes": excluded(root / "src", code_files(source, prepared.package)),
        "failing": list(failing),
        "passing": [test.node_id for test in covering[:COVERING]],
    }
    ended = run(root, spec, seconds, cache, product.import_roots())
    row.tried, row.searching = ended.evaluations, round(ended.searching, 2)
    row.seconds, row.first = round(ended.searching, 1), ended.first and round(ended.first, 2)
    row.test_ms = median_ms(prepared.passed, failing, bug.path)
    row.ended = f"crashed: {ended.error}" if ended.error else ""
    if ended.files is not None:
        original, _ = opened(prepared.package, source, folder / "original", python)
        row.plausible, row.verdict, row.claim = 1, "claimed", "repair"
        path, text = changed(ended.files, bug)
        row.patch = text
        judge(row, original, prepared, bug, path, text, box)


def covered(prepared: Prepared, source: Path) -> str:
    """Return what pytest-cov is told to measure: the package's folder or module."""
    code = next(part for part in prepared.package.code if (source / part).exists())
    return code.removesuffix(".py")


def excluded(root: Path, code: list[str]) -> list[str]:
    """Return every Python file that is not the package's code, so that none is mutated."""
    paths = (file.relative_to(root).as_posix() for file in root.rglob("*.py"))
    return [path for path in paths if path not in code]


def changed(files: dict[str, str], bug: Bug) -> tuple[str, str]:
    """Return the one file that a patch changes, or another than the bug's when it changes more."""
    other = [path for path in files if path != bug.path]
    return (other[0], files[other[0]]) if other else (bug.path, files.get(bug.path, bug.source))


class Control(msgspec.Struct, frozen=True):
    """A small product with one fault that an approach was made for, and the tests that show it."""

    name: str
    approach: str
    code: str
    tests: str


TESTS = """
from control import middle

def test_sorted(): assert middle(1, 2, 3) == 2
def test_turned(): assert middle(3, 2, 1) == 2
def test_first(): assert middle(2, 1, 3) == 2
def test_last(): assert middle(1, 3, 2) == 2
def test_equal(): assert middle(5, 5, 5) == 5
"""
CODE = """
def middle(x, y, z):
    low = min(x, y)
    high = max(x, y)
    between = min(high, z)
    return max(low, between)
"""
MOST = """

def most(x, y):
    high = max(x, y)
    return high
"""
CONTROLS = (
    Control(
        "a statement too many", "PyGenProg",
        CODE.replace("    return", "    if z == 2:\n        low = 3\n    return"), TESTS,
    ),
    Control(
        "an expression that stands elsewhere", "PyCardumen",
        CODE.replace("high = max(x, y)", "high = min(x, y)") + MOST, TESTS,
    ),
    Control(
        "a comparison", "PyMutRepair",
        CODE.replace("    return", "    if z <= 2:\n        low = z\n    return"), TESTS,
    ),
)  # fmt: skip


def controls(cache: Path, approaches: Sequence[str], seed: int) -> Iterator[str]:
    """Yield a line for each control of these approaches: what FixKit made of it."""
    for control in (one for one in CONTROLS if one.approach in approaches):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            (root / "src").mkdir()
            (root / "src" / "control.py").write_text(control.code)
            (root / "src" / "test_control.py").write_text(control.tests)
            spec = {
                "approach": control.approach,
                "seed": seed,
                "cov": "control",
                "excludes": ["test_control.py"],
                "failing": ["test_control.py"],
                "passing": [],
            }
            ended = run(root, spec, CONTROL_SECONDS, cache)
            first = "-" if ended.first is None else f"{ended.first:.1f} s"
            says = "mends" if ended.files else f"does not mend ({ended.error or 'nothing held'})"
            yield (
                f"control, {control.name}: {control.approach} {says}, first plausible {first}, "
                f"{ended.evaluations} evaluations in {ended.searching:.1f} s"
            )


def main() -> None:
    """Print what the controls give."""
    for line in controls(products.cache_folder(None), [one.approach for one in CONTROLS], 1):
        print(line, flush=True)


if __name__ == "__main__":
    main()
