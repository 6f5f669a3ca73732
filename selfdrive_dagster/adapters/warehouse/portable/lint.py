"""What must not stand in our SQL, and what to write instead.

Functions must be on the list of those that both engines are known to answer alike (`KNOWN`);
`constructs` names what else fails, differs in silence or depends on chance. Belongs here: saying
no. Does not belong: rewriting (`macros`, `spark`).
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from selfdrive_dagster.adapters.warehouse.portable.constructs import constructs
from selfdrive_dagster.adapters.warehouse.portable.macros import MACROS
from selfdrive_dagster.adapters.warehouse.portable.patterns import fault_of_pattern, is_matching
from selfdrive_dagster.errors import BadInput

if TYPE_CHECKING:
    from sqlglot import exp


_KNOWN = """
    Count Sum Min Max Avg CountIf LogicalAnd LogicalOr Median Stddev StddevPop StddevSamp
    Variance VariancePop Corr RegrSlope RegrIntercept RegrR2 RegrCount GroupConcat

    RowNumber Rank DenseRank PercentRank CumeDist Ntile Lag Lead FirstValue LastValue

    Coalesce Nullif If Case Cast TryCast Greatest Least Abs Floor Ceil Round Sign Exp Ln Sqrt Pow

    Lower Upper Length Substring Left Right Trim Replace Concat ConcatWs StartsWith EndsWith
    Contains StrPosition SplitPart Reverse Pad Repeat MD5 SHA2
    RegexpLike RegexpReplace RegexpExtract

    TimestampTrunc DateTrunc Extract
    Array ArrayContains ArraySize ArrayFilter Transform ArrayDistinct Explode Unnest

    And Or Xor Not Exists
"""
KNOWN = frozenset(_KNOWN.split())
"""sqlglot's classes of the functions that both engines answer alike."""


def lint(query: "exp.Query", where: str) -> None:
    """Raise BadInput with every construct that is not portable."""
    nodes = list(query.walk())
    faults = [
        f"{each.name}: {each.instead}"
        for each in constructs()
        if any(each.found_in(node) for node in nodes)
    ]
    faults += dict.fromkeys(fault for node in nodes for fault in _unknown(node))
    faults += dict.fromkeys(fault for node in nodes if is_matching(node) for fault in _bad(node))
    if faults:
        raise BadInput(
            f"{where} is not portable between DuckDB and Spark:\n  - " + "\n  - ".join(faults)
        )


def _unknown(node: Any) -> Iterator[str]:
    from sqlglot import exp

    if isinstance(node, exp.Anonymous):
        if node.name.lower() not in MACROS and not _is_told(node):
            yield f"{node.name.lower()}(): no function of the contract (docs/sql.md)"
    elif isinstance(node, exp.Func) and type(node).__name__ not in KNOWN and not _is_told(node):
        yield f"{node.sql_name().lower()}(): no function of the contract (docs/sql.md)"


def _is_told(node: Any) -> bool:
    return any(each.found_in(node) for each in constructs())


def _bad(node: Any) -> Iterator[str]:
    fault = fault_of_pattern(node)
    if fault:
        yield fault
