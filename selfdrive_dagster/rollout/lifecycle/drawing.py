"""The table as a picture, for the documentation."""

from selfdrive_dagster.rollout.lifecycle.table import BEGINNING, DEADLINES, ENDS, RULES
from selfdrive_dagster.rollout.lifecycle.words import State


def as_mermaid() -> str:
    """Draw the table as a Mermaid state diagram, for the documentation.

    One arrow per pair of states, with all that leads along it.
    """
    ways: dict[tuple[State, State], list[str]] = {}
    for rule in RULES:
        told = f"{rule.event.value} ({rule.actor.value})"
        ways.setdefault((rule.state, rule.to), []).append(told)
        if rule.climbs and rule.state is not State.STAGED:  # no plan ends at stage 0
            last = f"{told} at the last stage"
            ways.setdefault((rule.state, State.BAKING), []).append(last)
    for state, silence in DEADLINES.items():
        told = f"deadline {silence.after.total_seconds() / 3600:.0f} h"
        ways.setdefault((state, silence.to), []).append(told)
    lines = ["stateDiagram-v2", f"    [*] --> {BEGINNING.name}"]
    lines += [f"    {one.name} --> {to.name}: {', '.join(ways[one, to])}" for one, to in ways]
    lines += [f"    {state.name} --> [*]" for state in State if state in ENDS]
    return "\n".join(lines) + "\n"
