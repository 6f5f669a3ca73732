"""Closing a breaker: what a person signs so that a service's changes may meet users again."""

from datetime import datetime

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import canonical
from selfdrive_dagster.rollout.custody import Custody

NAMESPACE = "selfdrive-breaker"
"""The purpose in the SSH signature: no approval is taken for this, nor this for an approval."""

SHORTEST_REASON = 8


class Closing(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed, as canonical JSON. `signers_at` is the commit whose signers it goes by."""

    service: str
    closer: str
    reason: str
    signers_at: str
    custody: Custody
    at: datetime

    def __post_init__(self) -> None:
        if len(self.reason.strip()) < SHORTEST_REASON:
            raise BadInput(
                "Closing a breaker needs a reason that somebody can read later.",
                remedy='--reason "what was wrong, and why it is over"',
            )

    def to_sign(self) -> bytes:
        """Return the very bytes that the signature covers."""
        return canonical(self)
