"""Condition: a test made stronger or weaker by an atom, negated, or replaced.

Atoms speak of what the test itself reads: `x`, `x is not None`, `len(x) > 1`, `k in d`,
`x[-1] == "}"`. The exception decides which atoms come first.
"""

import ast
from collections.abc import Iterator

import msgspec

from selfdrive_dagster.patches.facts import number_of
from selfdrive_dagster.patches.ingredients import constants, expressions
from selfdrive_dagster.patches.ordering import round_robin
from selfdrive_dagster.patches.syntax import dotted, walk
from selfdrive_dagster.patches.templates.site import Rewrite, Site

_BRACKETS = {"{": "}", "(": ")", "[": "]", "<": ">"}
LONGEST_MARK = len(r"'\U0010ffff'")
"""Characters of the longest spelling of one character."""

_SIZED = ("str", "list", "tuple", "dict", "set", "bytes", "")


class Atom(msgspec.Struct, frozen=True):
    """A small condition under which the expression beside it is safe; `suits` names its crash."""

    text: str
    suits: str
    cost: float = 1.0


def conditions(site: Site) -> Iterator[Rewrite]:
    """Yield tests strengthened before and after, weakened, negated, replaced.

    What suits the crash comes first; without a crash the plain turns of a test do.
    """
    tests = list(dict.fromkeys(_tests(site)))
    for settled in [test for test in tests if isinstance(test, ast.Constant)]:
        tests.remove(settled)
        yield from _told(site, settled)
    atoms = {test: _atoms(site, test, test) for test in tests}
    if site.exception:
        yield from round_robin(_safe(site, test, atoms[test]) for test in tests)
    yield from round_robin(_turned(site, test) for test in tests)
    yield from round_robin(_joined(site, test, atoms[test]) for test in tests)
    near = _nearby(site)
    yield from round_robin(_joined(site, test, near, weight=1.5) for test in tests)
    ends = list(_ends(site))
    yield from round_robin(_joined(site, test, ends, weight=1.5) for test in tests)
    for test in tests:
        for constant in ("True", "False"):
            yield site.replace(test, constant, f"always takes the test as {constant}", cost=2.0)


def _told(site: Site, test: ast.Constant) -> Iterator[Rewrite]:
    """Yield the other answer, and questions, for a test that is always answered alike."""
    yield site.replace(test, str(not test.value), "takes the other branch")
    for atom in sorted(_nearby(site), key=lambda atom: atom.cost):
        yield site.replace(test, atom.text, f"asks whether `{atom.text}`", cost=atom.cost)


def _ends(site: Site) -> Iterator[Atom]:
    """Yield `x[-1] == "}"` for the texts read here and the short texts the function knows."""
    held = {
        dotted(node.value)
        for node in (walk(site.function) if site.function else ())
        if isinstance(node, ast.Subscript)
    }
    marks = [
        text for text in constants(site.module, site.function, "str", site.line) if _is_mark(text)
    ]
    for name in site.names[:4]:
        kind = site.facts.types.get(name, "")
        if kind == "str" or (not kind and name in held):
            for mark in marks[:2]:
                yield Atom(f"{name}[-1] == {mark}", "", 2.0)
                yield Atom(f"{name}[0] == {mark}", "", 2.5)


def _is_mark(text: str) -> bool:
    return len(text) <= LONGEST_MARK and len(ast.literal_eval(text)) == 1


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


def _safe(site: Site, test: ast.expr, atoms: list[Atom]) -> Iterator[Rewrite]:
    """Yield `atom and test` for the atoms under which this crash cannot happen."""
    suited = [atom for atom in atoms if site.exception in atom.suits.split()]
    for atom in sorted(suited, key=lambda atom: atom.cost):
        says = f"takes the other branch unless `{atom.text}`"
        text = f"{atom.text} and {_part(site, test, ast.And)}"
        yield site.replace(test, text, says, cost=atom.cost, kind="wrap")


def _joined(
    site: Site, test: ast.expr, atoms: list[Atom], weight: float = 1.0
) -> Iterator[Rewrite]:
    """Yield an atom before or after a test, to strengthen or to weaken it."""
    both, either = _part(site, test, ast.And), _part(site, test, ast.Or)
    for atom in sorted(atoms, key=lambda atom: atom.cost):
        strong = f"takes the other branch unless `{atom.text}`"
        weak = f"takes this branch also when `{atom.text}`"
        for text, says in (
            (f"{atom.text} and {both}", strong),
            (f"{both} and {atom.text}", strong),
            (f"{either} or {atom.text}", weak),
            (f"not ({atom.text}) or {either}", f"takes this branch also unless `{atom.text}`"),
        ):
            yield site.replace(test, text, says, cost=weight * atom.cost, kind="wrap")


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
    for node in walk(test):
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
    held = dotted(node)
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
    fixed = dotted(node).partition(".")[0] in site.fixed
    return not called and not fixed and isinstance(getattr(node, "ctx", ast.Load()), ast.Load)


def _indexed(site: Site, node: ast.Subscript) -> Iterator[Atom]:
    """Yield what makes an index or a key safe: `len(x) > i`, `x`, `k in d`."""
    base, kind = site.operand(node.value, 16), site.type_of(node.value)
    index = node.slice
    if isinstance(index, ast.Slice) or "\n" in base:
        return
    number = number_of(index)
    named = isinstance(index, ast.Constant) and isinstance(index.value, str)
    if number is not None and kind != "dict":
        least = number if number >= 0 else -number - 1
        yield Atom(f"len({base}) > {least}", "IndexError")
        yield Atom(base, "IndexError TypeError", 1.5)
        yield Atom(f"len({base}) > {least + 1}", "IndexError", 1.5)
    elif kind not in ("dict", "str") and not named:
        held = site.operand(index, 7)
        yield Atom(f"{held} < len({base})", "IndexError")
        yield Atom(base, "IndexError", 1.5)
    if kind not in ("list", "str", "tuple") and (number is None or kind == "dict"):
        cost = 1.0 if kind == "dict" or named else 2.0
        yield Atom(f"{site.operand(index, 7)} in {base}", "KeyError", cost)


def _mirrored(site: Site, node: ast.Compare) -> Iterator[Atom]:
    """Yield the same question about the other end: `x[0] == "{"` suggests `x[-1] == "}"`."""
    left, right = node.left, node.comparators[0]
    if not (isinstance(left, ast.Subscript) and isinstance(right, ast.Constant)):
        return
    number = number_of(left.slice)
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
    held = dotted(test)
    if held:
        yield site.replace(test, f"{held} is not None", "asks only whether there is a value")
        yield site.replace(test, f"{held} is None", "asks whether there is no value")
