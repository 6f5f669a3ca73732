"""Names as they are written, and as Python tells them in traces."""

import ast
import re

ANONYMOUS = ("<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
"""Names of code objects that have no `def`: they count as part of the function around them."""

_NAMELESS = re.compile(r"(?:\.<locals>)?\.<(?!locals>)\w+>")


def dotted(node: ast.AST | None) -> str:
    """Return `a.b.c` of a chain of names that starts with a name, "" of anything else."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        before = dotted(node.value)
        return f"{before}.{node.attr}" if before else ""
    return ""


def last_name(name: str) -> str:
    """Return what follows the last dot."""
    return name.rpartition(".")[2]


def named_function(qualified: str) -> str:
    """Return a `co_qualname` up to its last `def`: code without a name belongs to it."""
    return _NAMELESS.sub("", qualified)
