"""A query of ours in Spark's SQL.

sqlglot knows both dialects; the rules here mend what it leaves or gets wrong. Belongs here: rules
on the tree. Does not belong: what a macro means (`macros`), running it (`adapters.spark`).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from selfdrive_dagster.adapters.warehouse.portable.macros import expand
from selfdrive_dagster.adapters.warehouse.portable.patterns import (
    in_java,
    is_matching,
    replacement_in_java,
)
from selfdrive_dagster.adapters.warehouse.portable.query import parse

if TYPE_CHECKING:
    from sqlglot import exp


def to_spark(sql: str, where: str) -> str:
    """Return one SELECT of ours, macros and all, as Spark's SQL. `where` names it in errors."""
    query = rewritten(expand(parse(sql, where), dialect="spark"))
    return query.sql(dialect="spark", comments=False)


def rewritten(query: "exp.Query") -> "exp.Query":
    """Return a copy with every rule applied."""
    query = query.copy()
    for node in reversed(list(query.walk())):
        for rule in RULES:
            instead = rule(node)
            if instead is not None:
                query = instead if node is query else query
                node.replace(instead)
                break
    return query


def _pattern(node: Any) -> Any:
    """Java's patterns in place of RE2's."""
    from sqlglot import exp

    if not is_matching(node):
        return None
    node = node.copy()
    node.set("expression", exp.Literal.string(in_java(node.expression.name)))
    if isinstance(node, exp.RegexpReplace):
        text = replacement_in_java(node.args["replacement"].name)
        node.set("replacement", exp.Literal.string(text))
        node.set("modifiers", None)
    return node


def _place(node: Any) -> Any:
    """`get` knows NULL beyond the end of a list, `[…]` stops there."""
    from sqlglot import exp

    if not isinstance(node, exp.Bracket):
        return None
    return exp.Anonymous(this="get", expressions=[node.this.copy(), *node.expressions])


def _weekday(node: Any) -> Any:
    """Monday is 1."""
    from sqlglot import exp

    if not isinstance(node, exp.Extract) or node.name.upper() != "ISODOW":
        return None
    day = exp.Anonymous(this="weekday", expressions=[node.expression.copy()])
    return exp.paren(exp.Add(this=day, expression=exp.Literal.number(1)))


def _qualify(node: Any) -> Any:
    """QUALIFY as a WHERE around it; sqlglot's own way leaves a column too many behind a `*`."""
    from sqlglot import exp

    if not isinstance(node, exp.Select) or node.args.get("qualify") is None:
        return None
    inner = node.copy()
    kept = inner.args["qualify"].this.copy()
    inner.set("qualify", None)
    above = inner.args.pop("with_", None) or inner.args.pop("with", None)
    inner = inner.select(exp.alias_(exp.paren(kept), "_kept"))
    star = exp.Star(except_=[exp.to_identifier("_kept")])
    outer = exp.select(star).from_(inner.subquery("_t")).where(exp.column("_kept"))
    if above is not None:
        outer.set("with_", above)
    return outer


RULES: tuple[Callable[[Any], Any], ...] = (_pattern, _place, _weekday, _qualify)
"""Each answers with what to put in place of a node, None to leave it."""
