"""A test made from telemetry that fails on the base revision for the recorded reason.

Three ways, tried in order: the recorded arguments; a passing test's state with the recorded
arguments in place of its own, and after that with what the exception tells of the object; the
recorded request through the product's own client. Only
what raised the same type in the same function, twice in a clean sandbox, is a reproducer;
else there is none, and every attempt says why.
"""

from selfdrive_dagster.patches.reproduce.failing import failing_test_reproducer
from selfdrive_dagster.patches.reproduce.order import reproduce

__all__ = ["failing_test_reproducer", "reproduce"]
