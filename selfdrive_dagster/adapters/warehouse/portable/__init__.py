"""The portable subset of SQL: what DuckDB and Spark answer alike (docs/sql.md is the contract).

`parse` one SELECT, `lint` it, `expand` its macros.
"""

from selfdrive_dagster.adapters.warehouse.portable.lint import lint
from selfdrive_dagster.adapters.warehouse.portable.macros import MACROS, Dialect, expand
from selfdrive_dagster.adapters.warehouse.portable.query import parse, tables_of

__all__ = ["MACROS", "Dialect", "expand", "lint", "parse", "tables_of"]
