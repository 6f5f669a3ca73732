"""One database: PostgreSQL embedded below the home or a real server, and our own tables in it.

    open_database   the embedded server, or the one that was named, migrated
    connect         an engine for an address
    migrate         bring the tables up to date; `pending` only looks

What is kept in the tables has doors of its own: `adapters.ledger`, `.changes`, `.decisions`.
Dagster's tables are Dagster's business.
"""

from selfdrive_dagster.adapters.postgres.database import connect, open_database
from selfdrive_dagster.adapters.postgres.migrations import MIGRATIONS, Migration, migrate, pending
from selfdrive_dagster.adapters.postgres.urls import DatabaseUnreachable, normalised, shown

__all__ = [
    "MIGRATIONS",
    "DatabaseUnreachable",
    "Migration",
    "connect",
    "migrate",
    "normalised",
    "open_database",
    "pending",
    "shown",
]
