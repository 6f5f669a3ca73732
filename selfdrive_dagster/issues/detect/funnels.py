"""Funnels: do fewer visitors than usual go on from one step to the next?

Two proportions, compared by z (pooled): the last hours, against the same hours of weeks before.
Belongs here: the test. Does not belong: what the steps are (`[issues] funnels`).
"""

import math

import msgspec

FEWEST = 30
"""Visitors at the first step, now and then, below which a drop is chance."""
LEAST_DROP = 0.1
"""Part of the usual conversion that must be gone: a sure trifle is a trifle."""


class Step(msgspec.Struct, frozen=True):
    """Visitors who came to a step, and those of them who went on."""

    came: int
    went_on: int

    @property
    def rate(self) -> float:
        """The part that went on; 0 where nobody came."""
        return self.went_on / self.came if self.came else 0.0


def drop_sigmas(now: Step, usual: Step) -> float | None:
    """Return by how many standard deviations fewer go on now; None where too few came."""
    if min(now.came, usual.came) < FEWEST:
        return None
    together = (now.went_on + usual.went_on) / (now.came + usual.came)
    spread = math.sqrt(together * (1 - together) * (1 / now.came + 1 / usual.came))
    return (usual.rate - now.rate) / spread if spread else 0.0


def is_drop(now: Step, usual: Step, sigmas: float) -> bool:
    """Say whether conversion fell, surely (`sigmas`) and by a part that matters."""
    found = drop_sigmas(now, usual)
    matters = usual.rate - now.rate >= LEAST_DROP * usual.rate
    return found is not None and found > sigmas and matters
