"""Functions and classes as records: their file, their qualified name, their node."""

import ast

import msgspec

from selfdrive_dagster.patches.syntax.names import dotted

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


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
