"""The crew: the services of a loop, started, watched, and stopped in a given order."""

import time
from collections.abc import Iterable
from pathlib import Path

from selfdrive_dagster.adapters.processes.running import Running, Service
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import Progress

LOOK_SECONDS = 0.1
PAUSES = (0.0, 1.0, 2.0, 4.0)
"""Seconds before the first, second … restart; one more death ends the loop."""
FORGET_SECONDS = 300.0
"""A restart this long ago is not held against a service."""


class Crew:
    """Services by name. Not thread-safe."""

    def __init__(self, home: Path, progress: Progress, pauses: tuple[float, ...] = PAUSES) -> None:
        self._home = home
        self._pauses = pauses
        self._progress = progress
        self._running: dict[str, Running] = {}
        self._restarts: dict[str, list[float]] = {}
        (home / "logs").mkdir(exist_ok=True, mode=0o700)

    def start(self, service: Service) -> None:
        """Start a service; it is ready when `wait_ready` says so."""
        self._running[service.name] = Running(service, self._home)
        self._restarts[service.name] = []

    def wait_ready(self, names: Iterable[str], seconds: float) -> None:
        """Wait until these serve. Raises SelfdriveError when one ends, or is too slow."""
        begun = time.monotonic()
        waiting = [self._running[name] for name in names]
        while waiting:
            self._require_alive()
            waiting = [one for one in waiting if not one.service.is_ready()]
            if waiting and time.monotonic() - begun > seconds:
                raise self._failed(waiting[0], f"is not ready after {seconds:.0f} s")
            if waiting:
                names_left = ", ".join(one.service.name for one in waiting)
                self._progress(f"waiting for {names_left} ({time.monotonic() - begun:.0f} s)")
                time.sleep(LOOK_SECONDS)

    def mend(self) -> tuple[str, ...]:
        """Start again what has died, and return the names. Raises when that happens too often."""
        dead = [one for one in self._running.values() if not one.is_alive()]
        for one in dead:
            now = time.monotonic()
            name = one.service.name
            recent = [when for when in self._restarts[name] if now - when < FORGET_SECONDS]
            if len(recent) == len(self._pauses):
                raise self._failed(one, f"ended {len(recent) + 1} times in a short while")
            time.sleep(self._pauses[len(recent)])
            one.start_again()
            self._restarts[name] = [*recent, time.monotonic()]
        return tuple(one.service.name for one in dead)

    def stop(self, *names: str) -> None:
        """Stop these services side by side and wait for their end; unknown names do nothing."""
        stopping = [self._running.pop(name) for name in names if name in self._running]
        for one in stopping:
            one.ask_to_stop()
        for one in stopping:
            one.wait()

    def _require_alive(self) -> None:
        for one in self._running.values():
            if not one.is_alive():
                raise self._failed(one, "ended while it was starting")

    def _failed(self, one: Running, what: str) -> SelfdriveError:
        return SelfdriveError(
            f"The {one.service.name} {what}. Its last words:\n{one.last_words()}",
            remedy=f"mend what {one.log} names, then run the command again",
        )
