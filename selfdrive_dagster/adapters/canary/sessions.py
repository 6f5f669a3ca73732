"""From the proxy's requests to sessions and first requests, and from those to windows.

A session starts with its first answer after its arm was drawn, and is followed for one window
from there: any 5xx makes it an erroneous one, its slowest request decides its latency. The log is
written as requests are answered, so the time of the answer orders it, and the newest answer is
the clock: where traffic stops, windows stop, and the judge sees that they grow stale.

A request without an arm's cookie belongs to no session yet, and whoever it drives away begins
none. Each is counted for itself, for the arm that it was drawn for, in the window of its answer.

Belongs here: the fold. Does not belong: reading a log, storing what comes out.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import msgspec

from selfdrive_dagster.adapters.canary.requests import Request, answered
from selfdrive_dagster.adapters.canary.thresholds import Thresholds
from selfdrive_dagster.rollout.canary import Arms
from selfdrive_dagster.rollout.canary.lines import Line, Source, Step, share_in

MOST = 200_000
"""So many sessions are held while they are followed, and as many remembered afterwards."""

SERVER_ERROR = 500


@dataclass(slots=True)
class _Session:
    """A session that is being followed; its arm is the one that it was met in first."""

    arm: str
    start: datetime
    failed: bool = False
    slowest: float = 0.0
    moved: bool = False


@dataclass(slots=True)
class _Open:
    """What began in one window; `spilled` when some sessions could not be held."""

    sessions: dict[str, _Session] = field(default_factory=dict)
    spilled: bool = False
    first: Counter[str] = field(default_factory=Counter)
    """First requests, by the arm that they were drawn for."""

    failed: Counter[str] = field(default_factory=Counter)
    """Those among them that it, or the proxy in its place, answered with 5xx."""


class SessionCounter:
    """Counts the sessions and first requests of one change. Feed it the log in order.

    `begin` is the start of window 0. Fed the same log again, after a restart, it counts the same.
    `left_out` says how many were not counted, by the reason: requests with an arm and without a
    session (`nameless`), or answered by the arm that is not theirs (`elsewhere`); sessions that
    changed their arm (`moved`: counted in the first); what appeared out of order in a closed
    window (`late`).
    """

    def __init__(
        self,
        change_id: str,
        begin: datetime,
        window_seconds: float,
        thresholds: Thresholds | None,
        most: int = MOST,
    ) -> None:
        self._change_id = change_id
        self._begin = begin
        self._seconds = window_seconds
        self._width = timedelta(seconds=window_seconds)
        self._thresholds = thresholds
        self._most = most
        self._open: dict[int, _Open] = {}
        self._followed: dict[str, _Session] = {}
        self._known: dict[str, str] = {}
        self._closed: list[Line] = []
        self._is_new = True
        self._next = 0
        self.left_out: Counter[str] = Counter()

    def take(self, requests: Iterable[Request]) -> None:
        """Count requests, in the order of the log."""
        for request in requests:
            at = answered(request)
            if self._is_new:
                # A window that the log does not reach back to is unknown, not empty.
                self._next = max(0, math.ceil((at - self._begin) / self._width))
                self._is_new = False
            while at >= self._start(self._next + 2):
                self._closed += self._close(self._next)
                self._next += 1
            if request.change_id == self._change_id and at >= self._begin:
                self._count(request, at)

    def closed(self, steps: Sequence[Step]) -> tuple[Line, ...]:
        """Return the windows whose follow-up has passed since the last call, oldest first.

        Of each there is a line of its sessions, with its share, and one of its first requests.
        `steps` are the shares that were configured, oldest first.
        """
        lines, self._closed = self._closed, []
        return tuple(
            msgspec.structs.replace(line, share=share_in(steps, line.start, self._seconds))
            if line.source is Source.PROXY
            else line
            for line in lines
        )

    def _start(self, number: int) -> datetime:
        return self._begin + number * self._width

    def _count(self, request: Request, at: datetime) -> None:
        if not request.assigned:
            self._count_first(request, at)
        elif not request.session:
            self.left_out["nameless"] += 1
        elif request.assigned != request.arm:
            self.left_out["elsewhere"] += 1
        elif (session := self._followed.get(request.session)) is not None:
            self._follow(session, request, at)
        elif (arm := self._known.pop(request.session, None)) is not None:
            if arm not in ("", request.arm):
                self.left_out["moved"] += 1
                arm = ""
            self._known[request.session] = arm  # now the last to be forgotten
        else:
            self._begin_session(request, at)

    def _count_first(self, request: Request, at: datetime) -> None:
        number = (at - self._begin) // self._width
        if number < self._next:
            self.left_out["late"] += 1
            return
        window = self._open.setdefault(number, _Open())
        window.first[request.arm] += 1
        window.failed[request.arm] += request.status >= SERVER_ERROR

    def _begin_session(self, request: Request, at: datetime) -> None:
        number = (at - self._begin) // self._width
        if number < self._next:
            self.left_out["late"] += 1
            self._remember(request.session, request.arm)
            return
        window = self._open.setdefault(number, _Open())
        if len(self._followed) >= self._most:
            window.spilled = True
            return
        session = _Session(arm=request.arm, start=at)
        window.sessions[request.session] = self._followed[request.session] = session
        self._follow(session, request, at)

    def _follow(self, session: _Session, request: Request, at: datetime) -> None:
        if request.arm != session.arm:
            self.left_out["moved"] += not session.moved
            session.moved = True
        elif at < session.start + self._width:
            session.failed = session.failed or request.status >= SERVER_ERROR
            session.slowest = max(session.slowest, request.seconds)

    def _close(self, number: int) -> tuple[Line, Line]:
        """Return a window's lines; one that could not hold all its sessions measured none."""
        window = self._open.pop(number, _Open())
        sessions = window.sessions.values()
        for name, one in window.sessions.items():
            del self._followed[name]
            self._remember(name, "" if one.moved else one.arm)
        affected = {"errors": _arms(one for one in sessions if one.failed)}
        if (usual := self._thresholds) is not None:
            for name, limit in (("p50", usual.p50), ("p90", usual.p90), ("p99", usual.p99)):
                slower = (one for one in sessions if one.slowest > limit)
                affected[f"latency.{name}"] = _arms(slower)
        told = Line(
            start=self._start(number),
            source=Source.PROXY,
            exposed=_arms(sessions),
            affected={} if window.spilled else affected,
            left_out=dict(sorted(self.left_out.items())),
        )
        first = Line(
            start=self._start(number),
            source=Source.FIRST_REQUESTS,
            exposed=_by_arm(window.first),
            affected={"first_requests": _by_arm(window.failed)},
        )
        return told, first

    def _remember(self, session: str, arm: str) -> None:
        """Keep a session from being counted twice; the one that was away longest is forgotten."""
        self._known[session] = arm
        if len(self._known) > self._most:
            del self._known[next(iter(self._known))]


def _arms(sessions: Iterable[_Session]) -> Arms:
    return _by_arm(Counter(one.arm for one in sessions))


def _by_arm(counted: Counter[str]) -> Arms:
    return Arms(counted["canary"], counted["stable"])
