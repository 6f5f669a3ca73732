"""What a micro-batch costs: seconds, and bytes of the database and the home, over many batches.

`python bench/growth.py [--batches 200] [--events 50]`

Each batch hands over a segment of crashes and runs the job `batch` in this process, with Dagster's
storage in the embedded PostgreSQL, as `selfdrive up` keeps it. Starting a run's own process, which
the daemon adds, is left out. Prints a line every tenth of the way; growth is per batch since then.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from sqlalchemy import text

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from selfdrive_dagster.adapters.handing import hand_over  # noqa: E402
from selfdrive_dagster.adapters.postgres import connect, open_database  # noqa: E402
from selfdrive_dagster.orchestration.instance import opened, prepare_dagster_home  # noqa: E402
from selfdrive_dagster.telemetry import Redactor  # noqa: E402

ENVELOPE = ROOT / "tests" / "cases" / "shop_envelopes" / "01-unknown-zone.envelope"

QUIET = {"loggers": {"console": {"config": {"log_level": "ERROR"}}}}
"""Dagster tells every step on the terminal otherwise."""


def envelopes(count: int) -> Iterator[bytes]:
    """Yield crashes that differ in their ids alone."""
    known = ENVELOPE.read_bytes()
    old = known.split(b'"event_id":"', 1)[1][:32]
    for _ in range(count):
        yield known.replace(old, uuid4().hex.encode())


def hand(folder: Path, home: Path, count: int) -> None:
    """Put one segment of crashes into the home."""
    files = []
    for number, data in enumerate(envelopes(count)):
        files.append(folder / f"{number}.envelope")
        files[-1].write_bytes(data)
    hand_over(files, home / "segments" / "ingest", Redactor(), "shop")


def size_of(home: Path) -> int:
    """Return the bytes of all files of a folder."""
    return sum(path.stat().st_size for path in home.rglob("*") if path.is_file())


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", type=int, default=200)
    parser.add_argument("--events", type=int, default=50)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory(prefix="selfdrive-growth-") as name:
        folder = Path(name)
        home, repo = folder / "home", folder / "shop"
        home.mkdir(mode=0o700)
        make = [sys.executable, str(ROOT / "examples" / "shop" / "make_history.py"), str(repo)]
        subprocess.run(make, check=True, stdout=subprocess.DEVNULL)
        with open_database(home) as url:
            os.environ.update(
                SELFDRIVE_HOME=str(home), SELFDRIVE_PRODUCT=str(repo), SELFDRIVE_DATABASE_URL=url
            )
            run(folder, home, url, chosen.batches, chosen.events)


def run(folder: Path, home: Path, url: str, batches: int, events: int) -> None:
    """Run the batches; print what they cost."""
    from assets.definitions import defs

    engine = connect(url)

    def database() -> int:
        with engine.connect() as connection:
            size = "SELECT pg_database_size(current_database())"
            return int(connection.execute(text(size)).scalar_one())

    job = defs.resolve_job_def("batch")
    step = max(1, batches // 10)
    with opened(prepare_dagster_home(home, url)) as instance:
        since, before, start = 0, database(), time.monotonic()
        print(f"{datetime.now(UTC):%FT%TZ} {events} events a batch, database {before:,} bytes")
        for number in range(1, batches + 1):
            hand(folder, home, events)
            assert job.execute_in_process(instance=instance, run_config=QUIET).success
            if number % step == 0:
                now, seconds = database(), time.monotonic() - start
                each = number - since
                print(
                    f"{number:>5} batches  {seconds / each:6.2f} s each  "
                    f"database +{(now - before) / each / 1024:7.1f} KiB each  "
                    f"warehouse {size_of(home / 'warehouse') / 2**20:6.2f} MiB  "
                    f"load {os.getloadavg()[0]:.1f}",
                    flush=True,
                )
                since, before, start = number, now, time.monotonic()
    engine.dispose()


if __name__ == "__main__":
    main()
