"""Gathering: what the log and the warehouse say now, stored, and returned as windows to judge.

Belongs here: the order of it. Does not belong: reading the log, the verdict, and who acts.
"""

from collections.abc import Iterable, Sequence

from selfdrive_dagster.adapters.canary.requests import Request
from selfdrive_dagster.adapters.canary.sessions import SessionCounter
from selfdrive_dagster.adapters.canary.store import WindowStore
from selfdrive_dagster.adapters.canary.telemetry import Watched, count_telemetry
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.rollout.canary import Window
from selfdrive_dagster.rollout.canary.lines import Source, Step


class Gathering:
    """The evidence of one rollout, as it comes in.

    After a restart it is made anew and fed the log from as far back as there is one: what was
    stored stays as it was said first.
    """

    def __init__(self, store: WindowStore, watched: Watched, change_id: str) -> None:
        self._store = store
        self._watched = watched
        self._counter = SessionCounter(
            change_id, watched.begin, watched.window_seconds, store.thresholds()
        )

    def look(
        self, requests: Iterable[Request], steps: Sequence[Step], warehouse: Warehouse | None
    ) -> tuple[Window, ...]:
        """Take what is new in the log and in the warehouse, and return all windows so far.

        `warehouse` is None where no guardrail asks for telemetry. `steps` are the shares that were
        configured since the rollout began, oldest first. What is returned is stored already, so
        that no verdict rests on evidence that a crash can lose.
        """
        self._counter.take(requests)
        self._store.add(self._counter.closed(steps))
        if warehouse is not None:
            untold = self._store.missing(Source.TELEMETRY)
            self._store.add(count_telemetry(warehouse, self._watched, untold))
        return self._store.read()
