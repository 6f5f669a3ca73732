"""Shapes in a query that both engines read, each its own way: one question to a node each.

Belongs here: yes or no of one node. Does not belong: what to write instead (`constructs`).
"""

from typing import Any

TIMES = frozenset(
    ["timestamp", "received_at", "event_hour", "event_date", "first_seen", "last_seen", "minute"]
)
"""Columns that hold a time: as text they look otherwise on each engine."""


def is_framed_quantile(node: Any) -> bool:
    """Say whether a quantile moves over an order or a frame."""
    from sqlglot import exp

    if not isinstance(node, exp.Window):
        return False
    inner = node.this.this if isinstance(node.this, exp.Filter) else node.this
    is_quantile = isinstance(inner, exp.Median) or (
        isinstance(inner, exp.Anonymous) and inner.name.lower() == "p_quantile"
    )
    return is_quantile and bool(node.args.get("spec") or node.args.get("order"))


def is_odd_part(node: Any) -> bool:
    """Say whether an extract asks for a part that the engines count otherwise."""
    from sqlglot import exp

    parts = {"YEAR", "QUARTER", "MONTH", "DAY", "HOUR", "MINUTE", "ISODOW"}
    return isinstance(node, exp.Extract) and node.name.upper() not in parts


def is_time_as_text(node: Any) -> bool:
    """Say whether a time becomes text."""
    from sqlglot import exp

    if isinstance(node, exp.Cast) and node.to.this in exp.DataType.TEXT_TYPES:
        return _is_time(node.this)
    is_hash = isinstance(node, exp.Anonymous) and node.name.lower() == "stable_hash"
    joined = is_hash or isinstance(node, (exp.Concat, exp.ConcatWs))
    return joined and any(map(_is_time, node.expressions))


def _is_time(node: Any) -> bool:
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        return node.name.lower() == "hour_bucket"
    return isinstance(node, (exp.TimestampTrunc, exp.DateTrunc)) or (
        isinstance(node, exp.Column) and node.name in TIMES
    )


def is_rounding_cast(node: Any) -> bool:
    """Say whether a cast to an integer may meet a fraction: sums of counts may not."""
    from sqlglot import exp

    whole = (exp.Floor, exp.Ceil, exp.Round, exp.Sum, exp.Count, exp.CountIf, exp.Min, exp.Max)
    plain = (exp.Case, exp.If, exp.Null, exp.Boolean, exp.Coalesce, exp.Extract, exp.RowNumber)
    if not isinstance(node, exp.Cast) or node.to.this not in exp.DataType.INTEGER_TYPES:
        return False
    inner = node.this.unnest()
    while isinstance(inner, (exp.Window, exp.Filter)):
        inner = inner.this
    is_literal = isinstance(inner, exp.Literal) and not inner.is_string and "." not in inner.name
    return not (isinstance(inner, (*whole, *plain)) or is_literal)


def is_round_to_digits(node: Any) -> bool:
    """Say whether a fraction is rounded to a fraction."""
    from sqlglot import exp

    return isinstance(node, exp.Round) and node.args.get("decimals") is not None


def is_loose_division(node: Any) -> bool:
    """Say whether somebody divides by what is no number of ours."""
    from sqlglot import exp

    if not isinstance(node, (exp.Div, exp.IntDiv, exp.Mod)):
        return False
    divisor = node.expression.unnest()
    return not (
        isinstance(divisor, exp.Literal) and not divisor.is_string and float(divisor.name) != 0
    )


def is_loose_root(node: Any) -> bool:
    """Say whether a logarithm or root may meet zero or less."""
    from sqlglot import exp

    if isinstance(node, exp.Log):
        return True
    return isinstance(node, (exp.Ln, exp.Sqrt)) and not isinstance(
        node.this.unnest(), (exp.Greatest, exp.Literal)
    )


def is_from_zero(node: Any) -> bool:
    """Say whether a part of a text begins at 0, or somewhere computed."""
    from sqlglot import exp

    if not isinstance(node, exp.Substring):
        return False
    start = node.args.get("start")
    return not (isinstance(start, exp.Literal) and start.name != "0")


def is_loose_place(node: Any) -> bool:
    """Say whether a place in a list is computed."""
    from sqlglot import exp

    if not isinstance(node, exp.Bracket):
        return False
    (place,) = node.expressions if len(node.expressions) == 1 else (None,)
    # The parser counts places from 0 in every dialect, the text of DuckDB from 1.
    return not (isinstance(place, exp.Literal) and not place.is_string and place.name.isdigit())


def is_escaped_like(node: Any) -> bool:
    """Say whether LIKE escapes, or is SIMILAR TO."""
    from sqlglot import exp

    is_like = isinstance(node, (exp.Like, exp.ILike, exp.SimilarTo))
    return is_like and (isinstance(node, exp.SimilarTo) or "\\" in node.expression.name)


def is_odd_join(node: Any) -> bool:
    """Say whether a join matches by order."""
    from sqlglot import exp

    methods = {(node.args.get("method") or "").upper()} if isinstance(node, exp.Join) else set()
    return bool(methods & {"ASOF", "POSITIONAL"})


def is_export_state(node: Any) -> bool:
    """Say whether an aggregate is kept open."""
    from sqlglot import exp

    return isinstance(node, exp.Alias) and node.alias.lower() == "export_state"


def is_unordered_list(node: Any) -> bool:
    """Say whether a list holds its rows in an order of chance."""
    from sqlglot import exp

    if isinstance(node, exp.GroupConcat):
        return not isinstance(node.this, exp.Order) and node.find(exp.Order) is None
    return isinstance(node, (exp.ArrayAgg, exp.ArrayUniqueAgg, exp.ArrayConcatAgg))


def is_unordered_window(node: Any) -> bool:
    """Say whether a window counts places without an order."""
    from sqlglot import exp

    counted = (exp.RowNumber, exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue, exp.Ntile)
    if not isinstance(node, exp.Window):
        return False
    inner = node.this.this if isinstance(node.this, exp.IgnoreNulls) else node.this
    named = node.args.get("alias") is not None  # a window of a WINDOW clause: looked at there
    return isinstance(inner, counted) and not node.args.get("order") and not named


def is_unordered_limit(node: Any) -> bool:
    """Say whether rows are cut off without an order."""
    from sqlglot import exp

    return (
        isinstance(node, exp.Query) and bool(node.args.get("limit")) and not node.args.get("order")
    )
