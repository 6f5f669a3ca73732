"""Expected failures: a function's own exception, and callers that are ready for it.

A call below may fail on a bad value with an exception that nobody awaits (`ValueError`). That the
function tells of it by an exception of its own is no invention where two witnesses agree: the
function raises that very exception, word for word, on another way to the same failure
(`own_raise`), and a caller of it catches that class or one it derives from (`caller_catches`).
Neither alone is enough (`claims.is_repair`). Exceptions that mostly tell of a slip in the code
(`TypeError`, `AttributeError`, `NameError`) are never vouched for: to translate those hides it.

Belongs here: finding the witnesses. Does not belong: drafting the handler (`templates.handlers`).
"""

import ast
from collections.abc import Iterator

from selfdrive_dagster.model import Support
from selfdrive_dagster.patches.ingredients import Repository
from selfdrive_dagster.patches.syntax import FunctionNode, Module, dotted, last_name, walk

OWN_RAISE, CALLER_CATCHES = "own_raise", "caller_catches"
OF_VALUES = frozenset(
    ("ValueError", "OverflowError", "OSError", "UnicodeError", "UnicodeDecodeError",
     "UnicodeEncodeError", "binascii.Error", "struct.error", "json.JSONDecodeError")
)  # fmt: skip
"""Exceptions that tell of a bad value, not of a slip in the code."""
MOST_BASES = 6


def expected_failure(
    family: str, module: Module, function: FunctionNode | None, after: ast.AST, tree: Repository
) -> tuple[Support, ...]:
    """Return both witnesses for what a draft of `translate` raises in a function, or `()`.

    `after` is the function, or what holds it, as the draft leaves it.
    """
    if family != "translate" or function is None:
        return ()
    known = {ast.dump(node) for node in _handlers(function)}
    same = [one for one in walk(after) if getattr(one, "name", None) == function.name]
    new = [node for one in same for node in _handlers(one) if ast.dump(node) not in known]
    if len(new) != 1:
        return ()
    raised = _raised(new[0])
    if raised is None or not _is_of_values(new[0]):
        return ()
    own = _own_raise(raised, module, function)
    caller = _caller(raised, module, function, tree)
    return (own, caller) if own and caller else ()


def _handlers(tree: ast.AST) -> Iterator[ast.ExceptHandler]:
    return (node for node in walk(tree) if isinstance(node, ast.ExceptHandler))


def _raised(handler: ast.ExceptHandler) -> ast.Call | None:
    match handler.body:
        case [ast.Raise(exc=ast.Call() as call)]:
            return call
    return None


def _is_of_values(handler: ast.ExceptHandler) -> bool:
    return bool(_kinds(handler)) and set(_kinds(handler)) <= OF_VALUES


def _kinds(handler: ast.ExceptHandler) -> list[str]:
    if handler.type is None:
        return []
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return [dotted(kind) for kind in kinds]


def _own_raise(raised: ast.Call, module: Module, function: FunctionNode) -> Support | None:
    """Return the statement of the function that raises the very same."""
    for node in walk(function):
        if isinstance(node, ast.Raise) and node.exc and ast.dump(node.exc) == ast.dump(raised):
            says = f"the function raises `{ast.unparse(raised)}` for another failure"
            return Support(kind=OWN_RAISE, where=f"{module.path}:{node.lineno}", says=says)
    return None


def _caller(
    raised: ast.Call, module: Module, function: FunctionNode, tree: Repository
) -> Support | None:
    """Return a handler around a call of the function that awaits what is raised."""
    awaited = set(lineage(last_name(dotted(raised.func)), module.path, tree))
    for other in tree.mentioning(function.name, module.path):
        for node in other.all(ast.Try):
            if not _calls(node, function.name):
                continue
            for handler in node.handlers:
                caught = {name.rpartition(".")[2] for name in _kinds(handler)}
                if shared := sorted(caught & awaited):
                    says = f"a caller of {function.name} catches {shared[0]}"
                    where = f"{other.path}:{handler.lineno}"
                    return Support(kind=CALLER_CATCHES, where=where, says=says)
    return None


def _calls(node: ast.Try, name: str) -> bool:
    return any(
        isinstance(call, ast.Call) and last_name(dotted(call.func)) == name
        for statement in node.body
        for call in walk(statement)
    )


def lineage(name: str, near: str, tree: Repository) -> tuple[str, ...]:
    """Return a class of the product and those it derives from, by their bare names.

    Classes that the product does not define end it, so built-in bases are left out: a handler of
    `Exception` awaits everything, which is no witness.
    """
    found: list[str] = []
    waiting = [name]
    while waiting and len(found) < MOST_BASES:
        one = waiting.pop(0)
        defined = [
            node
            for module in tree.mentioning(f"class {one}", near)
            for node in module.all(ast.ClassDef)
            if node.name == one
        ]
        if defined and one not in found:
            found.append(one)
            waiting += [last_name(dotted(base)) for base in defined[0].bases]
    return tuple(found)
