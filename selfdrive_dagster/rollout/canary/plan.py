"""The plan of a rollout: stages, guardrails and margins, all fixed and shown before it starts."""

from enum import Enum

import msgspec

from selfdrive_dagster.errors import BadInput


class Measure(Enum):
    """How a guardrail is counted and which e-process reads it."""

    EVENT = "event"
    """A session in which something happened that is rare: an error, the issue, a new crash."""

    LATENCY = "latency"
    """A session slower than the historical median, 90th or 99th percentile: three counts."""

    REQUEST = "request"
    """A request that came without an arm, and failed in the one that it was drawn for.

    It is drawn by the share alone, before anything of it is known, and each for itself: of those
    that would fail in either arm an equal canary gets its part, robots among them or not.
    """


class Guardrail(msgspec.Struct, frozen=True):
    """What may not get worse. A latency is counted under `name.p50`, `name.p90`, `name.p99`.

    In fewer than `tolerable` of the canary's sessions, or requests, it may happen whatever the
    ratio to stable is: what never happened there has none. 0 tolerates nothing.
    """

    name: str
    measure: Measure = Measure.EVENT
    tolerable: float = 0.0

    @property
    def counted(self) -> tuple[str, ...]:
        """The names under which windows count it."""
        if self.measure is not Measure.LATENCY:
            return (self.name,)
        return tuple(f"{self.name}.{quantile}" for quantile in ("p50", "p90", "p99"))

    @property
    def unit(self) -> str:
        """What is counted."""
        return "requests" if self.measure is Measure.REQUEST else "sessions"


GUARDRAILS = (
    Guardrail("errors", tolerable=0.001),
    Guardrail("first_requests", Measure.REQUEST, tolerable=0.005),
    Guardrail("latency", Measure.LATENCY),
    Guardrail("issue", tolerable=0.005),
    Guardrail("new_crashes", tolerable=0.005),
)


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """A share of new sessions, and what must be excluded before more of them are exposed.

    `margin` is R0: the risk ratio that SAFE rules out. `minimum` sessions must be seen in the
    canary, over at least `windows` windows.
    """

    share: float
    margin: float
    minimum: int = 50
    windows: int = 3

    def __post_init__(self) -> None:
        if not 0.0 < self.share < 1.0:
            raise BadInput(f"A stage's share lies between 0 and 1, not at {self.share}.")
        if self.margin <= 1.1:
            raise BadInput(f"A margin must exceed 1.1, the highest bet of SAFE; {self.margin} not.")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """All that is decided before the first session is exposed, and when the outcome is weighed.

    That is `soak_minutes` after a promotion, or a release by others. A session is followed for
    `window_seconds` from its start. Telemetry arrives later than the proxy's log: a guardrail's
    newest `lag_windows` may be unmeasured yet. The newest session may have begun in a window that
    ended `stale_windows` ago; follow-up alone takes more than one. A stage that says nothing for
    `longest_minutes` from its beginning, holds for want of data included, is held. After a
    rollback a service `rests` (`rollout.breaker`).
    """

    stages: tuple[Stage, ...]
    bake_minutes: float
    bake_share: float = 0.95
    soak_minutes: float = 24 * 60.0
    guardrails: tuple[Guardrail, ...] = GUARDRAILS
    window_seconds: float = 60.0
    warm_up_windows: int = 3
    lag_windows: int = 3
    stale_windows: int = 3
    longest_minutes: float = 24 * 60.0
    rests: bool = True
    alpha: float = 0.05
    beta: float = 0.05
    ratio_alpha: float = 0.001
    fuse_units: int = 20
    fuse_share: float = 0.5

    def __post_init__(self) -> None:
        shares = [stage.share for stage in self.stages]
        if not shares or shares != sorted(set(shares)):
            raise BadInput(f"A plan's shares grow from stage to stage, unlike {shares}.")
        if not self.guardrails:
            raise BadInput("A plan needs a guardrail: without one nothing could be harmed.")

    @property
    def patience_windows(self) -> int:
        """So many windows a stage may be without data before it is held."""
        return self.warm_up_windows + self.lag_windows + self.stale_windows + 2

    @property
    def harm_threshold(self) -> float:
        """The e-value at which one guardrail says HARM, corrected for how many there are."""
        return len(self.guardrails) / self.alpha

    @property
    def safe_threshold(self) -> float:
        """The e-value that every guardrail must reach for SAFE."""
        return 1 / self.beta


DEFAULT_PLAN = Plan(
    stages=(
        Stage(share=0.01, margin=3.0),
        Stage(share=0.05, margin=2.0),
        Stage(share=0.25, margin=1.5),
        Stage(share=0.50, margin=1.25),
    ),
    bake_minutes=24 * 60.0,
)

DEMO_PLAN = Plan(
    stages=(
        Stage(share=0.10, margin=10.0, minimum=30, windows=3),
        Stage(share=0.50, margin=5.0, minimum=60, windows=2),
    ),
    bake_minutes=0.3,
    guardrails=(
        Guardrail("errors", tolerable=0.08),
        Guardrail("first_requests", Measure.REQUEST, tolerable=0.15),
        Guardrail("latency", Measure.LATENCY, tolerable=0.15),
        Guardrail("issue", tolerable=0.15),
        Guardrail("new_crashes", tolerable=0.15),
    ),
    window_seconds=3.0,
    warm_up_windows=3,
    longest_minutes=4.0,
    rests=False,
    soak_minutes=0.3,
    lag_windows=17,
    stale_windows=10,
    beta=0.10,
)
"""Two steps for a demonstration, with some ten new sessions a second, each over in two: its margins
are wide and it tolerates much, so that SAFE takes about a minute; HARM is as strict as ever.
`bench/demo_plan.py` simulates it. In earnest it would let pass what it should not.
"""

PLANS = {"default": DEFAULT_PLAN, "demo": DEMO_PLAN}
"""The plans that `[rollout] plan` may name."""
