"""A bounded cache for a pure function of plain values that is asked the same again and again.

Only functions whose parameters are annotated with immutable scalars that equal no other value
with another answer (`1.0 == 1` and `-0.0 == 0.0`: no floats), and whose answer nobody can change.
`typed=True` keeps 1 and True apart. Belongs here: this edit. Does not belong: whether it helps.
"""

import ast
from collections.abc import Iterator

from selfdrive_dagster.patches.improve.edits import Rewrite, Spot
from selfdrive_dagster.patches.improve.handlers import imports_of
from selfdrive_dagster.patches.improve.scope import annotation_names
from selfdrive_dagster.patches.syntax import dotted
from selfdrive_dagster.patches.text import Edit

KEYS = frozenset({"str", "int", "bool", "bytes", "None", "date"})
ANSWERS = frozenset({"str", "int", "bool", "bytes", "None", "date", "float"})
SIZE = 4096
DEEP = "{name} calls itself: through a cache it reaches the recursion limit at a lesser depth"
IMPORT = "from functools import lru_cache"


def pure_function(spot: Spot) -> Iterator[Rewrite]:
    """Put a bounded cache on the function itself."""
    node, arguments = spot.function.node, spot.function.node.args
    if spot.scope.opaque or not spot.scope.parameters or not isinstance(node, ast.FunctionDef):
        return
    if spot.purity.fault(spot.function):
        return
    kinds = [annotation_names(one.annotation) for one in spot.scope.parameters.values()]
    if any(one is None or not one <= KEYS for one in kinds):
        return
    answer = annotation_names(node.returns)
    if answer is None or not answer <= ANSWERS:
        return
    if any(not isinstance(one, ast.Constant) for one in (*arguments.defaults,
           *(one for one in arguments.kw_defaults if one is not None))):  # fmt: skip
        return
    name = _known_name(spot)
    indent = spot.module.indent(node)
    if name is None or indent is None:
        return
    start = spot.module.lines.starts[node.lineno - 1]
    decorator = f"{indent}@{name}(maxsize={SIZE}, typed=True){spot.module.newline}"
    edits = [Edit(start, start, decorator)]
    if name == "lru_cache" and not _imports_it(spot):
        edits = _joined(_import(spot), edits[0])
    yield Rewrite(
        family="cache",
        edits=tuple(edits),
        line=node.lineno,
        says=f"{spot.function.name} remembers its last {SIZE} answers: it is pure, and asked the "
        "same again and again",
        assumes=(
            f"{spot.function.name} depends on its arguments alone",
            f"up to {SIZE} arguments and answers stay in memory for each process",
            *([DEEP.format(name=spot.function.name)] if _calls_itself(spot) else []),
        ),
        keys=tuple(spot.scope.parameters),
        deterministic=True,
    )


def _calls_itself(spot: Spot) -> bool:
    own = spot.function.name
    return any(dotted(one.func) == own for one in ast.walk(spot.function.node)
               if isinstance(one, ast.Call))  # fmt: skip


def _imports_it(spot: Spot) -> bool:
    return any(
        (source, original, bound) == ("functools", "lru_cache", "lru_cache")
        for source, original, bound in imports_of(spot.module)
    )


def _known_name(spot: Spot) -> str | None:
    """Return how the file may say `lru_cache`, None where the name means something else."""
    taken = {one.id for one in spot.module.all(ast.Name) if not isinstance(one.ctx, ast.Load)}
    taken |= {one.name for one in spot.module.functions} | {
        bound for source, _, bound in imports_of(spot.module) if source != "functools"
    }
    if any((s, o, b) == ("functools", "", "functools") for s, o, b in imports_of(spot.module)):
        return "functools.lru_cache"
    return None if "lru_cache" in taken else "lru_cache"


def _import(spot: Spot) -> Edit:
    """Return the edit that imports it: among the file's imports, in the order of the alphabet."""
    body = spot.module.tree.body
    imports = [one for one in body if isinstance(one, ast.Import | ast.ImportFrom)]
    first = [one for one in imports if getattr(one, "module", "") != "__future__"]
    earlier = [one for one in first if _sorts(one) < (1, "functools")]
    newline = spot.module.newline
    if first and not earlier:
        at = spot.module.lines.starts[first[0].lineno - 1]
        return Edit(at, at, IMPORT + newline)
    docstring = [one for one in body[:1] if isinstance(one, ast.Expr)]
    before: list[ast.stmt] = [*docstring, *imports[:1], *earlier]
    if not before:
        at = spot.module.lines.starts[0]
        return Edit(at, at, IMPORT + 3 * newline)
    end = spot.module.lines.bounds(before[-1].end_lineno or 1)[1]
    gap = "" if earlier else newline
    return Edit(end, end, newline + gap + IMPORT)


def _joined(first: Edit, second: Edit) -> list[Edit]:
    """Return two insertions in this order, as one where both stand at one place."""
    if first.start == second.start:
        return [Edit(first.start, first.end, first.new + second.new)]
    return [first, second]


def _sorts(node: ast.stmt) -> tuple[int, str]:
    if isinstance(node, ast.ImportFrom):
        return (1, node.module or "")
    return (0, "") if isinstance(node, ast.Import) else (2, "")
