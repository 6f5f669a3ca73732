"""Canary: does the new revision harm, is it safe, or do we not know yet.

Evidence is counted in distinct sessions per window and arm, and in requests that came before a
session had begun; a verdict is a pure function of all windows so far, so no restart resets it and
looking often costs nothing (`eprocess`).
"""

from selfdrive_dagster.rollout.canary.counts import Arms, Count, Window
from selfdrive_dagster.rollout.canary.forecast import exposures_for_silence, minutes_to_pass
from selfdrive_dagster.rollout.canary.judge import Judgement, Verdict, judge
from selfdrive_dagster.rollout.canary.lines import Line, Source, Step, share_in, windows_of
from selfdrive_dagster.rollout.canary.plan import (
    DEFAULT_PLAN,
    DEMO_PLAN,
    Guardrail,
    Measure,
    Plan,
    Stage,
)
from selfdrive_dagster.rollout.canary.plots import evidence_svg, rates_svg
from selfdrive_dagster.rollout.canary.readings import Reading

__all__ = [
    "DEFAULT_PLAN",
    "DEMO_PLAN",
    "Arms",
    "Count",
    "Guardrail",
    "Judgement",
    "Line",
    "Measure",
    "Plan",
    "Reading",
    "Source",
    "Stage",
    "Step",
    "Verdict",
    "Window",
    "evidence_svg",
    "exposures_for_silence",
    "judge",
    "minutes_to_pass",
    "rates_svg",
    "share_in",
    "windows_of",
]
