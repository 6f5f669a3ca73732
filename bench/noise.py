"""Noise: does one sender buy a rank, and how many issues can rotating words open?

`python bench/noise.py [--copies 1000000]`

One user sends a million copies of one crash; thirty users meet another three times each; then a
sender rotates the words of a log, of bare exceptions and the functions of a stack. All goes the
way of stored telemetry: rows, fingerprints, models, ranking. Prints ranks, counts and seconds.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.model import Crash, Frame, RaisedException, canonical, digest
from selfdrive_dagster.telemetry.rows import ExceptionRow, LogEventRow

ROOT = Path(__file__).resolve().parents[1]
NOW = datetime(2026, 11, 27, 15, 50, tzinfo=UTC)
CHUNK = 50_000


def row(number: int, function: str, message: str, user: str | None) -> ExceptionRow:
    """Return one crash; without a function it has no frames."""
    at = NOW - timedelta(minutes=40) + timedelta(milliseconds=number * 2 % 2_000_000)
    frames = (Frame(path="/srv/shop/cart.py", function=function, line=4, in_app=True),)
    raised = RaisedException(
        type="KeyError", value=message, frames=frames if function else (), handled=False
    )
    name = digest([number, function, message, user])
    crash = Crash(event_id=name, source="sentry", exceptions=(raised,), timestamp=at)
    return ExceptionRow(
        event_id=name,
        source="sentry",
        timestamp=at,
        received_at=at,
        service_name="shop",
        enduser_pseudo_id=user,
        exception_type="KeyError",
        exception_message=message,
        handled=False,
        chain_json="[]",
        crash_json=canonical(crash).decode(),
    )


def words() -> Iterator[str]:
    """Yield 4096 words that no template makes equal."""
    letters = "abcdefghijklmnop"
    yield from (f"x{a}{b}{c}y" for a in letters for b in letters for c in letters)


def logged(number: int, body: str) -> LogEventRow:
    """Return one error in a log."""
    at = NOW - timedelta(minutes=30) + timedelta(milliseconds=number)
    return LogEventRow(
        event_id=digest(["log", number, body]),
        source="otlp",
        timestamp=at,
        received_at=at,
        service_name="shop",
        severity_number=17,
        body=body,
    )


def main() -> int:
    """Print the tables; 0 if the thirty rank above the one and all counts are bounded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--copies", type=int, default=1_000_000)
    copies = parser.parse_args().copies
    models = load_models(ROOT / "sql")
    with tempfile.TemporaryDirectory() as folder:
        warehouse, began = Warehouse(folder), time.monotonic()
        for start in range(0, copies, CHUNK):
            part = range(start, min(copies, start + CHUNK))
            warehouse.append("exceptions", [row(n, "loud", "'x'", "one") for n in part])
        hurt = [row(n, "hurt", "'y'", f"user-{n // 3}") for n in range(90)]
        warehouse.append("exceptions", hurt)
        stored = time.monotonic()
        refresh(warehouse, models)
        ranked = rank_issues(warehouse, NOW)
        for issue in ranked:
            print(
                f"{issue.rank}  {issue.culprit:<14} score {issue.score.total:5.1f}  "
                f"{issue.events_24h:>9,} events, {issue.users} users"
            )
        print(
            f"stored in {stored - began:.0f} s, grouped and ranked in "
            f"{time.monotonic() - stored:.0f} s"
        )
        is_fair = ranked[0].culprit.endswith("hurt")
    bounded = True
    for what, rows in rotating().items():
        with tempfile.TemporaryDirectory() as folder:
            warehouse = Warehouse(folder)
            warehouse.append("log_events" if what == "log messages" else "exceptions", rows)
            refresh(warehouse, models)
            count = len(rank_issues(warehouse, NOW))
            bounded = bounded and count <= 2 * 201
            print(f"rotating {what}: {len(rows):,} in one hour or two open {count} issues")
    return int(not (is_fair and bounded))


def rotating() -> dict[str, list[ExceptionRow] | list[LogEventRow]]:
    """Return what somebody sends who wants many issues."""
    return {
        "log messages": [logged(n, f"no {word}") for n, word in enumerate(words())],
        "bare messages": [row(n, "", f"no {word}", None) for n, word in enumerate(words())],
        "functions": [row(n, word, "'z'", None) for n, word in enumerate(words())],
    }


if __name__ == "__main__":
    sys.exit(main())
