"""`selfdrive rollback`: all traffic to stable, first and by itself; then noted for the loop.

Moving the traffic needs no database, no loop, no front and no approval.
"""

import os
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.render import AsJson, clean, emit
from selfdrive_dagster.config import open_home
from selfdrive_dagster.errors import BadInput, SelfdriveError

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.traefik import TraefikActuator

STILL_EXPOSED = 1


class RolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollback did. `change_id` is what was on trial, "" when nothing was.

    `share` is what the proxy itself says now, None when none runs: then nobody is served at
    all. `seconds` were measured from the call to that answer. `noted` is where the loop will
    find it.
    """

    change_id: str
    moved: bool
    share: float | None
    seconds: float
    reason: str
    noted: str


def rollback(
    change: Annotated[
        str | None, typer.Argument(metavar="CHANGE", help="chg_… or the start of one.")
    ] = None,
    now: Annotated[
        bool, typer.Option("--now", help="Whatever is on trial; no CHANGE is named.")
    ] = False,
    reason: Annotated[
        str, typer.Option("--reason", help="Why; it is kept with the decision.")
    ] = "ordered by hand",
    as_json: AsJson = False,
) -> int:
    """Send every session back to stable at once, then note it for the loop."""
    begun = time.monotonic()
    if bool(change) == now:
        raise BadInput(
            "A rollback is of one change, or of whatever is on trial.",
            remedy="selfdrive rollback CHANGE, or selfdrive rollback --now",
        )
    if not reason.strip():
        raise BadInput("A rollback needs a reason.", remedy='--reason "what you saw"')
    from selfdrive_dagster.adapters.traefik import TraefikActuator

    actuator = TraefikActuator(open_home(os.environ))
    done = move(actuator, change, reason.strip(), begun)
    if target := done.change_id or change:
        done = msgspec.structs.replace(done, noted=note(target, reason.strip(), done.moved))
    if change and not done.noted:
        raise BadInput(
            f"{change} is not on trial here, and no loop has run on {actuator.files.home}.",
            remedy="selfdrive rollback --now, or set SELFDRIVE_HOME to the home that serves",
        )
    emit(done, lambda console: draw(console, done), as_json=as_json)
    return STILL_EXPOSED if done.share else 0


def move(actuator: "TraefikActuator", change: str | None, reason: str, begun: float) -> RolledBack:
    """Move the traffic, unless it is another change's."""
    try:
        on_trial = actuator.read().wanted
        theirs = bool(change) and not (
            on_trial.canary and on_trial.change_id.startswith(change or "")
        )
        nothing = not on_trial.generation
    except SelfdriveError:  # nobody can read what is wanted: to stable, then
        theirs, nothing = False, False
    if theirs or nothing:
        return RolledBack(
            change_id="", moved=False, share=None, seconds=0.0, reason=reason, noted=""
        )
    traffic = actuator.to_stable(reason)
    return RolledBack(
        change_id=traffic.wanted.change_id,
        moved=True,
        share=traffic.seen.share if traffic.seen else None,
        seconds=round(time.monotonic() - begun, 3),
        reason=reason,
        noted=str(actuator.files.journal_file),
    )


def note(change: str, reason: str, moved: bool) -> str:
    """Note the decision where the loop looks; return where it stands, "" for nowhere."""
    from selfdrive_dagster.adapters.decisions import Decisions
    from selfdrive_dagster.cli.changes import digests_of, is_there, opened, who_am_i

    journal = "the front's journal" if moved else ""
    if not is_there():
        return journal
    try:
        with opened() as (teller, engine):
            story = teller.find(change)
            Decisions(engine).record(
                story.change.change_id,
                "abort",
                actor=who_am_i(),
                reason=reason,
                now=datetime.now(UTC),
                digests=digests_of(story),
            )
    except SelfdriveError:
        if not moved:
            raise
        return journal  # traffic is where it should be; the loop adopts the journal
    return "the loop's decisions"


def draw(console: Console, done: RolledBack) -> None:
    """Say what happened to the traffic, and where it is noted."""
    if not done.moved:
        console.print("No traffic was moved: that change is not on trial on this home's front.")
    elif done.share is None:
        console.print("The canary is out of the configuration. No proxy answers: nobody is served.")
    elif done.share:
        console.print(
            Text(
                f"The proxy still gives {done.share:.1%} to the canary after {done.seconds} s: "
                "stop `selfdrive serve`.",
                style="bold red",
            )
        )
    else:
        what = clean(done.change_id) or "nothing was on trial"
        console.print(f"All traffic is on stable after {done.seconds} s ({what}).")
    if done.noted:
        console.print(f"Noted in {clean(done.noted)}.")
