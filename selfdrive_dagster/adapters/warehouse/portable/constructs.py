"""The table of what must not stand in our SQL, each row with what to write instead.

Belongs here: rows. Does not belong: how a shape is seen in a query (`shapes`).
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import msgspec

from selfdrive_dagster.adapters.warehouse.portable import shapes


class Construct(msgspec.Struct, frozen=True):
    """One thing that must not stand in a model, and its replacement."""

    name: str
    instead: str
    found_in: Callable[[Any], bool]


@cache
def constructs() -> tuple[Construct, ...]:
    """Return the table, worst first: what fails, what differs in silence, what is chance."""
    from sqlglot import exp

    def kind(*classes: type) -> Callable[[Any], bool]:
        return lambda node: isinstance(node, classes)

    def function(*names: str) -> Callable[[Any], bool]:
        return lambda node: isinstance(node, exp.Anonymous) and node.name.lower() in names

    def either(*tests: Callable[[Any], bool]) -> Callable[[Any], bool]:
        return lambda node: any(test(node) for test in tests)

    return (
        Construct(
            "quantile_cont, percentile_cont",
            "p_quantile(x, p)",
            kind(exp.PercentileCont, exp.PercentileDisc, exp.Quantile),
        ),
        Construct(
            "approx_quantile, approx_count_distinct, approx_top_k",
            "count(DISTINCT x), p_quantile, or rows of log_bucket(x)",
            either(
                kind(exp.ApproxQuantile, exp.ApproxDistinct, exp.ApproxTopK),
                function("reservoir_quantile"),
            ),
        ),
        Construct(
            "median or p_quantile over a frame",
            "a self join, or a window without ORDER BY and frame",
            shapes.is_framed_quantile,
        ),
        Construct(
            "mad, kurtosis, skewness, entropy",
            "two medians, or the sums themselves",
            either(kind(exp.Kurtosis, exp.Skewness), function("mad", "entropy")),
        ),
        Construct("time_bucket", "hour_bucket(ts)", kind(exp.DateBin)),
        Construct(
            "epoch, epoch_ms, epoch_ns, to_timestamp",
            "epoch_us(ts)",
            either(kind(exp.UnixToTime, exp.TimeToUnix), function("epoch_ns")),
        ),
        Construct(
            "date_diff, date_sub, age",
            "seconds_between(a, b); an interval",
            either(kind(exp.DateDiff, exp.DateSub), function("date_sub", "datesub", "age")),
        ),
        Construct(
            "extract of anything but year, quarter, month, day, hour, minute, isodow",
            "those, or epoch_us(ts): weekdays and seconds are counted otherwise on Spark",
            shapes.is_odd_part,
        ),
        Construct(
            "functions of a part of a time (hour(), dayofweek(), date_part(), …)",
            "extract(hour FROM ts)",
            either(
                kind(exp.Year, exp.Month, exp.Day, exp.Hour, exp.Minute, exp.Second),
                kind(exp.DayOfWeek, exp.DayOfWeekIso, exp.DayOfMonth, exp.DayOfYear, exp.Week),
                function("date_part", "datepart", "weekday"),
            ),
        ),
        Construct("strftime, strptime", "extract, date_trunc", kind(exp.TimeToStr, exp.StrToTime)),
        Construct(
            "TIMESTAMP without a zone",
            "TIMESTAMPTZ",
            lambda node: (
                isinstance(node, exp.DataType)
                and node.this in (exp.DataType.Type.TIMESTAMP, exp.DataType.Type.TIMESTAMPNTZ)
            ),
        ),
        Construct("a time as text", "epoch_us(ts)", shapes.is_time_as_text),
        Construct(
            "a cast to a whole number of what may be a fraction",
            "floor(x), ceil(x) or round(x) inside the cast: DuckDB rounds and Spark cuts off",
            shapes.is_rounding_cast,
        ),
        Construct("round to digits", "round(x) to whole numbers", shapes.is_round_to_digits),
        Construct(
            "/, // or % by what may be zero",
            "safe_div(a, b): one engine says NULL or infinity, the other stops",
            shapes.is_loose_division,
        ),
        Construct(
            "ln, log, sqrt of what may be zero or negative",
            "log_bucket(x); ln(greatest(x, 1e-9))",
            shapes.is_loose_root,
        ),
        Construct("substr from 0", "the first letter is 1", shapes.is_from_zero),
        Construct("list[i]", "a literal place from 1 on", shapes.is_loose_place),
        Construct(
            "-> and ->>, json_extract",
            "json_text(json, 'key'): DuckDB stops at a text that is no JSON",
            either(
                kind(exp.JSONExtract, exp.JSONExtractScalar, exp.JSONBExtract, exp.JSONKeys),
                function("json_value", "json_keys", "to_json", "json_type"),
            ),
        ),
        Construct("LIKE with a backslash", "starts_with, contains", shapes.is_escaped_like),
        Construct("ASOF JOIN, POSITIONAL JOIN", "a window over a union", shapes.is_odd_join),
        Construct("map {}", "rows of key and value", kind(exp.ToMap, exp.Map, exp.VarMap)),
        Construct("PIVOT", "count(*) FILTER (WHERE …)", kind(exp.Pivot)),
        Construct("hash()", "stable_hash(…)", function("hash")),
        Construct("EXPORT_STATE", "rows that add", shapes.is_export_state),
        Construct(
            "WITH RECURSIVE",
            "a self join",
            lambda node: isinstance(node, exp.With) and bool(node.args.get("recursive")),
        ),
        Construct("generate_series, range", "join with rows there are", kind(exp.GenerateSeries)),
        Construct(
            "now(), current_timestamp, random()",
            "a result that depends on the tables alone",
            either(
                kind(exp.CurrentTimestamp, exp.CurrentDate, exp.CurrentTime, exp.Rand, exp.Uuid),
                function("now", "today", "uuid", "gen_random_uuid", "get_current_timestamp"),
                kind(exp.TableSample),
            ),
        ),
        Construct(
            "arg_max, arg_min, any_value, first, last, mode",
            "row_number() over an order that leaves no ties, WHERE place = 1",
            kind(exp.ArgMax, exp.ArgMin, exp.AnyValue, exp.First, exp.Last, exp.Mode),
        ),
        Construct(
            "list() and array_agg; string_agg without ORDER BY",
            "rows, or string_agg(x, ', ' ORDER BY x)",
            shapes.is_unordered_list,
        ),
        Construct(
            "a window that counts places without ORDER BY", "an order", shapes.is_unordered_window
        ),
        Construct("LIMIT without ORDER BY", "an order", shapes.is_unordered_limit),
        Construct(
            "reading files",
            "name a table",
            lambda node: isinstance(node, exp.Table) and not node.name,
        ),
    )
