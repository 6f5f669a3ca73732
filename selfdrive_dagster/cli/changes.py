"""`selfdrive changes`: the board, a line for each change.

Titles and reasons may hold strangers' words: all is cleaned. Does not belong here: one change with
its evidence (`showing`).
"""

import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from selfdrive_dagster.cli.costs import spent_on_changes
from selfdrive_dagster.cli.loop_home import is_there, opened
from selfdrive_dagster.cli.render import ABSENT, AsJson, emit, flat, words
from selfdrive_dagster.config import home_path
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.patches.asking.money import MICROS

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from selfdrive_dagster.adapters.changes import Change
    from selfdrive_dagster.adapters.story import Story

NARROW = 110
"""Below so many columns the board is drawn in blocks: a table would fold titles to shreds."""

NEEDS_A_HUMAN = "diagnosis only, needs a human"
STYLES = {"certified": "green", "contained": "yellow", "uncertified": "red"}


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the board. What nobody recorded is None; `decision` is one that waits.

    `diagnosis_only`: what is proposed holds no patch, so that nothing invented is on its branch.
    `breaker`: why no change of this service may meet users, "" while they may. `waits`: what an
    approved change may wait for at the front. `cost_usd`: what models took, None for none asked.
    """

    change_id: str
    issue_id: str
    title: str | None
    state: str
    claim: str | None
    verdict: str | None
    invented: str
    since: datetime
    deadline: datetime | None
    branch: str | None
    pushed_to: str
    decision: str | None
    way: str | None = None
    tried: int | None = None
    seconds: float | None = None
    diagnosis_only: bool = False
    approved_by: str | None = None
    approved_at: datetime | None = None
    approved_until: datetime | None = None
    outcome: str | None = None
    breaker: str = ""
    waits: str = ""
    cost_usd: float | None = None


def changes(
    every: Annotated[bool, typer.Option("--all", help="Show those that have ended too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show where each change stands: what it mends, what was proven, where its branch is."""
    if not is_there():
        emit((), lambda console: draw_board(console, (), every, {}), as_json=as_json)
        return
    with opened() as (teller, engine):
        barred = open_breakers(engine)
        stories = teller.all(active=None if every else True)
        serves = served_now()
        costs = spent_on_changes(engine)
        lines = tuple(
            msgspec.structs.replace(
                line_of(story, barred, serves), cost_usd=in_dollars(costs, story)
            )
            for story in stories
        )
    emit(lines, lambda console: draw_board(console, lines, every, barred), as_json=as_json)


def in_dollars(costs: dict[str, int], story: "Story") -> float | None:
    """Return what models took for a change, None where none was asked."""
    micros = costs.get(story.change.change_id)
    return None if micros is None else micros / MICROS


def open_breakers(engine: "Engine") -> dict[str, str]:
    """Return the services whose breaker is open, each with the reason."""
    from selfdrive_dagster.adapters.standing import standings

    found = standings(engine, datetime.now(UTC), rests=False)
    return {name: "; ".join(one.reasons) for name, one in found.items() if one.tripped_at}


def served_now() -> str:
    """Return the commit that this home's front serves as stable, "" where none runs."""
    from selfdrive_dagster.adapters.front_files import FrontFiles
    from selfdrive_dagster.rollout.traffic import FRESH_SECONDS, Seen

    files = FrontFiles(home_path(os.environ))
    try:
        seen = files.read(files.seen_file, Seen)
    except BadInput:
        return ""
    old = seen is None or (datetime.now(UTC) - seen.at).total_seconds() > FRESH_SECONDS
    return "" if old or seen is None else seen.stable


def waits_for(change: "Change", serves: str) -> str:
    """Say what an approved change waits for where the front serves something else than its base."""
    from selfdrive_dagster.rollout.lifecycle import State

    base = change.base_revision
    if change.state is not State.APPROVED or not serves or serves == base:
        return ""
    return (
        f"it stands on {base[:12]}, the front serves {serves[:12]}: if others changed files "
        f"between the two, it waits for selfdrive serve --revision {base[:12]}"
    )


def line_of(story: "Story", barred: dict[str, str], serves: str = "") -> Line:
    """Return a change's line of the board; `barred` are services whose breaker is open."""
    change, proposal = story.change, story.proposal
    return Line(
        change_id=change.change_id,
        issue_id=change.issue_id,
        title=story.title,
        state=change.state.value,
        claim=proposal.claim.value if proposal and proposal.claim else None,
        verdict=proposal.verdict.value if proposal and proposal.verdict else None,
        invented=proposal.invented if proposal and proposal.patch else "",
        since=change.since,
        deadline=change.deadline,
        branch=proposal.branch if proposal else None,
        pushed_to=proposal.pushed_to if proposal else "",
        decision=story.waiting[0].verdict if story.waiting else None,
        way=proposal.way.value if proposal and proposal.way else None,
        tried=proposal.tried if proposal else None,
        seconds=proposal.seconds if proposal else None,
        diagnosis_only=bool(proposal and not proposal.patch),
        approved_by=story.approval.approver if story.approval else None,
        approved_at=story.approval.at if story.approval else None,
        approved_until=story.approval.expires if story.approval else None,
        outcome=story.outcome,
        breaker=barred.get(change.service, ""),
        waits=waits_for(change, serves),
    )


def draw_board(
    console: Console, lines: tuple[Line, ...], every: bool, barred: dict[str, str]
) -> None:
    """Draw the board, and above it what stops it."""
    for service, why in barred.items():
        told = f"The breaker of {flat(service)} is open, nothing is rolled out: {flat(why)}."
        console.print(Text(f"{told} See `selfdrive breaker`.", style="bold red"), soft_wrap=True)
    if not lines:
        left = "" if every else " `--all` shows those that have ended."
        console.print(f"No change is open.{left} `selfdrive issues` shows what hurts.")
        return
    draw = draw_blocks if console.width < NARROW else draw_table
    draw(console, lines)
    told = "Times in UTC. `selfdrive show CHANGE` tells more."
    console.print(told, style="dim")


def draw_table(console: Console, lines: tuple[Line, ...]) -> None:
    """Draw a row for each change, where there is room for columns."""
    table = Table(box=None, pad_edge=False)
    table.add_column("change", no_wrap=True)
    table.add_column("what", overflow="fold")
    for name in ("state", "verdict", "since", "branch"):
        table.add_column(name)
    for line in lines:
        table.add_row(
            Text.assemble(line.change_id, "\n", (line.issue_id, "dim")),
            what(line),
            state_of(line, "\n"),
            verdict_of(line, "\n"),
            f"{line.since:%m-%d %H:%M}",
            Text(flat(line.pushed_to or "here") if line.branch else "-"),
        )
    console.print(table)
    console.print("Branches are named loop/CHANGE.", style="dim")


def draw_blocks(console: Console, lines: tuple[Line, ...]) -> None:
    """Draw a few lines for each change, each as wide as the terminal."""
    for line in lines:
        head = (line.change_id, "  ", state_of(line, ", "), "  ", verdict_of(line, " "))
        where = f"{line.branch} at {line.pushed_to or 'here'}" if line.branch else "no branch yet"
        foot = f"{flat(where)}, of {line.issue_id}, since {line.since:%m-%d %H:%M}"
        console.print(Text.assemble(*head))
        console.print(Padding(what(line), (0, 0, 0, 2)))
        console.print(Padding(Text(foot, style="dim"), (0, 0, 1, 2)))


def what(line: Line) -> Text:
    """Return what a change mends, and below it what its reader must know of it."""
    remark = NEEDS_A_HUMAN if line.diagnosis_only else flat(line.waits or line.invented)
    return Text.assemble(flat(line.title or ABSENT), ("\n" + remark if remark else "", "yellow"))


def state_of(line: Line, gap: str) -> Text:
    """Return where a change stands, and the decision that waits."""
    waits = f"{gap}{words(flat(line.decision))} waits" if line.decision else ""
    approved = f"{gap}by {flat(line.approved_by)}" if line.approved_by else ""
    until = f" until {line.approved_until:%m-%d %H:%M}" if line.approved_until else ""
    return Text.assemble(words(line.state), (waits, "yellow"), (approved + until, "dim"))


def verdict_of(line: Line, gap: str) -> Text:
    """Return the verdict and what was claimed; without a patch nothing is."""
    verdict = (line.verdict or "-", STYLES.get(line.verdict or "", ""))
    claim = "" if line.diagnosis_only or not line.claim else gap + line.claim
    return Text.assemble(verdict, claim)
