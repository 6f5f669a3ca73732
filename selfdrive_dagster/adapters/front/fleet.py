"""The processes of revisions: exported, started, looked at, started again, drained.

Each process stands for an arm of a change at a commit; a new change begins with new processes of
both, so that stable and canary are of one age. Which of them gets traffic does not belong here.
"""

import os
import shutil
import socket
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from selfdrive_dagster.adapters.front.looking import SOON_SECONDS, Look
from selfdrive_dagster.adapters.front.plan import FrontPlan, is_healthy
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.processes import Running, Service
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import Progress

PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds before the first, second … restart; the last holds for all that follow."""
CALM_SECONDS = 300.0
"""Who has run for so long is not held to its earlier deaths."""
DRAIN_SECONDS = 1.0
"""How long a process that gets no new request keeps running for those it has."""
GRACE_SECONDS = 4.0


class Key(NamedTuple):
    """Which process: the arm, the change it stands beside ("" for none), the commit."""

    arm: str
    change_id: str
    revision: str


class Process:
    """One process of a revision. It is `ready` once it was healthy; a restart begins anew."""

    def __init__(self, key: Key, running: Running, port: int, look: Look[bool]) -> None:
        self.key = key
        self.port = port
        self.ready = False
        self.misses = 0
        self.deaths = 0
        self._running = running
        self._look = look
        self._begun = time.monotonic()
        self._again = float("inf")

    @property
    def healthy(self) -> bool | None:
        """The newest look, None when it was not looked at since its start."""
        return True if self.ready and not self.misses else False if self.misses else None

    @property
    def waited_seconds(self) -> float:
        """How long it has been starting, 0 once it is ready."""
        return 0.0 if self.ready else time.monotonic() - self._begun

    def keep(self) -> None:
        """Look at it, and start it again when it has died and its pause is over."""
        if not self._running.is_alive():
            self._mend()
        elif self._look.poll(1.0 if self.ready else SOON_SECONDS):
            if self._look.newest:
                self.ready, self.misses = True, 0
            elif self.ready:
                self.misses += 1

    def _mend(self) -> None:
        now = time.monotonic()
        if self._again == float("inf"):
            self.deaths = 1 if now - self._begun > CALM_SECONDS else self.deaths + 1
            self._again = now + PAUSES[min(self.deaths, len(PAUSES)) - 1]
            self.ready, self.misses = False, max(self.misses, 1)
        elif now >= self._again:
            self._running.start_again()
            self._begun, self._again, self.misses = now, float("inf"), 0

    def ask_to_stop(self) -> None:
        """Ask it to end."""
        self._running.ask_to_stop()

    def wait(self) -> None:
        """Wait for its end."""
        self._running.wait()

    def has_ended(self) -> bool:
        """Say whether it is gone."""
        return not self._running.is_alive()

    def last_words(self) -> str:
        """Return the end of its log."""
        return self._running.last_words()


class Fleet:
    """The processes of one front. `served` is the folder of their logs and marks."""

    def __init__(self, plan: FrontPlan, revisions: Path, served: Path, progress: Progress) -> None:
        self._plan = plan
        self._revisions = revisions
        self._served = served
        self._progress = progress
        self._repository = GitRepository(Path(plan.repo))
        self._pool = ThreadPoolExecutor(max_workers=6, thread_name_prefix="look")
        self._draining: list[tuple[Process, float]] = []
        self.processes: dict[Key, Process] = {}
        self.failed: dict[Key, str] = {}
        (served / "logs").mkdir(parents=True, exist_ok=True, mode=0o700)
        revisions.mkdir(exist_ok=True, mode=0o700)

    @property
    def pool(self) -> ThreadPoolExecutor:
        """Where looks are taken."""
        return self._pool

    def want(self, keys: Iterable[Key]) -> None:
        """Start what is wanted and is not there, drain what is there and is not wanted."""
        wanted = tuple(keys)
        for key in [key for key in self.processes if key not in wanted]:
            self._drain(self.processes.pop(key))
        self.failed = {key: why for key, why in self.failed.items() if key in wanted}
        for key in wanted:
            if key not in self.processes and key not in self.failed:
                try:
                    self.processes[key] = self._start(key)
                    self._progress(f"started {key.arm} at {key.revision[:12]}")
                except (SelfdriveError, OSError) as error:
                    self.failed[key] = str(error)
                    self._progress(f"{key.arm} cannot be started: {error}")

    def keep(self) -> None:
        """Look at all processes, mend them, and go on draining."""
        for process in self.processes.values():
            process.keep()
        still = []
        for process, stop_at in self._draining:
            if time.monotonic() >= stop_at:
                process.ask_to_stop()
            if not process.has_ended():
                still.append((process, stop_at))
        if len(still) < len(self._draining):
            self._draining = still
            self._forget_revisions()

    def stop(self) -> None:
        """End all processes side by side."""
        ending = [*self.processes.values(), *(process for process, _ in self._draining)]
        for process in ending:
            process.ask_to_stop()
        for process in ending:
            process.wait()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _drain(self, process: Process) -> None:
        self._progress(f"draining {process.key.arm} at {process.key.revision[:12]}")
        self._draining.append((process, time.monotonic() + DRAIN_SECONDS))

    def _start(self, key: Key) -> Process:
        port = free_port()
        url = f"http://127.0.0.1:{port}{self._plan.health}"
        service = Service(
            name=f"{key.arm}-{key.change_id or 'none'}-{key.revision[:8]}",
            command=self._plan.command(port),
            environ=self._plan.environ(key.revision, port, os.environ),
            is_ready=lambda: is_healthy(url),
            grace_seconds=GRACE_SECONDS,
            folder=self._export(key.revision),
        )
        look = Look(self._pool, service.is_ready)
        return Process(key, Running(service, self._served), port, look)

    def _export(self, revision: str) -> Path:
        """Return the folder with a revision's files, written whole or not at all."""
        folder = self._revisions / revision
        if not folder.is_dir():
            making = self._revisions / f".{revision}.{os.getpid()}"
            shutil.rmtree(making, ignore_errors=True)
            self._repository.export(revision, making)
            making.replace(folder)
        return folder

    def _forget_revisions(self) -> None:
        """Remove the files of revisions that no process runs."""
        used = {key.revision for key in self.processes}
        used |= {process.key.revision for process, _ in self._draining}
        for folder in self._revisions.iterdir():
            if folder.name not in used:
                shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    """Return a port of loopback that nobody has now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
