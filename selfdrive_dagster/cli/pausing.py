"""`selfdrive pause` and `selfdrive resume`: hold a rollout where it is, and let it go on.

Each is noted here and carried out by the controller, which knows the traffic. A pause moves no
user: who has the canary keeps it. Does not belong here: the way back (`rollback`).
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

Reason = Annotated[str, typer.Option("--reason", help="Why; it is kept with the decision.")]

AFTERWARDS = {
    "pause": "Users stay where they are. Held for {hours:g} h it goes back to stable by itself.",
    "resume": "It goes on at its stage, with all the evidence it had.",
}
"""What follows once it is carried out."""


def pause(change: Wanted, reason: Reason, as_json: AsJson = False) -> None:
    """Hold a rollout: no more users meet it, and none fewer."""
    decide(change, "pause", reason, as_json=as_json)


def resume(change: Wanted, reason: Reason, as_json: AsJson = False) -> None:
    """Let a rollout that is held go on at its stage."""
    decide(change, "resume", reason, as_json=as_json)


def decide(change: str, verdict: str, reason: str, *, as_json: bool) -> None:
    """Note a decision on a rollout and say what comes of it."""
    if not reason.strip():
        raise BadInput(f"A {verdict} needs a reason.", remedy='--reason "what you saw"')
    require_home(change)
    with opened() as (teller, engine):
        story = teller.find(change)
        decision = noted(story, engine, verdict, reason)
    told = {"decision": decision, "loop_is_running": loop_is_running()}
    emit(told, lambda console: draw(console, decision), as_json=as_json)


def noted(story: "Story", engine: "Engine", verdict: str, reason: str) -> "Decision":
    """Note a decision once. Raises Refused where the lifecycle has no such move."""
    from selfdrive_dagster.adapters.decisions import Decisions
    from selfdrive_dagster.adapters.outside import VERDICTS
    from selfdrive_dagster.rollout.lifecycle import RULES

    change, event = story.change, VERDICTS[verdict][0]
    states = [rule.state for rule in RULES if rule.event is event]
    if change.state not in states:
        where = " or ".join(words(state.value) for state in states)
        raise Refused(
            f"{change.change_id} is {words(change.state.value)}; {verdict} is for one in {where}.",
            remedy=f"selfdrive show {change.change_id}; selfdrive rollback ends a rollout",
        )
    waits = next((one for one in story.waiting if one.verdict == verdict), None)
    return waits or Decisions(engine).record(
        change.change_id,
        verdict,
        actor=who_am_i(),
        reason=reason,
        now=datetime.now(UTC),
        digests=digests_of(story),
    )


def draw(console: Console, decision: "Decision") -> None:
    """Say what was noted, who carries it out, and what follows."""
    from selfdrive_dagster.rollout.lifecycle import DEADLINES, State

    told = f"Noted: {flat(decision.actor)} decides {decision.verdict} for {decision.change_id}: "
    console.print(Text(told + flat(decision.reason)), soft_wrap=True)
    if loop_is_running():
        console.print("The controller carries it out within seconds.")
    else:
        console.print("No loop runs on this home: it waits until the next `selfdrive up`.")
    hours = DEADLINES[State.HOLD].after.total_seconds() / 3600
    console.print(AFTERWARDS[decision.verdict].format(hours=hours), soft_wrap=True)
