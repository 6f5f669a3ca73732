"""Approvals: what is signed, by whom, and whether it still holds.

Everything that is decided on is read from the ledger, the evidence and git, each time anew; no
event of Dagster, no tag and no row without a signature counts. Belongs here: gathering those
facts, making a decision of a signature, asking whether it holds. Does not belong: what a
statement says and what voids it (`rollout.approval`), keys (`adapters.signatures`).
"""

from selfdrive_dagster.adapters.approving.facts import (
    Desk,
    Facts,
    allowed_signers_at,
    binding_of,
    facts_of,
)
from selfdrive_dagster.adapters.approving.holding import Approvals
from selfdrive_dagster.adapters.approving.keys import Signer, choose_signer, own_keys
from selfdrive_dagster.adapters.approving.signing import advance, approve

__all__ = [
    "Approvals",
    "Desk",
    "Facts",
    "Signer",
    "advance",
    "allowed_signers_at",
    "approve",
    "binding_of",
    "choose_signer",
    "facts_of",
    "own_keys",
]
