"""`selfdrive issues merge`, `split`, `undo` and `like`: which crashes are one issue.

Each verdict is noted with its reason; the tables follow with the next batch, and the ledger has a
row of it. Nothing is renamed: events keep their fingerprint, so each verdict can be taken back.
"""

import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.deciding import who_am_i
from selfdrive_dagster.cli.loop_home import loop_is_running, opened, require_home
from selfdrive_dagster.cli.render import AsJson, emit, flat
from selfdrive_dagster.config import home_path
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues.align import Suggestion, suggest
from selfdrive_dagster.issues.members import (
    Members,
    Verdict,
    current,
    merging,
    splitting,
    undoing,
)

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.warehouse import Warehouse

Issue = Annotated[str, typer.Argument(metavar="ID", help="iss_… of `selfdrive issues`.")]
Other = Annotated[str, typer.Argument(metavar="OTHER", help="The issue that is to be part of it.")]
Part = Annotated[
    str, typer.Argument(metavar="PART", help="iss_… of the part, as `selfdrive issues like` tells.")
]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the verdict.")]


def merge(issue: Issue, other: Other, reason: Reason = "", as_json: AsJson = False) -> None:
    """Put an issue into another one: both were one all the time."""
    decide(
        lambda members, _, **said: merging(members, issue, other, **said),
        (issue, other),
        reason,
        as_json=as_json,
    )


def split(issue: Issue, part: Part, reason: Reason = "", as_json: AsJson = False) -> None:
    """Take a part out of an issue: it is one of its own, and stays so."""
    decide(
        lambda members, _, **said: splitting(members, issue, part, **said),
        (issue, part),
        reason,
        as_json=as_json,
    )


def undo(issue: Issue, reason: Reason = "", as_json: AsJson = False) -> None:
    """Take back the last merge or split of an issue or part."""
    decide(
        lambda _, verdicts, **said: undoing(verdicts, issue, **said),
        (issue,),
        reason,
        as_json=as_json,
    )


def like(as_json: AsJson = False) -> None:
    """Show which issues may be one, and which parts are in one issue, by whose word."""
    from selfdrive_dagster.adapters.warehouse import Warehouse
    from selfdrive_dagster.adapters.warehouse.naming import (
        members_of,
        read_members,
        read_traces,
    )

    warehouse = Warehouse(home_path(os.environ))
    members = members_of(warehouse)
    alike = [
        each
        for each in suggest(read_traces(warehouse))
        if members.issue_of(each.fingerprint) != members.issue_of(each.like)
    ]
    told = {"members": read_members(warehouse), "suggestions": alike}
    emit(told, lambda console: draw(console, told), as_json=as_json)


PARTS = (("merge", merge), ("split", split), ("undo", undo), ("like", like))


def decide(
    verdict_of: Callable[..., Verdict], names: tuple[str, ...], reason: str, *, as_json: bool
) -> None:
    """Note a verdict and say what comes of it."""
    from selfdrive_dagster.adapters.verdicts import Verdicts
    from selfdrive_dagster.adapters.warehouse import Warehouse

    if not reason.strip():
        raise BadInput("A verdict on an issue needs a reason.", remedy='--reason "what you saw"')
    require_home(names[0])
    warehouse = Warehouse(home_path(os.environ))
    known = names_in(warehouse)
    if unknown := [name for name in names if name not in known]:
        raise BadInput(f"There is no issue {unknown[0]!r} of crashes.", remedy="selfdrive issues")
    with opened() as (_, engine):
        kept = Verdicts(engine, warehouse.root)
        verdicts = kept.all()
        said = verdict_of(
            members_now(warehouse, verdicts),
            verdicts,
            actor=who_am_i(),
            reason=reason,
            at=datetime.now(UTC),
        )
        kept.record(said)
    told = {"verdict": said, "loop_is_running": loop_is_running()}
    emit(told, lambda console: draw_verdict(console, said), as_json=as_json)


def names_in(warehouse: "Warehouse") -> frozenset[str]:
    """Return every issue and part that exceptions were ever in."""
    found = warehouse.query("SELECT DISTINCT issue_id, fp_key FROM issue_events").rows()
    return frozenset(name for row in found for name in row if name)


def members_now(warehouse: "Warehouse", verdicts: tuple[Verdict, ...]) -> Members:
    """Return the pointers with all verdicts, those too that no batch followed yet."""
    from selfdrive_dagster.adapters.warehouse.naming import read_members

    return current(read_members(warehouse), verdicts)


def draw_verdict(console: Console, said: Verdict) -> None:
    """Say what was noted and when it shows."""
    words = {
        "merge": f"{said.name} is part of {said.issue_id}",
        "split": f"{said.name} is an issue of its own",
        "undo": f"the last verdict on {said.name} is taken back",
    }
    told = f"Noted: {flat(said.actor)} says that {words[said.verdict]}: {flat(said.reason)}"
    console.print(Text(told), soft_wrap=True)
    if loop_is_running():
        console.print("The tables follow with the next batch, within half a minute.")
    else:
        console.print("No loop runs on this home: the tables follow with the next `selfdrive up`.")


def draw(console: Console, told: dict[str, Any]) -> None:
    """Draw the parts of issues and the suggestions, a line each."""
    for each in told["members"]:
        line = f"{each.fingerprint} is in {each.issue_id}, by {flat(each.merged_by)}: "
        console.print(Text(line + flat(each.reason)), soft_wrap=True)
    for each in told["suggestions"]:
        draw_suggestion(console, each)
    if not (told["members"] or told["suggestions"]):
        console.print("Every issue has one part, and no two are alike.")


def draw_suggestion(console: Console, each: Suggestion) -> None:
    """Draw one suggestion with the command that would follow it."""
    console.print(
        Text(f"{each.score:.2f}  {each.fingerprint} and {each.like}: {flat(each.says)}"),
        soft_wrap=True,
    )
    how = f'  if they are one: selfdrive issues merge {each.fingerprint} {each.like} --reason "…"'
    console.print(Text(how, style="dim"), soft_wrap=True)
