"""Quotas: how many events a minute each source may send, so that one cannot crowd out others.

A source is a service name. A bucket holds one minute's events and fills evenly; a delivery is
taken while its bucket holds anything, so that a batch larger than the rest still gets through
once, and is paid off before the next.
"""

import time
from collections.abc import Callable, Mapping

MAX_SOURCES = 1_000
"""Names are cheap to invent: beyond so many, new ones share one bucket."""

OTHERS = "(others)"


class OverQuota(Exception):
    """A source that must wait; `seconds` says how long."""

    def __init__(self, source: str, seconds: int) -> None:
        super().__init__(f"{source!r} sent more than its quota; again in {seconds} s.")
        self.seconds = seconds


class Quotas:
    """The buckets of all sources; `per_minute` 0 takes everything. One thread only."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def spend(self, events: Mapping[str, int]) -> None:
        """Take these events of each source, all or none. Raises OverQuota."""
        if not self._per_minute:
            return
        now = self._clock()
        held = {name: self._held(name, now) for name in map(self._name, events)}
        for name, left in held.items():
            if left <= 0:
                seconds = 1 - left * 60 / self._per_minute
                raise OverQuota(name, max(1, min(60, round(seconds))))
        for source, count in events.items():
            held[self._name(source)] -= count
        self._buckets.update({source: (left, now) for source, left in held.items()})

    def _name(self, source: str) -> str:
        is_known = source in self._buckets or len(self._buckets) < MAX_SOURCES
        return source if is_known else OTHERS

    def _held(self, source: str, now: float) -> float:
        left, since = self._buckets.get(source, (float(self._per_minute), now))
        return min(self._per_minute, left + (now - since) * self._per_minute / 60)
