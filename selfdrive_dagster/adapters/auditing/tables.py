"""Whether the tables beside the ledger tell what it tells: states, decisions, effects.

They are written in one transaction with their row. So where a table knows of a row that is not
there, the ledger was cut.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import Engine, select

from selfdrive_dagster.adapters.postgres.tables import decisions, effects
from selfdrive_dagster.audit import Case, Link
from selfdrive_dagster.rollout.lifecycle import BEGINNING


def of_tables(case: Case, engine: Engine) -> Iterator[str]:
    """Yield what the tables and the ledger do not tell alike."""
    moves = [row.entry.body for row in case.rows if row.entry.kind.startswith("change.")]
    to = next((str(body["to"]) for body in reversed(moves) if body.get("to")), BEGINNING.value)
    if to != case.state.value:
        yield f"the ledger's last move leads to {to}, and the change is {case.state.value}"
    by_seq = {row.seq: row for row in case.rows}
    for table, tell in ((effects, _of_effect), (decisions, _of_decision)):
        query = select(table).where(table.c.change_id == case.change_id)
        with engine.connect() as connection:
            found = connection.execute(query).mappings().all()
        for one in found:
            yield from tell(one, by_seq)
        if table is effects:
            yield from _unknown(case, {str(one["key"]) for one in found})


def _of_effect(effect: Mapping[Any, Any], rows: Mapping[int, Link]) -> Iterator[str]:
    """Yield whether the ledger lacks the row of an effect that is closed."""
    if effect["done_at"] is None:
        return
    kind = "effect.given_up" if effect["given_up"] else f"effect.{effect['kind']}"
    row = rows.get(effect["ledger_seq"] or 0)
    if row is None or (row.entry.kind, row.entry.body.get("key")) != (kind, effect["key"]):
        yield f"effect {effect['key']} is closed, and the ledger has no row {kind} of it"


def _unknown(case: Case, keys: set[str]) -> Iterator[str]:
    """Yield effects that the ledger tells of and that were never intended."""
    for row in case.rows:
        if row.entry.kind.startswith("effect.") and row.entry.body.get("key") not in keys:
            yield f"row {row.seq} tells of an effect that was never intended"


def _of_decision(decision: Mapping[Any, Any], rows: Mapping[int, Link]) -> Iterator[str]:
    """Yield whether the ledger lacks the row that carried a decision out."""
    seq, number = decision["ledger_seq"], decision["decision_id"]
    if seq is None:
        return
    row = rows.get(seq)
    if row is None or row.entry.body.get("decision_id") != number:
        yield f"decision {number} was carried out by row {seq}, which does not tell of it"
