"""The macros of our SQL: one name, written out for DuckDB and for Spark so that both answer alike.

A row of `MACROS` is a name, how many arguments it takes, and its text in each dialect; `_1` and
`_2` stand for the arguments. Macros may stand inside macros. `array_contains(list, x)` is false
where the list is unknown. Belongs here: what a name means.
Does not belong: what may not stand in a model (`lint`).
"""

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast

import msgspec

from selfdrive_dagster.config import Detect
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues import template_sql

if TYPE_CHECKING:
    from sqlglot import exp

Dialect = Literal["duckdb", "spark"]

ALPHA = 0.01
"""How far a value may lie from what its `log_bucket` stands for, relative to it."""

LEAST = 1e-9
"""Smaller values, zero and negative ones share the lowest bucket."""

_GAMMA = (1 + ALPHA) / (1 - ALPHA)
_WIDTH = f"{math.log(_GAMMA):.17e}"


class Macro(msgspec.Struct, frozen=True, kw_only=True):
    """A name of ours. `spark` is "" where one text serves both; `most` None: any number."""

    name: str
    least: int
    most: int | None
    duckdb: str = ""
    spark: str = ""

    def text(self, dialect: Dialect) -> str:
        """Return what it is written out as, with `_1`, `_2` for the arguments."""
        return self.spark if dialect == "spark" and self.spark else self.duckdb


_TABLE = (
    Macro(
        name="p_quantile",
        least=2,
        most=2,
        duckdb="quantile_cont(_1, _2)",
        spark="percentile(_1, _2)",
    ),
    Macro(name="hour_bucket", least=1, most=1, duckdb="date_trunc('hour', _1)"),
    Macro(name="epoch_us", least=1, most=1, duckdb="epoch_us(_1)", spark="unix_micros(_1)"),
    Macro(
        name="seconds_between",
        least=2,
        most=2,
        duckdb="CAST(epoch_us(_2) - epoch_us(_1) AS DOUBLE) / 1e6",
        spark="CAST(unix_micros(_2) - unix_micros(_1) AS DOUBLE) / 1e6",
    ),
    Macro(
        name="json_text",
        least=2,
        most=2,
        # DuckDB stops at a text that is no JSON, Spark knows nothing of it: so do we.
        duckdb="CASE WHEN json_valid(_1) THEN json_extract_string(_1, '$.\"_2\"') END",
        spark="get_json_object(_1, '$[\\'_2\\']')",
    ),
    Macro(
        name="log_bucket",
        least=1,
        most=1,
        duckdb=(
            "CASE WHEN _1 IS NOT NULL THEN "
            f"CAST(ceil(ln(greatest(CAST(_1 AS DOUBLE), {LEAST})) / {_WIDTH}) AS BIGINT) END"
        ),
    ),
    Macro(
        name="bucket_value",
        least=1,
        most=1,
        duckdb=f"exp(CAST(_1 AS DOUBLE) * {_WIDTH}) * {2 / (_GAMMA + 1):.17e}",
    ),
    Macro(
        name="safe_div",
        least=2,
        most=2,
        duckdb="CAST(_1 AS DOUBLE) / nullif(CAST(_2 AS DOUBLE), 0e0)",
    ),
    Macro(name="stable_hash", least=1, most=None),
    Macro(name="regex_template", least=1, most=1, duckdb=template_sql("_1")),
    Macro(name="setting", least=1, most=1),
)

MACROS: Mapping[str, Macro] = MappingProxyType({each.name: each for each in _TABLE})

_HASHED = (
    "coalesce(CAST(length(CAST(_1 AS VARCHAR)) AS VARCHAR) || ':' || CAST(_1 AS VARCHAR), '-')"
)
"""A text after its length: no text can pass for the next argument, and NULL is no text."""


def set_numbers(query: "exp.Query", settings: Detect) -> "exp.Query":
    """Return the query with the owner's numbers in it. Raises BadInput for an unknown setting."""
    from sqlglot import exp

    numbers = msgspec.structs.asdict(settings)

    def put(node: Any) -> Any:
        if isinstance(node, exp.Anonymous) and node.name.lower() == "setting":
            _counted(node, MACROS["setting"])
            return exp.Literal.number(_number(numbers, node.expressions[0].name))
        return node

    return cast("exp.Query", query.transform(put))


def expand(query: "exp.Query", dialect: Dialect = "duckdb") -> "exp.Query":
    """Return the query with its macros written out for a dialect, numbers as by default.

    A number with a point in it is a double on both engines. Raises BadInput for a macro that is
    given too few or too many arguments.
    """
    from sqlglot import exp

    query = set_numbers(query, Detect())
    for node in reversed(list(query.walk())):  # those inside before those around them
        if isinstance(node, exp.Anonymous) and node.name.lower() in MACROS:
            node.replace(_written(node, dialect))
        elif isinstance(node, exp.ArrayContains):  # an unknown among the others: not known to be in
            node.replace(exp.func("coalesce", node.copy(), exp.false()))
    for node in list(query.find_all(exp.Literal)):
        if not node.is_string and "." in node.name and not isinstance(node.parent, exp.Cast):
            node.replace(exp.cast(node.copy(), "double"))
    return query


def _written(node: Any, dialect: Dialect) -> Any:
    macro = MACROS[node.name.lower()]
    given = _counted(node, macro)
    if macro.name == "stable_hash":
        return _hash(given)
    if macro.name == "json_text":
        return _filled(macro.text(dialect).replace("_2", _key(given[1])), given[:1], dialect)
    return _filled(macro.text(dialect), given, dialect if macro.spark else "duckdb")


def _counted(node: Any, macro: Macro) -> Sequence[Any]:
    given: Sequence[Any] = node.expressions
    if len(given) < macro.least or (macro.most is not None and len(given) > macro.most):
        raise BadInput(f"{node.sql(dialect='duckdb')}: {macro.name} takes {_count(macro)}")
    return given


def _filled(text: str, given: Sequence[Any], dialect: Dialect) -> Any:
    """Return parsed text with the arguments in their places."""
    from sqlglot import exp, parse_one

    named = {f"_{place}": each for place, each in enumerate(given, 1)}

    def put(node: Any) -> Any:
        is_place = isinstance(node, exp.Column) and node.name in named
        return _bracketed(named[node.name]) if is_place else node

    return _bracketed(parse_one(text, dialect=dialect).transform(put))


def _bracketed(node: Any) -> Any:
    """Return a copy that keeps together whatever stands around it."""
    from sqlglot import exp

    needs = isinstance(node, (exp.Binary, exp.Unary, exp.Between, exp.In)) and not isinstance(
        node, (exp.Paren, exp.Dot, exp.Func)
    )
    return exp.paren(node) if needs else node.copy()


def _hash(given: Sequence[Any]) -> Any:
    from sqlglot import exp, parse_one

    whole = parse_one("md5(concat_ws('|'))", dialect="duckdb")
    for each in given:
        whole.this.append("expressions", _filled(_HASHED, [each], "duckdb"))
    assert isinstance(whole, exp.MD5)
    return whole


def _key(node: Any) -> str:
    """Return the key of a JSON text, which stands in the query: nobody's data become a path."""
    from sqlglot import exp

    is_text = isinstance(node, exp.Literal) and node.is_string
    if not is_text or not node.name or set(node.name) & set("'\"\\[]*"):
        raise BadInput(
            f"json_text(…, {node.sql(dialect='duckdb')}): the key is no plain text",
            remedy="write it as a literal without quotes, brackets, * and backslashes",
        )
    return str(node.name)


def _count(macro: Macro) -> str:
    counted = f"{macro.least}" if macro.most == macro.least else f"{macro.least} or more"
    return f"{counted} argument" + ("" if counted == "1" else "s")


def _number(numbers: Mapping[str, Any], name: str) -> float:
    if name not in numbers:
        known = ", ".join(numbers)
        raise BadInput(f"setting({name!r}) is no number of [detect]", remedy=f"use {known}")
    return cast("float", numbers[name])
