"""Our tables, as numbered steps that are each applied once and never edited afterwards.

Everything of ours lies in the schema `selfdrive`; Dagster's tables lie in `dagster`, in the
same database. A mistake in a published step is mended by a further step.
"""

import re
from typing import NamedTuple

from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import ProgrammingError

from selfdrive_dagster.adapters.postgres.urls import shown
from selfdrive_dagster.errors import Refused, SelfdriveError
from selfdrive_dagster.model import digest

MIGRATIONS_LOCK = 0x5E1FD001
"""The advisory lock under which steps are applied."""


class Migration(NamedTuple):
    """One step: SQL statements, applied in one transaction with all that is pending."""

    number: int
    name: str
    sql: str

    @property
    def sha256(self) -> str:
        """The digest of the statements, whatever their indentation."""
        return digest(re.sub(r"\s+", " ", self.sql).strip())


MIGRATIONS = (
    Migration(
        1,
        "ledger: append-only, hash-chained",
        """
        CREATE TABLE selfdrive.ledger (
            seq        bigint PRIMARY KEY CHECK (seq > 0),
            at         timestamptz NOT NULL,
            actor      text NOT NULL CHECK (actor <> ''),
            kind       text NOT NULL CHECK (kind <> ''),
            change_id  text NOT NULL,
            issue_id   text NOT NULL,
            body       json NOT NULL,
            run_id     text NOT NULL,
            signature  text NOT NULL,
            prev_hash  text NOT NULL UNIQUE,
            hash       text NOT NULL UNIQUE,
            CONSTRAINT names_a_run_or_a_signature CHECK (run_id <> '' OR signature <> '')
        );
        CREATE INDEX ledger_by_change ON selfdrive.ledger (change_id, seq);
        CREATE INDEX ledger_by_issue ON selfdrive.ledger (issue_id, seq);

        CREATE FUNCTION selfdrive.refuse_to_forget() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
            RAISE restrict_violation USING MESSAGE = 'the ledger is append-only: no ' || TG_OP;
        END $$;
        CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON selfdrive.ledger
            FOR EACH STATEMENT EXECUTE FUNCTION selfdrive.refuse_to_forget();
        """,
    ),
    Migration(
        2,
        "changes and decisions",
        """
        CREATE TABLE selfdrive.changes (
            change_id      text PRIMARY KEY CHECK (change_id ~ '^chg_[0-9a-f]{16}$'),
            issue_id       text NOT NULL CHECK (issue_id ~ '^iss_[0-9a-f]{16}$'),
            service        text NOT NULL,
            base_revision  text NOT NULL,
            state          text NOT NULL,
            is_active      boolean NOT NULL,
            since          timestamptz NOT NULL,
            deadline       timestamptz,
            version        integer NOT NULL CHECK (version > 0),
            CONSTRAINT active_has_a_deadline CHECK (is_active = (deadline IS NOT NULL))
        );
        CREATE UNIQUE INDEX one_active_change_per_issue
            ON selfdrive.changes (issue_id) WHERE is_active;
        CREATE INDEX changes_by_deadline ON selfdrive.changes (deadline) WHERE is_active;

        CREATE TABLE selfdrive.decisions (
            decision_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            change_id    text NOT NULL REFERENCES selfdrive.changes,
            verdict      text NOT NULL CHECK (verdict <> ''),
            actor        text NOT NULL CHECK (actor <> ''),
            reason       text NOT NULL CHECK (reason <> ''),
            digests      json NOT NULL,
            signature    text NOT NULL,
            at           timestamptz NOT NULL,
            ledger_seq   bigint REFERENCES selfdrive.ledger
        );
        CREATE INDEX decisions_waiting ON selfdrive.decisions (decision_id)
            WHERE ledger_seq IS NULL;
        """,
    ),
    # Coming back from users is never refused, so ROLLING_BACK stays out of the index: a change
    # that does harm after its promotion comes back while another one is on its way.
    Migration(
        3,
        "the stage of a change, and one rollout per service",
        """
        ALTER TABLE selfdrive.changes
            ADD COLUMN stage integer NOT NULL DEFAULT 0 CHECK (stage >= 0);
        CREATE UNIQUE INDEX one_rollout_per_service ON selfdrive.changes (service)
            WHERE state IN ('staged', 'canary', 'hold', 'baking');
        """,
    ),
    Migration(
        4,
        "effects on the world, and whose turn it is to make them",
        """
        CREATE TABLE selfdrive.controllers (
            service  text PRIMARY KEY,
            epoch    bigint NOT NULL CHECK (epoch > 0),
            holder   text NOT NULL CHECK (holder <> ''),
            since    timestamptz NOT NULL
        );

        CREATE TABLE selfdrive.effects (
            effect_id   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            key         text NOT NULL UNIQUE CHECK (key <> ''),
            change_id   text NOT NULL REFERENCES selfdrive.changes,
            service     text NOT NULL,
            stage       integer NOT NULL CHECK (stage >= 0),
            kind        text NOT NULL CHECK (kind <> ''),
            epoch       bigint NOT NULL CHECK (epoch > 0),
            wanted      json NOT NULL,
            at          timestamptz NOT NULL,
            done_at     timestamptz,
            result      json,
            given_up    text NOT NULL DEFAULT '',
            ledger_seq  bigint REFERENCES selfdrive.ledger,
            CONSTRAINT done_is_told CHECK (
                (done_at IS NULL) = (ledger_seq IS NULL)
                AND (done_at IS NULL) = (result IS NULL)
                AND (given_up = '' OR done_at IS NOT NULL)
            )
        );
        CREATE INDEX effects_open ON selfdrive.effects (effect_id) WHERE done_at IS NULL;
        CREATE INDEX effects_by_change ON selfdrive.effects (change_id, effect_id);
        """,
    ),
    Migration(
        5,
        "what people decided of issues",
        """
        CREATE TABLE selfdrive.verdicts (
            verdict_id  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            verdict     text NOT NULL CHECK (verdict IN ('merge', 'split', 'undo')),
            name        text NOT NULL CHECK (name ~ '^iss_[0-9a-f]{16}$'),
            issue_id    text NOT NULL CHECK (issue_id ~ '^iss_[0-9a-f]{16}$'),
            actor       text NOT NULL CHECK (actor <> ''),
            reason      text NOT NULL CHECK (reason <> ''),
            at          timestamptz NOT NULL,
            ledger_seq  bigint REFERENCES selfdrive.ledger
        );
        CREATE INDEX verdicts_waiting ON selfdrive.verdicts (verdict_id)
            WHERE ledger_seq IS NULL;
        """,
    ),
    Migration(
        6,
        "issues left alone for a while",
        """
        CREATE TABLE selfdrive.skips (
            skip_id     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            verdict     text NOT NULL CHECK (verdict IN ('skip', 'unskip')),
            issue_id    text NOT NULL CHECK (issue_id ~ '^iss_[0-9a-f]{16}$'),
            actor       text NOT NULL CHECK (actor <> ''),
            reason      text NOT NULL CHECK (reason <> ''),
            at          timestamptz NOT NULL,
            until       timestamptz,
            ledger_seq  bigint REFERENCES selfdrive.ledger,
            CONSTRAINT a_skip_has_an_end CHECK (
                (verdict = 'skip') = (until IS NOT NULL) AND (until IS NULL OR until > at)
            )
        );
        CREATE INDEX skips_waiting ON selfdrive.skips (skip_id) WHERE ledger_seq IS NULL;
        """,
    ),
    Migration(
        7,
        "money for models: set aside before a question is sent, settled after",
        """
        CREATE TABLE selfdrive.spend (
            spend_id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
            at               timestamptz NOT NULL DEFAULT clock_timestamp(),
            change_id        text NOT NULL,
            issue_id         text NOT NULL,
            model            text NOT NULL CHECK (model <> ''),
            reserved_micros  bigint NOT NULL CHECK (reserved_micros > 0),
            spent_micros     bigint CHECK (spent_micros >= 0),
            settled_at       timestamptz,
            result           text NOT NULL DEFAULT '',
            ask              json,
            CONSTRAINT settled_is_told CHECK (
                (settled_at IS NULL) = (spent_micros IS NULL)
                AND (settled_at IS NULL) = (result = '')
            )
        );
        CREATE INDEX spend_by_time ON selfdrive.spend (at);
        CREATE INDEX spend_by_change ON selfdrive.spend (change_id);
        CREATE INDEX spend_by_issue ON selfdrive.spend (issue_id);
        CREATE INDEX spend_open ON selfdrive.spend (at) WHERE settled_at IS NULL;
        """,
    ),
)


def pending(engine: Engine, steps: tuple[Migration, ...] = MIGRATIONS) -> tuple[Migration, ...]:
    """Return the steps that were not applied yet. Reads only; a bare database has them all."""
    with engine.connect() as connection:
        return missing_in(connection, steps)


def migrate(engine: Engine, steps: tuple[Migration, ...] = MIGRATIONS) -> tuple[Migration, ...]:
    """Apply what is pending, all of it or nothing, and return it. Safe to call at once.

    Raises SelfdriveError when the database is newer than this program or a published step was
    edited, and Refused when we may not create our schemas.
    """
    if not pending(engine, steps):
        return ()
    try:
        with engine.begin() as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATIONS_LOCK})
            connection.execute(text("SELECT count(*) FROM pg_catalog.pg_namespace"))  # see below
            connection.exec_driver_sql(FOUNDATIONS)
            steps = missing_in(connection, steps)
            for step in steps:
                connection.exec_driver_sql(step.sql)
                connection.execute(
                    text(
                        "INSERT INTO selfdrive.migrations (number, name, sha256)"
                        " VALUES (:number, :name, :sha256)"
                    ),
                    {"number": step.number, "name": step.name, "sha256": step.sha256},
                )
    except ProgrammingError as fault:
        if getattr(fault.orig, "pgcode", "") != "42501":  # insufficient_privilege
            raise
        raise Refused(
            f"We may not create schemas in {shown(str(engine.url))}: {fault.orig}",
            remedy="Let its owner run: GRANT CREATE ON DATABASE <database> TO <our role>",
        ) from None
    return steps


def missing_in(connection: Connection, steps: tuple[Migration, ...]) -> tuple[Migration, ...]:
    """Compare the record in the database with the list in the program."""
    there = connection.scalar(text("SELECT to_regclass('selfdrive.migrations') IS NOT NULL"))
    applied: dict[int, str] = {}
    if there:
        rows = connection.execute(text("SELECT number, sha256 FROM selfdrive.migrations"))
        applied = {row.number: row.sha256 for row in rows}
    newest = steps[-1].number
    if any(number > newest for number in applied):
        raise SelfdriveError(
            f"The database is at step {max(applied)}, this program knows {newest}.",
            remedy="Update Selfdrive to the version that wrote this database, or newer.",
        )
    for step in steps:
        if applied.get(step.number, step.sha256) != step.sha256:
            raise SelfdriveError(
                f"Step {step.number} ({step.name}) was edited after it was applied.",
                remedy="Install an unaltered Selfdrive; published steps never change.",
            )
    return tuple(step for step in steps if step.number not in applied)


# A backend that waited for our lock may still remember that `pending` found no schema, and
# IF NOT EXISTS asks that memory. It is renewed when a table is locked, so we read one first.
FOUNDATIONS = """
CREATE SCHEMA IF NOT EXISTS selfdrive;
CREATE SCHEMA IF NOT EXISTS dagster;
CREATE TABLE IF NOT EXISTS selfdrive.migrations (
    number      integer PRIMARY KEY,
    name        text NOT NULL,
    sha256      text NOT NULL,
    applied_at  timestamptz NOT NULL DEFAULT now()
);
"""
