"""Lines: what one source said of one window, as it is stored; and the windows that they make.

The proxy's log makes a window; what it says of first requests, and telemetry, which comes later,
add their guardrails to it. Belongs here: what a line is, the share that held in a window, and
joining. Does not belong: files, and who counts.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum

import msgspec

from selfdrive_dagster.rollout.canary.counts import Arms, Count, Window


class Source(Enum):
    """Who counted, and whom: each source has a population of its own."""

    PROXY = "proxy"
    """Sessions, by the proxy's log."""

    FIRST_REQUESTS = "first_requests"
    """Requests without an arm, by the same log."""

    TELEMETRY = "telemetry"
    """Sessions, by the product's spans."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """What a source counted of the sessions that began in a window, or of a window's requests.

    `affected` holds the guardrails that it could measure. `share` is said by the proxy alone, with
    its sessions, as is `left_out`: how many, by the reason, were seen so far and not counted.
    """

    start: datetime
    source: Source
    share: float | None = None
    exposed: Arms = Arms()
    affected: dict[str, Arms] = {}
    left_out: dict[str, int] = {}


class Step(msgspec.Struct, frozen=True):
    """A share of new sessions, from a moment on; None while it is not known."""

    at: datetime
    share: float | None


def share_in(steps: Sequence[Step], start: datetime, seconds: float) -> float | None:
    """Return the share that held in a window, None where it changed in it or in the one before.

    In the one before, since an arm is drawn at a visitor's first request, and the log tells a
    session from the second one on. `steps` come oldest first; before the first the share is 0.
    """
    width = timedelta(seconds=seconds)
    before = [step for step in steps if step.at <= start - width]
    share = before[-1].share if before else 0.0
    within = (step for step in steps if start - width < step.at < start + width)
    return None if any(step.share != share for step in within) else share


def windows_of(lines: Iterable[Line]) -> tuple[Window, ...]:
    """Join lines into windows, oldest first. The first line of a source on a window counts.

    What the others say of a window of which the proxy told no sessions is left out.
    """
    first: dict[tuple[datetime, Source], Line] = {}
    for line in lines:
        first.setdefault((line.start, line.source), line)
    made = []
    for (start, source), line in sorted(first.items(), key=lambda item: item[0][0]):
        if source is not Source.PROXY:
            continue
        told = (first.get((start, source)) for source in Source)
        measured = {
            name: Count(one.exposed, hit)
            for one in told
            if one is not None
            for name, hit in one.affected.items()
        }
        window = Window(start=start, share=line.share, exposed=line.exposed, measured=measured)
        made.append(window)
    return tuple(made)
