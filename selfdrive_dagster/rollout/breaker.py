"""What stops the loop when its changes come back: the breaker, the cool-down, the quarantine.

Pure, over the changes of a service that met users and how they ended. The breaker is an
e-process against "no more than one change in ten comes back" (a mixture of bets on higher rates,
as in `canary.eprocess`), so that it may be read after every change for ever and still opens by
mere bad luck with a chance of at most one in twenty. Once open it stays open until a person
closes it. Cool-down and quarantine end by themselves: after them the loop may try again, which
is not trust. Does not belong here: the budget of errors, and who closes the breaker.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

import msgspec

from selfdrive_dagster.rollout.canary.eprocess import log_mean
from selfdrive_dagster.rollout.lifecycle import Fact

USUAL_RATE = 0.10
"""So many of the changes that meet users may come back before we doubt the loop."""

RATE_BETS = (0.2, 0.3, 0.5, 0.8)
"""Rates that are bet on against it."""

TRIP_AT = 20.0
"""The e-value at which the breaker opens: 1/α for α = 0.05."""

COOL_DOWNS = (timedelta(hours=1), timedelta(hours=6), timedelta(hours=24))
"""How long a service rests after one, two, three changes in a row that came back; then doubled."""

LONGEST_COOL_DOWN = timedelta(days=30)

QUARANTINE_HARMS = 2
QUARANTINE_WINDOW = timedelta(days=30)
"""So many harms of one issue in one module, within this time, and it is proposed only."""

QUARANTINE_LASTS = timedelta(days=30)


class Ended(msgspec.Struct, frozen=True, kw_only=True):
    """How a change ended that had met users: it came back at `at`, or was promoted then.

    `by_harm` tells the evidence of harm from an abort, a lost lease or silence. A change that
    never met users is not one of these, and neither is one that is still on its way.
    """

    change_id: str
    service: str
    module: str
    fingerprint: str
    at: datetime
    came_back: bool
    by_harm: bool = False


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What may be done to a service now. Each reason is a sentence for people."""

    log_evidence: float
    tripped_at: datetime | None = None
    cools_until: datetime | None = None
    quarantined_until: datetime | None = None
    reasons: tuple[str, ...] = ()

    @property
    def facts(self) -> frozenset[Fact]:
        """What the lifecycle may take as known."""
        rests = self.tripped_at is not None or self.cools_until is not None
        closed = set() if rests else {Fact.BREAKER_CLOSED}
        free = set() if self.quarantined_until else {Fact.NOT_QUARANTINED}
        return frozenset(closed | free)


def log_evidence(came_back: Iterable[bool]) -> Iterator[float]:
    """Yield, after each change, the logarithm of the e-value against the usual rate.

    Per bet q it grows by ln(q/q0) for a change that came back and by ln((1-q)/(1-q0)) for one
    that did not; bets are averaged as e-values.
    """
    totals = [0.0] * len(RATE_BETS)
    for back in came_back:
        for number, bet in enumerate(RATE_BETS):
            hit = bet / USUAL_RATE if back else (1 - bet) / (1 - USUAL_RATE)
            totals[number] += math.log(hit)
        yield log_mean(totals)


def tripped_at(ended: Sequence[Ended]) -> datetime | None:
    """Return when the breaker opened, None while it is closed. `ended` are oldest first."""
    evidence = zip(ended, log_evidence(one.came_back for one in ended), strict=True)
    return next((one.at for one, value in evidence if value >= math.log(TRIP_AT)), None)


def cool_down(in_a_row: int) -> timedelta:
    """Return how long a service rests after so many changes in a row came back."""
    if in_a_row <= 0:
        return timedelta()
    if in_a_row <= len(COOL_DOWNS):
        return COOL_DOWNS[in_a_row - 1]
    doublings = min(in_a_row - len(COOL_DOWNS), 16)
    return min(COOL_DOWNS[-1] * int(2**doublings), LONGEST_COOL_DOWN)


def cools_until(ended: Sequence[Ended]) -> datetime | None:
    """Return until when a service rests, None when the last change stayed. Oldest first."""
    in_a_row = 0
    for one in reversed(ended):
        if not one.came_back:
            break
        in_a_row += 1
    return ended[-1].at + cool_down(in_a_row) if in_a_row else None


def quarantined_until(ended: Iterable[Ended], module: str, fingerprint: str) -> datetime | None:
    """Return until when an issue in a module is proposed only, None when it never was."""
    where = (module, fingerprint)
    harms = sorted(
        one.at
        for one in ended
        if one.came_back and one.by_harm and (one.module, one.fingerprint) == where
    )
    pairs = zip(harms, harms[QUARANTINE_HARMS - 1 :], strict=False)
    ends = [last + QUARANTINE_LASTS for first, last in pairs if last - first <= QUARANTINE_WINDOW]
    return max(ends, default=None)


def stand(
    ended: Iterable[Ended],
    *,
    service: str,
    module: str,
    fingerprint: str,
    now: datetime,
    closed_at: datetime | None = None,
    rests: bool = True,
) -> Standing:
    """Say whether a change may go on: an issue's, in a module of a service.

    `ended` are all that ended, in any order; `closed_at` is when a person last closed the
    breaker, which counts anew from there. Cool-down and quarantine heed nobody; `rests` False
    is for a demonstration, which cannot wait an hour.
    """
    here = sorted((one for one in ended if one.service == service), key=lambda one: one.at)
    counted = [one for one in here if closed_at is None or one.at > closed_at]
    opened = tripped_at(counted)
    cools = _ahead(cools_until(here), now) if rests else None
    barred = _ahead(quarantined_until(here, module, fingerprint), now)
    back = sum(one.came_back for one in counted)
    reasons = (
        (opened, f"{back} of {len(counted)} changes of {service} came back: a person must look"),
        (cools, f"{service} rests after a change that came back, until {cools}"),
        (barred, f"changes for {fingerprint} in {module} did harm, proposals only until {barred}"),
    )
    return Standing(
        log_evidence=[0.0, *log_evidence(one.came_back for one in counted)][-1],
        tripped_at=opened,
        cools_until=cools,
        quarantined_until=barred,
        reasons=tuple(says for when, says in reasons if when is not None),
    )


def _ahead(until: datetime | None, now: datetime) -> datetime | None:
    return until if until is not None and now < until else None
