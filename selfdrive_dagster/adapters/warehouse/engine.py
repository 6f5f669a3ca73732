"""DuckDB in process, locked down: one short-lived connection per query.

Nothing holds a database file; views stand over lists of Parquet files made for this query. The
engine may read below the warehouse's folder and nothing else, and nobody can loosen that.
Belongs here: the connection. Does not belong: which files a table has (`store`).
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from selfdrive_dagster.errors import BadInput

if TYPE_CHECKING:
    import duckdb
    import polars

MEMORY = "1GB"
THREADS = 2


class View(msgspec.Struct, frozen=True):
    """A table for one query: absolute paths, the zero-row schema file first."""

    name: str
    paths: tuple[str, ...]
    is_mixed: bool
    """True when files of several schema versions must be joined by column name."""


def connect(root: Path) -> "duckdb.DuckDBPyConnection":
    """Return a connection that can read below `root` and touch nothing else."""
    import duckdb

    connection = duckdb.connect(
        ":memory:",
        config={
            "autoinstall_known_extensions": "false",
            "autoload_known_extensions": "false",
            "memory_limit": MEMORY,
            "threads": str(THREADS),
            "preserve_insertion_order": "false",
        },
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute(f"SET allowed_directories = [{_text(str(root))}]")
    connection.execute(f"SET temp_directory = {_text(str(root / '.spill'))}")
    return connection


def lock(connection: "duckdb.DuckDBPyConnection") -> None:
    """Close the door: no other file, no network, no setting can be reached any more."""
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")


def add_view(connection: "duckdb.DuckDBPyConnection", view: View) -> None:
    """Define a view over exactly these files."""
    paths = ", ".join(_text(path) for path in view.paths)
    mixed = str(view.is_mixed).lower()
    source = f"read_parquet([{paths}], union_by_name = {mixed}, hive_partitioning = false)"
    # The name is a table's folder, checked by the store; the paths are quoted.
    connection.execute(f'CREATE VIEW "{view.name}" AS SELECT * FROM {source}')  # noqa: S608


def tables_in(connection: "duckdb.DuckDBPyConnection", sql: str) -> tuple[str, ...]:
    """Return the tables a query names, sorted; the names of its own WITH clauses are none.

    Raises BadInput if it is not one SELECT.
    """
    import duckdb

    try:
        answer = connection.execute("SELECT json_serialize_sql($sql)", {"sql": sql}).fetchone()
    except duckdb.Error as fault:
        raise BadInput(f"the query cannot be read: {fault}") from fault
    tree = msgspec.json.decode(answer[0] if answer else "{}")
    if tree.get("error", True):
        raise BadInput(f"the warehouse answers a SELECT: {tree.get('error_message', '')}")
    if len(tree["statements"]) != 1:
        raise BadInput("the warehouse answers one SELECT at a time")
    nodes = list(_nodes(tree))
    named = {node["table_name"] for node in nodes if node.get("type") == "BASE_TABLE"}
    own = {each["key"] for node in nodes for each in (node.get("cte_map") or {}).get("map", ())}
    return tuple(sorted(named - own))


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Yield every object of a JSON tree."""
    if isinstance(tree, dict):
        yield tree
    for child in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(child, (dict, list)):
            yield from _nodes(child)


def run(
    connection: "duckdb.DuckDBPyConnection", sql: str, parameters: Mapping[str, Any] | None
) -> "polars.DataFrame":
    """Run one SELECT and return its result. DuckDB's own errors pass."""
    import polars

    relation = connection.sql(sql, params=dict(parameters) if parameters else None)
    return polars.DataFrame(relation)


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"
