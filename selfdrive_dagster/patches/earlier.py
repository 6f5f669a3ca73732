"""Earlier attempts at an issue that came back: they are told, and some are not tried again.

Two patches are the same when they take out and bring in the same code, wherever it stands by now
and however it is indented or commented. Does not belong here: who says that one did not hold.
"""

import msgspec

from selfdrive_dagster.model import digest


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """An attempt that users met: how it ended, and why, in words for the next reviewer.

    `bars` says that its patch is at fault: it is not tried again.
    """

    change_id: str
    ended: str
    because: str
    patch: str
    bars: bool

    @property
    def essence(self) -> str:
        """What a new patch would be the same by."""
        return essence_of(self.patch)


def essence_of(patch: str) -> str:
    """Return the sha256 of what a unified diff does: its paths and its changed lines, normalised.

    Line numbers, context, indentation and comment lines are left out.
    """
    kept = []
    for line in patch.splitlines():
        if line.startswith("+++ ") or (line[:1] in "+-" and not line.startswith("--- ")):
            code = line[1:].strip()
            if code and not code.startswith("#"):
                kept.append(line[:1] + " ".join(code.split()))
    return digest(kept)
