"""Is it faster, and is it the same? The proof of an improvement, through the gate of all patches.

Belongs here: equal answers, the measured gain, the verdict. Does not belong: drafting
(`patches.improve`).
"""

from selfdrive_dagster.validation.improve.gain import Gain, median_interval
from selfdrive_dagster.validation.improve.improving import Improvement, improve
from selfdrive_dagster.validation.improve.proving import prove_improvements

__all__ = ["Gain", "Improvement", "improve", "median_interval", "prove_improvements"]
