"""Column lineage: from which columns of which tables each column of a model is made.

Read from the query by sqlglot, through WITH, UNION, `*` and subqueries. What a row is counted,
joined or left out by is not lineage: `count(*)` and a literal come from no column.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from selfdrive_dagster.adapters.warehouse.portable.query import parse

if TYPE_CHECKING:
    from sqlglot import exp

Origin = tuple[str, str]
"""A table and one of its columns."""


def lineage_of(
    queries: Iterable[tuple[str, str]], tables: Mapping[str, Sequence[str]]
) -> dict[str, dict[str, tuple[Origin, ...]]]:
    """Return by table, then by column in the query's order, the columns it is made from, sorted.

    `queries` are names and SQL with macros written out, each after those it reads; `tables` names
    the columns of what no query makes. Raises BadInput for SQL that cannot be parsed.
    """
    known = {name: list(columns) for name, columns in tables.items()}
    found = {}
    for name, sql in queries:
        found[name] = _columns_of(parse(sql, name), known)
        known[name] = list(found[name])
    return found


def _columns_of(
    query: "exp.Query", known: Mapping[str, Sequence[str]]
) -> dict[str, tuple[Origin, ...]]:
    from sqlglot import exp
    from sqlglot.lineage import lineage
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope
    from sqlglot.schema import MappingSchema

    schema = MappingSchema(
        {name: dict.fromkeys(columns, "unknown") for name, columns in known.items()},
        dialect="duckdb",
    )
    whole = qualify(query, dialect="duckdb", schema=schema, quote_identifiers=False)
    scope = build_scope(whole)
    found = {}
    for column in whole.named_selects:
        root = lineage(column, whole, schema, dialect="duckdb", scope=scope, copy=False)
        leaves = (each for each in root.walk() if isinstance(each.source, exp.Table))
        origins = {(leaf.source.name, exp.to_column(leaf.name).name) for leaf in leaves}
        found[column] = tuple(sorted(origins))
    return found
