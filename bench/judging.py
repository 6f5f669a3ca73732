"""Judge a patch by what the tool never saw: the tests of the release that has the true fix."""

import difflib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import msgspec

from selfdrive_dagster.model import Product, Sandbox
from selfdrive_dagster.patches.suite import SuiteRun, run_suite
from selfdrive_dagster.patches.text import apply_patch


class Judgement(msgspec.Struct, frozen=True, kw_only=True):
    """`right` says that all tests that pass with the true fix pass with the patch."""

    right: bool
    broken: tuple[str, ...]


def judge(patch: str, product: Product, tests: dict[str, str], wanted: SuiteRun, box: Sandbox
          ) -> Judgement:  # fmt: skip
    """Run the hidden `tests` on the patched product and hold it to `wanted`."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        shutil.copytree(product.root, root, ignore=shutil.ignore_patterns(".git"))
        overlay = apply_patch(product.read, patch)
        run = run_suite(at(product, root), box, overlay={**tests, **overlay})
    broken = tuple(node for node in wanted.with_outcome("passed") if not holds(node, run))
    return Judgement(right=not broken, broken=broken)


def holds(node_id: str, run: SuiteRun) -> bool:
    """Say whether a test passed. Cases that are numbered in another order count by their function.

    Parameters that are files are numbered as the disk lists them, so ids differ from copy to copy.
    """
    passing = set(run.with_outcome("passed"))
    if node_id in run.collected or "[" not in node_id:
        return node_id in passing
    function = node_id.partition("[")[0]
    cases = [one for one in run.collected if one.partition("[")[0] == function]
    return bool(cases) and set(cases) <= passing


def at(product: Product, root: Path) -> Product:
    """Return the same product at another place."""
    return msgspec.structs.replace(product, root=str(root))


def true_fix(old: Path, new: Path, source: tuple[str, ...], versions: tuple[str, str]) -> str:
    """Return the difference between two releases' code, version numbers left out."""
    found = []
    for folder in source:
        files = [new / folder] if folder.endswith(".py") else sorted((new / folder).rglob("*.py"))
        for file in files:
            path = file.relative_to(new)
            before = (old / path).read_text() if (old / path).is_file() else ""
            found += _hunks(path.as_posix(), before, file.read_text(), versions)
    return "".join(found)


def _hunks(path: str, before: str, after: str, versions: tuple[str, str]) -> Iterator[str]:
    lines = difflib.unified_diff(before.splitlines(True), after.splitlines(True), n=1)
    hunk: list[str] = []
    for line in [*lines, "@@"]:
        if line.startswith("@@"):
            changed = [one for one in hunk if one[:1] in "+-" and one[:3] not in ("+++", "---")]
            numbers = [v for v in versions for v in (v, v.replace(".", ", "))]
            if any(not any(n in one for n in numbers) for one in changed):
                yield f"--- {path}\n" + "".join(hunk)
            hunk = []
        if not line.startswith(("+++", "---")):
            hunk.append(line)
