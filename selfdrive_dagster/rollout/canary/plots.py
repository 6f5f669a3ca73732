"""Two plots of a rollout: the evidence over time, and how often each arm was affected.

Belongs here: what is drawn. Does not belong: how (`model.drawing`), nor what is shown beside it
(`orchestration.pages`).
"""

import math
from collections.abc import Sequence
from datetime import timedelta

from selfdrive_dagster.model.drawing import draw
from selfdrive_dagster.rollout.canary.counts import Count, Window
from selfdrive_dagster.rollout.canary.plan import Plan
from selfdrive_dagster.rollout.canary.readings import harm_so_far


def evidence_svg(windows: Sequence[Window], plan: Plan) -> str:
    """Draw how strong the evidence of harm became, as log10 of each guardrail's e-value."""
    counted = windows[plan.warm_up_windows :]
    lines = {
        rail.name: [
            (_minute(windows, window, plan), value / math.log(10))
            for window, value in harm_so_far(rail, counted)
        ]
        for rail in plan.guardrails
    }
    limit = math.log10(plan.harm_threshold)
    return draw("Evidence of harm, log10 of the e-value", lines, {"HARM from here": limit})


def rates_svg(windows: Sequence[Window], plan: Plan, guardrail: str) -> str:
    """Draw in which part of its sessions each arm was affected so far, in percent."""
    total = Count()
    canary: list[tuple[float, float]] = []
    stable: list[tuple[float, float]] = []
    for window in windows[plan.warm_up_windows :]:
        total += window.measured.get(guardrail, Count())
        minute = _minute(windows, window, plan)
        exposed, hit = total.exposed, total.affected
        canary += [(minute, 100 * hit.canary / exposed.canary)] if exposed.canary else []
        stable += [(minute, 100 * hit.stable / exposed.stable)] if exposed.stable else []
    return draw(f"{guardrail}: affected sessions in %", {"canary": canary, "stable": stable}, {})


def _minute(windows: Sequence[Window], window: Window, plan: Plan) -> float:
    """Return the end of a window in minutes since the first one began."""
    end = window.start - windows[0].start + timedelta(seconds=plan.window_seconds)
    return end.total_seconds() / 60
