"""Telemetry: what happened. Decodes what SDKs send into typed, redacted rows and crashes."""

from selfdrive_dagster.telemetry.arrivals import Arrival
from selfdrive_dagster.telemetry.reading import read_crashes, read_records
from selfdrive_dagster.telemetry.redact import Redactor
from selfdrive_dagster.telemetry.rows import (
    TABLES,
    Delivery,
    DeploymentRow,
    ExceptionRow,
    FrameRow,
    LogEventRow,
    MetricPointRow,
    ProductEventRow,
    Records,
    SessionRow,
    SpanRow,
    TestResultRow,
)

__all__ = [
    "TABLES",
    "Arrival",
    "Delivery",
    "DeploymentRow",
    "ExceptionRow",
    "FrameRow",
    "LogEventRow",
    "MetricPointRow",
    "ProductEventRow",
    "Records",
    "Redactor",
    "SessionRow",
    "SpanRow",
    "TestResultRow",
    "read_crashes",
    "read_records",
]
