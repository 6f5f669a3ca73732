"""`selfdrive usage`: what is used, what grows, what is slow, what hurts, and what nobody uses.

Reads the warehouse of the running loop. Names of features come from telemetry: they are cleaned.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from selfdrive_dagster.cli.issues import line, settings_of
from selfdrive_dagster.cli.render import AsJson, emit
from selfdrive_dagster.config import home_path
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues.usage import Feature, Usage

Days = Annotated[int, typer.Option("--days", min=1, max=45, help="How many days, today included.")]
Repo = Annotated[
    Path | None,
    typer.Option("--repo", help="The product; else the working folder with a selfdrive.toml."),
]


def usage(days: Days = 7, repo: Repo = None, as_json: AsJson = False) -> None:
    """Show which features are used, grow, are slow, hurt, or are used no more."""
    from selfdrive_dagster.adapters.warehouse import Warehouse
    from selfdrive_dagster.adapters.warehouse.using import view_usage

    settings = settings_of(repo)
    warehouse = Warehouse(home_path(os.environ))
    if "usage_daily" not in warehouse.tables():
        raise BadInput(
            "Nothing is known of how the product is used.",
            remedy="Run `selfdrive up` and point the product at it.",
        )
    unused = settings.detect.unused_days
    view = view_usage(warehouse, datetime.now(UTC), days=days, unused_days=unused)
    emit(view, lambda console: draw(console, view), as_json=as_json)


Cell = Callable[[Feature], str]

COLUMNS: tuple[tuple[str, Cell], ...] = (
    ("uses", lambda each: f"{each.uses:,}"),
    ("before", lambda each: f"{each.uses_before:,}"),
    ("users", lambda each: "?" if each.users is None else f"{each.users:,}"),
    ("mean", lambda each: "?" if each.mean_ms is None else f"{each.mean_ms:,.0f} ms"),
    ("failed", lambda each: f"{each.failed:,}"),
    ("hurt", lambda each: f"{each.hurt:,}"),
    ("last", lambda each: f"{each.last_used:%d %b}"),
)

PARTS: tuple[tuple[str, Callable[[Usage], tuple[Feature, ...]]], ...] = (
    ("Most used", lambda view: view.most_used),
    ("Fastest growing", lambda view: view.fastest_growing),
    ("Slowest", lambda view: view.slowest),
    ("Most painful: sightings of issues per use", lambda view: view.most_painful),
    ("Used no more", lambda view: view.dead),
)


def draw(console: Console, view: Usage) -> None:
    """Draw the parts that have something in them."""
    console.print(f"{view.days} days up to and with {view.until:%d %b %Y}, 00:00 UTC", style="dim")
    for title, part in PARTS:
        if features := part(view):
            console.print(table_of(title, features))
    if view.journeys:
        ways = Table(title="Ways through the product", title_justify="left", box=None)
        for name in ("times", "from", "to"):
            ways.add_column(name, justify="right" if name == "times" else "left")
        for way in view.journeys:
            ways.add_row(f"{way.times:,}", Text(line(way.came_from)), Text(line(way.feature)))
        console.print(ways)
    if not view.most_used and not view.dead:
        console.print("Nobody used anything that telemetry tells of.")


def table_of(title: str, features: tuple[Feature, ...]) -> Table:
    """Return features as rows."""
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for name, _ in COLUMNS:
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("feature")
    for each in features:
        feature = Text(line(f"{each.service_name}: {each.feature}"))
        table.add_row(*(cell(each) for _, cell in COLUMNS), feature)
    return table
