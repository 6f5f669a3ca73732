"""Our tables as queries see them. Their rules and indexes are made by `migrations` alone.

A test compares these columns with a migrated database.
"""

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Integer,
    MetaData,
    Table,
    Text,
)

metadata = MetaData(schema="selfdrive")

ledger = Table(
    "ledger",
    metadata,
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", DateTime(timezone=True)),
    Column("actor", Text),
    Column("kind", Text),
    Column("change_id", Text),
    Column("issue_id", Text),
    Column("body", JSON),
    Column("run_id", Text),
    Column("signature", Text),
    Column("prev_hash", Text),
    Column("hash", Text),
)

changes = Table(
    "changes",
    metadata,
    Column("change_id", Text, primary_key=True),
    Column("issue_id", Text),
    Column("service", Text),
    Column("base_revision", Text),
    Column("state", Text),
    Column("is_active", Boolean),
    Column("since", DateTime(timezone=True)),
    Column("deadline", DateTime(timezone=True)),
    Column("version", Integer),
    Column("stage", Integer),
)

decisions = Table(
    "decisions",
    metadata,
    Column("decision_id", BigInteger, primary_key=True),
    Column("change_id", Text),
    Column("verdict", Text),
    Column("actor", Text),
    Column("reason", Text),
    Column("digests", JSON),
    Column("signature", Text),
    Column("at", DateTime(timezone=True)),
    Column("ledger_seq", BigInteger),
)

verdicts = Table(
    "verdicts",
    metadata,
    Column("verdict_id", BigInteger, primary_key=True),
    Column("verdict", Text),
    Column("name", Text),
    Column("issue_id", Text),
    Column("actor", Text),
    Column("reason", Text),
    Column("at", DateTime(timezone=True)),
    Column("ledger_seq", BigInteger),
)

skips = Table(
    "skips",
    metadata,
    Column("skip_id", BigInteger, primary_key=True),
    Column("verdict", Text),
    Column("issue_id", Text),
    Column("actor", Text),
    Column("reason", Text),
    Column("at", DateTime(timezone=True)),
    Column("until", DateTime(timezone=True)),
    Column("ledger_seq", BigInteger),
)

controllers = Table(
    "controllers",
    metadata,
    Column("service", Text, primary_key=True),
    Column("epoch", BigInteger),
    Column("holder", Text),
    Column("since", DateTime(timezone=True)),
)

effects = Table(
    "effects",
    metadata,
    Column("effect_id", BigInteger, primary_key=True),
    Column("key", Text),
    Column("change_id", Text),
    Column("service", Text),
    Column("stage", Integer),
    Column("kind", Text),
    Column("epoch", BigInteger),
    Column("wanted", JSON),
    Column("at", DateTime(timezone=True)),
    Column("done_at", DateTime(timezone=True)),
    Column("result", JSON),
    Column("given_up", Text),
    Column("ledger_seq", BigInteger),
)

spend = Table(
    "spend",
    metadata,
    Column("spend_id", BigInteger, primary_key=True),
    Column("at", DateTime(timezone=True)),
    Column("change_id", Text),
    Column("issue_id", Text),
    Column("model", Text),
    Column("reserved_micros", BigInteger),
    Column("spent_micros", BigInteger),
    Column("settled_at", DateTime(timezone=True)),
    Column("result", Text),
    Column("ask", JSON),
)
