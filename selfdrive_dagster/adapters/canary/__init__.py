"""The canary's evidence: sessions of the proxy's log and of telemetry, counted and kept.

Judging it is `rollout.canary`'s; nothing here writes traffic or a verdict.
"""

from selfdrive_dagster.adapters.canary.gathering import Gathering
from selfdrive_dagster.adapters.canary.requests import Request
from selfdrive_dagster.adapters.canary.sessions import SessionCounter
from selfdrive_dagster.adapters.canary.store import DamagedWindows, WindowStore, on_trial
from selfdrive_dagster.adapters.canary.telemetry import COUNTED, Watched, count_telemetry
from selfdrive_dagster.adapters.canary.thresholds import Thresholds, usual_slowness

__all__ = [
    "COUNTED",
    "DamagedWindows",
    "Gathering",
    "Request",
    "SessionCounter",
    "Thresholds",
    "Watched",
    "WindowStore",
    "count_telemetry",
    "on_trial",
    "usual_slowness",
]
