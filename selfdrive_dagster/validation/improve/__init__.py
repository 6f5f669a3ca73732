"""Is it faster, and is it the same? The proof of an improvement, through the gate of all patches.

Belongs here: equal answers, the measured gain, the verdict. Does not belong: drafting
(`patches.improve`).
"""

from selfdrive_dagster.validation.improve.asked import (
    AskedImprovement,
    ask_about,
    improve_by_asking,
)
from selfdrive_dagster.validation.improve.gain import Gain, median_interval
from selfdrive_dagster.validation.improve.improving import Improvement, improve
from selfdrive_dagster.validation.improve.proving import prove_improvements

__all__ = [
    "AskedImprovement",
    "Gain",
    "Improvement",
    "ask_about",
    "improve",
    "improve_by_asking",
    "median_interval",
    "prove_improvements",
]
