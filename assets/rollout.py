"""Rollout: dare we. At L2 a change ends as a branch that others take."""

from typing import Any

from selfdrive_dagster.orchestration.build import plain_job
from selfdrive_dagster.orchestration.workshop import Workshop


def look(workshop: Workshop, run_id: str) -> dict[str, Any]:
    """x."""
    return {}


look_outside = plain_job("look_outside", "Notices merges by others, carries out decisions.", look)
