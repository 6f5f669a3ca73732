"""Dagster's event log, kept small: what runs told while they worked goes, what they made stays.

A micro-batch writes some 140 KiB, nine tenths of it about steps that nobody asks for tomorrow.
Two rules, both for runs that have ended: operational events go after a day; materializations and
checks of tables, which are made every few seconds, after a week, but for the newest of each and
those of runs that a change's records name. What a change was made of is never touched. Which
materializations went is kept as evidence, and a row of the ledger names it, before they go.

Belongs here: Dagster's tables as the tables they are, so that no Dagster need run. Does not
belong: when it is done (`orchestration.build`).
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, text

from selfdrive_dagster.adapters.evidence import Evidence
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.audit import Entry

TOLD_FOR = timedelta(days=1)
TABLES_FOR = timedelta(days=7)
MOST = 20_000
"""Materializations that go at once: a long pause of the loop must not make one huge record."""

PRUNED = "dagster.pruned"
"""The kind of the ledger row."""

LASTING = (
    "ASSET_MATERIALIZATION",
    "ASSET_OBSERVATION",
    "ASSET_CHECK_EVALUATION",
    "ASSET_WIPED",
    "PIPELINE_START",
    "PIPELINE_SUCCESS",
    "PIPELINE_FAILURE",
    "PIPELINE_CANCELED",
    "STEP_FAILURE",
)
"""Types of events that say what was made, and how runs ended."""

_OPERATIONAL = """
DELETE FROM dagster.event_logs AS logs USING dagster.runs AS runs
WHERE logs.run_id = runs.run_id AND runs.status IN ('SUCCESS', 'FAILURE', 'CANCELED')
AND logs.timestamp < :before
AND (logs.dagster_event_type IS NULL OR NOT logs.dagster_event_type = ANY(:lasting))
"""

_OLD = """
WITH newest AS (
    SELECT max(id) AS id FROM dagster.event_logs
    WHERE dagster_event_type = 'ASSET_MATERIALIZATION' AND partition IS NULL
    GROUP BY asset_key
    UNION ALL
    SELECT max(evaluation_event_storage_id) AS id FROM dagster.asset_check_executions
    GROUP BY asset_key, check_name
),
pinned AS (
    SELECT DISTINCT pin ->> 'run_id' AS run_id
    FROM selfdrive.ledger AS rows, json_array_elements(rows.body -> 'inputs') AS pin
    WHERE rows.kind = 'evidence.made' AND json_typeof(rows.body -> 'inputs') = 'array'
)
SELECT logs.id, logs.run_id, logs.asset_key, logs.dagster_event_type
FROM dagster.event_logs AS logs
WHERE logs.timestamp < :before AND logs.asset_key IS NOT NULL AND logs.partition IS NULL
AND logs.dagster_event_type IN ('ASSET_MATERIALIZATION', 'ASSET_CHECK_EVALUATION')
AND logs.id NOT IN (SELECT id FROM newest WHERE id IS NOT NULL)
AND logs.run_id NOT IN (SELECT run_id FROM pinned WHERE run_id IS NOT NULL)
ORDER BY logs.id
LIMIT :most
"""

_GONE = (
    "DELETE FROM dagster.asset_event_tags WHERE event_id = ANY(:ids)",
    "DELETE FROM dagster.asset_check_executions WHERE evaluation_event_storage_id = ANY(:ids)",
    "DELETE FROM dagster.event_logs WHERE id = ANY(:ids)",
)


class PrunedRun(msgspec.Struct, frozen=True, kw_only=True):
    """The materializations of one run that went: how many, of which assets."""

    run_id: str
    assets: tuple[str, ...]


class Pruned(msgspec.Struct, frozen=True, kw_only=True):
    """What went: operational rows, materializations and checks of tables, and their runs."""

    operational: int
    events: int
    runs: tuple[PrunedRun, ...] = ()


def prune(engine: Engine, ledger: Ledger, evidence: Evidence, now: datetime, run_id: str) -> Pruned:
    """Prune once; cheap when there is nothing to do. `run_id` is who does it."""
    with engine.begin() as connection:
        told = _operational(connection, _naive(now - TOLD_FOR))
    with engine.begin() as connection:
        old = {"before": _naive(now - TABLES_FOR), "most": MOST}
        rows = connection.execute(text(_OLD), old).all()
        done = Pruned(operational=told, events=len(rows), runs=_by_run(rows))
        if rows:
            # The list is safe before anything goes; both are one transaction with what goes.
            body = {"listed": evidence.put(done), "before": (now - TABLES_FOR).isoformat()}
            entry = Entry(at=now, actor="loop", kind=PRUNED, body=body, run_id=run_id)
            for statement in _GONE:
                connection.execute(text(statement), {"ids": [row.id for row in rows]})
            ledger.append(entry, connection)
    return done


def _operational(connection: Connection, before: datetime) -> int:
    asked = {"before": before, "lasting": list(LASTING)}
    return connection.execute(text(_OPERATIONAL), asked).rowcount


def _naive(when: datetime) -> datetime:
    """Return a time as Dagster's tables hold it: UTC without saying so."""
    return when.astimezone(UTC).replace(tzinfo=None)


def _by_run(rows: Any) -> tuple[PrunedRun, ...]:
    runs: dict[str, list[str]] = {}
    for row in rows:
        if row.dagster_event_type == "ASSET_MATERIALIZATION":
            asset = "/".join(msgspec.json.decode(row.asset_key))
            runs.setdefault(row.run_id, []).append(asset)
    return tuple(PrunedRun(run_id=name, assets=tuple(assets)) for name, assets in runs.items())
