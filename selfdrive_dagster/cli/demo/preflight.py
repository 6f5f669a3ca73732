"""Two seconds before the demo: which honest ending can this machine have?"""

import importlib.util
import os
import shutil
import sys
from enum import Enum
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.config import open_home
from selfdrive_dagster.errors import MissingTool
from selfdrive_dagster.model import SandboxLevel

NEEDED = ("starlette", "uvicorn", "httpx2", "sentry_sdk", "opentelemetry.sdk")


class Ending(Enum):
    """How far the demo can go."""

    DRIVE = "the whole loop, to users and back"
    PROPOSE = "the loop up to proposals"
    OBSERVE = "issues only: without a full sandbox nothing untrusted runs"
    TOUR = "nothing: something that the shop needs is missing"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """What the preflight found; `missing` is what keeps us from the whole loop."""

    ending: Ending
    missing: str = ""
    remedy: str = ""

    def tell(self, console: Console) -> None:
        """Say which ending it will be, before anything starts."""
        console.print(Text(f"This demo will show {self.ending.value}."))
        if self.missing:
            console.print(Text(f"Missing: {self.missing}. Remedy: {self.remedy}"))


def preflight(app: Path) -> Found:
    """Look at programs, packages and the sandbox; start nothing."""
    if not (app / "examples" / "shop" / "make_history.py").is_file():
        return Found(
            ending=Ending.TOUR,
            missing=f"{app} has no examples/shop",
            remedy="run the demo from a checkout of Selfdrive",
        )
    if shutil.which("git") is None:
        return Found(ending=Ending.TOUR, missing="git", remedy="apt-get install git")
    absent = [name for name in NEEDED if importlib.util.find_spec(name.partition(".")[0]) is None]
    if absent:
        return Found(
            ending=Ending.TOUR,
            missing=f"the shop's packages {', '.join(absent)} in {sys.executable}",
            remedy="make venv",
        )
    return of_sandbox()


def of_sandbox() -> Found:
    """Ask the sandbox what its probes proved."""
    from selfdrive_dagster.adapters.sandbox import BwrapSandbox

    findings = BwrapSandbox(open_home(os.environ) / "sandbox").findings()
    if findings.level is SandboxLevel.FULL:
        return of_traffic()
    return Found(ending=Ending.OBSERVE, missing=findings.missing, remedy=findings.remedy)


def of_traffic() -> Found:
    """Look for what approvals and rollouts need beyond a sandbox."""
    from selfdrive_dagster.adapters.traefik.program import program

    if shutil.which("ssh-keygen") is None:
        remedy = "apt-get install openssh-client"
        return Found(ending=Ending.PROPOSE, missing="ssh-keygen", remedy=remedy)
    try:
        program()
    except MissingTool as fault:
        return Found(ending=Ending.PROPOSE, missing=fault.message, remedy=fault.remedy)
    return Found(ending=Ending.DRIVE)
