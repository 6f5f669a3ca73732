"""How DuckDB and Spark grow with size: the roll-up models over more and more events.

`python bench/engines.py [--sizes 20000 200000 2000000] [--master 'local[*]']`

The same made events (`rollup.py`), the same files, each model asked of each engine; the median of
three after one that is not counted. Needs pyspark and Java. Memory: ours and the Java process's.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

from rollup import ROLLUP, START, WHOLE, events, models, put  # noqa: E402

from selfdrive_dagster.adapters.spark import Spark  # noqa: E402
from selfdrive_dagster.adapters.warehouse import Warehouse  # noqa: E402
from selfdrive_dagster.adapters.warehouse.models import SqlModel  # noqa: E402
from selfdrive_dagster.adapters.warehouse.refresh import Answer, on_duckdb, refresh  # noqa: E402


def taken(engine: Answer, warehouse: Warehouse, model: SqlModel) -> float:
    """Return the median seconds of one answer."""
    engine(warehouse, model)
    seconds = []
    for _ in range(3):
        began = time.monotonic()
        engine(warehouse, model)
        seconds.append(time.monotonic() - began)
    return statistics.median(seconds)


def memory() -> str:
    """Return what this process and its children hold."""
    own = psutil.Process()
    java = sum(child.memory_info().rss for child in own.children(recursive=True))
    return f"memory {own.memory_info().rss / 2**20:.0f} MiB, Java {java / 2**20:.0f} MiB"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20_000, 200_000, 2_000_000])
    parser.add_argument("--master", default="local[*]")
    chosen = parser.parse_args()
    spark = Spark(chosen.master)
    known = models()
    print(f"{datetime.now(UTC):%FT%TZ}\n{'events':>10} {'model':18} {'duckdb':>9} {'spark':>9}")
    for size in chosen.sizes:
        with tempfile.TemporaryDirectory(prefix="selfdrive-engines-") as name:
            warehouse = Warehouse(Path(name))
            refresh(warehouse, list(known.values()))
            put(warehouse, events(size, 5_000, START, 24))
            refresh(warehouse, list(known.values()))
            for each in (*ROLLUP, *WHOLE):
                here = taken(on_duckdb, warehouse, known[each])
                there = taken(spark, warehouse, known[each])
                print(f"{size:>10,} {each:18} {here:>7.2f} s {there:>7.2f} s", flush=True)
        print(f"{'':10} {memory()}, load {os.getloadavg()[0]:.1f}")
    spark.close()


if __name__ == "__main__":
    main()
