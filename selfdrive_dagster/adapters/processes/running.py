"""A service: a program that the loop keeps running, behind a guardian of its own."""

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.processes import guardian
from selfdrive_dagster.adapters.processes.leftovers import end_all, marked

LAST_WORDS = 8
MARGIN_SECONDS = 6.0
"""What a guardian may need beyond its grace to bury the rest."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """One program. `input` goes to its stdin: what no process list may show.

    `is_ready` looks once, from outside, whether it serves. After a request to end it has
    `grace_seconds`. It works in `folder`, or else in the home.
    """

    name: str
    command: tuple[str, ...]
    environ: Mapping[str, str]
    is_ready: Callable[[], bool]
    input: str = ""
    grace_seconds: float = 4.0
    folder: Path | None = None


class Running:
    """A service that was started, and may be started again."""

    def __init__(self, service: Service, home: Path) -> None:
        self.service = service
        self._home = home
        self.log = home / "logs" / f"{service.name}.log"
        if self.log.exists():  # of an earlier boot
            self.log.replace(self.log.with_name(f"{self.log.name}.1"))
        self._guardian = self._start()

    def start_again(self) -> None:
        """Start it once more. What a killed guardian left of it is ended first."""
        self.ask_to_stop()
        self._guardian.wait()
        end_all(self._home, self.service.name)
        self._guardian = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        self.log.touch(mode=0o600)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", guardian.__file__],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self.service.folder or self._home,
                env=marked(self.service.environ, self._home, self.service.name),
                start_new_session=True,  # Ctrl-C is for us: we stop services in their order
            )
        told = {
            "name": self.service.name,
            "command": self.service.command,
            "input": self.service.input,
            "log": str(self.log),
            "grace_seconds": self.service.grace_seconds,
        }
        assert process.stdin is not None
        process.stdin.write(msgspec.json.encode(told) + b"\n")
        process.stdin.flush()
        return process

    def is_alive(self) -> bool:
        """Say whether it runs."""
        return self._guardian.poll() is None

    def ask_to_stop(self) -> None:
        """Ask it to end; `wait` for it then."""
        assert self._guardian.stdin is not None
        self._guardian.stdin.close()

    def wait(self) -> None:
        """Wait until it and all it started are gone; in the end, make sure of it."""
        try:
            self._guardian.wait(self.service.grace_seconds + MARGIN_SECONDS)
        except subprocess.TimeoutExpired:
            self._guardian.kill()
            self._guardian.wait()
            end_all(self._home, self.service.name)

    def last_words(self) -> str:
        """Return the end of its log, for an error message."""
        lines = self.log.read_text(errors="replace").splitlines()[-LAST_WORDS:]
        return "\n".join(f"  {line.partition(' | ')[2] or line}" for line in lines)
