"""`selfdrive show`: one change with its page, its chain of evidence and its moves.

Titles and reasons may hold strangers' words: all is cleaned.
"""

from typing import TYPE_CHECKING

from rich.console import Console
from rich.markdown import Markdown
from rich.text import Text

from selfdrive_dagster.cli.costs import spent_on_changes
from selfdrive_dagster.cli.loop_home import Wanted, opened, require_home
from selfdrive_dagster.cli.render import ABSENT, AsJson, clean, emit, flat, words
from selfdrive_dagster.patches.asking.money import dollars

if TYPE_CHECKING:
    from selfdrive_dagster.adapters.story import Approved, Piece, Step, Story


def show(change: Wanted, as_json: AsJson = False) -> None:
    """Show a change's page and its chain of evidence, each record with run and digest."""
    require_home(change)
    with opened() as (teller, engine):
        story = teller.find(change)
        cost = spent_on_changes(engine).get(story.change.change_id)
    emit(story, lambda console: draw_story(console, story, cost), as_json=as_json)


def draw_story(console: Console, story: "Story", cost: int | None = None) -> None:
    """Draw the page, then the chain of evidence, then the moves; `cost` is what models took."""
    change, proposal = story.change, story.proposal
    if proposal is None:
        console.print(Text(flat(story.title or ABSENT), style="bold"))
        console.print(f"Its page is {ABSENT}: no proposal was made yet.")
    else:
        console.print(Markdown(clean(proposal.page), hyperlinks=False))
    until = f", until {change.deadline:%Y-%m-%d %H:%M}" if change.deadline else ""
    console.print(f"\n{change.change_id} is {words(change.state.value)} since "
                  f"{change.since:%Y-%m-%d %H:%M}{until} (UTC).", style="bold")  # fmt: skip
    if story.approval:
        draw_approval(console, story.approval)
    for decision in story.waiting:
        console.print(Text(f"{decision.verdict} by {flat(decision.actor)} waits for the loop: "
                           f"{flat(decision.reason)}", style="yellow"))  # fmt: skip
    if cost is not None:
        console.print(f"Models were paid {dollars(cost)} for it; `selfdrive spend` tells more.")
    console.print(Text("\nEvidence", style="bold"))
    for piece in story.pieces:
        draw_piece(console, piece)
    console.print(Text("\nLedger", style="bold"))
    for step in story.steps:
        draw_step(console, step)


def draw_approval(console: Console, approval: "Approved") -> None:
    """Draw who approved, when, until when it holds, and what the key proves."""
    until = f"{approval.expires:%Y-%m-%d %H:%M}" if approval.expires else ABSENT
    told = f"Approved by {flat(approval.approver)} at {approval.at:%Y-%m-%d %H:%M}, until {until}"
    key = f" (UTC), with {flat(approval.fingerprint or ABSENT)}: {flat(approval.reason)}"
    console.print(Text(told + key), soft_wrap=True)
    if approval.custody:
        style = "dim" if approval.custody.proves_person else "yellow"
        console.print(Text(f"Of that key: {approval.custody.says}.", style=style))


def draw_piece(console: Console, piece: "Piece") -> None:
    """Draw one record: when, by which run, under which digest, and whether it is there."""
    if piece.at is None:
        console.print(Text.assemble(f"  {flat(piece.asset):<20} ", (ABSENT, "red")))
        return
    console.print(
        Text.assemble(
            f"  {flat(piece.asset):<20} ",
            (piece.kept, "green" if piece.kept == "sound" else "bold red"),
            f"  {piece.at:%Y-%m-%d %H:%M:%S}  row {piece.seq}",
            f"\n    run {flat(piece.run_id or ABSENT)}  sha256 {flat(piece.sha256 or ABSENT)}",
        ),
        soft_wrap=True,
    )


def draw_step(console: Console, step: "Step") -> None:
    """Draw one move, with the authority behind it."""
    authority = f"run {step.run_id}" if step.run_id else "signed"
    told = step.body.get("reason") or step.body.get("because") or step.body.get("says") or ""
    console.print(
        Text(
            f"  {step.seq:>4}  {step.at:%Y-%m-%d %H:%M:%S}  {flat(step.kind)} by "
            f"{flat(step.actor)} ({flat(authority)})" + (f": {flat(str(told))}" if told else "")
        ),
        soft_wrap=True,
    )
