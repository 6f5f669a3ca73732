"""How a service's changes ended, read from the ledger, for the breaker and its kin to judge.

The ledger alone is asked: what it does not tell did not happen. Does not belong here: the
judgement (`rollout.breaker`), and how a person proves who they are.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, select

from selfdrive_dagster.adapters.changes import Authority
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.postgres.tables import changes, ledger
from selfdrive_dagster.audit import Entry, Link
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.rollout.breaker import Ended, Standing, stand
from selfdrive_dagster.rollout.lifecycle import Actor, Event, State

CLOSED = "breaker.closed"
"""The kind of the ledger row by which a person closes a breaker; its body names the `service`."""

ENDINGS = (State.ROLLING_BACK.value, State.PROMOTED.value)


def endings(engine: Engine, service: str, *, modules: Mapping[str, str] = {}) -> tuple[Ended, ...]:
    """Return how the changes of a service ended that had met users, oldest first.

    `modules` name the module of each change; one that is not named has none, and two of those
    are taken for the same. The fingerprint is the issue. A change that does harm after it was
    promoted ended twice.
    """
    body = ledger.c.body
    query = (
        select(ledger.c.change_id, ledger.c.issue_id, ledger.c.at, ledger.c.kind, body)
        .join(changes, changes.c.change_id == ledger.c.change_id)
        .where(
            changes.c.service == service,
            ledger.c.kind.startswith("change."),
            body["to"].as_string().in_(ENDINGS),
            body["from"].as_string() != body["to"].as_string(),
        )
        .order_by(ledger.c.seq)
    )
    with engine.connect() as connection:
        rows = connection.execute(query).mappings().all()
    return tuple(as_ended(row, service, modules) for row in rows if met_users(row["body"]))


def met_users(body: Mapping[str, Any]) -> bool:
    """Say whether a move was one of a change that had a stage."""
    return int(body.get("stage", 0)) > 0


def as_ended(row: Mapping[Any, Any], service: str, modules: Mapping[str, str]) -> Ended:
    """Gather an ending from a ledger row."""
    return Ended(
        change_id=row["change_id"],
        service=service,
        module=modules.get(row["change_id"], ""),
        fingerprint=row["issue_id"],
        at=row["at"].astimezone(UTC),
        came_back=row["body"]["to"] == State.ROLLING_BACK.value,
        by_harm=row["kind"] == f"change.{Event.HARM.value}",
    )


def standing_of(
    engine: Engine,
    *,
    service: str,
    issue_id: str,
    now: datetime,
    module: str = "",
    modules: Mapping[str, str] = {},
    rests: bool = True,
) -> Standing:
    """Say whether a change for an issue may go on, as far as the service's past tells."""
    closed = Ledger(engine).find(CLOSED, "", {"service": service})
    return stand(
        endings(engine, service, modules=modules),
        service=service,
        module=module,
        fingerprint=issue_id,
        now=now,
        closed_at=closed[0].entry.at if closed else None,
        rests=rests,
    )


def services(engine: Engine) -> tuple[str, ...]:
    """Return the services that changes were ever opened for, by name."""
    query = select(changes.c.service).distinct().order_by(changes.c.service)
    with engine.connect() as connection:
        return tuple(connection.execute(query).scalars())


def standings(engine: Engine, now: datetime, *, rests: bool = True) -> dict[str, Standing]:
    """Say of each service whether its changes may meet users, whatever their issue."""
    return {
        service: standing_of(engine, service=service, issue_id="", now=now, rests=rests)
        for service in services(engine)
    }


def close_breaker(
    engine: Engine,
    service: str,
    *,
    by: Authority,
    reason: str,
    now: datetime,
    digests: Mapping[str, str] = {},
) -> Link:
    """Let a service's breaker count anew from now. Raises Refused for whoever is no person.

    A cool-down and a quarantine stay as they are. `digests` name what was signed.
    """
    if by.role not in (Actor.HUMAN, Actor.OPERATOR):
        raise Refused(f"A breaker is closed by a person, not by the {by.role.value}.")
    if not reason.strip():
        raise BadInput("A breaker is not closed without a reason.")
    entry = Entry(
        at=now,
        actor=by.who,
        kind=CLOSED,
        body={
            "role": by.role.value,
            "service": service,
            "reason": reason.strip(),
            "digests": dict(digests),
        },
        run_id=by.run_id,
        signature=by.signature,
    )
    return Ledger(engine).append(entry)
