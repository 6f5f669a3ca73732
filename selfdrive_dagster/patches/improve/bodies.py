"""The inside of one function, read node by node for what keeps it from being pure.

Belongs here: faults of single nodes. Does not belong: which functions are judged (`purity`).
"""

import ast
from collections.abc import Iterator
from typing import Protocol

from selfdrive_dagster.patches.improve.handlers import imports_of
from selfdrive_dagster.patches.improve.scope import Scope, annotation_names
from selfdrive_dagster.patches.improve.words import (
    MUTATORS,
    PLAIN,
    PURE_BUILTINS,
    PURE_METHODS,
    PURE_MODULES,
    SCALARS,
)
from selfdrive_dagster.patches.syntax import Class, Function, Module, Tree, dotted

_REFUSED = (
    ast.Global, ast.Nonlocal, ast.Yield, ast.YieldFrom, ast.Await, ast.AsyncFor, ast.AsyncWith,
    ast.AsyncFunctionDef, ast.FunctionDef, ast.ClassDef, ast.With, ast.Import, ast.ImportFrom,
    ast.Delete, ast.Try, ast.TryStar, ast.NamedExpr, ast.Match,
)  # fmt: skip


class Judge(Protocol):
    """Whoever knows what the names of a module mean, and what of it is pure."""

    tree: Tree

    def fault(self, function: Function, depth: int = 0) -> str:
        """Return why a function may not be pure, "" when it is."""
        ...

    def called(self, module: Module, name: str) -> Function | Class | None:
        """Return what a bare name means when a module calls it."""
        ...

    def constant_fault(self, module: Module, name: str) -> str:
        """Return why a module's name is no constant, "" when it is one."""
        ...


class Body:
    """The nodes of one function, each looked at."""

    def __init__(self, purity: Judge, module: Module, scope: Scope, depth: int) -> None:
        self.purity, self.module, self.scope, self.depth = purity, module, scope, depth

    def faults(self, top: ast.AST) -> Iterator[str]:
        """Yield what keeps a statement or expression from being pure."""
        for node in ast.walk(top):
            if isinstance(node, _REFUSED):
                yield f"it holds {type(node).__name__} at line {getattr(node, 'lineno', '?')}"
            elif isinstance(node, ast.Call):
                yield from self._call(node)
            elif isinstance(node, ast.Attribute):
                yield from self._attribute(node)
            elif isinstance(node, ast.Subscript) and not isinstance(node.ctx, ast.Load):
                if not self._is_fresh(node.value):
                    yield f"it changes {ast.unparse(node.value)}, which it did not make"
            elif isinstance(node, ast.AugAssign) and isinstance(node.target, ast.Name):
                if not self._is_fresh(node.target) and not self._is_scalar(node.target.id):
                    yield f"it may change {node.target.id} in place"
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
                yield from self._name(node)

    def _name(self, node: ast.Name) -> Iterator[str]:
        if node.id in self.scope.parameters or node.id in self.scope.opaque:
            return
        if self.scope.bindings(node.id):
            return
        parent = self.module.parents[node]
        if isinstance(parent, ast.Call) and parent.func is node:
            return  # judged as a call
        if isinstance(parent, ast.Attribute) and node.id in PURE_MODULES:
            return
        if node.id in PURE_BUILTINS:
            return  # as a key or a type: `sorted(x, key=len)`
        if self.purity.called(self.module, node.id) is not None:
            yield from self._named_call(node.id)  # handed on, it will be called there
            return
        if fault := self.purity.constant_fault(self.module, node.id):
            yield fault

    def _attribute(self, node: ast.Attribute) -> Iterator[str]:
        if not isinstance(node.ctx, ast.Load):
            yield f"it sets {ast.unparse(node)}"
            return
        parent = self.module.parents[node]
        if isinstance(parent, ast.Call) and parent.func is node:
            return  # judged as a call
        if dotted(node).partition(".")[0] in PURE_MODULES or self._is_field(node):
            return
        yield f"it reads {ast.unparse(node)}, which may be a property"

    def _is_field(self, node: ast.Attribute) -> bool:
        """Say whether an attribute is a plain field of a dataclass of the product."""
        if not isinstance(node.value, ast.Name) or node.value.id not in self.scope.parameters:
            return False
        kinds = annotation_names(self.scope.parameters[node.value.id].annotation) or frozenset()
        classes = [found for kind in kinds for found in self.purity.tree.classes_named(kind)]
        return len(classes) == len(kinds) > 0 and all(
            any("dataclass" in one for one in kind.decorators)
            and any(
                isinstance(one, ast.AnnAssign) and ast.unparse(one.target) == node.attr
                for one in kind.node.body
            )
            for kind in classes
        )

    def _call(self, node: ast.Call) -> Iterator[str]:
        if isinstance(node.func, ast.Name):
            yield from self._named_call(node.func.id)
        elif isinstance(node.func, ast.Attribute):
            yield from self._method_call(node.func)
        else:
            yield f"it calls {ast.unparse(node.func)[:60]}"

    def is_loud(self, node: ast.Call) -> bool:
        """Say whether a call may change more than what this function made itself."""
        if not isinstance(node.func, ast.Attribute):
            return any(self._call(node))
        root = dotted(node.func).partition(".")[0]
        if node.func.attr in MUTATORS:
            return not self._is_fresh(node.func.value)
        return node.func.attr not in PURE_METHODS and root not in PURE_MODULES

    def _named_call(self, name: str) -> Iterator[str]:
        if name in self.scope.parameters or self.scope.bindings(name):
            yield f"it calls {name}, which it was given"
            return
        own = self.purity.called(self.module, name)
        if isinstance(own, Function):
            if fault := self.purity.fault(own, self.depth + 1):
                yield f"it calls {name}: {fault}"
        elif isinstance(own, Class):
            if not _is_plain_class(own):
                yield f"it makes a {name}, whose making may do more"
        elif name not in PURE_BUILTINS or name in _bound_in(self.module):
            yield f"it calls {name}, which is not known to be pure"

    def _method_call(self, func: ast.Attribute) -> Iterator[str]:
        root = dotted(func).partition(".")[0]
        if root in PURE_MODULES and not self.scope.bindings(root):
            return
        if func.attr in MUTATORS:
            if not self._is_fresh(func.value):
                yield f"it changes {ast.unparse(func.value)}, which it did not make"
        elif func.attr not in PURE_METHODS or not self._is_plain(func.value):
            yield f"it calls {ast.unparse(func)[:60]}, which is not known to be pure"

    def _is_plain(self, node: ast.expr) -> bool:
        """Say whether a value is certainly of a built-in type."""
        if isinstance(
            node, ast.Constant | ast.JoinedStr | ast.List | ast.Dict | ast.Set | ast.Tuple
        ):
            return True
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return self._is_plain(node.func.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            return node.func.id in PURE_BUILTINS
        if not isinstance(node, ast.Name):
            return False
        if node.id in self.scope.parameters:
            kinds = annotation_names(self.scope.parameters[node.id].annotation)
            return kinds is not None and kinds <= PLAIN
        return self._is_fresh(node) or not self.purity.constant_fault(self.module, node.id)

    def _is_scalar(self, name: str) -> bool:
        if name in self.scope.parameters:
            kinds = annotation_names(self.scope.parameters[name].annotation)
            return kinds is not None and kinds <= SCALARS
        return False

    def _is_fresh(self, node: ast.expr) -> bool:
        """Say whether a name only ever holds what this function made itself, or numbers."""
        if not isinstance(node, ast.Name) or node.id in self.scope.parameters:
            return False
        bound = self.scope.bindings(node.id)
        return bool(bound) and all(self._makes(one) for one in bound)

    def _makes(self, target: ast.Name) -> bool:
        holder = self.module.parents[target]
        if isinstance(holder, ast.AugAssign):
            return True
        if not isinstance(holder, ast.Assign | ast.AnnAssign) or holder.value is None:
            return False
        value = holder.value
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
            return value.func.id in PURE_BUILTINS
        return isinstance(value, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp
                          | ast.SetComp | ast.Constant | ast.JoinedStr)  # fmt: skip


def _is_plain_class(own: Class) -> bool:
    """Say whether making an instance stores fields and nothing else; exceptions count."""
    methods = {"__init__", "__new__", "__post_init__", "__setattr__"}
    if any(own.method(name) for name in methods):
        return False
    return any("dataclass" in one for one in own.decorators) or any(
        base.rpartition(".")[2].endswith(("Error", "Exception")) for base in own.bases
    )


def _bound_in(module: Module) -> frozenset[str]:
    imported = {bound for _, _, bound in imports_of(module)}
    stored = {one.id for one in module.all(ast.Name) if not isinstance(one.ctx, ast.Load)}
    return frozenset(imported | stored)
