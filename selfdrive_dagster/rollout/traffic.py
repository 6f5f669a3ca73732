"""Traffic: which share of new sessions meets the canary, who may raise it, when it falls back.

Belongs here: the records that a front and its controller exchange, the pure rules of what they
come to, and the port of whoever moves traffic. Does not belong: files, processes, a proxy.
A share above 0 counts only while its lease lasts. To stable leads a way that needs nothing.
"""

from datetime import datetime
from enum import Enum
from typing import Annotated, Protocol

import msgspec
from msgspec import Meta

Share = Annotated[float, Meta(ge=0.0, lt=1.0)]
"""The part of new sessions that meets the canary."""

FRESH_SECONDS = 5.0
"""What a front saw this long ago is no longer known."""

MOST_WORDS, FEW_WORDS = 2_000, 200
"""So much of a reason is kept, in characters: it has to fit where no room is left."""


class Cause(Enum):
    """Why traffic returned to stable before the lifecycle said so."""

    LEASE = "lease"
    KILL_SWITCH = "kill switch"
    CANARY = "canary"
    COMMAND = "command"
    HARM = "harm"
    FAULT = "fault"


class Returned(msgspec.Struct, frozen=True, kw_only=True):
    """A return to stable, as the journal keeps it. `generation` is the one it made.

    `share` is what had been wanted until then.
    """

    at: datetime
    cause: Cause
    reason: str
    change_id: str
    generation: int
    share: float = 0.0


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What shall be served. Each write raises `generation` by one.

    `stable` and `canary` are commits, `canary` "" for none; `plan` is the digest of the plan
    that the share is a step of; `reason` is why this was written. `before` is the stable that a
    promotion replaced. `back` is the return that made this, which the journal may not tell yet.
    """

    generation: int = 0
    change_id: str = ""
    stable: str = ""
    canary: str = ""
    share: Share = 0.0
    lease_until: datetime | None = None
    plan: str = ""
    reason: str = ""
    before: str = ""
    back: Returned | None = None


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a front saw at `at`: `share` as the proxy itself tells, None when it does not answer.

    `generation` is the one that the front has put into effect. `stable_healthy` is said of
    the process that the proxy leads to, by its own word. `canary_healthy` is None when
    there is no canary, or it was not yet looked at. `address` is where the product is served.
    """

    generation: int
    at: datetime
    change_id: str = ""
    stable: str = ""
    canary: str = ""
    share: float | None = None
    stable_healthy: bool = False
    canary_healthy: bool | None = None
    address: str = ""
    note: str = ""


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """What is wanted, and what was last seen of it; `seen` is None when no front has looked."""

    wanted: Wanted
    seen: Seen | None = None


class TrafficActuator(Protocol):
    """Moves traffic. `set` alone raises exposure, `to_stable` needs nothing to work."""

    def read(self) -> Traffic:
        """Return what is wanted and what was seen."""
        ...

    def set(self, share: float, generation: int) -> Traffic:
        """Want a share, and renew the lease. `generation` is the one that the caller has read.

        Raises Refused when it is not the current one, or more must not be exposed now.
        """
        ...

    def to_stable(self, reason: str) -> Traffic:
        """Send every session to stable, whoever wants what, and return what was seen then."""
        ...


def must_return(wanted: Wanted, now: datetime, *, killed: bool) -> tuple[Cause, str] | None:
    """Say why a wanted share must fall to 0, None while it may stand.

    With the kill switch a canary falls even at share 0: nothing may be tried meanwhile.
    """
    if killed and wanted.canary:
        return Cause.KILL_SWITCH, "the file STOP is there"
    if wanted.share > 0 and wanted.lease_until is None:
        return Cause.LEASE, "there was no lease"
    if wanted.share > 0 and wanted.lease_until is not None and wanted.lease_until <= now:
        return Cause.LEASE, f"the lease ran out at {wanted.lease_until:%H:%M:%S} UTC"
    return None


def counts(wanted: Wanted, now: datetime, *, killed: bool) -> float:
    """Return the share that counts now."""
    return 0.0 if must_return(wanted, now, killed=killed) else wanted.share


def leads_back(wanted: Wanted) -> bool:
    """Say whether a return would change what is served."""
    return bool(wanted.canary or wanted.before)


def returned(wanted: Wanted, reason: str, cause: Cause, at: datetime) -> Wanted:
    """Return what is wanted after a return to stable: no canary, no share, the next generation.

    Without a canary it is the last promotion that goes back. The change stays named, so that the
    proxy's services keep their names.
    """
    undone = bool(wanted.before) and not wanted.canary
    back = Returned(
        at=at,
        cause=cause,
        reason=reason[:MOST_WORDS],
        change_id=wanted.change_id,
        generation=wanted.generation + 1,
        share=wanted.share,
    )
    return msgspec.structs.replace(
        wanted,
        generation=back.generation,
        stable=wanted.before if undone else wanted.stable,
        canary="",
        share=0.0,
        lease_until=None,
        reason=reason[:FEW_WORDS],
        before="",
        back=back,
    )


def refusal(traffic: Traffic, share: float, now: datetime, *, killed: bool) -> str:
    """Say why this share must not be wanted now, "" when it may. Less is always allowed."""
    wanted = traffic.wanted
    if share <= 0.0:
        return ""
    why = must_return(wanted, now, killed=killed)
    if killed or why:
        return why[1] if why else "the file STOP is there"
    if not wanted.canary:
        return "there is no canary"
    return "" if share <= wanted.share else unfit(traffic.seen, wanted, now)


def unfit(seen: Seen | None, wanted: Wanted, now: datetime) -> str:
    """Say what a front would have to show before more sessions are exposed, "" for nothing."""
    if seen is None or (now - seen.at).total_seconds() > FRESH_SECONDS:
        return "no front looks after the traffic"
    if (seen.change_id, seen.canary) != (wanted.change_id, wanted.canary):
        return "the canary is not there yet"
    if not seen.stable_healthy:
        return "stable is not healthy"
    return "" if seen.canary_healthy else "the canary is not healthy"
