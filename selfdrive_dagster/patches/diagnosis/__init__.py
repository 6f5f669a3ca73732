"""Diagnosis: where a crash stands in the tree, who brought it, and what went in.

Frames are found again, lines are suspected, arguments are rebuilt as far as telemetry tells.
Nothing of the product is run here.
"""

from selfdrive_dagster.patches.diagnosis.diagnosing import diagnose, type_of
from selfdrive_dagster.patches.diagnosis.localise import Coverage, coverage_of

__all__ = ["Coverage", "coverage_of", "diagnose", "type_of"]
