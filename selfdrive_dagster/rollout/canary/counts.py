"""What a canary's evidence is made of: sessions per arm and window, as values that add.

The unit is the session, since that is what the proxy draws an arm for: each is counted once, in
the window of its first request, and is affected or not. Counting errors instead would let one
session with a hundred of them decide. Only a request that came without an arm is a unit of its
own: the proxy drew it for itself. Does not belong here: where the numbers come from.
"""

from datetime import datetime

import msgspec

from selfdrive_dagster.errors import BadInput


class Arms(msgspec.Struct, frozen=True):
    """One number for each arm."""

    canary: int = 0
    stable: int = 0

    def __post_init__(self) -> None:
        if self.canary < 0 or self.stable < 0:
            raise BadInput(f"No count is below zero: canary {self.canary}, stable {self.stable}.")

    def __add__(self, other: "Arms") -> "Arms":
        return Arms(self.canary + other.canary, self.stable + other.stable)

    @property
    def total(self) -> int:
        """Both arms together."""
        return self.canary + self.stable


class Count(msgspec.Struct, frozen=True):
    """Of the sessions or requests that one source saw, how many were affected.

    Each source sees a population of its own, so each guardrail brings its own exposed.
    Raises BadInput when more sessions are affected than there were.
    """

    exposed: Arms = Arms()
    affected: Arms = Arms()

    def __post_init__(self) -> None:
        if self.affected.canary > self.exposed.canary or self.affected.stable > self.exposed.stable:
            raise BadInput(f"More sessions are affected than there were: {self}.")

    def __add__(self, other: "Count") -> "Count":
        return Count(self.exposed + other.exposed, self.affected + other.affected)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions that began in one window, and what each guardrail counted of them.

    `share` is the canary's configured share of new sessions in [0, 1], None where it changed
    within the window: such a window says nothing of the sample ratio. `exposed` is what the proxy
    saw. A guardrail that is not in `measured` was not measured (yet), which is not the same as no
    harm.
    """

    start: datetime
    share: float | None
    exposed: Arms
    measured: dict[str, Count]

    def __post_init__(self) -> None:
        if self.share is not None and not 0.0 <= self.share <= 1.0:
            raise BadInput(f"A share lies between 0 and 1, not at {self.share}.")
