"""The front's loop: ten times a second it makes the processes and the proxy what is wanted.

It may take the canary's share away by itself, and never gives any.
"""

import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.front.fleet import PAUSES, Fleet, Key, Process, free_port
from selfdrive_dagster.adapters.front.looking import SOON_SECONDS, Look
from selfdrive_dagster.adapters.front.plan import FrontPlan
from selfdrive_dagster.adapters.front_files import FrontFiles, Routes
from selfdrive_dagster.adapters.processes import Running, end_all, held
from selfdrive_dagster.adapters.traefik import TraefikActuator, ask
from selfdrive_dagster.adapters.traefik.actuator import put, utc_now
from selfdrive_dagster.adapters.traefik.program import proxy, turn_log
from selfdrive_dagster.errors import Busy, Refused, SelfdriveError
from selfdrive_dagster.model import Progress, silent
from selfdrive_dagster.rollout.traffic import Cause, Returned, Seen, Wanted, must_return

TICK_SECONDS = 0.1
SEEN_SECONDS = 1.0
EARLIER_SECONDS = 2.0
MOST_MISSES = 5
MOST_DEATHS = 3
START_SECONDS = 60.0
"""A canary that is not healthy after so long will not be."""


class Front:
    """One product before its users. Not thread-safe, but for `stop`."""

    def __init__(
        self,
        plan: FrontPlan,
        progress: Progress = silent,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._plan = plan
        self._progress = progress
        self._clock = clock
        self._files = FrontFiles(Path(plan.home))
        self._files.make()
        self._served = self._files.folder / "served"
        self._actuator = TraefikActuator(Path(plan.home), clock=clock)
        self._stopping = False
        self._serving: Process | None = None
        self._routes = Routes(health=plan.health)
        self._proxy: Running | None = None
        self._proxy_deaths = 0
        self._proxy_again = 0.0
        self._next_seen = 0.0
        self._last_seen: Seen | None = None
        self._settled: Returned | None = None

    def stop(self) -> None:
        """Let `run` return soon."""
        self._stopping = True

    def run(self) -> None:
        """Serve until `stop`. Raises Busy when another front serves this home."""
        self._served.mkdir(exist_ok=True, mode=0o700)
        with held(self._served, "selfdrive serve"):
            end_all(self._served, patience_seconds=EARLIER_SECONDS)
            self._begin()
            try:
                while not self._stopping:
                    time.sleep(self._try_tick())
            finally:
                if self._proxy is not None:
                    self._proxy.ask_to_stop()
                    self._proxy.wait()
                self._fleet.stop()

    def _begin(self) -> None:
        """Find what was wanted before; no process of that time is left, so nothing is routed."""
        revisions = self._files.folder / "revisions"
        self._fleet = Fleet(self._plan, revisions, self._served, self._progress)
        self._routes = Routes(health=self._plan.health, api=free_port())
        self._told = Look(self._fleet.pool, lambda: ask(self._routes.api, self._routes.change_id))
        with self._files.locked():
            wanted = self._wanted()
            if not wanted.stable:
                first = Wanted(
                    generation=wanted.generation + 1,
                    stable=self._plan.stable,
                    reason="first served",
                )
                self._files.write(self._files.wanted_file, first)
            put(self._files, self._routes)

    def _try_tick(self) -> float:
        """Look once, and say how soon to look again: a full disk must not end what is served."""
        try:
            self._tick()
        except (Busy, Refused, OSError) as error:
            self._progress(f"this look failed: {error}")
            return SEEN_SECONDS
        return TICK_SECONDS

    def _tick(self) -> None:
        """Look once, and do what follows from it."""
        wanted = self._wanted()
        # Before anything is started: what ran out while no front ran is not tried again.
        if why := must_return(wanted, self._clock(), killed=self._files.is_killed()):
            wanted = self._return(*why)
        self._fleet.want(self._keys(wanted))
        self._fleet.keep()
        if wanted.canary and (why := self._why_over(wanted)):
            wanted = self._return(*why)
        self._keep_proxy()  # before what a full disk may refuse
        self._route(wanted)
        self._settle_journal(wanted)
        self._tell(wanted)

    def _wanted(self) -> Wanted:
        """Return what is wanted; what nobody can read is stable alone."""
        try:
            return self._files.wanted()
        except SelfdriveError as error:
            return self._return(Cause.FAULT, str(error))

    def _keys(self, wanted: Wanted) -> tuple[Key, ...]:
        """Return the processes that must run: those wanted, and the one that serves until then."""
        keys = [Key("stable", wanted.change_id, wanted.stable)]
        if wanted.canary:
            keys.append(Key("canary", wanted.change_id, wanted.canary))
        if self._serving is not None and self._serving.key not in keys:
            keys.append(self._serving.key)
        return tuple(keys)

    def _why_over(self, wanted: Wanted) -> tuple[Cause, str] | None:
        """Say why the canary's trial is over, None while it may go on."""
        key = Key("canary", wanted.change_id, wanted.canary)
        if told := self._fleet.failed.get(key):
            return Cause.FAULT, f"the canary cannot be started: {told}"
        over = why_over(self._fleet.processes[key])
        return (Cause.CANARY, over) if over else None

    def _return(self, cause: Cause, reason: str) -> Wanted:
        """Return to stable, and what is wanted then."""
        self._progress(f"back to stable: {reason}")
        try:
            wanted = self._actuator.to_stable(reason, cause).wanted
        except OSError:  # nothing can be written: the proxy leaves out a canary that is down
            self._fleet.want(key for key in self._fleet.processes if key.arm != "canary")
            self._fleet.keep()
            raise
        self._routes = msgspec.structs.replace(self._routes, canary=0, share=0.0)
        return wanted

    def _route(self, wanted: Wanted) -> None:
        """Bring the proxy's configuration to what is wanted, as far as processes are ready."""
        stable = self._fleet.processes.get(Key("stable", wanted.change_id, wanted.stable))
        if stable is not None and stable.ready:
            self._serving = stable  # the one before is drained at the next tick
        if self._serving is None:
            return
        canary = self._fleet.processes.get(Key("canary", wanted.change_id, wanted.canary))
        tried = canary is not None and canary.ready and wanted.share > 0 and self._serving is stable
        routes = msgspec.structs.replace(
            self._routes,
            change_id=self._serving.key.change_id,
            stable=self._serving.port,
            canary=canary.port if canary is not None and tried else 0,
            share=wanted.share if tried else 0.0,
        )
        if routes == self._routes:
            return
        with self._files.locked():
            if self._files.wanted() == wanted:  # else another tick decides
                put(self._files, routes, lambda: self._files.require(wanted.generation))
                self._routes = routes

    def _settle_journal(self, wanted: Wanted) -> None:
        """Write once, as soon as there is room, what a return could not note."""
        if wanted.back is not None and wanted.back != self._settled:
            with self._files.locked():
                self._files.settle_journal()
            self._settled = wanted.back

    def _keep_proxy(self) -> None:
        """Start Traefik once there is something to serve, and again when it has died."""
        now = time.monotonic()
        if self._proxy is None:
            if self._serving is not None:
                service = proxy(self._files, self._plan.listen, self._routes.api)
                self._proxy = Running(service, self._served)
        elif not self._proxy.is_alive() and not self._proxy_again:
            self._proxy_again = now + PAUSES[min(self._proxy_deaths, len(PAUSES) - 1)]
            self._proxy_deaths += 1
        elif self._proxy_again and now >= self._proxy_again:
            self._progress("Traefik had ended and is started again")
            self._proxy.start_again()
            self._proxy_again = 0.0

    def _tell(self, wanted: Wanted) -> None:
        """Write what is seen: each second, and at once when it differs."""
        told = self._told.newest
        shown = told is not None and told.stable_port == self._routes.stable
        behind = told is None or not shown or abs(told.share - self._routes.share) > 1e-3
        self._told.poll(SOON_SECONDS if behind else SEEN_SECONDS)
        canary = self._fleet.processes.get(Key("canary", wanted.change_id, wanted.canary))
        serving = self._serving
        seen = Seen(
            generation=wanted.generation,
            at=self._clock(),
            change_id=serving.key.change_id if serving else "",
            stable=serving.key.revision if serving else "",
            canary=wanted.canary,
            share=told.share if told else None,
            stable_healthy=bool(shown and serving and serving.healthy),
            canary_healthy=canary.healthy if canary else None,
            address=self._plan.address,
            note="; ".join(self._fleet.failed.values()),
        )
        last = self._last_seen
        same = last is not None and msgspec.structs.replace(last, at=seen.at) == seen
        if same and time.monotonic() < self._next_seen:
            return
        self._files.write(self._files.seen_file, seen)
        self._last_seen, self._next_seen = seen, time.monotonic() + SEEN_SECONDS
        turn_log(self._files.access_log, self._served)


def why_over(canary: Process) -> str:
    """Say why a canary's trial is over, "" while it may go on."""
    if canary.deaths >= MOST_DEATHS:
        return f"the canary died {canary.deaths} times; its last words:\n{canary.last_words()}"
    if canary.ready and canary.misses >= MOST_MISSES:
        return f"the canary failed {canary.misses} health checks in a row"
    if canary.waited_seconds > START_SECONDS:
        return f"the canary was not healthy within {START_SECONDS:.0f} s"
    return ""
