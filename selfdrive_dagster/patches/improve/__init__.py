"""Improvements: a slow path made faster, where that can be proven.

From a slow-path issue to the function that answers the route, to the lines that take the time, to
drafts that keep every answer. Belongs here: finding and drafting. Does not belong: the proof
(`validation.improve`), and what telemetry is stored where.
"""

from selfdrive_dagster.patches.improve.effects import Outcome, came_true, expected
from selfdrive_dagster.patches.improve.handlers import handler_of
from selfdrive_dagster.patches.improve.profile import profile
from selfdrive_dagster.patches.improve.records import (
    Effect,
    Handler,
    Hot,
    Idea,
    Profile,
    SlowPath,
    SlowRequest,
    Target,
    Workload,
)
from selfdrive_dagster.patches.improve.table import TEMPLATES, ideas
from selfdrive_dagster.patches.improve.workload import workload_of

__all__ = [
    "TEMPLATES",
    "Effect",
    "Handler",
    "Hot",
    "Idea",
    "Outcome",
    "Profile",
    "SlowPath",
    "SlowRequest",
    "Target",
    "Workload",
    "came_true",
    "expected",
    "handler_of",
    "ideas",
    "profile",
    "workload_of",
]
