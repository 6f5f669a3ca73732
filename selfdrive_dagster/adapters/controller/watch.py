"""Watch: the evidence of one rollout, gathered anew at each look, and what it says.

What is gathered is on the disk before it is judged. A watch is made again after a restart and
goes on where the stored windows end: nothing of the statistics lives in this process.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec

from selfdrive_dagster.adapters.canary import (
    COUNTED,
    Gathering,
    Watched,
    WindowStore,
    usual_slowness,
)
from selfdrive_dagster.adapters.controller.resting import Named, lost_of
from selfdrive_dagster.adapters.controller.stores import Stores
from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.adapters.handing import KEY_FILE
from selfdrive_dagster.adapters.receiver import read_key
from selfdrive_dagster.adapters.traefik import AccessLog, Position, Request
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.rollout.canary import Plan, Stage, Step, Window, judge
from selfdrive_dagster.rollout.canary.plan import Measure
from selfdrive_dagster.rollout.lifecycle import State
from selfdrive_dagster.rollout.observed import Observed


def access_log(stores: Stores) -> AccessLog:
    """Return the proxy's log of this home."""
    path = FrontFiles(stores.home).access_log
    return AccessLog(path, stores.settings.rollout.session_cookie, read_key(stores.home / KEY_FILE))


def freeze_thresholds(stores: Stores, change_id: str, plan: Plan, now: datetime) -> bool:
    """Fix what counts as slow from the sessions so far, once; False while they are too few.

    A plan that looks at no latency needs none.
    """
    store = WindowStore(stores.home, change_id)
    slow = any(one.measure is Measure.LATENCY for one in plan.guardrails)
    if not slow or store.thresholds() is not None:
        return True
    log = access_log(stores)
    requests, _ = read_on(log, log.oldest())
    usual = usual_slowness(requests, plan.window_seconds, now)
    if usual is not None:
        store.freeze(usual)
    return usual is not None


def read_on(log: AccessLog, since: Position) -> tuple[list[Request], Position]:
    """Return all that a log holds since a position, and where it ends."""
    found: list[Request] = []
    while True:
        more, reached = log.read(since)
        if reached == since:
            return found, since
        found += more
        since = reached


LOOKS_A_WINDOW = 10
"""So often in each window what is new is gathered; between, what is stored is judged."""

GATHERING_SECONDS = 1.0
"""Not more often than this, however short the windows are: the warehouse is read each time."""


class Watch:
    """The evidence of one change since `begin`, when the first session could meet it.

    Made anew, it is fed the log from as far back as there is one.
    """

    def __init__(self, stores: Stores, watched: Watched, change_id: str, plan: Plan) -> None:
        self.change_id = change_id
        self._stores = stores
        self._watched = watched
        self._plan = plan
        self._log = access_log(stores)
        self._position = self._log.oldest()
        self._next = watched.begin
        told = any(rail.name in COUNTED for rail in plan.guardrails)
        self._warehouse = stores.warehouse if told else None
        self._store = WindowStore(stores.home, change_id)
        self._seen = ""
        self._gathering = Gathering(self._store, watched, change_id)

    def look(
        self,
        state: State,
        stage: int,
        steps: Sequence[Step],
        named: tuple[Named, ...],
        now: datetime,
    ) -> Observed:
        """Gather what is new and judge all of it; `steps` are the shares that were served.

        `named` is what the ledger rests on: where the disk has it no more, nothing is safe.

        Raises SelfdriveError when what is stored, or telemetry, cannot be read.
        """
        return self._observed(state, stage, self._gathered(steps, now), named, now)

    def look_back(
        self, state: State, stage: int, named: tuple[Named, ...], now: datetime
    ) -> Observed:
        """Judge what was stored by an earlier moment, and gather nothing more."""
        return self._observed(state, stage, self._store.read(), named, now)

    def _observed(
        self,
        state: State,
        stage: int,
        windows: tuple[Window, ...],
        named: tuple[Named, ...],
        now: datetime,
    ) -> Observed:
        lost, read = lost_of(named, self._store, self._seen), self._store.digest()
        self._seen = self._seen if lost else read
        return Observed(
            change_id=self.change_id,
            canary=self._watched.canary,
            stable=self._watched.stable,
            state=state.value,
            stage=stage,
            plan=self._plan,
            windows=windows,
            windows_sha256=read,
            judgement=judge(windows, stage_of(state, stage, self._plan), self._plan, now, lost),
            lost=lost,
        )

    def _gathered(self, steps: Sequence[Step], now: datetime) -> tuple[Window, ...]:
        import duckdb

        if now < self._next:
            return self._store.read()
        pause = max(GATHERING_SECONDS, self._plan.window_seconds / LOOKS_A_WINDOW)
        self._next = now + timedelta(seconds=pause)
        try:
            return self._gathering.look(self._fresh(), steps, self._warehouse)
        except duckdb.Error as fault:
            raise SelfdriveError(f"The warehouse cannot be read: {fault}") from fault

    def _fresh(self) -> tuple[Request, ...]:
        """Return the log's requests since the last look."""
        found, self._position = read_on(self._log, self._position)
        return tuple(found)


def stage_of(state: State, stage: int, plan: Plan) -> Stage:
    """Return what is judged in a state: the bake by the last stage's margin, at its own share."""
    last = plan.stages[stage - 1]
    if state is State.BAKING:
        return msgspec.structs.replace(last, share=plan.bake_share)
    return last
