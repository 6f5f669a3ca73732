"""The actuator over a front's files and its Traefik.

`stage` names a canary, `set` raises its share with compare-and-set, `to_stable` ends it. The
front puts into effect what is wanted; only the way to stable is taken here at once, so that it
works with the front dead or hung.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.durable import write_whole
from selfdrive_dagster.adapters.front_files import (
    FrontFiles,
    Routes,
    as_yaml,
)
from selfdrive_dagster.adapters.traefik.asking import Told, ask
from selfdrive_dagster.adapters.traefik.config import dynamic_config
from selfdrive_dagster.errors import BadInput, Busy, Refused
from selfdrive_dagster.rollout.traffic import (
    Cause,
    Returned,
    Seen,
    Traffic,
    Wanted,
    refusal,
    returned,
)

LEASE_SECONDS = 60.0
PATIENCE_SECONDS = 3.0
"""How long `to_stable` waits for the proxy to say that it sends nobody to the canary."""
LOOK_SECONDS = 0.02


def utc_now() -> datetime:
    """Return the time."""
    return datetime.now(UTC)


class TraefikActuator:
    """A `TrafficActuator` for the front of one home."""

    def __init__(
        self,
        home: Path,
        lease_seconds: float = LEASE_SECONDS,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.files = FrontFiles(home)
        self._lease = timedelta(seconds=lease_seconds)
        self._clock = clock

    def read(self) -> Traffic:
        """Return what is wanted and what the front saw last."""
        return self.files.traffic()

    def stage(
        self, *, generation: int, stable: str, change_id: str = "", canary: str = "", plan: str = ""
    ) -> Traffic:
        """Want these revisions, at share 0: a canary beside a fresh stable, or a new stable alone.

        Raises Refused when `generation` is not the current one or another canary is under way.
        """
        with self.files.locked():
            traffic = self._current(generation)
            wanted = traffic.wanted
            if wanted.canary and canary and wanted.canary != canary:
                raise Refused(
                    f"{wanted.change_id} is under way: a front has one canary.",
                    remedy=f"wait for its end, or selfdrive rollback {wanted.change_id}",
                )
            if canary and self.files.is_killed():
                raise killed(self.files)
            staged = Wanted(
                generation=wanted.generation + 1,
                change_id=change_id,
                stable=stable,
                canary=canary,
                plan=plan,
                reason="staged" if canary else "served",
            )
            self.files.write(self.files.wanted_file, staged)
        return msgspec.structs.replace(traffic, wanted=staged)

    def set(self, share: float, generation: int) -> Traffic:
        """Want a share of new sessions on the canary, and renew the lease.

        Raises Refused when `generation` is not the current one, when the lease has run out, or
        when more is asked for than a healthy canary that was seen just now allows.
        """
        if not 0.0 <= share < 1.0:
            raise BadInput(f"A share lies from 0 up to 1, not at {share}.")
        now = self._clock()
        with self.files.locked():
            traffic = self._current(generation)
            thrown = self.files.is_killed()
            if why := refusal(traffic, share, now, killed=thrown):
                raise (
                    killed(self.files)
                    if thrown
                    else Refused(
                        f"The canary does not get {share:.1%} of new sessions: {why}.",
                        remedy="see `selfdrive serve` and its logs; what is served stays as it is",
                    )
                )
            wanted = msgspec.structs.replace(
                traffic.wanted,
                generation=generation + 1,
                share=share,
                lease_until=now + self._lease if share > 0 else None,
                reason="set",
            )
            self.files.write(self.files.wanted_file, wanted)
        return msgspec.structs.replace(traffic, wanted=wanted)

    def to_stable(self, reason: str, cause: Cause = Cause.COMMAND) -> Traffic:
        """Send every session to stable now, and return what the proxy says of it then.

        Needs no database, no front, no lease, and not even the lock: a hung holder is passed.
        """
        with patient_lock(self.files):
            wanted = self._wanted_or_lost()
            after = returned(wanted, reason)
            try:
                self.files.write(self.files.wanted_file, after)
            finally:  # whatever else fails: the traffic first
                routes = close_canary(self.files)
        entry = Returned(
            at=self._clock(),
            cause=cause,
            reason=reason,
            change_id=wanted.change_id,
            generation=after.generation,
            share=wanted.share,
        )
        self.files.note(entry)
        return Traffic(wanted=after, seen=self._seen(after, wait_for_stable(routes)))

    def _current(self, generation: int) -> Traffic:
        traffic = self.files.traffic()
        if traffic.wanted.generation != generation:
            raise Refused(
                f"The traffic was changed meanwhile: generation {traffic.wanted.generation}, not "
                f"{generation} ({traffic.wanted.reason}).",
                remedy="read it again before deciding",
            )
        return traffic

    def _wanted_or_lost(self) -> Wanted:
        """Return what is wanted; the way to stable is open even when nobody can read it."""
        try:
            return self.files.wanted()
        except BadInput:
            seen = self._last_seen()
            return Wanted(generation=seen.generation, change_id=seen.change_id, stable=seen.stable)

    def _last_seen(self) -> Seen:
        never = Seen(generation=0, at=self._clock())
        try:
            return self.files.read(self.files.seen_file, Seen) or never
        except BadInput:
            return never

    def _seen(self, wanted: Wanted, told: Told | None) -> Seen:
        """Return the front's last look with the proxy's own word of this moment."""
        return msgspec.structs.replace(
            self._last_seen(),
            at=self._clock(),
            share=told.share if told else None,
            change_id=wanted.change_id,
            canary="",
            canary_healthy=None,
            stable_healthy=bool(told and told.stable_up),
        )


def killed(files: FrontFiles) -> Refused:
    """Return the refusal while the kill switch is thrown."""
    return Refused(
        f"The kill switch is thrown: {files.kill_switch} is there.",
        remedy=f"see why it was made, then: rm {files.kill_switch}",
    )


def close_canary(files: FrontFiles) -> Routes:
    """Take the canary out of the proxy's configuration, whatever is wanted; return what is left.

    Without a readable record of the routes the configuration stays as it is, for the front.
    """
    try:
        routes = msgspec.structs.replace(files.routes(), canary=0, share=0.0)
    except BadInput:
        return Routes()
    if routes.stable:
        put(files, routes)
    return routes


def put(files: FrontFiles, routes: Routes) -> None:
    """Write the routes and the proxy's configuration that follows from them.

    The configuration comes first: what a crash leaves between the two is at worst told wrongly.
    """
    write_whole(files.dynamic, as_yaml(dynamic_config(routes)))
    files.write(files.routes_file, routes)


def wait_for_stable(routes: Routes, seconds: float = PATIENCE_SECONDS) -> Told | None:
    """Return the proxy's word once it sends nobody to the canary, or its last one."""
    deadline = time.monotonic() + seconds
    while (told := ask(routes.api, routes.change_id)) and told.share > 0:
        if time.monotonic() > deadline:
            break
        time.sleep(LOOK_SECONDS)
    return told


@contextmanager
def patient_lock(files: FrontFiles) -> Iterator[None]:
    """Hold the lock if it can be had; to stable leads a way without it as well."""
    with ExitStack() as stack:
        try:
            stack.enter_context(files.locked())
        except Busy:
            pass  # its holder hangs, and must not keep us from stable
        yield
