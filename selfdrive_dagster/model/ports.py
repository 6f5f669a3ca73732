"""The ports the domain speaks through: a sandbox, a history, a progress line.

They stand here, below all stages, because `patches` (search, reproduce) and `validation`
(prove) run untrusted code alike. Adapters implement them; `tests/fakes` holds stand-ins.
"""

from collections.abc import Callable
from enum import Enum
from typing import Any, Protocol

import msgspec

from selfdrive_dagster.model.changes import Commit


class SandboxLevel(Enum):
    """What the probes proved when they ran, not what is installed."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


class Ending(Enum):
    """How a job in the sandbox ended."""

    EXITED = "exited"
    TIMED_OUT = "timed_out"
    OUTPUT_CAPPED = "output_capped"
    KILLED = "killed"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One program of `harness`, run with the product's interpreter on a copy of a tree.

    `overlay` replaces or adds files (relative path → text; None deletes) before it starts.
    `spec` is the program's own JSON argument. Sizes in bytes, times in seconds.
    """

    program: str
    tree: str
    python: str
    spec: dict[str, Any] = {}
    overlay: dict[str, str | None] = {}
    import_roots: tuple[str, ...] = (".",)
    seconds: float = 60.0
    memory_bytes: int = 768 * 2**20
    output_bytes: int = 32 * 2**20
    hash_seed: int = 0


class Ran(msgspec.Struct, frozen=True, kw_only=True):
    """What came back: JSON lines that the program wrote, and the tail of its stderr.

    Everything in it was written next to untrusted code: read it as testimony.
    """

    ending: Ending
    status: int
    lines: tuple[dict[str, Any], ...]
    stderr: str
    seconds: float
    level: SandboxLevel


class Sandbox(Protocol):
    """Runs harness programs where they can harm nobody."""

    def level(self) -> SandboxLevel:
        """Return what the probes proved on this machine, this boot."""
        ...

    def run(self, job: Job, on_line: Callable[[dict[str, Any]], None] | None = None) -> Ran:
        """Run one job to its end. Raises Refused when the level is below what is required."""
        ...


class History(Protocol):
    """What version control knows of the product. An empty history answers None and ()."""

    def blame(self, path: str, line: int) -> Commit | None:
        """Return the commit that last touched a line of the base revision."""
        ...

    def changes(self, path: str, limit: int) -> tuple[Commit, ...]:
        """Return the newest commits that touched a file, newest first."""
        ...

    def show(self, revision: str, path: str) -> str | None:
        """Return a file's text at a revision (`<sha>` or `<sha>~1`), None if it was not there."""
        ...


Progress = Callable[[str], None]
"""Told one short sentence whenever a stage has something to say."""


def silent(_sentence: str) -> None:
    """Take progress and say nothing: the default."""
