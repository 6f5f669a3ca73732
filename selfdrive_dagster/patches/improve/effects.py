"""Expected effects: stated before a change, read after it.

An effect is a claim on one signal of telemetry. Afterwards the signal is read again over requests
of the new release: it came true, it did not, or too little was seen to know. Belongs here: stating
and judging. Does not belong: reading telemetry.
"""

from enum import Enum

from selfdrive_dagster.patches.improve.records import Effect, SlowPath

SIGNAL = "p95_ms"


class Outcome(Enum):
    """What came of an expected effect."""

    CAME_TRUE = "came_true"
    DID_NOT = "did_not"
    UNKNOWN = "unknown"


def expected(slow: SlowPath, low: float, high: float) -> Effect | None:
    """Return what is expected of a route whose requests now take `low` to `high` of before.

    None where telemetry told no duration: an effect that nobody could measure is not stated.
    """
    if slow.p95_ms is None:
        return None
    least, most = slow.p95_ms * low, slow.p95_ms * high
    return Effect(
        signal=SIGNAL,
        service_name=slow.service_name,
        subject=slow.route,
        before=slow.p95_ms,
        low=least,
        high=most,
        says=f"the p95 of {slow.route} falls from {slow.p95_ms:,.0f} ms to {least:,.0f} to "
        f"{most:,.0f} ms, if it is served as in the sandbox",
    )


def came_true(effect: Effect, value: float | None, seen: int) -> Outcome:
    """Say what a signal of a later release tells: `value` over `seen` observations.

    True is what took at least half of the improvement that was stated at its most cautious: a
    production host is no sandbox, and a change that hardly helps is not what was promised.
    """
    if value is None or seen < effect.fewest:
        return Outcome.UNKNOWN
    if effect.low > effect.before:  # more is better
        better = value >= effect.before + (effect.low - effect.before) / 2
    else:
        better = value <= effect.before - (effect.before - effect.high) / 2
    return Outcome.CAME_TRUE if better else Outcome.DID_NOT
