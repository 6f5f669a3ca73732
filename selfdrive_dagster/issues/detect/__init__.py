"""Detectors: what numbers over hours tell, where no single event does. Pure functions."""

from selfdrive_dagster.issues.detect.findings import DetectedRow, Finding, Use, rows_of

__all__ = ["DetectedRow", "Finding", "Use", "rows_of"]
