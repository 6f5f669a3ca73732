"""The product's code as syntax: files, functions, classes, and where each of them stands.

Nothing of the product is ever imported or evaluated here; all that is known of it comes from
`ast`. Belongs here: places, names, parents, spelling. Does not belong: judgement about a
crash, types of values, what to change.
"""

from selfdrive_dagster.patches.syntax.definitions import FUNCTIONS, Class, Function, FunctionNode
from selfdrive_dagster.patches.syntax.module import (
    KEPT,
    Module,
    first_line,
    header_nodes,
    parse_expression,
    parse_quietly,
)
from selfdrive_dagster.patches.syntax.names import ANONYMOUS, dotted, last_name, named_function
from selfdrive_dagster.patches.syntax.precedence import binding, demanded
from selfdrive_dagster.patches.syntax.tree import Tree, exception_classes
from selfdrive_dagster.patches.syntax.walking import children, walk

__all__ = [
    "ANONYMOUS",
    "FUNCTIONS",
    "KEPT",
    "Class",
    "Function",
    "FunctionNode",
    "Module",
    "Tree",
    "binding",
    "children",
    "demanded",
    "dotted",
    "exception_classes",
    "first_line",
    "header_nodes",
    "last_name",
    "named_function",
    "parse_expression",
    "parse_quietly",
    "walk",
]
