"""What a front serves: a plan goes in, services come out."""

import shlex
import sys
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.adapters.processes import Service
from selfdrive_dagster.adapters.traefik.actuator import utc_now
from selfdrive_dagster.adapters.traefik.asking import DIRECT
from selfdrive_dagster.config import Settings
from selfdrive_dagster.rollout.traffic import FRESH_SECONDS, Seen

PYTHON = (sys.executable, "-P")
PYTHON_NAMES = ("python", "python3")
FOREIGN = ("SELFDRIVE_", "ANTHROPIC_", "DAGSTER_", "SSH_", "GITHUB_", "GH_", "GITLAB_")
"""What of our environment is no business of the product: with an agent it could sign."""

HEALTH_SECONDS = 1.0
FRONT_GRACE = 15.0
HEALTHY = range(200, 400)
"""The statuses that Traefik's own health check calls healthy."""


class FrontPlan(msgspec.Struct, frozen=True, kw_only=True):
    """A front: its home and repository (absolute), how the product runs, where it is served.

    `run` are the words of `[rollout] run`, `python` the product's interpreter. `stable` is the
    commit that is served when nobody has wanted anything yet.
    """

    home: str
    repo: str
    run: tuple[str, ...]
    environment: dict[str, str]
    listen: str
    health: str
    python: str
    stable: str

    @classmethod
    def of(cls, home: Path, repo: Path, settings: Settings, stable: str) -> "FrontPlan":
        """Return the plan that a product's settings make."""
        rollout = settings.rollout
        return cls(
            home=str(home),
            repo=str(repo),
            run=tuple(shlex.split(rollout.run)),
            environment=dict(rollout.environment),
            listen=rollout.listen,
            health=rollout.health,
            python=settings.service.python,
            stable=stable,
        )

    @property
    def address(self) -> str:
        """Where visitors find the product."""
        return f"http://{self.listen}"

    def command(self, port: int) -> tuple[str, ...]:
        """Return what starts one process; a bare `python` is the product's interpreter."""
        words = tuple(word.replace("{port}", str(port)) for word in self.run)
        return (self.python, *words[1:]) if self.python and words[0] in PYTHON_NAMES else words

    def environ(self, revision: str, port: int, ours: Mapping[str, str]) -> dict[str, str]:
        """Return the environment of one process of a revision."""
        kept = {name: text for name, text in ours.items() if not name.startswith(FOREIGN)}
        told = {
            name: text.replace("{revision}", revision).replace("{port}", str(port))
            for name, text in self.environment.items()
        }
        return {"PYTHONUNBUFFERED": "1", **kept, **told}


def service(plan: FrontPlan, environ: Mapping[str, str]) -> Service:
    """Return the front itself. Its plan may hold secrets of the product: it goes through stdin."""
    files = FrontFiles(Path(plan.home))
    return Service(
        name="front",
        command=(*PYTHON, "-m", "selfdrive_dagster.adapters.front"),
        input=msgspec.json.encode(plan).decode(),
        environ=environ,
        is_ready=lambda: serves(files, plan),
        grace_seconds=FRONT_GRACE,
    )


def serves(files: FrontFiles, plan: FrontPlan) -> bool:
    """Say whether visitors are answered, by a front that saw it itself just now."""
    seen = files.read(files.seen_file, Seen)
    if seen is None or (utc_now() - seen.at).total_seconds() > FRESH_SECONDS:
        return False
    return seen.stable_healthy and seen.share is not None and is_healthy(plan.address + plan.health)


def is_healthy(url: str) -> bool:
    """Say whether a GET of this address ends as a health check wants it."""
    try:
        with DIRECT.open(url, timeout=HEALTH_SECONDS) as answer:
            return answer.status in HEALTHY
    except (OSError, HTTPException, ValueError):
        return False
