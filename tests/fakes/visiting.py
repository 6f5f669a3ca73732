"""Requests as a proxy's log tells them, made up."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

BEGIN = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
CHANGE = "chg_0123456789abcdef"


@dataclass(frozen=True)
class Asked:
    """One request that was answered."""

    at: datetime
    arm: str
    session: str
    status: int = 200
    seconds: float = 0.01
    change_id: str = CHANGE
    assigned: str = ""


def ask(
    second: float, session: str, arm: str = "stable", *, seconds: float = 0.01, **more
) -> Asked:
    """Return a request that its own arm answered so many seconds after the rollout began."""
    at = BEGIN + timedelta(seconds=second - seconds)
    return Asked(**{"at": at, "arm": arm, "assigned": arm, "session": session,
                    "seconds": seconds, **more})  # fmt: skip
