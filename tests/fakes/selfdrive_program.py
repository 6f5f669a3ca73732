"""The `selfdrive` program as a user runs it: a process with its own environment."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

ROOT = Path(__file__).parents[2]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of the program left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Return stdout as JSON."""
        return json.loads(self.out)


def environment(home: Path, **more: str) -> dict[str, str]:
    """Return a bare environment: a home of its own and nothing of this machine's user."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": str(ROOT),
        **more,
    }


def selfdrive(*arguments: str | Path, cwd: Path, home: Path | None = None, **more: str) -> Said:
    """Run the program to its end in `cwd`; `more` are environment variables."""
    ran = subprocess.run(
        [sys.executable, "-m", "selfdrive_dagster", *map(str, arguments)],
        cwd=cwd,
        env=environment(home or cwd, **more),
        capture_output=True,
        text=True,
        timeout=100,
    )
    return Said(code=ran.returncode, out=ran.stdout, err=ran.stderr)
