"""How tightly expressions bind: which need parentheses where."""

import ast

# Binding strength, from the grammar: an expression must bind at least as tightly as its
# place demands, else it gets parentheses.
_ATOM = 16
_BINARY: dict[type[ast.AST], int] = {
    ast.Or: 3, ast.And: 4, ast.BitOr: 7, ast.BitXor: 8, ast.BitAnd: 9,
    ast.LShift: 10, ast.RShift: 10, ast.Add: 11, ast.Sub: 11,
    ast.Mult: 12, ast.MatMult: 12, ast.Div: 12, ast.FloorDiv: 12, ast.Mod: 12, ast.Pow: 14,
}  # fmt: skip
_OTHERS: dict[type[ast.AST], int] = {
    ast.Tuple: 0, ast.Yield: 0, ast.YieldFrom: 0, ast.NamedExpr: 1, ast.Starred: 1,
    ast.Lambda: 2, ast.IfExp: 2, ast.Compare: 6, ast.Await: 15, ast.GeneratorExp: 1,
}  # fmt: skip


def binding(node: ast.expr) -> int:
    """Return how tightly an expression binds, 0 (tuple) to 16 (atom)."""
    if isinstance(node, (ast.BoolOp, ast.BinOp)):
        return _BINARY[type(node.op)]
    if isinstance(node, ast.UnaryOp):
        return 5 if isinstance(node.op, ast.Not) else 13
    return _OTHERS.get(type(node), _ATOM)


def demanded(parent: ast.AST, child: ast.AST) -> int:
    """Return how tightly an expression in this place must bind to need no parentheses."""
    if isinstance(parent, ast.BoolOp):
        return _BINARY[type(parent.op)] + 1
    if isinstance(parent, ast.BinOp):
        strength = _BINARY[type(parent.op)]
        tight_right = isinstance(parent.op, ast.Pow) == (child is parent.left)
        return strength + (1 if tight_right else 0)
    if isinstance(parent, ast.UnaryOp):
        return 5 if isinstance(parent.op, ast.Not) else 13
    if isinstance(parent, ast.IfExp):
        return 2 if child is parent.orelse else 3
    if isinstance(parent, (ast.Assign, ast.Return, ast.Expr)):
        return 0
    if child is getattr(parent, "value" if isinstance(parent, ast.Subscript) else "func", None):
        return _ATOM
    return _DEMANDS.get(type(parent), 1)


_DEMANDS: dict[type[ast.AST], int] = {
    ast.Compare: 7, ast.Attribute: _ATOM, ast.Call: 2, ast.Subscript: 2, ast.Starred: 7,
    ast.comprehension: 3, ast.Await: _ATOM, ast.keyword: 2, ast.Slice: 2, ast.Tuple: 2,
    ast.List: 2, ast.Dict: 3, ast.Set: 2, ast.AugAssign: 1, ast.Lambda: 2,
}  # fmt: skip
