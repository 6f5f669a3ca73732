"""The portable subset of SQL: what DuckDB and Spark answer alike (docs/sql.md is the contract).

`parse` one SELECT, `lint` it, `expand` its macros; `to_spark` says it in Spark's words.
"""

from selfdrive_dagster.adapters.warehouse.portable.lineage import lineage_of
from selfdrive_dagster.adapters.warehouse.portable.lint import lint
from selfdrive_dagster.adapters.warehouse.portable.macros import (
    MACROS,
    Dialect,
    expand,
    set_numbers,
)
from selfdrive_dagster.adapters.warehouse.portable.query import parse, tables_of
from selfdrive_dagster.adapters.warehouse.portable.spark import to_spark

__all__ = [
    "MACROS",
    "Dialect",
    "expand",
    "lineage_of",
    "lint",
    "parse",
    "set_numbers",
    "tables_of",
    "to_spark",
]
