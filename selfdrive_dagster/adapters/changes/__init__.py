"""Changes in the database: `Changes` moves them, `Change` is one as it stands.

store     one transaction per move: state, rules of the service, ledger row
records   what is stored, and its columns
"""

from selfdrive_dagster.adapters.changes.records import (
    Authority,
    Change,
    Moved,
    MoveRefused,
    entry_of,
)
from selfdrive_dagster.adapters.changes.store import Changes, locked, settle

__all__ = ["Authority", "Change", "Changes", "MoveRefused", "Moved", "entry_of", "locked", "settle"]
