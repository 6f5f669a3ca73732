"""`selfdrive reject`: a change refused; noted here, carried out by the loop.

Reasons may hold strangers' words: all is cleaned.
"""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.text import Text

from selfdrive_dagster.cli.deciding import digests_of, who_am_i
from selfdrive_dagster.cli.loop_home import Wanted, loop_is_running, opened, require_home
from selfdrive_dagster.cli.render import AsJson, emit, flat, words
from selfdrive_dagster.errors import BadInput, Refused

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from selfdrive_dagster.adapters.decisions import Decision
    from selfdrive_dagster.adapters.story import Story
    from selfdrive_dagster.rollout import Proposal


def reject(
    change: Wanted,
    reason: Annotated[str, typer.Option("--reason", help="Why; it is kept with the decision.")],
    as_json: AsJson = False,
) -> None:
    """Refuse a change: noted now, carried out by the loop."""
    if not reason.strip():
        raise BadInput("A refusal needs a reason.", remedy='--reason "what is wrong with it"')
    require_home(change)
    with opened() as (teller, engine):
        story = teller.find(change)
        decision = refuse(story, engine, reason)
    told = {"decision": decision, "loop_is_running": loop_is_running()}
    emit(told, lambda console: draw_refusal(console, story, decision), as_json=as_json)


def refuse(story: "Story", engine: "Engine", reason: str) -> "Decision":
    """Note a refusal once. Raises Refused when the change is beyond it."""
    from selfdrive_dagster.adapters.decisions import Decisions
    from selfdrive_dagster.rollout.lifecycle import RULES, Event

    state, change_id = story.change.state, story.change.change_id
    if not any(rule.state is state and rule.event is Event.REJECT for rule in RULES):
        raise Refused(
            f"{change_id} is {words(state.value)}: it can no longer be rejected.",
            remedy="if it was merged, revert it in git: `selfdrive show` tells how",
        )
    return noted(story) or Decisions(engine).record(
        change_id,
        "reject",
        actor=who_am_i(),
        reason=reason,
        now=datetime.now(UTC),
        digests=digests_of(story),
    )


def noted(story: "Story") -> "Decision | None":
    """Return the refusal that waits already."""
    return next((one for one in story.waiting if one.verdict == "reject"), None)


def draw_refusal(console: Console, story: "Story", decision: "Decision") -> None:
    """Say what was noted, who carries it out, and what stays."""
    told = f"Noted: {flat(decision.actor)} rejects {decision.change_id}: {flat(decision.reason)}"
    if noted(story):
        told = f"{decision.change_id} is rejected, already noted: {flat(decision.reason)}"
    console.print(Text(told))
    if loop_is_running():
        console.print("The loop carries it out within a minute.")
    else:
        console.print("No loop runs on this home: it waits until the next `selfdrive up`.")
    if story.proposal:
        console.print(Text(what_stays(story.proposal)), soft_wrap=True)


def what_stays(proposal: "Proposal") -> str:
    """Say that a refused branch is not deleted for anybody, and how to do it."""
    ways = [f"git branch -D {proposal.branch}"]
    if proposal.pushed_to:
        ways.append(f"git push {flat(proposal.pushed_to)} --delete {proposal.branch}")
    return f"The branch {proposal.branch} stays; to delete it: {' && '.join(ways)}"
