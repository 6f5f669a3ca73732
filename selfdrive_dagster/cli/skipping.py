"""`selfdrive issues skip` and `unskip`: leave an issue alone for a while, with a reason.

The skip is noted and holds at once; the ledger has a row of it with the next batch. It ends by
itself, and earlier when the issue comes back or grows (`issues.skips`).
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.deciding import who_am_i
from selfdrive_dagster.cli.issues import find, pick
from selfdrive_dagster.cli.loop_home import loop_is_running, opened, require_home
from selfdrive_dagster.cli.render import AsJson, emit, flat
from selfdrive_dagster.config import home_path
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues.skips import SKIPPED, Skip, skipping, unskipping

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.skips import Skips

Issue = Annotated[str, typer.Argument(metavar="ID", help="iss_… or the start of one.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the skip.")]
For = Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 12h, 7d, 2w.")]


def skip(issue: Issue, lasts: For = "7d", reason: Reason = "", as_json: AsJson = False) -> None:
    """Leave an issue alone until a time: it is ranked, and nothing is tried on it."""
    decide(
        issue,
        reason,
        lambda _, name, at: skipping(name, lasts, actor=who_am_i(), reason=reason, at=at),
        as_json=as_json,
    )


def unskip(issue: Issue, reason: Reason = "", as_json: AsJson = False) -> None:
    """Take back the skip of an issue: triage judges it again."""
    decide(
        issue,
        reason,
        lambda kept, name, at: unskipping(kept.all(), name, actor=who_am_i(), reason=reason, at=at),
        as_json=as_json,
    )


PARTS = (("skip", skip), ("unskip", unskip))


def decide(
    issue: str,
    reason: str,
    said_of: Callable[["Skips", str, datetime], Skip],
    *,
    as_json: bool,
) -> None:
    """Note what was said of an issue and say what comes of it."""
    from selfdrive_dagster.adapters.skips import Skips

    if not reason.strip():
        raise BadInput("A word on an issue needs a reason.", remedy='--reason "what you know"')
    require_home(issue)
    chosen = pick(find(None, None), issue)
    with opened() as (_, engine):
        kept = Skips(engine, home_path(os.environ) / "warehouse")
        said = said_of(kept, chosen.issue_id, datetime.now(UTC))
        kept.record(said)
    told = {"said": said, "loop_is_running": loop_is_running()}
    emit(told, lambda console: draw(console, said), as_json=as_json)


def draw(console: Console, said: Skip) -> None:
    """Say what was noted and what holds from now on."""
    what = said.says if said.verdict == SKIPPED else f"{said.actor} ends the skip: {said.reason}"
    console.print(Text(f"Noted of {said.issue_id}: {flat(what)}"), soft_wrap=True)
    if said.verdict == SKIPPED:
        console.print("It ends by itself, and earlier if the issue comes back or grows.")
        console.print("A change that is open already goes on: `selfdrive changes` shows it.")
