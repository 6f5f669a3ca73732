"""The product's code as syntax: its modules, functions and classes, found by name or line.

Nothing of the product is ever imported or evaluated here; all that is known of it comes from
`ast`. Belongs here: where things stand and what they are called. Does not belong: judgement
about a crash, text edits.
"""

import ast
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import PurePosixPath

import msgspec

from selfdrive_dagster.model import Product

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

ANONYMOUS = ("<lambda>", "<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>")
"""Names of code objects that have no `def`: they count as part of the function around them."""

_NAMELESS = re.compile(r"(?:\.<locals>)?\.<(?!locals>)\w+>")


class Function(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A function or method in its file; `qualname` is spelled like `co_qualname`."""

    path: str
    module: str
    qualname: str
    node: FunctionNode
    owner: ast.ClassDef | None

    @property
    def name(self) -> str:
        """Return the bare name."""
        return self.node.name

    @property
    def is_nested(self) -> bool:
        """Say whether it stands inside another function, where no import reaches it."""
        return "<locals>" in self.qualname

    @property
    def first_line(self) -> int:
        """Return the line of `def`, decorators left out."""
        return self.node.lineno

    @property
    def last_line(self) -> int:
        """Return the last line of the body."""
        return self.node.end_lineno or self.node.lineno

    @property
    def decorators(self) -> tuple[str, ...]:
        """Return the decorators' dotted names, without their arguments."""
        return tuple(dotted(getattr(one, "func", one)) for one in self.node.decorator_list)


class Class(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A class in its file."""

    path: str
    module: str
    qualname: str
    node: ast.ClassDef

    @property
    def bases(self) -> tuple[str, ...]:
        """Return the base classes' dotted names as written."""
        return tuple(dotted(getattr(base, "value", base)) for base in self.node.bases) + tuple(
            dotted(base)
            for base in self.node.bases
            if isinstance(base, ast.Attribute)  # `enum.Enum` is known by its last name too
        )

    @property
    def decorators(self) -> tuple[str, ...]:
        """Return the decorators' dotted names, without their arguments."""
        return tuple(dotted(getattr(one, "func", one)) for one in self.node.decorator_list)

    def method(self, name: str) -> FunctionNode | None:
        """Return a method written in the class itself."""
        for node in self.node.body:
            if isinstance(node, FunctionNode) and node.name == name:
                return node
        return None


class Module(msgspec.Struct, frozen=True, kw_only=True, dict=True, eq=False):
    """One file of the product, parsed. `name` is what an import statement says."""

    path: str
    name: str
    text: str
    node: ast.Module

    @cached_property
    def lines(self) -> list[str]:
        """Return the file's lines."""
        return self.text.split("\n")

    @cached_property
    def functions(self) -> tuple[Function, ...]:
        """Return all functions, outer before inner."""
        return tuple(self._functions(self.node, "", None))

    @cached_property
    def classes(self) -> tuple[Class, ...]:
        """Return all classes that an import can reach."""
        return tuple(self._classes(self.node, ""))

    @cached_property
    def simple_statements(self) -> tuple[tuple[int, int], ...]:
        """Return first and last line of every statement that holds no block."""
        return tuple(
            (node.lineno, node.end_lineno or node.lineno)
            for node in ast.walk(self.node)
            if isinstance(node, ast.stmt) and not hasattr(node, "body")
        )

    def raises_at(self, line: int) -> bool:
        """Say whether a line belongs to a `raise` statement."""
        return any(
            isinstance(node, ast.Raise) and node.lineno <= line <= (node.end_lineno or node.lineno)
            for node in ast.walk(self.node)
        )

    def line(self, number: int) -> str:
        """Return a line's text without the spaces around it, "" outside the file."""
        return self.lines[number - 1].strip() if 0 < number <= len(self.lines) else ""

    def function_at(self, line: int) -> Function | None:
        """Return the innermost function whose `def` or body covers a line."""
        inside = [one for one in self.functions if one.first_line <= line <= one.last_line]
        return max(inside, key=lambda one: one.first_line, default=None)

    def function(self, qualname: str) -> Function | None:
        """Return a function by its qualified name; the last definition wins, as in Python."""
        named = [one for one in self.functions if one.qualname == qualname]
        return named[-1] if named else None

    def _functions(
        self, parent: ast.AST, prefix: str, owner: ast.ClassDef | None
    ) -> Iterator[Function]:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, FunctionNode):
                name = prefix + node.name
                yield Function(
                    path=self.path, module=self.name, qualname=name, node=node, owner=owner
                )
                yield from self._functions(node, f"{name}.<locals>.", None)
            elif isinstance(node, ast.ClassDef):
                yield from self._functions(node, f"{prefix}{node.name}.", node)
            else:
                yield from self._functions(node, prefix, owner)

    def _classes(self, parent: ast.AST, prefix: str) -> Iterator[Class]:
        for node in ast.iter_child_nodes(parent):
            if isinstance(node, ast.ClassDef):
                name = prefix + node.name
                yield Class(path=self.path, module=self.name, qualname=name, node=node)
                yield from self._classes(node, f"{name}.")
            elif isinstance(node, ast.If | ast.Try):
                yield from self._classes(node, prefix)


class Tree:
    """All modules of a product, parsed when asked for. Files with syntax errors are left out."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self._modules: dict[str, Module | None] = {}

    @cached_property
    def paths(self) -> tuple[str, ...]:
        """Return the product's own Python files."""
        return self.product.source_files()

    @cached_property
    def modules(self) -> tuple[Module, ...]:
        """Return every module that parses."""
        return tuple(module for path in self.paths if (module := self.module(path)))

    def module(self, path: str) -> Module | None:
        """Return the module at a path; None when it is missing or does not parse."""
        if path not in self._modules:
            self._modules[path] = self._parse(path)
        return self._modules[path]

    def importable(self, path: str) -> str:
        """Return the path below its import root: `src/shop/cart.py` → `shop/cart.py`."""
        for root in sorted(self.product.import_roots(), key=len, reverse=True):
            if root != "." and path.startswith(f"{root}/"):
                return path[len(root) + 1 :]
        return path

    def classes_named(self, name: str) -> tuple[Class, ...]:
        """Return the classes with a bare or qualified name, from all modules."""
        return tuple(
            one
            for module in self.modules
            for one in module.classes
            if name in (one.qualname, one.node.name, f"{one.module}.{one.qualname}")
        )

    def class_of(self, function: Function) -> Class | None:
        """Return the class a method stands in."""
        module = self.module(function.path)
        if module is None or function.owner is None:
            return None
        return next((one for one in module.classes if one.node is function.owner), None)

    def _parse(self, path: str) -> Module | None:
        try:
            text = self.product.read(path)
            node = ast.parse(text)
        except (OSError, SyntaxError, ValueError, RecursionError):
            return None  # told by the caller: a frame in it is simply not found
        inner = PurePosixPath(self.importable(path)).with_suffix("")
        parts = inner.parts[:-1] if inner.name == "__init__" else inner.parts
        return Module(path=path, name=".".join(parts), text=text, node=node)


def dotted(node: ast.AST) -> str:
    """Return `a.b.c` of a chain of names, "" of anything else."""
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


def exception_classes(tree: Tree) -> tuple[Class, ...]:
    """Return the product's own exception classes: those that inherit one, at any distance."""
    known: dict[str, Class] = {}
    waiting = [one for module in tree.modules for one in module.classes]
    while True:
        found = [one for one in waiting if any(_is_exception(base, known) for base in one.bases)]
        if not found:
            return tuple(known.values())
        known.update({one.node.name: one for one in found})
        waiting = [one for one in waiting if one not in found]


def _is_exception(base: str, known: dict[str, Class]) -> bool:
    name = last_name(base)
    return name in known or name in ("Exception", "BaseException") or name.endswith("Error")
