"""What edits are made of: names, expressions and idioms that the project itself uses.

Nearest first, as repair.md §6 says: names in scope, expressions of the same function, of
the class and module, then the repository's own idioms for an attribute or key. Nothing here
is made up. Belongs here: finding material. Does not belong: where to put it.
"""

import ast
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from selfdrive_dagster.patches.facts import parameters
from selfdrive_dagster.patches.idioms import Idiom, idioms_in
from selfdrive_dagster.patches.syntax import (
    FUNCTIONS,
    KEPT,
    FunctionNode,
    Module,
    Tree,
    dotted,
    walk,
)


@lru_cache(maxsize=KEPT)
def idioms_of(module: Module) -> tuple[Idiom, ...]:
    """Return the idioms of a file, in order."""
    return tuple(idioms_in(module.tree))


class Repository(Tree):
    """The product's own files with the idioms in them."""

    def idioms(self, needle: str, near: str) -> Iterator[tuple[str, Idiom]]:
        """Yield path and idiom of the files whose text holds `needle`, nearest file first."""
        for module in self.mentioning(needle, near):
            for idiom in idioms_of(module):
                yield module.path, idiom


def names_in_scope(module: Module, function: FunctionNode | None, line: int) -> tuple[str, ...]:
    """Return the names a line may read: those used nearest first, then parameters, then rest."""
    if function is None:
        return ()
    distance: dict[str, int] = dict.fromkeys(parameters(function), 1_000)
    for node in walk(function):
        if not isinstance(node, ast.Name):
            continue
        written = isinstance(node.ctx, ast.Store)
        if written and (node.lineno < line or _loops_around(module, node, line)):
            distance.setdefault(node.id, 1_000)
        if node.id in distance:
            distance[node.id] = min(distance[node.id], abs(node.lineno - line))
    return tuple(sorted(distance, key=lambda name: (distance[name], name)))


def _loops_around(module: Module, node: ast.AST, line: int) -> bool:
    return any(
        isinstance(up, (ast.For, ast.While)) and up.lineno <= line <= (up.end_lineno or 0)
        for up in module.ancestors(node)
    )


def attributes_of(module: Module, base: str, near: ast.AST) -> tuple[str, ...]:
    """Return attribute names used on `base` (`self`, `request` …) in the class or module."""
    return _attributes_of(module, base, module.class_of(near) if base in ("self", "cls") else None)


@lru_cache(maxsize=4 * KEPT)
def _attributes_of(module: Module, base: str, holder: ast.ClassDef | None) -> tuple[str, ...]:
    found = [
        node.attr
        for node in module.all(ast.Attribute)
        if dotted(node.value) == base and (holder is None or module.class_of(node) is holder)
    ]
    if holder:
        found += [item.name for item in holder.body if isinstance(item, FUNCTIONS)]
    return tuple(dict.fromkeys(found))


LONGEST_LITERAL = 40
"""Characters: longer texts are seldom what is missing."""

Keep = Callable[[ast.expr], bool]


def expressions(module: Module, scope: ast.AST, line: int, keep: Keep) -> tuple[ast.expr, ...]:
    """Return the distinct one-line expressions of a scope, nearest to `line` first."""
    found: dict[str, ast.expr] = {}
    for node, text in _nearest((one for one in _one_liners(module, scope) if keep(one[0])), line):
        found.setdefault(text, node)
    return tuple(found.values())


_Spelled = tuple[ast.expr, str]


def _nearest(spelled: Iterable[_Spelled], line: int) -> list[_Spelled]:
    return sorted(spelled, key=lambda one: (abs(one[0].lineno - line), one[0].col_offset))


@lru_cache(maxsize=KEPT)
def _one_liners(module: Module, scope: ast.AST) -> tuple[_Spelled, ...]:
    return tuple(
        (node, module.source(node))
        for node in walk(scope)
        if isinstance(node, ast.expr)
        and node not in module.sealed
        and node.lineno == node.end_lineno
        and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)
        and not isinstance(node, (ast.Slice, ast.Starred))
    )


def constants(
    module: Module, function: FunctionNode | None, kind: str, line: int
) -> tuple[str, ...]:
    """Return the spellings of literals of one type, the function's first, then the file's."""
    scopes: Iterable[ast.AST] = [scope for scope in (function, module.tree) if scope]
    told = (one for scope in scopes for one in _nearest(_literals(module, scope, kind), line))
    return tuple(dict.fromkeys(text for _, text in told))


@lru_cache(maxsize=4 * KEPT)
def _literals(module: Module, scope: ast.AST, kind: str) -> tuple[_Spelled, ...]:
    return tuple(
        (node, text)
        for node, text in _one_liners(module, scope)
        if isinstance(node, ast.Constant)
        and type(node.value).__name__ == kind
        and len(text) <= LONGEST_LITERAL
    )


def returned(module: Module, function: FunctionNode | None) -> tuple[str, ...]:
    """Return what a function already returns when it returns something simple, oldest first."""
    if function is None:
        return ()
    simple = (ast.Constant, ast.Name, ast.Attribute, ast.List, ast.Dict, ast.Tuple, ast.Call)
    found = []
    for node in walk(function):
        if isinstance(node, ast.Return) and module.function_of(node) is function:
            if node.value is None:
                found.append("")
            elif isinstance(node.value, simple) and is_settled(node.value):
                found.append(module.source(node.value))
    return tuple(dict.fromkeys(text for text in found if "\n" not in text))


def is_settled(node: ast.expr) -> bool:
    """Say whether an expression is a literal or an empty container: it always evaluates."""
    if isinstance(node, ast.Call):
        return not node.args and not node.keywords and dotted(node.func) in _EMPTY_CALLS
    if isinstance(node, (ast.List, ast.Tuple)):
        return all(is_settled(item) for item in node.elts)
    if isinstance(node, ast.Dict):
        return all(key and is_settled(key) for key in node.keys) and all(
            map(is_settled, node.values)
        )
    return isinstance(node, ast.Constant) or dotted(node) == "self"


_EMPTY_CALLS = frozenset(("list", "dict", "set", "tuple", "str", "int", "float", "bytes"))


def raised_here(module: Module, near: ast.AST) -> tuple[str, ...]:
    """Return the `raise` statements of a file as text, same function first, then same class."""
    function, holder = module.function_of(near), module.class_of(near)
    raises = [node for node in module.all(ast.Raise) if node.exc and node.lineno == node.end_lineno]

    def distance(node: ast.Raise) -> tuple[bool, bool, int]:
        away = module.function_of(node) is not function
        lines = abs(node.lineno - getattr(near, "lineno", 0))
        return away, module.class_of(node) is not holder, lines

    return tuple(dict.fromkeys(module.source(node) for node in sorted(raises, key=distance)))


def caught_here(module: Module, near: ast.AST) -> tuple[str, ...]:
    """Return the exception names a file catches, raises or defines, same function first."""
    function = module.function_of(near)
    found: list[tuple[ast.stmt | ast.excepthandler, ast.expr]] = []
    for handler in module.all(ast.ExceptHandler):
        if handler.type:
            kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
            found += [(handler, kind) for kind in kinds]
    for node in module.all(ast.Raise):
        if node.exc:
            found.append((node, node.exc.func if isinstance(node.exc, ast.Call) else node.exc))
    named = sorted(
        (function is None or module.function_of(node) is not function, node.lineno, name)
        for node, kind in found
        if (name := dotted(kind))
    )
    defined = [holder.name for holder in module.all(ast.ClassDef)]
    own = [name for name in defined if name.endswith(("Error", "Exception"))]
    usable = [name for _, _, name in named if name.rpartition(".")[2][:1].isupper()]
    return tuple(dict.fromkeys((*usable, *own)))
