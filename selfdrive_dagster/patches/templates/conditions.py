"""Condition: a test made stronger or weaker by an atom, negated, or replaced.

Atoms speak of what the test itself reads: `x`, `x is not None`, `len(x) > 1`, `k in d`,
`x[-1] == "}"`. The exception decides which atoms come first.
"""

import ast
from collections.abc import Iterator

import msgspec

from selfdrive_dagster.patches.facts import spelling
from selfdrive_dagster.patches.ingredients import expressions
from selfdrive_dagster.patches.templates.site import Rewrite, Site

_BRACKETS = {"{": "}", "(": ")", "[": "]", "<": ">"}
_SIZED = ("str", "list", "tuple", "dict", "set", "bytes", "")
_HELD_BY_CALL = ("len", "int", "float", "max", "min", "str")


class Atom(msgspec.Struct, frozen=True):
    """A small condition under which the expression beside it is safe; `suits` names its crash."""

    text: str
    suits: str
    cost: float = 1.0


def conditions(site: Site) -> Iterator[Rewrite]:
    """Yield tests strengthened before and after, weakened, negated, replaced."""
    tests = list(dict.fromkeys(_tests(site)))
    for test in tests:
        yield from _strengthened(site, test, _atoms(site, test, test))
    for test in tests:
        yield from _turned(site, test)
    for test in tests:
        yield from _strengthened(site, test, _nearby(site), weight=2.0)


def _tests(site: Site) -> Iterator[ast.expr]:
    """Yield the tests of a statement, the innermost operands first."""
    whole = getattr(site.statement, "test", None)
    tests = [whole] if isinstance(whole, ast.expr) else []
    tests += [node.test for node in site.nodes(ast.IfExp)]
    tests += [test for node in site.nodes(ast.comprehension) for test in node.ifs]
    tests += [node for node in site.nodes(ast.BoolOp) if node not in tests]
    value = getattr(site.statement, "value", None)
    if isinstance(site.statement, (ast.Return, ast.Assign)) and isinstance(value, ast.Compare):
        tests.append(value)
    for test in tests:
        if isinstance(test, ast.BoolOp):
            yield from sorted(test.values, key=lambda node: node.lineno != site.line)
    yield from tests


def _strengthened(
    site: Site, test: ast.expr, atoms: list[Atom], weight: float = 1.0
) -> Iterator[Rewrite]:
    """Yield `atom and test` for the atoms of this crash, then the other three combinations."""
    crash = site.exception
    ordered = sorted(atoms, key=lambda atom: (crash not in atom.suits.split(), atom.cost))
    said = site.text(test)
    for atom in ordered:
        cost = weight * (atom.cost if crash in atom.suits.split() or not crash else atom.cost + 1)
        says = f"takes the other branch unless `{atom.text}`"
        text = f"{atom.text} and {_part(site, test, ast.And)}"
        yield site.replace(test, text, says, cost=cost, kind="wrap")
        if crash not in atom.suits.split():
            weak = _part(site, test, ast.Or)
            text = f"{_part(site, test, ast.And)} and {atom.text}"
            yield site.replace(test, text, says, cost=cost, kind="wrap")
            says = f"takes this branch also when `{atom.text}`"
            yield site.replace(test, f"{weak} or {atom.text}", says, cost=cost, kind="wrap")
            if "\n" not in said:
                yield site.replace(test, f"not ({atom.text}) or {weak}", says, cost=cost + 1)


def _part(site: Site, test: ast.expr, joiner: type[ast.boolop]) -> str:
    """Return a test as an operand of `and` or `or`."""
    if isinstance(test, ast.BoolOp) and isinstance(test.op, joiner):
        return site.text(test) if _enclosed(site, test) else site.operand(test, 3)
    return site.operand(test, 5 if joiner is ast.And else 4)


def _enclosed(site: Site, node: ast.expr) -> bool:
    span, text = site.module.lines.span(node), site.module.text
    return text[span.start - 1 : span.start] == "(" and text[span.stop : span.stop + 1] == ")"


def _atoms(site: Site, test: ast.AST, whole: ast.expr) -> list[Atom]:
    """Return the atoms that the expressions inside a test suggest, first seen first."""
    found: dict[str, Atom] = {}
    for node in ast.walk(test):
        if isinstance(node, ast.expr) and node not in site.module.sealed:
            for atom in _atoms_of(site, node, whole):
                found.setdefault(atom.text, atom)
    return list(found.values())


def _atoms_of(site: Site, node: ast.expr, whole: ast.expr) -> Iterator[Atom]:
    if isinstance(node, ast.Subscript):
        yield from _indexed(site, node)
    elif isinstance(node, ast.Compare):
        yield from _mirrored(site, node)
    elif isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.Mod, ast.FloorDiv)):
        yield Atom(f"{site.operand(node.right, 7)} != 0", "ZeroDivisionError")
    held = spelling(node)
    if (
        held
        and held not in ("self", "True", "False")
        and node is not whole
        and _is_value(site, node)
    ):
        yield from _named(site, held, site.type_of(node))


def _is_value(site: Site, node: ast.expr) -> bool:
    parent = site.module.parents[node]
    called = isinstance(parent, ast.Call) and parent.func is node
    return not called and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)


def _indexed(site: Site, node: ast.Subscript) -> Iterator[Atom]:
    """Yield what makes an index or a key safe: `len(x) > i`, `x`, `k in d`."""
    base, kind = site.operand(node.value, 16), site.type_of(node.value)
    index = node.slice
    if isinstance(index, ast.Slice) or "\n" in base:
        return
    number = _number(index)
    if number is not None and kind != "dict":
        least = number if number >= 0 else -number - 1
        yield Atom(f"len({base}) > {least}", "IndexError")
        yield Atom(base, "IndexError TypeError", 1.5)
        yield Atom(f"len({base}) > {least + 1}", "IndexError", 1.5)
    elif kind not in ("dict", "str"):
        held = site.operand(index, 7)
        yield Atom(f"{held} < len({base})", "IndexError")
        yield Atom(base, "IndexError", 1.5)
    if kind not in ("list", "str", "tuple"):
        yield Atom(
            f"{site.operand(index, 7)} in {base}", "KeyError", 1.0 if kind == "dict" else 2.0
        )


def _number(node: ast.expr) -> int | None:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        inner = _number(node.operand)
        return None if inner is None else -inner
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value
    return None


def _mirrored(site: Site, node: ast.Compare) -> Iterator[Atom]:
    """Yield the same question about the other end: `x[0] == "{"` suggests `x[-1] == "}"`."""
    left, right = node.left, node.comparators[0]
    if not (isinstance(left, ast.Subscript) and isinstance(right, ast.Constant)):
        return
    number = _number(left.slice)
    if number in (0, -1) and isinstance(right.value, str) and len(node.ops) == 1:
        sign = "==" if isinstance(node.ops[0], ast.Eq) else "!="
        closing = {**_BRACKETS, **{b: a for a, b in _BRACKETS.items()}}.get(
            right.value, right.value
        )
        index = -1 if number == 0 else 0
        base = site.text(left.value)
        yield Atom(f"{base}[{index}] {sign} {closing!r}", "ValueError KeyError", 1.0)


def _named(site: Site, name: str, kind: str) -> Iterator[Atom]:
    """Yield questions about one name or attribute, those of its type first."""
    crashes = "AttributeError TypeError"
    if kind not in ("int", "float", "bool"):
        yield Atom(f"{name} is not None", crashes, 1.0 if kind in ("None", "") else 2.0)
        yield Atom(name, "IndexError ValueError KeyError " + crashes, 1.5)
    if kind in _SIZED and kind:
        yield Atom(f"len({name}) > 1", "IndexError", 1.5)
    if kind in ("int", "float"):
        yield Atom(f"{name} > 0", "ZeroDivisionError ValueError", 1.5)
        yield Atom(f"{name} != 0", "ZeroDivisionError")


def _nearby(site: Site) -> list[Atom]:
    """Return atoms that the test itself does not mention: names in scope and other tests."""
    atoms = []
    for name in site.names[:6]:
        kind = site.facts.types.get(name, "")
        atoms += [Atom(f"not {name}", "", 2.0), *_named(site, name, kind)]
    if site.function:

        def is_test(node: ast.expr) -> bool:
            return isinstance(node, ast.Compare)

        near = expressions(site.module, site.function, site.line, is_test)
        atoms += [Atom(site.text(node), "", 1.5) for node in near[:4]]
    numbers = [name for name in site.names[:6] if site.facts.types.get(name) in ("int", "float")]
    atoms += [Atom(f"{a} < {b}", "", 2.0) for a in numbers for b in numbers if a != b]
    return atoms


def _turned(site: Site, test: ast.expr) -> Iterator[Rewrite]:
    """Yield a test negated, made constant, or reduced to what it speaks of."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        yield site.replace(test, site.text(test.operand), "takes the other branch")
    else:
        yield site.replace(test, f"not {site.operand(test, 5)}", "takes the other branch")
    held = spelling(test)
    if held:
        yield site.replace(test, f"{held} is not None", "asks only whether there is a value")
        yield site.replace(test, f"{held} is None", "asks whether there is no value")
    for constant in ("True", "False"):
        yield site.replace(test, constant, f"always takes the test as {constant}", cost=3.0)
