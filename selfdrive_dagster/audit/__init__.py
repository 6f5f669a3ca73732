"""Audit: did it help, and who says so. The chain of all that was decided and done.

Belongs here: what a ledger row is, how rows are chained, what breaks a chain. Does not
belong: where rows are stored (`adapters.ledger`).
"""

from selfdrive_dagster.audit.dossier import OBSERVED, Answer, Case, Kept, answers, gaps
from selfdrive_dagster.audit.ledger import (
    GENESIS,
    Entry,
    Fault,
    FaultKind,
    Head,
    Link,
    link,
    verify,
)

__all__ = [
    "GENESIS",
    "OBSERVED",
    "Answer",
    "Case",
    "Entry",
    "Fault",
    "FaultKind",
    "Head",
    "Kept",
    "Link",
    "answers",
    "gaps",
    "link",
    "verify",
]
