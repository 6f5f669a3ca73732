"""The actuator over a front's files and its Traefik.

`stage` names a canary, `set` raises its share with compare-and-set, `to_stable` ends it. The
front puts into effect what is wanted; only the way to stable is taken here at once, so that it
works with the front dead or hung.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.durable import (
    make_ready,
    ready_of,
    take_ready,
    write_whole,
)
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
NO_ROOM = "traffic went back to stable where nobody could write why: the disk was full"


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
        self,
        *,
        generation: int,
        stable: str,
        change_id: str = "",
        canary: str = "",
        plan: str = "",
        before: str = "",
    ) -> Traffic:
        """Want these revisions, at share 0: a canary beside a fresh stable, or a new stable alone.

        `before` is the stable that a promotion replaces. Raises Refused when `generation` is not
        the current one or another canary is under way.
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
                before=before,
            )
            self.files.settle_journal()  # what it owes would be forgotten
            self._want(staged)
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
            self._want(wanted)
        return msgspec.structs.replace(traffic, wanted=wanted)

    def to_stable(self, reason: str, cause: Cause = Cause.COMMAND) -> Traffic:
        """Send every session to stable now, and return what the proxy says of it then.

        Needs no database, no front, no lease, no room on the disk, and not even the lock: a hung
        holder is passed. What finds no room in the journal is owed to it.
        """
        with patient_lock(self.files):
            wanted = self._wanted_or_lost()
            after = returned(wanted, reason, cause, self._clock())
            try:
                routes = close_canary(self.files)
            finally:  # whatever else fails: nobody is to route it again
                after = self.files.give_back(wanted, after)
            with suppress(OSError):
                self.files.settle_journal()
        return Traffic(wanted=after, seen=self._seen(after, wait_for_stable(routes)))

    def _want(self, wanted: Wanted) -> None:
        otherwise = returned(wanted, NO_ROOM, Cause.FAULT, self._clock())
        self.files.want(wanted, otherwise)

    def _current(self, generation: int) -> Traffic:
        self.files.require(generation)
        return self.files.traffic()

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

    What stands ready takes its place: a rename, for which there is always room. Without that and
    without a readable record of the routes the configuration stays as it is, for the front.
    """
    with suppress(FileNotFoundError):
        take_ready(files.dynamic)
    try:
        routes = msgspec.structs.replace(files.routes(), canary=0, share=0.0)
    except BadInput:
        return Routes()
    if routes.stable and not is_routed(files, routes):
        put(files, routes)
    with suppress(OSError):  # the front writes it again
        files.write(files.routes_file, routes)
    return routes


def is_routed(files: FrontFiles, routes: Routes) -> bool:
    """Say whether the proxy's configuration is that of these routes."""
    try:
        return files.dynamic.read_bytes().rstrip() == as_yaml(dynamic_config(routes)).rstrip()
    except OSError:
        return False


def put(files: FrontFiles, routes: Routes, still: Callable[[], object] = lambda: None) -> None:
    """Write the routes and the proxy's configuration that follows from them.

    The way back comes first, then the configuration: what a crash leaves between that and the
    record of the routes is at worst told wrongly. `still` raises where it must not be any more.
    """
    if routes.canary:
        alone = msgspec.structs.replace(routes, canary=0, share=0.0)
        make_ready(files.dynamic, as_yaml(dynamic_config(alone)))
    write_whole(files.dynamic, as_yaml(dynamic_config(routes)), still)
    if not routes.canary:
        ready_of(files.dynamic).unlink(missing_ok=True)
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
        except (Busy, OSError):
            pass  # its holder hangs, or there is no room for it: that keeps nobody from stable
        yield
