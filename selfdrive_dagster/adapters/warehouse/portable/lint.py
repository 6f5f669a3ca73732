"""What must not stand in our SQL, and what to write instead.

One table of constructs on which DuckDB and Spark differ, fail, or answer by chance. Belongs here:
saying no. Does not belong: rewriting (`macros`, `spark`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from selfdrive_dagster.errors import BadInput

if TYPE_CHECKING:
    from sqlglot import exp


class Construct(msgspec.Struct, frozen=True):
    """One thing that must not stand in a model, and its replacement."""

    name: str
    instead: str
    found_in: Callable[[Any], bool]


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
