"""Burn rates: does an issue alone use up the error budget of its service so fast that it pages?

burn rate = share of requests that failed / (1 − SLO). The windows are those of the SRE workbook,
chapter 5 (telemetry.md §4): a rate pages when the long window shows that it matters and the short
one that it goes on. Belongs here: the rule. Does not belong: how requests are counted.
"""

from collections.abc import Mapping
from datetime import timedelta

import msgspec

FEWEST = 10
"""Failures in the long window below which nobody is woken: one of five requests proves nothing."""


class BurnRule(msgspec.Struct, frozen=True):
    """Pages when both windows burn at `rate` or faster."""

    rate: float
    long: timedelta
    short: timedelta


PAGES: tuple[BurnRule, ...] = (
    BurnRule(14.4, timedelta(hours=1), timedelta(minutes=5)),
    BurnRule(6.0, timedelta(hours=6), timedelta(minutes=30)),
)

WINDOWS: tuple[timedelta, ...] = tuple(
    sorted({window for rule in PAGES for window in (rule.long, rule.short)})
)
"""All windows that a rule asks for, shortest first."""

Counts = Mapping[timedelta, int]


def is_paging(bad: Counts, requests: Counts, slo: float) -> bool | None:
    """Say whether an issue pages; None where its services reported no request in the last hour.

    `bad` counts the issue's events by window that ends now, `requests` those of its services.
    """
    if not requests[PAGES[0].long]:
        return None
    return any(
        bad[rule.long] >= FEWEST
        and burn_rate(bad[rule.long], requests[rule.long], slo) >= rule.rate
        and burn_rate(bad[rule.short], requests[rule.short], slo) >= rule.rate
        for rule in PAGES
    )


def burn_rate(bad: int, requests: int, slo: float) -> float:
    """Return how many times faster than allowed the budget goes; 0 without requests."""
    return min(1.0, bad / requests) / (1.0 - slo) if requests else 0.0
