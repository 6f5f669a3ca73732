"""Is a call pure: the same answer for the same arguments, and nothing else happens?

Decided by syntax, conservatively: what is not known to be pure is not. A function is pure when it
only binds its own names, changes only containers that it made itself, reads only constants of its
module, and calls only what is pure. Recorded calls must confirm it later (equal answers when asked
twice, arguments unchanged): neither alone would do. Belongs here: what is judged. Does not belong:
reading one body (`bodies`), running anything.
"""

import ast

from selfdrive_dagster.patches.improve.bodies import Body
from selfdrive_dagster.patches.improve.handlers import imports_of
from selfdrive_dagster.patches.improve.scope import Scope
from selfdrive_dagster.patches.improve.words import MUTATORS
from selfdrive_dagster.patches.syntax import Class, Function, Module, Tree, dotted

DEPTH = 5


class Purity:
    """Judges functions of one product; each is read once."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self._known: dict[tuple[str, str], str] = {}
        self._judging: set[tuple[str, str]] = set()

    def fault(self, function: Function, depth: int = 0) -> str:
        """Return why a function may not be pure, "" when it is."""
        key = (function.path, function.qualname)
        if key in self._judging:
            return ""  # a recursive call is as pure as the rest of the function
        if key not in self._known:
            self._judging.add(key)
            fault = self._read(function, depth)
            self._judging.remove(key)
            if not fault and self._judging:
                return ""  # it may rest on one that is still being judged
            self._known[key] = fault
        return self._known[key]

    def _read(self, function: Function, depth: int) -> str:
        module = self.tree.module(function.path)
        if module is None or depth > DEPTH:
            return "it calls too deep to be read"
        if not isinstance(function.node, ast.FunctionDef):
            return "it is asynchronous"
        if function.owner is not None or function.is_nested or function.node.decorator_list:
            return "it is a method, nested or decorated"
        body = Body(self, module, Scope(module, function.node), depth)
        return next((fault for one in function.node.body for fault in body.faults(one)), "")

    def expression_fault(self, module: Module, scope: Scope, node: ast.expr) -> str:
        """Return why an expression of a function may not be pure, "" when it is."""
        return next(Body(self, module, scope, 0).faults(node), "")

    def is_quiet(self, module: Module, scope: Scope, loop: ast.AST) -> bool:
        """Say whether a loop calls nothing that could change a value held elsewhere.

        A list that was handed in may be the caller's own: whatever the loop calls could reach it by
        another way, and other tasks run wherever it waits.
        """
        body = Body(self, module, scope, 0)
        waits = (ast.Await, ast.Yield, ast.YieldFrom, ast.AsyncFor, ast.AsyncWith)
        return all(
            not isinstance(node, waits) and not (isinstance(node, ast.Call) and body.is_loud(node))
            for node in ast.walk(loop)
        )

    def called(self, module: Module, name: str) -> Function | Class | None:
        """Return what a bare name means when a module calls it, if that is the product's own."""
        own = module.function(name) or _class(module, name)
        if own is not None:
            return own
        for source, original, bound in imports_of(module):
            if bound == name and original:
                for other in self.tree.modules:
                    if other.name == source:
                        return other.function(original) or _class(other, original)
        return None

    def constant_fault(self, module: Module, name: str) -> str:
        """Return why a module's name is no constant, "" when it is bound once and never changed."""
        bound = [
            one
            for one in module.all(ast.Name)
            if one.id == name and not isinstance(one.ctx, ast.Load)
        ]
        outside = [one for one in bound if module.function_of(one) is None]
        if len(outside) != 1:
            imported = [s for s, original, b in imports_of(module) if b == name and original]
            for other in self.tree.modules:
                if imported and other.name == imported[0]:
                    return self.constant_fault(other, name)
            return f"{name} is no constant of the product"
        holder = module.parents[outside[0]]
        value = getattr(holder, "value", None)
        if not isinstance(holder, ast.Assign | ast.AnnAssign) or not _is_literal(value):
            return f"{name} is not written out"
        changed = any(_changes(other, name) for other in self.tree.modules)
        return f"{name} may be changed somewhere" if changed else ""


def _class(module: Module, name: str) -> Class | None:
    return next((one for one in module.classes if one.qualname == name), None)


def _is_literal(node: ast.expr | None) -> bool:
    if node is None:
        return False
    plain = (ast.Constant, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.BinOp,
             ast.operator, ast.unaryop, ast.expr_context)  # fmt: skip
    return all(isinstance(one, plain) for one in ast.walk(node))


def _changes(module: Module, name: str) -> bool:
    """Say whether a module may change what is held under a name, by whatever path to it."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global) and name in node.names:
            return True
        if isinstance(node, ast.Attribute) and node.attr == name and _is_store(node):
            return True
        if isinstance(node, ast.Subscript) and _is_store(node) and _last(node.value) == name:
            return True
        if isinstance(node, ast.Attribute) and node.attr in MUTATORS and _last(node.value) == name:
            return True
        if isinstance(node, ast.AugAssign) and _last(node.target) == name:
            return True
    return False


def _is_store(node: ast.Attribute | ast.Subscript) -> bool:
    return not isinstance(node.ctx, ast.Load)


def _last(node: ast.expr) -> str:
    return dotted(node).rpartition(".")[2]
