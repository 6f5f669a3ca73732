"""Effects on the world: intended in the database, done outside, noted as done with a ledger row.

A process may die between any two lines. So an intent is stored before its effect, under a key
that a repeat brings again; the reconciler asks the world about each intent that nobody closed.
The lifecycle's states are held still while an intent is written (`rollout.effects.MAY`), and a
controller that another took over from is refused (`fencing`). Does not belong here: the doing.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, insert, select, update

from selfdrive_dagster.adapters.changes import Authority, entry_of, locked
from selfdrive_dagster.adapters.fencing import require_current
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.postgres.tables import effects
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import canonical
from selfdrive_dagster.rollout.effects import Kind, why_not


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """One effect. Open while `done_at` is None; `given_up` says why it will never be done.

    `key` is its own for ever; `epoch` is that of the controller that last intended it.
    """

    effect_id: int
    key: str
    change_id: str
    service: str
    stage: int
    kind: Kind
    epoch: int
    wanted: dict[str, Any]
    at: datetime
    done_at: datetime | None = None
    result: dict[str, Any] | None = None
    given_up: str = ""

    @property
    def is_open(self) -> bool:
        """Whether nobody knows yet if it was done."""
        return self.done_at is None


class Effects:
    """The effects of one database."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._ledger = Ledger(engine)

    def intend(
        self,
        change_id: str,
        kind: Kind,
        *,
        key: str,
        stage: int,
        wanted: Mapping[str, Any],
        epoch: int,
        now: datetime,
    ) -> Effect:
        """Note what is about to be done, before it is. The same key gives the same row again.

        Look at `done_at` of what comes back: what was done is not done twice. Raises Refused
        for a stale epoch, for a state in which this is not done, and for a key that was meant
        for something else.
        """
        told = plain(wanted)
        with self._engine.begin() as connection:
            change = locked(connection, change_id)
            require_current(connection, change.service, epoch)
            known = find(connection, effects.c.key == key)
            if known is not None:
                require_same(known, change_id, kind, stage, told)
                if not known.is_open:
                    return known
            if says := why_not(kind, stage, change.state, change.stage):
                raise Refused(f"{change_id}: {says}.")
            if known is not None:
                return changed(connection, known, epoch=epoch)
            row = insert(effects).values(
                key=key,
                change_id=change_id,
                service=change.service,
                stage=stage,
                kind=kind.value,
                epoch=epoch,
                wanted=told,
                at=now,
            )
            return as_effect(connection.execute(row.returning(effects)).mappings().one())

    def done(
        self, key: str, result: Mapping[str, Any], *, by: Authority, epoch: int, now: datetime
    ) -> Effect:
        """Note that an effect is done, with a ledger row `effect.<kind>`. Once: repeats change
        nothing.

        Raises Refused for a stale epoch, and for an effect that was given up.
        """
        return self._close(key, plain(result), "", by=by, epoch=epoch, now=now)

    def give_up(self, key: str, why: str, *, by: Authority, epoch: int, now: datetime) -> Effect:
        """Note that an effect was not done and never will be, with a row `effect.given_up`."""
        if not why:
            raise BadInput(f"Why is {key} given up? A reason is needed.")
        return self._close(key, {}, why, by=by, epoch=epoch, now=now)

    def open(self, service: str | None = None) -> tuple[Effect, ...]:
        """Return what was intended and not closed, oldest first, for the reconciler."""
        query = select(effects).where(effects.c.done_at.is_(None))
        if service is not None:
            query = query.where(effects.c.service == service)
        return self._read(query)

    def of(self, change_id: str) -> tuple[Effect, ...]:
        """Return all effects of a change, oldest first."""
        return self._read(select(effects).where(effects.c.change_id == change_id))

    def _read(self, query: Any) -> tuple[Effect, ...]:
        with self._engine.connect() as connection:
            rows = connection.execute(query.order_by(effects.c.effect_id)).mappings()
            return tuple(as_effect(row) for row in rows)

    def _close(
        self,
        key: str,
        result: dict[str, Any],
        given_up: str,
        *,
        by: Authority,
        epoch: int,
        now: datetime,
    ) -> Effect:
        """Close an effect and write its ledger row, in one transaction."""
        with self._engine.begin() as connection:
            known = find(connection, effects.c.key == key)
            if known is None:
                raise BadInput(f"Nothing was intended as {key}.")
            change = locked(connection, known.change_id)
            require_current(connection, change.service, epoch)
            known = find(connection, effects.c.key == key) or known
            if not known.is_open:
                if bool(known.given_up) != bool(given_up):
                    state = f"given up: {known.given_up}" if known.given_up else "done already"
                    raise Refused(f"{key} was {state}.")
                return known
            told = {
                "effect": known.kind.value,
                "key": key,
                "stage": known.stage,
                "epoch": epoch,
                "intended_at": known.at.isoformat(),
                "wanted": known.wanted,
                **({"reason": given_up} if given_up else {"result": result}),
            }
            kind = "given_up" if given_up else known.kind.value
            row = self._ledger.append(entry_of(change, f"effect.{kind}", by, now, told), connection)
            return changed(
                connection,
                known,
                done_at=now,
                result=result,
                given_up=given_up,
                epoch=epoch,
                ledger_seq=row.seq,
            )


def find(connection: Connection, where: Any) -> Effect | None:
    """Read one effect inside a transaction."""
    row = connection.execute(select(effects).where(where)).mappings().one_or_none()
    return as_effect(row) if row else None


def changed(connection: Connection, effect: Effect, **values: Any) -> Effect:
    """Write some columns of an effect and return it as it is now."""
    row = update(effects).where(effects.c.effect_id == effect.effect_id).values(**values)
    return as_effect(connection.execute(row.returning(effects)).mappings().one())


def plain(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is stored of something told, as it will be read back: plain JSON."""
    back: dict[str, Any] = msgspec.json.decode(canonical(dict(told)))
    return back


def require_same(
    known: Effect, change_id: str, kind: Kind, stage: int, wanted: dict[str, Any]
) -> None:
    """Refuse a key that names two things."""
    was = known.change_id, known.kind, known.stage, known.wanted
    if was != (change_id, kind, stage, wanted):
        raise Refused(
            f"{known.key} was intended as {known.kind.value} {known.wanted} of stage "
            f"{known.stage}, not as {kind.value} {wanted} of stage {stage}.",
            remedy="Another effect needs a key of its own.",
        )


def as_effect(row: Mapping[Any, Any]) -> Effect:
    """Gather an effect from the table's columns; times in UTC."""
    fields = {name: row[name] for name in Effect.__struct_fields__}
    done_at = row["done_at"]
    return Effect(
        **{
            **fields,
            "kind": Kind(row["kind"]),
            "at": row["at"].astimezone(UTC),
            "done_at": done_at.astimezone(UTC) if done_at else None,
        }
    )
