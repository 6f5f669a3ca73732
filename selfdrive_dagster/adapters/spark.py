"""Spark as the engine of the models: the same SQL over the same files, on more than one machine.

It reads the Parquet files that the live lists name and writes what it found beside them, from
where it goes into the tables like DuckDB's answers. pyspark and Java are needed only here; nothing
of Spark is imported before a query is asked. Belongs here: the session and one answer. Does not
belong: how our SQL becomes Spark's (`warehouse.portable`).
"""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from selfdrive_dagster.adapters.warehouse.models import SqlModel, SqlTest
from selfdrive_dagster.adapters.warehouse.portable import to_spark
from selfdrive_dagster.adapters.warehouse.refresh import on_duckdb
from selfdrive_dagster.adapters.warehouse.store import Pick, ViewOf, Warehouse
from selfdrive_dagster.errors import MissingTool

if TYPE_CHECKING:
    import polars

OLDEST_JAVA = 17
NEEDS_PYSPARK = "pip install 'selfdrive-dagster[spark]'"
NEEDS_JAVA = "apt-get install openjdk-17-jre-headless"


class Spark:
    """A Spark session that starts with the first question and ends with `close`.

    `master` is where it runs: `local[*]` in a Java process of this machine, or the address of a
    cluster whose machines see the warehouse's folder under the same path. `memory` is what the
    Java process on this side may take.
    """

    def __init__(self, master: str = "local[*]", memory: str = "2g") -> None:
        self._master = master
        self._memory = memory
        self._session: Any = None

    def __call__(
        self,
        warehouse: Warehouse,
        asked: SqlModel | SqlTest,
        where: str = "",
        pick: Pick | None = None,
    ) -> "polars.DataFrame":
        """Answer a model or a test (`refresh.Answer`), in the columns that DuckDB gives."""
        from py4j.protocol import Py4JError
        from pyspark.errors import PySparkException

        sql = f"SELECT * FROM ({asked.portable}) AS made WHERE {where or 'TRUE'}"  # noqa: S608
        question = to_spark(sql, f"{asked.description}")
        like = on_duckdb(warehouse, asked, "FALSE")
        session = self._started(warehouse)

        def answer(view_of: ViewOf) -> "polars.DataFrame":
            for name in asked.depends_on:
                view = view_of(name)
                reader = session.read.option("mergeSchema", view.is_mixed)
                reader.parquet(*view.paths).createOrReplaceTempView(name)
            return _fetched(session.sql(question), like, warehouse.root)

        return warehouse.read(answer, (PySparkException, Py4JError, OSError), pick=pick)

    def close(self) -> None:
        """End the session and its Java process."""
        if self._session is not None:
            self._session.stop()
            self._session = None

    def _started(self, warehouse: Warehouse) -> Any:
        if self._session is None:
            self._session = _start(self._master, self._memory, warehouse.root)
        return self._session


def _fetched(found: Any, like: "polars.DataFrame", root: Path) -> "polars.DataFrame":
    """Return Spark's answer by way of files, in the types of `like`."""
    import polars

    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".spark-", dir=root) as name:
        found.write.mode("overwrite").parquet(name)
        parts = sorted(Path(name).glob("*.parquet"))
        if not parts:
            return like
        frame = polars.read_parquet(parts)
        return frame.select(like.columns).cast(like.schema)


def _start(master: str, memory: str, root: Path) -> Any:
    """Return a session that listens to nobody else and keeps its rubbish in the warehouse."""
    check_java()
    try:
        from pyspark.sql import SparkSession
    except ImportError as fault:
        raise MissingTool("pyspark is not installed.", remedy=NEEDS_PYSPARK) from fault
    settings = {
        "spark.driver.memory": memory,
        "spark.local.dir": str(root / ".spill"),
        "spark.sql.ansi.enabled": "true",
        "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.warehouse.dir": str(root / ".spill" / "spark"),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
    if master.startswith("local"):
        settings |= {
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.sql.shuffle.partitions": "4",
        }
    builder = SparkSession.builder.master(master).appName("selfdrive").config(map=settings)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    return session


def check_java(environ: Mapping[str, str] = os.environ) -> str:
    """Return what Java says it is. Raises MissingTool where there is none, or one that is too old.

    Like Spark's own scripts it looks at `JAVA_HOME` first.
    """
    home = environ.get("JAVA_HOME")
    java = f"{home}/bin/java" if home else shutil.which("java", path=environ.get("PATH"))
    if java is None or not Path(java).exists():
        says = f"JAVA_HOME is {home} and holds no bin/java" if home else "there is none"
        raise MissingTool(f"Spark needs Java {OLDEST_JAVA} or newer: {says}.", remedy=NEEDS_JAVA)
    told = subprocess.run([java, "-version"], capture_output=True, text=True, check=True).stderr
    found = re.search(r'version "([0-9]+)', told)
    if found is None or int(found[1]) < OLDEST_JAVA:
        raise MissingTool(
            f"Spark needs Java {OLDEST_JAVA} or newer: {java} is {told.splitlines()[0]}.",
            remedy=NEEDS_JAVA,
        )
    return told.splitlines()[0]
