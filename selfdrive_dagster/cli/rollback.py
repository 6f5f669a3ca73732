"""`selfdrive rollback`: all traffic to stable, first and by itself; then noted for the loop.

Moving the traffic needs no database, no loop, no front and no approval. A change that was
promoted already is taken out of the traffic as well: the front goes back to the revision before.
What it takes to take it out of the product's branch is the loop's, and told.
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
    from selfdrive_dagster.rollout.traffic import Wanted

STILL_EXPOSED = 1
SERVE_SECONDS = 30.0
"""How long a front may take to serve the revision before: it starts a process of it."""
LOOK_SECONDS = 0.1
LEFT_TO_THE_LOOP = (
    "It is still merged: {who} takes it out of the product's branch. Who deploys that branch "
    "meanwhile deploys it."
)


class RolledBack(msgspec.Struct, frozen=True, kw_only=True):
    """What a rollback did. `change_id` is what was on trial, "" when nothing was.

    `share` is what the proxy itself says now, None when none runs: then nobody is served at
    all. `seconds` were measured from the call to that answer. `noted` is where the loop will
    find it. `stable` shall be served, `serves` is what the front serves now, "" where none looks.
    `left` is what this command does not do, `exposed` whether users may still meet the change.
    """

    change_id: str
    moved: bool
    share: float | None
    seconds: float
    reason: str
    noted: str
    stable: str = ""
    serves: str = ""
    left: str = ""
    exposed: bool = False


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
    done, promoted = move(actuator, change, reason.strip(), begun)
    if target := done.change_id or change:
        noted, is_product = note(target, reason.strip(), done.moved)
        done = msgspec.structs.replace(done, noted=noted)
        done = told_of_the_rest(done, promoted=promoted or is_product)
    if change and not done.noted:
        raise BadInput(
            f"{change} is not on trial here, and no loop has run on {actuator.files.home}.",
            remedy="selfdrive rollback --now, or set SELFDRIVE_HOME to the home that serves",
        )
    emit(done, lambda console: draw(console, done), as_json=as_json)
    return STILL_EXPOSED if done.exposed else 0


def move(
    actuator: "TraefikActuator", change: str | None, reason: str, begun: float
) -> tuple[RolledBack, bool]:
    """Move the traffic, unless it is another change's; say too whether it was promoted already."""
    try:
        wanted = actuator.files.wanted()
    except SelfdriveError:  # nobody can read what is wanted: to stable, then
        wanted = None
    if wanted is not None and not is_of(wanted, change):
        nothing = RolledBack(
            change_id="", moved=False, share=None, seconds=0.0, reason=reason, noted=""
        )
        return nothing, False
    traffic = actuator.to_stable(reason)
    share = traffic.seen.share if traffic.seen else None
    promoted = wanted is not None and not wanted.canary
    serves = served(actuator, traffic.wanted.stable, share) if promoted else ""
    elsewhere = promoted and share is not None and serves != traffic.wanted.stable
    done = RolledBack(
        change_id=traffic.wanted.change_id,
        moved=True,
        share=share,
        seconds=round(time.monotonic() - begun, 3),
        reason=reason,
        noted=str(actuator.files.journal_file),
        stable=traffic.wanted.stable,
        serves=serves,
        exposed=bool(share) or elsewhere,
    )
    return done, wanted is not None and bool(wanted.before)


def is_of(wanted: "Wanted", change: str | None) -> bool:
    """Say whether a front has a change on trial, or as its last promotion, or had it until now."""
    from selfdrive_dagster.rollout.traffic import leads_back

    if not change:
        return wanted.generation > 0
    return wanted.change_id.startswith(change) and (leads_back(wanted) or wanted.back is not None)


def served(actuator: "TraefikActuator", stable: str, share: float | None) -> str:
    """Return what the front serves, once it serves `stable` or is given up; "" where none looks."""
    from selfdrive_dagster.adapters.traefik.actuator import utc_now
    from selfdrive_dagster.rollout.traffic import FRESH_SECONDS

    deadline = time.monotonic() + (SERVE_SECONDS if share is not None else 0.0)
    while True:
        try:
            seen = actuator.read().seen
        except SelfdriveError:
            return ""  # nobody can read what the front saw
        fresh = seen is not None and (utc_now() - seen.at).total_seconds() <= FRESH_SECONDS
        is_there = fresh and seen is not None and seen.stable == stable and seen.stable_healthy
        if is_there or not fresh or time.monotonic() > deadline:
            return seen.stable if fresh and seen is not None else ""
        time.sleep(LOOK_SECONDS)


def told_of_the_rest(done: RolledBack, *, promoted: bool) -> RolledBack:
    """Add what is left to do for a change that was promoted."""
    from selfdrive_dagster.cli.loop_home import loop_is_running

    if not promoted:
        return done
    who = "the loop that runs" if loop_is_running() else "the next `selfdrive up`"
    left = LEFT_TO_THE_LOOP.format(who=who)
    if not done.moved:
        left = f"This home's front was not moved: {who} moves it. {left}"
    return msgspec.structs.replace(done, left=left, exposed=done.exposed or not done.moved)


def note(change: str, reason: str, moved: bool) -> tuple[str, bool]:
    """Note the decision where the loop looks.

    Return where it stands, "" for nowhere, and whether the loop calls the change promoted.
    """
    from selfdrive_dagster.adapters.decisions import Decisions
    from selfdrive_dagster.cli.deciding import digests_of, who_am_i
    from selfdrive_dagster.cli.loop_home import is_there, opened
    from selfdrive_dagster.rollout.lifecycle import State

    journal = "the front's journal" if moved else ""
    if not is_there():
        return journal, False
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
    except (SelfdriveError, OSError):
        if not moved:
            raise
        return journal, False  # traffic is where it should be; the loop adopts the journal
    return "the loop's decisions", story.change.state is State.PROMOTED


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
    elif done.exposed:
        console.print(
            Text(
                f"The front was told to serve {done.stable[:12]}, the revision before, and was not "
                f"seen to after {done.seconds} s: users may still meet the change. See `selfdrive "
                "serve` and its logs.",
                style="bold red",
            ),
            soft_wrap=True,
        )
    else:
        what = clean(done.change_id) or "nothing was on trial"
        console.print(f"All traffic is on stable after {done.seconds} s ({what}).")
    if done.left:
        console.print(Text(done.left, style="yellow"), soft_wrap=True)
    if done.noted:
        console.print(f"Noted in {clean(done.noted)}.")
