"""`selfdrive ingest SOURCE…`: hand telemetry to the loop, as if it had been sent.

A source is a file, or the address of what lies elsewhere.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfdrive_dagster.cli.issues import settings_of
from selfdrive_dagster.cli.render import AsJson, clean, emit, progress
from selfdrive_dagster.config import open_home

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.handing import Handed

COUNTS = ("received", "stored", "duplicate", "rejected")


def ingest(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE…",
            help="Files: Sentry events or envelopes, OTLP JSON lines, logs, product events. Or "
            "sentry://organisation/project?since=30d (token in SENTRY_AUTH_TOKEN), or "
            "postgresql://user@host/database?table=events.",
        ),
    ],
    home: Annotated[
        Path | None,
        typer.Option("--home", help="The loop's home; else SELFDRIVE_HOME or the usual place."),
    ] = None,
    repo: Annotated[
        Path | None,
        typer.Option("--repo", help="The product, which names events that name no service."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Read telemetry into the loop: redacted, counted and on disk, like what SDKs send.

    A pull from elsewhere goes on next time where it stopped.
    """
    from selfdrive_dagster.adapters.handing import HANDED, KEY_FILE, hand_over
    from selfdrive_dagster.adapters.pulling import is_source, pull
    from selfdrive_dagster.adapters.receiver import read_key
    from selfdrive_dagster.telemetry import Redactor
    from selfdrive_dagster.telemetry.arrivals import UNNAMED_SERVICE

    settings = settings_of(repo)
    place = open_home({**os.environ, **({"SELFDRIVE_HOME": str(home)} if home else {})})
    redactor = Redactor(
        read_key(place / KEY_FILE),
        keeps_variables=settings.telemetry.capture_arguments,
        only_listed=settings.telemetry.attributes == "listed",
        more_names=frozenset(settings.telemetry.keep_attributes),
    )
    name = settings.service.name
    files = [Path(each) for each in sources if not is_source(each)]
    with progress("Reading telemetry") as told:
        handed = (
            hand_over(files, place / HANDED, redactor, name or UNNAMED_SERVICE) if files else ()
        )
        handed += tuple(
            pull(each, place, place / HANDED, redactor, name, os.environ, told)
            for each in sources
            if is_source(each)
        )
    emit(handed, lambda console: draw(console, handed), as_json=as_json)
    return 2 if any(each.fault for each in handed) else 0


def draw(console: Console, handed: tuple["Handed", ...]) -> None:
    """Draw a row per file, the faults below."""
    table = Table(box=None, pad_edge=False)
    table.add_column("source", overflow="fold")
    for name in COUNTS:
        table.add_column(name, justify="right", no_wrap=True)
    for each in handed:
        numbers = [str(getattr(each, name)) for name in COUNTS]
        table.add_row(Text(clean(each.path)), *numbers)
    if len(handed) > 1:
        totals = [str(sum(getattr(each, name) for each in handed)) for name in COUNTS]
        table.add_row("together", *totals, style="bold")
    console.print(table)
    for each in handed:
        if each.fault:
            console.print(Text(clean(each.fault), style="red"), soft_wrap=True)
    console.print("A running `selfdrive up` makes tables of it within a minute.", style="dim")
