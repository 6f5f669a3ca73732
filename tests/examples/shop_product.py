"""The example product as the tests of this folder use it: its folder, histories and defects."""

import importlib.util
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

SHOP = Path(__file__).resolve().parents[2] / "examples" / "shop"
DEFECTS: dict[str, dict[str, Any]] = {
    path.parent.name: tomllib.loads(path.read_text("utf-8"))
    for path in sorted(SHOP.glob("defects/*/defect.toml"))
}


def load(name: str) -> ModuleType:
    """Import one of the shop's programs, which are no package."""
    spec = importlib.util.spec_from_file_location(f"shop_{name}", SHOP / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def git(repository: Path, *arguments: str) -> str:
    ran = subprocess.run(
        ["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True
    )
    return ran.stdout


def run_suite(tree: Path) -> tuple[int, set[str]]:
    """Run the shop's suite in a tree; return pytest's status and the tests that failed."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=no", "-p", "no:cacheprovider"],
        cwd=tree,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
    )
    marked = ("FAILED ", "ERROR ")
    lines = [line for line in ran.stdout.splitlines() if line.startswith(marked)]
    return ran.returncode, {line.split()[1].split("[")[0] for line in lines}
