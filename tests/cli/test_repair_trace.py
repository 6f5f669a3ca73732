"""Which crash of a trace `selfdrive repair` takes."""

import json
from pathlib import Path

import pytest

from selfdrive_dagster.cli.repair import read_trace
from selfdrive_dagster.telemetry import Redactor


def event(message: str, timestamp: str | None) -> dict:
    exception = {"values": [{"type": "KeyError", "value": message}]}
    return {"platform": "python", "exception": exception, "timestamp": timestamp}


@pytest.mark.parametrize(
    ("times", "taken"),
    [
        (["2026-03-01T10:00:00Z", "2026-03-03T10:00:00Z", "2026-03-02T10:00:00Z"], "n 1"),
        (["2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"], "n 1"),
        ([None, "2026-03-01T10:00:00Z", None], "n 1"),
        ([None, None, None], "n 2"),
    ],
    ids=["newest in the middle", "equals", "one with a time", "none with a time"],
)
def test_the_newest_crash_is_taken_and_not_the_last(
    tmp_path: Path, times: list[str | None], taken: str
) -> None:
    trace = tmp_path / "crashes.json"
    events = [event(f"n {number}", when) for number, when in enumerate(times)]
    trace.write_text("\n".join(map(json.dumps, events)))
    assert read_trace(trace, Redactor()).raised.value == taken
