"""How a function uses its names: what binds them, and what a loop may do to them.

Conservative by design: whatever is not recognised counts as a use that may change the value.
Belongs here: questions about names within one function. Does not belong: purity of calls.
"""

import ast
from collections.abc import Iterator

from selfdrive_dagster.patches.syntax import FUNCTIONS, FunctionNode, Module

LOOPS = (ast.For, ast.While, ast.AsyncFor)
COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
READERS = frozenset({"index", "count", "copy", "get", "items", "keys", "values"})
"""Methods of built-in containers that change nothing."""
LOOKING = frozenset({"len", "sum", "min", "max", "any", "all", "sorted", "enumerate", "zip",
                     "range", "reversed", "isinstance", "list", "tuple", "set", "frozenset",
                     "dict"})  # fmt: skip
"""Built-ins that only read a container that they are given."""


class Scope:
    """One function of a module, its names looked at."""

    def __init__(self, module: Module, node: FunctionNode) -> None:
        self.module = module
        self.node = node
        self.names = [one for one in ast.walk(node) if isinstance(one, ast.Name)]
        arguments = node.args
        listed = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        self.parameters = {one.arg: one for one in listed}
        self.opaque = {one.arg for one in (arguments.vararg, arguments.kwarg) if one}

    def uses(self, name: str) -> list[ast.Name]:
        """Return all occurrences of a name in the function."""
        return [one for one in self.names if one.id == name]

    def bindings(self, name: str) -> list[ast.Name]:
        """Return the occurrences that bind or delete a name."""
        return [one for one in self.uses(name) if not isinstance(one.ctx, ast.Load)]

    def is_declared(self, name: str) -> bool:
        """Say whether a `global` or `nonlocal` makes the name somebody else's."""
        return any(
            name in one.names
            for one in ast.walk(self.node)
            if isinstance(one, ast.Global | ast.Nonlocal)
        )

    def statement_of(self, node: ast.AST) -> ast.stmt | None:
        """Return the innermost statement around a node."""
        around = (node, *self.module.ancestors(node))
        return next((one for one in around if isinstance(one, ast.stmt)), None)

    def loops_around(self, node: ast.AST) -> list[ast.AST]:
        """Return the loops whose body repeats a node, the innermost first.

        What a `for` goes through is looked up once and is not repeated by it.
        """
        found: list[ast.AST] = []
        below = node
        for up in self.module.ancestors(node):
            if up is self.node:
                break
            if isinstance(up, (*FUNCTIONS, ast.Lambda)):
                return []  # a function of its own: when it runs is another matter
            if isinstance(up, LOOPS) and below is not getattr(up, "iter", None):
                if below not in up.orelse:
                    found.append(up)
            elif isinstance(up, COMPREHENSIONS) and below is not up.generators[0]:
                found.append(up)
            elif isinstance(up, ast.comprehension) and below is not up.iter:
                holder = self.module.parents[up]
                if up is getattr(holder, "generators", [None])[0]:
                    found.append(holder)
            below = up
        return list(dict.fromkeys(found))

    def is_steady(self, name: str, loop: ast.AST) -> bool:
        """Say whether a name means the same, unchanged value all through a loop.

        Elsewhere in the function it may be bound, but not get a second name.
        """
        if self.is_declared(name) or name in self.opaque:
            return False
        inside = {one for one in ast.walk(loop) if isinstance(one, ast.Name) and one.id == name}
        read = [one for one in self.uses(name) if isinstance(one.ctx, ast.Load)]
        return all(isinstance(one.ctx, ast.Load) for one in inside) and all(
            self._only_reads(one) or (one not in inside and self._grows(one)) for one in read
        )

    def _grows(self, use: ast.Name) -> bool:
        """Say whether a use only calls a method of the value: nothing gets another name for it."""
        parent = self.module.parents[use]
        return isinstance(parent, ast.Attribute) and isinstance(
            self.module.parents[parent], ast.Call
        )

    def _only_reads(self, use: ast.Name) -> bool:
        """Say whether one use can change neither the name nor the value that it holds."""
        parent = self.module.parents[use]
        if isinstance(parent, ast.Attribute):
            call = self.module.parents[parent]
            is_method = isinstance(call, ast.Call) and call.func is parent
            return parent.attr in READERS if is_method else isinstance(parent.ctx, ast.Load)
        if isinstance(parent, ast.Subscript):
            return isinstance(parent.ctx, ast.Load)
        if isinstance(parent, ast.Call):
            called = parent.func
            return use is called or (isinstance(called, ast.Name) and called.id in LOOKING)
        return isinstance(parent, ast.Compare | ast.BoolOp | ast.BinOp | ast.UnaryOp | ast.IfExp
                          | ast.If | ast.While | ast.For | ast.comprehension | ast.JoinedStr
                          | ast.FormattedValue | ast.Slice)  # fmt: skip


def annotation_names(node: ast.expr | None) -> frozenset[str] | None:
    """Return the bare type names of an annotation's alternatives, None when there is none.

    `str | None` gives {"str", "None"}; of `list[str]` the head, "list".
    """
    if node is None:
        return None
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        try:
            return annotation_names(ast.parse(node.value, mode="eval").body)
        except SyntaxError:
            return frozenset({"?"})
    return frozenset(_alternatives(node))


def _alternatives(node: ast.expr) -> Iterator[str]:
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        yield from _alternatives(node.left)
        yield from _alternatives(node.right)
    elif isinstance(node, ast.Constant) and node.value is None:
        yield "None"
    elif isinstance(node, ast.Subscript):
        head = list(_alternatives(node.value))
        if head == ["Optional"]:
            yield from _alternatives(node.slice)
            yield "None"
        else:
            yield from head
    elif isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    else:
        yield "?"
