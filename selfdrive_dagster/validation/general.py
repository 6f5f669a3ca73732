"""The check `general`: does a repair rest on the word of one failing test alone?

In the failing-test track every plausible patch may claim REPAIR, because a test demands the
behaviour. But one test asks for one answer to one input, and a constant gives it as well as
the right formula: `assert f(2) == 7` is content with `return 7`, a published bug (parse 1.21.0)
with the factor 1000001 where 1000000 had to be rounded. Three edits are odd:

- `ANSWER`: a literal that the failing test expects comes in. Believed when another failing
  test, which does not name that literal, passes as well.
- `BARE`: a constant stands where something was computed. Believed when the patch answers
  neighbours of the failing call with more than one value.
- `NUMBER`: a number becomes one that the file did not know. Believed when two failing tests pass.

A boundary is no oddity: a constant that was a constant before, in a comparison, an index or a
range (`> 10` to `> 11`, `[1:]` to `[2:]`), and so is `>` to `>=`, which brings in no literal.

Its limits: it reads literals, so an odd formula (`n * 3 + 1`) passes, as do a number the file
already knows and a wrong boundary; what a fixture or another file expects it does not see; and
a right repair of one wrong number, told by one test, stays INCONCLUSIVE until a second asks.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import Any

import msgspec

from selfdrive_dagster.model import Candidate, Check, Product, Reproducer
from selfdrive_dagster.patches.claims import is_repair
from selfdrive_dagster.patches.syntax import dotted, last_name
from selfdrive_dagster.validation.neighbours import Comparison

ANSWER, BARE, NUMBER = "answer", "bare", "number"
SMALL = 2
"""Numbers up to this, and texts shorter than `SHORT`, stand in every test: they tell nothing."""
SHORT = 3
BOUNDED = frozenset(("range", "min", "max", "islice", "round"))

Overlay = dict[str, str | None]


class Edit(msgspec.Struct, frozen=True):
    """One smallest difference of two trees: what went, what came, and the nodes around it."""

    old: tuple[ast.AST, ...]
    new: tuple[ast.AST, ...]
    above: tuple[ast.AST, ...]


class Oddity(msgspec.Struct, frozen=True):
    """One odd edit: its kind, the literal that came, and the same in words."""

    kind: str
    value: Any
    says: str


def judge(
    candidate: Candidate,
    overlay: Overlay,
    reproducer: Reproducer,
    product: Product,
    compared: Comparison | None,
) -> Check:
    """Return the check `general` of a repair that a failing test supports."""
    if is_repair(candidate.supports, failing_test=False):
        says = "more than a failing test supports the value"
        return Check(name="general", passed=True, says=says)
    expected = {i: expected_by(product, i) for i in reproducer.node_ids}
    for path, text in overlay.items():
        for odd in oddities(product.read(path), text or "", set().union(*expected.values())):
            if not _is_believed(odd, candidate, expected, compared):
                return Check(name="general", passed=None, says=f"{odd.says}: {_WANTED[odd.kind]}")
    says = "no value of the patch rests on the word of one failing test"
    return Check(name="general", passed=True, says=says)


def oddities(old: str, new: str, expected: Iterable[Any]) -> Iterator[Oddity]:
    """Yield the odd edits between two texts of a file; `expected` are literals of the tests."""
    before, after = _parse(old), _parse(new)
    known = set(_literals([before]))
    for edit in edits(before, after):
        if not _is_boundary(edit):
            yield from _answers(edit, expected)
            yield from _bare(edit)
            yield from _numbers(edit, known)


def edits(old: ast.AST, new: ast.AST, above: tuple[ast.AST, ...] = ()) -> Iterator[Edit]:
    """Yield the smallest differences of two trees."""
    if type(old) is not type(new) or isinstance(old, ast.Constant):
        yield from [Edit((old,), (new,), above)] * (ast.dump(old) != ast.dump(new))
        return
    for name in old._fields:
        one, other = getattr(old, name, None), getattr(new, name, None)
        if isinstance(one, ast.AST) and isinstance(other, ast.AST):
            yield from edits(one, other, (*above, new))
        elif isinstance(one, list) and isinstance(other, list):
            yield from _list_edits(one, other, (*above, new))
        elif one != other:
            yield Edit((old,), (new,), above)


def expected_by(product: Product, node_id: str) -> frozenset[Any]:
    """Return the literals that one failing test names outside the calls it makes.

    Those of a parametrised case are its own where its id shows them.
    """
    path, _, rest = node_id.partition("::")
    name, _, case = rest.partition("[")
    module = _parse(product.read(path)) if product.has(path) else ast.Module([], [])
    found = [n for n in ast.walk(module) if getattr(n, "name", None) == name.split("::")[-1]]
    tests: list[ast.AST] = [*found] or [module]
    named = {n.id for test in tests for n in ast.walk(test) if isinstance(n, ast.Name)}
    shared = [n.value for n in module.body if isinstance(n, ast.Assign) and _binds(n, named)]
    told = frozenset(v for top in (*tests, *shared) for v in _literals(_outside_calls(top)))
    shown = set(case.removesuffix("]").split("-"))
    other_cases = {value for value in told if case and str(value) not in shown}
    return told - other_cases if shown & {str(value) for value in told} else told


def _is_believed(
    odd: Oddity,
    candidate: Candidate,
    expected: dict[str, frozenset[Any]],
    compared: Comparison | None,
) -> bool:
    if odd.kind == ANSWER:
        return any(odd.value not in values for values in expected.values())
    if odd.kind == NUMBER:
        return len(expected) > 1
    calls = [n for n in compared.neighbours if n.test in expected] if compared else []
    given = [neighbour.variants.get(candidate.id, {}) for neighbour in calls]
    returned = {answer.get("value") for answer in given if answer.get("how") == "returned"}
    return len(returned) > 1


_WANTED = {
    ANSWER: "one test cannot tell it from the right formula, a second failing test could",
    BARE: "no neighbouring input shows that the answer varies",
    NUMBER: "one test cannot tell it from other numbers, a second failing test could",
}


def _answers(edit: Edit, expected: Iterable[Any]) -> Iterator[Oddity]:
    """Yield literals that came and that a test expects, whole or within a text.

    Those of a `raise` do not count: the words of an error are as the test wants them.
    """
    if any(isinstance(node, ast.Raise) for node in edit.above):
        return
    raised = [n for top in edit.new for n in ast.walk(top) if isinstance(n, ast.Raise)]
    came = Counter(_literals(edit.new)) - Counter(_literals((*edit.old, *raised)))
    for value in filter(_is_telling, came):
        for wanted in filter(_is_telling, expected):
            within = isinstance(value, str) and isinstance(wanted, str) and wanted in value
            if within or value == wanted:
                yield Oddity(ANSWER, wanted, f"the patch brings in {value!r}, as the test wants")


def _bare(edit: Edit) -> Iterator[Oddity]:
    if len(edit.new) == len(edit.old) == 1 and _is_bare(edit.new[0]):
        if isinstance(edit.old[0], ast.expr) and not _is_bare(edit.old[0]):
            text = ast.unparse(edit.new[0])
            yield Oddity(BARE, text, f"the patch puts {text} where something was computed")
    elif edit.above and isinstance(edit.above[-1], (ast.FunctionDef, ast.AsyncFunctionDef)):
        for node in edit.new:
            if isinstance(node, ast.Return) and node.value is not None and _is_bare(node.value):
                text = ast.unparse(node.value)
                yield Oddity(BARE, text, f"the patch returns {text} in every case")


def _numbers(edit: Edit, known: set[Any]) -> Iterator[Oddity]:
    if not len(edit.old) == len(edit.new) == 1 or not _is_bare(edit.old[0]):
        return
    came = Counter(_literals(edit.new)) - Counter(_literals(edit.old))
    for value in came:
        if isinstance(value, (int, float)) and _is_telling(value) and value not in known:
            yield Oddity(NUMBER, value, f"the patch brings in the number {value!r}")


def _is_boundary(edit: Edit) -> bool:
    """Say whether a constant was and is one, in a comparison, an index or a range."""
    kept = len(edit.old) == len(edit.new) == 1 and _is_bare(edit.old[0]) and _is_bare(edit.new[0])
    inner = takewhile(lambda node: isinstance(node, (ast.expr, ast.keyword)), edit.above[::-1])
    return kept and any(
        isinstance(node, (ast.Compare, ast.Subscript, ast.Slice))
        or (isinstance(node, ast.Call) and last_name(dotted(node.func)) in BOUNDED)
        for node in inner
    )


def _is_bare(node: ast.AST) -> bool:
    """Say whether an expression is made of literals alone."""
    plain = (ast.Constant, ast.Tuple, ast.List, ast.Dict, ast.Set, ast.UnaryOp)
    return isinstance(node, plain) and all(
        isinstance(inner, (*plain, ast.unaryop, ast.expr_context)) for inner in ast.walk(node)
    )


def _is_telling(value: Any) -> bool:
    if isinstance(value, (str, bytes)):
        return len(value) >= SHORT
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) > SMALL


def _literals(nodes: Iterable[ast.AST]) -> Iterator[Any]:
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Constant):
                yield inner.value


def _outside_calls(node: ast.AST) -> Iterator[ast.AST]:
    """Yield the literals below a node that are no arguments of a call that does something.

    What is asserted, parametrised or built (`Decimal("1.5")`, `dict(a=1)`) counts.
    """
    if isinstance(node, ast.Constant):
        yield node
    name = last_name(dotted(node.func)) if isinstance(node, ast.Call) else "assert"
    if name.startswith("assert") or name[:1].isupper() or name in _TELLS:
        for child in ast.iter_child_nodes(node):
            yield from _outside_calls(child)


_TELLS = frozenset(("parametrize", "param", "approx", "dict", "list", "set", "tuple", "frozenset"))


def _list_edits(old: list[Any], new: list[Any], above: tuple[ast.AST, ...]) -> Iterator[Edit]:
    head = _alike(old, new)
    old, new = old[head:], new[head:]
    tail = _alike(old[::-1], new[::-1])
    old, new = old[: len(old) - tail], new[: len(new) - tail]
    nodes = all(isinstance(item, ast.AST) for item in (*old, *new))
    if nodes and len(old) == len(new):
        for one, other in zip(old, new, strict=True):
            yield from edits(one, other, above)
    elif nodes and (old or new):
        yield Edit(tuple(old), tuple(new), above)


def _alike(old: list[Any], new: list[Any]) -> int:
    """Return how many items two lists share at their start."""
    pairs = zip(old, new, strict=False)
    return sum(1 for _ in takewhile(lambda pair: _text(pair[0]) == _text(pair[1]), pairs))


def _text(item: Any) -> str:
    return ast.dump(item) if isinstance(item, ast.AST) else repr(item)


def _binds(statement: ast.Assign, names: set[str]) -> bool:
    return any(isinstance(t, ast.Name) and t.id in names for t in statement.targets)


def _parse(text: str) -> ast.Module:
    return ast.parse(text.removeprefix("\ufeff"))
