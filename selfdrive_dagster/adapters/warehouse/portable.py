"""The portable subset of SQL: what DuckDB and Spark answer alike.

One table of forbidden constructs, each with what to write instead (telemetry.md §9), and the
macros that our files may use: `regex_template(x)`, the chain of `issues.normalise`, and
`setting('name')`, a number of the owner's.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

import msgspec

from selfdrive_dagster.config import Detect
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues import template_sql

if TYPE_CHECKING:
    from sqlglot import exp


class Construct(msgspec.Struct, frozen=True):
    """One thing that must not stand in a model, and its replacement."""

    name: str
    instead: str
    found_in: Callable[[Any], bool]


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


def lint(query: "exp.Query", where: str) -> None:
    """Raise BadInput with every construct that is not portable."""
    faults = [
        f"{each.name}: {each.instead}"
        for each in _constructs()
        if any(each.found_in(node) for node in query.walk())
    ]
    if faults:
        raise BadInput(
            f"{where} is not portable between DuckDB and Spark:\n  - " + "\n  - ".join(faults)
        )


def expand(query: "exp.Query", settings: Detect | None = None) -> "exp.Query":
    """Return the query with its macros written out. Raises BadInput for an unknown setting."""
    from sqlglot import exp, parse_one

    numbers = msgspec.structs.asdict(settings or Detect())

    def written_out(node: Any) -> Any:
        name = node.name.lower() if isinstance(node, exp.Anonymous) else ""
        if name == "regex_template":
            chain = template_sql(node.expressions[0].sql(dialect="duckdb"))
            return parse_one(chain, dialect="duckdb")
        if name == "p_quantile":
            column, share = (each.sql(dialect="duckdb") for each in node.expressions)
            return parse_one(f"quantile_cont({column}, {share})", dialect="duckdb")
        if name == "setting":
            return exp.Literal.number(_number(numbers, node.expressions[0].name))
        return node

    return cast("exp.Query", query.transform(written_out))


def _number(numbers: dict[str, Any], name: str) -> float:
    if name not in numbers:
        known = ", ".join(numbers)
        raise BadInput(f"setting({name!r}) is no number of [detect]", remedy=f"use {known}")
    return cast("float", numbers[name])


def tables_of(query: "exp.Query") -> tuple[str, ...]:
    """Return the tables a query reads, sorted; its own WITH names are none."""
    from sqlglot import exp

    own = {each.alias for each in query.find_all(exp.CTE)}
    return tuple(sorted({table.name for table in query.find_all(exp.Table)} - own))


def _constructs() -> tuple[Construct, ...]:
    from sqlglot import exp

    def kind(*classes: type) -> Callable[[Any], bool]:
        return lambda node: isinstance(node, classes)

    def function(*names: str) -> Callable[[Any], bool]:
        return lambda node: isinstance(node, exp.Anonymous) and node.name.lower() in names

    return (
        Construct("quantile_cont, percentile_cont", "percentile(x, p)", kind(exp.PercentileCont)),
        Construct("approx_quantile", "ln buckets (log_bucket)", kind(exp.ApproxQuantile)),
        Construct("median over a frame", "a self join", _is_framed_median),
        Construct("mad", "two medians", function("mad")),
        Construct("time_bucket", "date_trunc('hour', ts)", kind(exp.DateBin)),
        Construct(
            "epoch, epoch_ms", "differences of unix micros", kind(exp.UnixToTime, exp.TimeToUnix)
        ),
        Construct("date_diff, age", "differences of unix micros", kind(exp.DateDiff)),
        Construct("date_sub, age", "an interval", function("date_sub", "age")),
        Construct("ASOF JOIN", "a window over a union", _is_asof),
        Construct("map {}", "rows of key and value", kind(exp.ToMap, exp.Map)),
        Construct("PIVOT", "count(*) FILTER (WHERE …)", kind(exp.Pivot)),
        Construct("hash()", "md5(concat_ws('|', …))", function("hash")),
        Construct("EXPORT_STATE", "rows that add", _is_export_state),
        Construct(
            "now(), current_timestamp, random()",
            "a result that depends on the tables alone",
            lambda node: (
                isinstance(node, (exp.CurrentTimestamp, exp.CurrentDate, exp.Rand))
                or function("now", "today", "uuid", "gen_random_uuid")(node)
            ),
        ),
        Construct(
            "reading files",
            "name a table",
            lambda node: isinstance(node, exp.Table) and not node.name,
        ),
    )


def _is_framed_median(node: Any) -> bool:
    from sqlglot import exp

    return (
        isinstance(node, exp.Window)
        and isinstance(node.this, exp.Median)
        and node.args.get("spec") is not None
    )


def _is_asof(node: Any) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Join) and (node.args.get("method") or "").upper() == "ASOF"


def _is_export_state(node: Any) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Alias) and node.alias.lower() == "export_state"
