"""One SELECT: parsed, and which tables it reads."""

from typing import TYPE_CHECKING

from selfdrive_dagster.errors import BadInput

if TYPE_CHECKING:
    from sqlglot import exp


def parse(sql: str, where: str) -> "exp.Query":
    """Return the one SELECT of a file. Raises BadInput naming `where`."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
    except SqlglotError as fault:
        raise BadInput(f"{where} cannot be parsed: {fault}") from fault
    if len(statements) != 1 or not isinstance(statements[0], exp.Query):
        raise BadInput(f"{where} must hold one SELECT and nothing else")
    return statements[0]


def tables_of(query: "exp.Query") -> tuple[str, ...]:
    """Return the tables a query reads, sorted; its own WITH names are none."""
    from sqlglot import exp

    own = {each.alias for each in query.find_all(exp.CTE)}
    return tuple(sorted({table.name for table in query.find_all(exp.Table)} - own))
