"""An amendment: a person's own patch in the place of a change's, and what they sign of it.

The signature names the author, so that they cannot approve their own work later. It gives the
patch no trust: the gate judges it like any other. Does not belong here: proving it.
"""

from datetime import datetime

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import canonical
from selfdrive_dagster.rollout.custody import Custody

NAMESPACE = "selfdrive-amendment"
"""The purpose in the SSH signature: no approval is taken for this, nor this for an approval."""

SHORTEST_REASON = 8


class Amendment(msgspec.Struct, frozen=True, kw_only=True):
    """What is signed, as canonical JSON.

    `patch` is a unified diff, with words above it allowed. `replaces` is the commit that was
    proposed before, `signers_at` the base of the change, whose signers it goes by.
    """

    change_id: str
    author: str
    reason: str
    patch: str
    replaces: str
    signers_at: str
    custody: Custody
    at: datetime

    def __post_init__(self) -> None:
        if len(self.reason.strip()) < SHORTEST_REASON:
            raise BadInput(
                "An amendment needs a reason that somebody can read later.",
                remedy='--reason "what the proposed patch got wrong"',
            )
        if "\n--- " not in f"\n{self.patch}":
            raise BadInput("The amendment holds no unified diff.", remedy="git diff > edited.patch")

    def to_sign(self) -> bytes:
        """Return the very bytes that the signature covers."""
        return canonical(self)
