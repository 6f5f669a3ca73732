"""`selfdrive demo`: the loop on the example shop, under traffic, to users and back.

The demo drives the product from outside, as a user would: over HTTP, with git and with the
commands of this program. Nothing of it reaches into the library.
"""

import time
from itertools import count
from pathlib import Path
from typing import Annotated, Any

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.demo.board import Row, draw, rows_of, settled
from selfdrive_dagster.cli.demo.preflight import Ending, Found, preflight
from selfdrive_dagster.cli.demo.theatre import Theatre
from selfdrive_dagster.cli.render import AsJson, emit, progress
from selfdrive_dagster.cli.up import find_app
from selfdrive_dagster.errors import Refused, SelfdriveError
from selfdrive_dagster.model import Progress

LOOK_SECONDS = 10.0
RANKING_LOOKS = 3
"""The ranking is read at each third look alone: a command costs a second of a core."""

GIVE_UP_SECONDS = 585.0
MOST_SIGNED = 3
"""So many changes go to users one after the other: a fourth would take us beyond ten minutes."""

CALM_SECONDS = 40.0
"""After so long without news from the ranking, two batches have seen all that visitors did."""


def demo(
    defect: Annotated[
        Path | None,
        typer.Option("--defect", help="A patch that breaks the shop, in place of the seeded ones."),
    ] = None,
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave everything up afterwards, until Ctrl-C.")
    ] = False,
    seconds: Annotated[
        float, typer.Option("--seconds", min=60, help="Give up after this long.")
    ] = GIVE_UP_SECONDS,
    as_json: AsJson = False,
) -> None:
    """Break a small shop, send it visitors, and watch the loop mend it on them, in stages."""
    begun = time.monotonic()
    app = find_app(None)
    console = Console(stderr=True)
    found = preflight(app)
    found.tell(console)
    if found.ending is Ending.TOUR:
        raise SelfdriveError(f"The demo cannot run here: {found.missing}.", remedy=found.remedy)
    if defect is not None and found.ending is Ending.DRIVE:  # a defect of one's own: its proposal
        found = Found(ending=Ending.PROPOSE)
    drive = found.ending is Ending.DRIVE
    if drive:
        tell_plans(console)
    observe = found.ending is Ending.OBSERVE
    with Theatre(app, defect, observe=observe, drive=drive) as theatre:
        with progress("Raising the curtain") as say:
            theatre.open(say)
            rows = watch(theatre, found.ending, begun + seconds, say)
            rows += silent_rows(theatre, found.ending, say)
        taken = round(time.monotonic() - begun, 1)
        emit(
            {"rows": rows, "seconds": taken, "ui": theatre.ui},
            lambda out: draw(rows, taken, theatre.ui, stays=keep, console=out),
            as_json=as_json,
        )
        try:
            complain(rows, found, seconds)
        except SelfdriveError as fault:
            if keep:
                console.print(Text(fault.message))
            raise
        finally:
            if keep:
                theatre.stay(console)


def complain(rows: list[Row], found: Found, seconds: float) -> None:
    """Raise unless all was shown. Raises Refused without a sandbox, else SelfdriveError."""
    if found.ending is Ending.PROPOSE and found.missing:
        raise Refused(f"The demo ended at proposals: {found.missing}.", remedy=found.remedy)
    if found.ending is Ending.OBSERVE:
        raise Refused(
            f"The demo ended at the issues: {found.missing}. Untrusted code runs only in a "
            "full sandbox.",
            remedy=found.remedy,
        )
    unsettled = unfinished(rows, found.ending)
    if unsettled or not rows:
        raise SelfdriveError(
            f"{unsettled} of {len(rows)} issues were still in the making after {seconds:.0f} s.",
            remedy="give it longer: `selfdrive demo --seconds 1200`, on a machine at rest",
        )


def watch(theatre: Theatre, ending: Ending, until: float, say: Progress) -> list[Row]:
    """Follow the board until all is settled (or, at the issues, calm), or time is over."""
    rows: list[Row] = []
    ranking: list[dict[str, Any]] = []
    news = time.monotonic()
    for look in count():
        if time.monotonic() >= until:
            break
        if look % RANKING_LOOKS == 0 or not ranking:
            ranking = theatre.issues()
        seen = rows_of(ranking, theatre.changes())
        if theatre.drives:
            seen = sign(theatre, seen, say)
            if seen and all(row.is_over or row.change in theatre.signed for row in seen):
                theatre.begin_failing_tests()  # nothing is in the making: the machine has time
        if seen != rows:
            rows, news = seen, time.monotonic()
        say(f"{theatre.telling()}; {len(rows) - unfinished(rows, ending)} of {len(rows)} settled")
        calm = time.monotonic() - news >= CALM_SECONDS
        if settled(rows, theatre) or (ending is Ending.OBSERVE and rows and calm):
            return rows
        time.sleep(LOOK_SECONDS)
    return rows


def tell_plans(console: Console) -> None:
    """Say before anything starts by which plan users will meet a change, and whose key signs."""
    from selfdrive_dagster.rollout.canary import DEFAULT_PLAN, DEMO_PLAN

    for name, plan in (("The demonstration's", DEMO_PLAN), ("The default", DEFAULT_PLAN)):
        shares = ", ".join(f"{stage.share:.0%} (R0 {stage.margin:g})" for stage in plan.stages)
        minutes = f"{plan.bake_minutes:g} min at {plan.bake_share:.0%}"
        console.print(Text(f"{name} plan: {shares}, then {minutes}."))
    console.print(
        Text("Approvals are signed with a key made for this demonstration: nobody looks.")
    )


def sign(theatre: Theatre, rows: list[Row], say: Progress) -> list[Row]:
    """Approve proven repairs that wait, as many as there is time for; mark what is left."""
    for change in sorted({row.change for row in rows if row.waits_for_a_key} - theatre.signed):
        if len(theatre.signed) >= MOST_SIGNED:
            break
        if fault := theatre.approve(change):
            say(f"{change} was not approved: {fault}")
        else:
            theatre.signed.add(change)
            say(f"{change} is approved with the demonstration's key")
    is_full = len(theatre.signed) >= MOST_SIGNED
    return [
        replace(row, is_left=is_full and row.waits_for_a_key and row.change not in theatre.signed)
        for row in rows
    ]


def unfinished(rows: list[Row], ending: Ending) -> int:
    """Count the issues of which more is to come; where nothing may run the ranking is the end."""
    if ending is Ending.OBSERVE:
        return 0
    over = (row.is_over if ending is Ending.DRIVE else row.is_settled for row in rows)
    return sum(not each for each in over)


def silent_rows(theatre: Theatre, ending: Ending, say: Progress) -> list[Row]:
    """Repair from the failing test: no crash tells of a silently wrong value."""
    if ending is Ending.OBSERVE or theatre.has_own_defect:
        return []
    say("repairing from the failing test: a wrong value that no crash tells of")
    return [Row.of_repair(theatre.repair_failing_tests())]
