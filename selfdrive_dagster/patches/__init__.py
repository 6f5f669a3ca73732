"""Patches: what might help. From a crash to a diagnosis, a reproducer and ranked candidates."""

from selfdrive_dagster.patches.diagnosis import diagnose
from selfdrive_dagster.patches.reproduce import failing_test_reproducer, reproduce

__all__ = ["diagnose", "failing_test_reproducer", "reproduce"]
