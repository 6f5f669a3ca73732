"""Logs as products write them themselves: JSON lines, Python's text logs, access logs.

What a logging SDK sends over OTLP or as a Sentry item does not belong here.
"""

from selfdrive_dagster.telemetry.logs.access import is_access_line, read_access_log
from selfdrive_dagster.telemetry.logs.structured import is_log, read_json_log
from selfdrive_dagster.telemetry.logs.text import begins_record, read_text_log

__all__ = [
    "begins_record",
    "is_access_line",
    "is_log",
    "read_access_log",
    "read_json_log",
    "read_text_log",
]
