"""A harness folder whose one program, `act`, runs the code its spec gives: for sandbox tests."""

import shutil
import sys
from pathlib import Path
from typing import Any

from selfdrive_dagster.adapters.sandbox.request import HARNESS
from selfdrive_dagster.model import Job

ACT = """
def main(spec, emit):
    exec(compile(spec["code"], "act", "exec"), {"emit": emit, "spec": spec})
    return spec.get("status", 0)
"""


def acting_harness(folder: Path) -> Path:
    """Make the folder, with the real first program in it, and return it."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(HARNESS / "boot.py", folder / "boot.py")
    (folder / "act.py").write_text(ACT)
    return folder


def act(code: str, *, tree: str | Path = "", status: int = 0, **more: Any) -> Job:
    """Return a job that runs `code` with this interpreter."""
    spec = {"code": code, "status": status}
    return Job(program="act", tree=str(tree), python=sys.executable, spec=spec, **more)
