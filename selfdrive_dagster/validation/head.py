"""A change on the product's branch as it is by now: the same patch, proven once more.

While a change was with users others may have gone on. It is merged only as what was proven on
their work. Does not belong here: git, and who may merge.
"""

import msgspec

from selfdrive_dagster.model import Report


class HeadProof(msgspec.Struct, frozen=True, kw_only=True):
    """What the gate said of a signed patch on `head`; `commit` is the patch on top of it.

    `signed` is the report that was signed. Only where both agree may the commit be merged.
    """

    change_id: str
    head: str
    commit: str
    signed: Report
    report: Report

    @property
    def holds(self) -> bool:
        """Say whether the patch is on this head what was signed: claim and verdict are equal."""
        old, new = self.signed, self.report
        return (old.claim, old.verdict, old.patch_sha256) == (
            new.claim,
            new.verdict,
            new.patch_sha256,
        )
