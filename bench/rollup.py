"""What the roll-up of issues costs: many events at once, and one new hour after more history.

`python bench/rollup.py [--events 2000000] [--issues 5000] [--history 24] [--per-hour 20000]`

Events are made as vectors and put into `issue_events` by the hour, as a refresh does.
First the project's own models answer over all events, each the median of five; then a home with
`history` hours and one with ten times as many each get one new hour, and a refresh makes anew what
that touches. Each part runs in a process of its own, so that its peak memory is its own.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import polars  # noqa: E402

from selfdrive_dagster.adapters.warehouse import Warehouse  # noqa: E402
from selfdrive_dagster.adapters.warehouse.files import by_hour  # noqa: E402
from selfdrive_dagster.adapters.warehouse.models import SqlModel, load_models  # noqa: E402
from selfdrive_dagster.adapters.warehouse.refresh import on_duckdb, refresh  # noqa: E402
from selfdrive_dagster.adapters.warehouse.tables import frame_of  # noqa: E402

START = datetime(2026, 11, 1, tzinfo=UTC)
ROLLUP = ("occurrences", "issue_hourly", "issue_daily", "issue_user_daily")
WHOLE = ("issue_stats", "issue_newest", "issue_releases")
AT_ONCE_SECONDS, TIMES_MORE = 1.0, 10


def events(count: int, issues: int, first: datetime, hours: int, seed: int = 1) -> polars.DataFrame:
    """Return made issue events: few issues are frequent, most are rare, as in life."""
    number = polars.int_range(count, eager=True)
    made = polars.DataFrame({"n": number, "h": number.hash(seed)})
    share = (polars.col("h") % 1_000_003) / 1_000_003
    issue = (share.pow(3) * issues).cast(polars.Int64)
    second = (polars.col("h") // 1_000_003 % (hours * 3_600_000_000)).cast(polars.Int64)
    told = made.select(
        event_id=polars.format("{}-{}", polars.lit(str(seed)), "n"),
        timestamp=(polars.lit(first) + polars.duration(microseconds=second)),
        issue_id=polars.format("iss_{}", issue.cast(polars.String).str.zfill(16)),
        enduser_pseudo_id=polars.format("u{}", polars.col("h") // 17 % 100_000),
        session_id=polars.format("s{}", polars.col("h") // 19 % 250_000),
        trace_id=polars.format("{}", polars.col("h")),
        source=polars.when(polars.col("n") % 5 == 0)
        .then(polars.lit("sentry"))
        .otherwise(polars.lit("otlp")),
        service_name=polars.lit("shop"),
        service_version=polars.format("1.{}", polars.col("h") // 23 % 3),
        severity_text=polars.lit("error"),
        handled=polars.col("n") % 3 == 0,
        exception_type=polars.lit("KeyError"),
        exception_template=polars.format("item <int> of {} is not there", issue % 97),
        culprit=polars.format("shop.f{}", issue),
    )
    told = told.with_columns(received_at=polars.col("timestamp") + polars.duration(seconds=2))
    schema = frame_of("issue_events", ()).schema
    missing = [polars.lit(None, kind).alias(n) for n, kind in schema.items() if n not in told]
    return told.with_columns(missing).select(schema.names()).cast(dict(schema))


def put(warehouse: Warehouse, frame: polars.DataFrame) -> None:
    """Put events into their hours."""
    warehouse.replace_partitions("issue_events", by_hour(frame, "timestamp"))


def models() -> dict[str, SqlModel]:
    """Return the project's own models."""
    return {model.name: model for model in load_models(ROOT / "sql")}


def at_once(home: Path, chosen: argparse.Namespace) -> None:
    """Roll up all events with each model; five times each."""
    warehouse, known = Warehouse(home), models()
    refresh(warehouse, list(known.values()))  # from here on no event is named anew
    put(warehouse, events(chosen.events, chosen.issues, START, chosen.history))
    first = time.monotonic()
    refresh(warehouse, list(known.values()))
    print(f"{'first refresh of all tables':34} {time.monotonic() - first:8.2f} s")
    for name in (*ROLLUP, *WHOLE):
        taken = []
        for _ in range(5):
            began = time.monotonic()
            rows = len(on_duckdb(warehouse, known[name]))
            taken.append(time.monotonic() - began)
        print(f"{name:34} {statistics.median(taken):8.2f} s  {rows:>9,} rows")


def one_hour(home: Path, chosen: argparse.Namespace, hours: int) -> None:
    """Refresh one new hour over a history of so many hours; five new hours, the median told."""
    warehouse, known = Warehouse(home), list(models().values())
    refresh(warehouse, known)
    end = START + timedelta(hours=hours)
    for begin in range(0, hours, 24):
        part = min(24, hours - begin)
        first = START + timedelta(hours=begin)
        made = events(chosen.per_hour * part, chosen.issues, first, part, seed=begin + 1)
        put(warehouse, made)
    refresh(warehouse, known)
    totals, by_table = [], dict[str, list[float]]()
    for extra in range(5):
        first = end + timedelta(hours=extra)
        put(warehouse, events(chosen.per_hour, chosen.issues, first, 1, seed=9_000 + extra))
        began = time.monotonic()
        for done in refresh(warehouse, known):
            by_table.setdefault(done.table, []).append(done.seconds)
        totals.append(time.monotonic() - began)
    print(f"{f'one new hour after {hours} hours':34} {statistics.median(totals):8.2f} s")
    for name in (*ROLLUP, *WHOLE):
        print(f"  {name:32} {statistics.median(by_table[name]):8.2f} s")


def alone(part: str, chosen: argparse.Namespace) -> None:
    """Run a part in a process of its own."""
    given = [f"--{name.replace('_', '-')}={value}" for name, value in vars(chosen).items() if value]
    command = [sys.executable, __file__, *given, f"--part={part}"]
    subprocess.run(command, check=True)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--issues", type=int, default=5_000)
    parser.add_argument("--history", type=int, default=24)
    parser.add_argument("--per-hour", type=int, default=20_000)
    parser.add_argument("--part", default="")
    chosen = parser.parse_args()
    if not chosen.part:
        print(f"{datetime.now(UTC):%FT%TZ} {chosen.events:,} events of {chosen.issues:,} issues")
        for part in ("at once", "one hour", "one hour after more"):
            alone(part, chosen)
        return
    with tempfile.TemporaryDirectory(prefix="selfdrive-rollup-") as name:
        hours = chosen.history * (TIMES_MORE if chosen.part.endswith("more") else 1)
        at_once(Path(name), chosen) if chosen.part == "at once" else one_hour(
            Path(name), chosen, hours
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{'peak memory':34} {peak:8.0f} MiB, load {os.getloadavg()[0]:.1f}\n", flush=True)


if __name__ == "__main__":
    main()
