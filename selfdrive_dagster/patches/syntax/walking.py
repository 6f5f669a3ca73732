"""Going through a tree: what `ast` does, several times as fast, for trees that nobody changes.

Templates ask for the nodes of the same functions again and again, so they are kept. Belongs here:
which nodes there are, in which order. Does not belong: what they mean.
"""

import ast
from functools import lru_cache

KEPT_TREES = 4096
"""Trees whose nodes are kept: those below small expressions are many, and dear to none."""


def children(node: ast.AST) -> list[ast.AST]:
    """Return the nodes right below one, in the order of the text, as `ast.iter_child_nodes`."""
    found: list[ast.AST] = []
    held = node.__dict__
    for name in node._fields:
        value = held.get(name)
        if isinstance(value, ast.AST):
            found.append(value)
        elif type(value) is list:
            found += [item for item in value if isinstance(item, ast.AST)]
    return found


@lru_cache(maxsize=KEPT_TREES)
def walk(node: ast.AST) -> tuple[ast.AST, ...]:
    """Return a node and all below it, breadth first, as `ast.walk`."""
    found = [node]
    for one in found:
        found += children(one)
    return tuple(found)
