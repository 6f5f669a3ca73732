"""`selfdrive demo`: the loop on the example shop, under traffic, up to proposals.

The demo drives the product from outside, as a user would: over HTTP, with git and with the
commands of this program. Nothing of it reaches into the library.
"""

import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from selfdrive_dagster.cli.demo.board import Row, draw, rows_of, settled
from selfdrive_dagster.cli.demo.preflight import Ending, preflight
from selfdrive_dagster.cli.demo.theatre import Theatre
from selfdrive_dagster.cli.render import AsJson, emit, progress
from selfdrive_dagster.cli.up import find_app
from selfdrive_dagster.errors import Refused, SelfdriveError
from selfdrive_dagster.model import Progress

LOOK_SECONDS = 3.0
GIVE_UP_SECONDS = 560.0


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
    """Break a small shop, send it visitors, and watch the loop up to its proposals."""
    begun = time.monotonic()
    app = find_app(None)
    found = preflight(app)
    console = Console(stderr=True)
    found.tell(console)
    if found.ending is Ending.TOUR:
        raise SelfdriveError(f"The demo cannot run here: {found.missing}.", remedy=found.remedy)
    with Theatre(app, defect, observe=found.ending is Ending.OBSERVE) as theatre:
        with progress("Raising the curtain") as say:
            theatre.open(say)
            rows = watch(theatre, begun + seconds, say)
            rows += silent_rows(theatre, found.ending, say)
        emit(
            {"rows": rows, "seconds": round(time.monotonic() - begun, 1), "ui": theatre.ui},
            lambda out: draw(rows, time.monotonic() - begun, theatre, out),
            as_json=as_json,
        )
        if found.ending is Ending.OBSERVE:
            raise Refused(
                f"The demo ended at the issues: {found.missing}. Untrusted code runs only in a "
                "full sandbox.",
                remedy=found.remedy,
            )
        if keep:
            theatre.stay(console)


def watch(theatre: Theatre, until: float, say: Progress) -> list[Row]:
    """Follow the board until every change is settled, or time is over."""
    rows: list[Row] = []
    while time.monotonic() < until:
        rows = rows_of(theatre.issues(), theatre.changes())
        say(f"{theatre.telling()}; {sum(row.is_settled for row in rows)} of {len(rows)} settled")
        if settled(rows, theatre):
            return rows
        time.sleep(LOOK_SECONDS)
    return rows


def silent_rows(theatre: Theatre, ending: Ending, say: Progress) -> list[Row]:
    """Repair from the failing test: no crash tells of a silently wrong value."""
    if ending is Ending.OBSERVE or theatre.has_own_defect:
        return []
    say("repairing from the failing test: a wrong value that no crash tells of")
    return [Row.of_repair(theatre.repair_failing_tests())]
