"""The cases of tests/cases/reproduce as products, histories and crashes."""

import shutil
import sys
from pathlib import Path

from fakes.plain_sandbox import PlainSandbox

from selfdrive_dagster.model import Commit, Crash, Diagnosis, Product, Reproduction
from selfdrive_dagster.patches import diagnose, reproduce
from selfdrive_dagster.telemetry import read_crashes

CASES = Path(__file__).parent.parent / "cases" / "reproduce"
NOT_SHIPPED = shutil.ignore_patterns(
    "production.py", "expected.py", "crash.envelope", "__pycache__"
)


LEAN = ("-q", "-p", "no:anyio", "-p", "no:hypothesispytest", "-p", "no:timeout")
"""Pytest plugins of our own environment that no case needs, and that take long to load."""


class NoHistory:
    """Version control that knows nothing."""

    def blame(self, path: str, line: int) -> Commit | None:
        return None

    def changes(self, path: str, limit: int) -> tuple[Commit, ...]:
        return ()

    def show(self, revision: str, path: str) -> str | None:
        return None


def product_of(case: str, folder: Path) -> Product:
    """Lay a case out as a product's tree."""
    root = folder / "tree"
    shutil.copytree(CASES / case, root, ignore=NOT_SHIPPED)
    source = tuple(sorted(one.parent.name for one in root.glob("*/__init__.py")))
    return Product(name=case, root=str(root), python=sys.executable, source=source, tests=LEAN)


def crash_of(case: str) -> Crash:
    """Read what the SDK sent."""
    [crash] = read_crashes((CASES / case / "crash.envelope").read_bytes(), case)
    return crash


def diagnosis_of(case: str, product: Product) -> Diagnosis:
    return diagnose(product, NoHistory(), crash=crash_of(case))


def reproduce_case(case: str, folder: Path) -> tuple[Reproduction, Product]:
    """Diagnose and reproduce a case in plain processes."""
    product = product_of(case, folder)
    return reproduce(diagnosis_of(case, product), product, PlainSandbox()), product
