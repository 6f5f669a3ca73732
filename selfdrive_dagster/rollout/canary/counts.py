"""What a canary's evidence is made of: sessions per arm and window, as values that add.

The unit is the session, since that is what the proxy draws an arm for: each is counted once, in
the window of its first request, and is affected or not. Counting errors instead would let one
session with a hundred of them decide. Does not belong here: where the numbers come from.
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


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The sessions that began in one window, and in how many of them each guardrail was hit.

    `share` is the canary's configured share of new sessions in [0, 1]. A guardrail that is not
    in `affected` was not measured, which is not the same as no harm. Raises BadInput when more
    sessions are affected than there were.
    """

    start: datetime
    share: float
    exposed: Arms
    affected: dict[str, Arms]

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise BadInput(f"A share lies between 0 and 1, not at {self.share}.")
        for name, hit in self.affected.items():
            if hit.canary > self.exposed.canary or hit.stable > self.exposed.stable:
                raise BadInput(f"{name} affects more sessions than there were: {hit}.")
