"""`selfdrive breaker`: whether a service's changes may meet users, and a person's word that they
may again.

The breaker opens by itself when too many changes came back, and is closed by a signature alone.
Rest and quarantine end with their time; nothing here shortens them.
"""

import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.approve import Key, Principal, Product, desk_at
from selfdrive_dagster.cli.loop_home import opened, require_home
from selfdrive_dagster.cli.render import AsJson, emit, flat
from selfdrive_dagster.config import load
from selfdrive_dagster.errors import BadInput, Refused, SelfdriveError

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from selfdrive_dagster.rollout.breaker import Standing


class Breaker(msgspec.Struct, frozen=True, kw_only=True):
    """How it stands with one service. `closed_by` is the ledger row that just closed it."""

    service: str
    opened_at: datetime | None
    rests_until: datetime | None
    reasons: tuple[str, ...]
    closed_by: int | None = None


def breaker(
    service: Annotated[
        str, typer.Argument(metavar="[SERVICE]", help="Else every service known here.")
    ] = "",
    close: Annotated[
        bool, typer.Option("--close", help="Close it, by your signature; give a --reason.")
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", help="What was wrong, and why it is over; it is signed.")
    ] = "",
    key: Key = None,
    principal: Principal = "",
    repo: Product = Path(),
    as_json: AsJson = False,
) -> None:
    """Show whether a breaker stops the rollouts of a service, and close it."""
    require_home(service or "to roll out")
    with opened() as (_, engine):
        wanted = chosen(engine, service, close=close)
        row = signed(engine, wanted[0], reason, key, principal, repo) if close else None
        found = standing(engine, wanted, row, repo)
    emit(found, lambda console: draw(console, found), as_json=as_json)


def chosen(engine: "Engine", service: str, *, close: bool) -> tuple[str, ...]:
    """Return the services that are meant. Raises BadInput where that is none, or not one."""
    from selfdrive_dagster.adapters.standing import services

    known = services(engine)
    listed = ", ".join(flat(one) for one in known) or "none yet"
    if service and service not in known:
        raise BadInput(f"No change was ever opened for {service!r}.", remedy=f"known: {listed}")
    if close and not service and len(known) != 1:
        raise BadInput("Which service's breaker is to be closed?", remedy=f"one of: {listed}")
    return (service,) if service else known


def signed(
    engine: "Engine", service: str, reason: str, key: Path | None, principal: str, repo: Path
) -> int:
    """Close a breaker by a key of the user; return the ledger's row. Refused while it is closed."""
    from selfdrive_dagster.adapters.approving import choose_signer, own_keys
    from selfdrive_dagster.adapters.approving.closing import close, signers_now
    from selfdrive_dagster.adapters.approving.keys import named_key
    from selfdrive_dagster.adapters.standing import standings

    now = datetime.now(UTC)
    if standings(engine, now)[service].tripped_at is None:
        raise Refused(f"The breaker of {service} is closed.", remedy="selfdrive breaker")
    desk = desk_at(repo, engine)
    with tempfile.TemporaryDirectory() as folder:
        keys = (
            [named_key(key)] if key else own_keys(os.environ, repo.resolve(), Path(folder))
        )  # fmt: skip
        signer = choose_signer(keys, signers_now(desk)[1], principal)
        return close(engine, desk, signer, service, reason=reason, now=now).seq


def standing(
    engine: "Engine", wanted: tuple[str, ...], row: int | None, repo: Path
) -> tuple[Breaker, ...]:
    """Return how it stands with services now."""
    from selfdrive_dagster.adapters.standing import standings

    found = standings(engine, datetime.now(UTC), rests=rests_at(repo))
    return tuple(as_breaker(one, found[one], row) for one in wanted)


def rests_at(repo: Path) -> bool:
    """Say whether the product's plan lets a service rest; without settings it does."""
    from selfdrive_dagster.rollout.canary.plan import PLANS

    try:
        return PLANS[load(repo.resolve()).rollout.plan].rests
    except (SelfdriveError, OSError):
        return True


def as_breaker(service: str, found: "Standing", row: int | None) -> Breaker:
    """Gather what is told of a service."""
    return Breaker(
        service=service,
        opened_at=found.tripped_at,
        rests_until=found.cools_until,
        reasons=found.reasons,
        closed_by=row,
    )


def draw(console: Console, found: tuple[Breaker, ...]) -> None:
    """Draw a line for each service, with what stops it and what helps."""
    if not found:
        console.print("No change was opened yet.")
    for one in found:
        state = ("open", "bold red") if one.opened_at else ("closed", "green")
        console.print(Text.assemble(f"{flat(one.service)}: the breaker is ", state))
        for reason in one.reasons:
            console.print(Text(f"  {flat(reason)}"), soft_wrap=True)
        if one.opened_at:
            how = f'selfdrive breaker {flat(one.service)} --close --reason "…"'
            console.print(Text(f"  nothing is rolled out; once you know why: {how}"))
        if one.closed_by:
            console.print(f"  closed by row {one.closed_by} of the ledger; it counts anew")
