"""The warehouse: telemetry and issue tables as Parquet, read by DuckDB in process.

duckdb, polars and sqlglot are imported inside the functions that need them.
"""

from selfdrive_dagster.adapters.warehouse.files import CorruptTable
from selfdrive_dagster.adapters.warehouse.store import Appended, Compacted, Warehouse

__all__ = ["Appended", "Compacted", "CorruptTable", "Warehouse"]
