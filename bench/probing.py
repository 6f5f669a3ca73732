"""Run a pair's probe on the patched product and on the true fix; what is printed must be equal."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from itertools import zip_longest
from pathlib import Path

from selfdrive_dagster.model import Product

SHOW = """
def show(ask):
    try:
        print(repr(ask()))
    except Exception as error:
        print(type(error).__name__, error, bool(error.__suppress_context__))
"""
SECONDS = 60


def differing(
    probe: str, product: Product, overlay: Mapping[str, str | None], fixed: Product
) -> str:
    """Return the first line that differs, "" when all that is printed is equal."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "tree"
        shutil.copytree(product.root, root, ignore=shutil.ignore_patterns(".git"))
        for path, text in overlay.items():
            (root / path).write_text(text or "")
        is_now = printed(probe, product, root)
        wanted = printed(probe, fixed, Path(fixed.root))
    for line, (ours, theirs) in enumerate(zip_longest(is_now, wanted, fillvalue="nothing"), 1):
        if ours != theirs:
            return f"line {line}: {ours} where the fix gives {theirs}"
    return ""


def printed(probe: str, product: Product, root: Path) -> list[str]:
    """Return the lines that a probe prints on a tree."""
    roots = ":".join(str(root / one) for one in product.import_roots())
    done = subprocess.run(
        [product.python, "-B", "-c", SHOW + probe],
        cwd=root,
        env={"PYTHONPATH": roots, "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    return [*done.stdout.splitlines(), *done.stderr.splitlines()[-1:]]
