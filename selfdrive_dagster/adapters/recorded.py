"""The file of the opt-in recorder, found where the owner says; `telemetry.calls` reads it."""

import os
from pathlib import Path

from selfdrive_dagster.config import Settings
from selfdrive_dagster.model import GoodCall
from selfdrive_dagster.telemetry import Redactor
from selfdrive_dagster.telemetry.calls import read_calls

NEWEST_BYTES = 2**21


def recorded_calls(repo: Path, settings: Settings) -> tuple[GoodCall, ...]:
    """Return the newest good calls; none where nobody records, or nothing was recorded yet."""
    if not settings.telemetry.good_calls:
        return ()
    try:
        with (repo / settings.telemetry.good_calls).open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - NEWEST_BYTES))
            return read_calls(file.read(NEWEST_BYTES), Redactor())
    except FileNotFoundError:
        return ()
