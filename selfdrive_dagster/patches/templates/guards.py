"""Guard: leave early, skip, or catch, where the statement would fail.

A guard stops a crash; whether its value is right is for claims and proof to say. Values come
from what the function already returns, then from its annotation, then None.
"""

import ast
import re
from collections.abc import Iterator
from typing import Any

from selfdrive_dagster.patches.facts import UNKNOWN, number_of
from selfdrive_dagster.patches.ingredients import returned
from selfdrive_dagster.patches.syntax import FUNCTIONS, dotted, parse_quietly, walk
from selfdrive_dagster.patches.templates.handlers import raisable
from selfdrive_dagster.patches.templates.site import SIMPLE, Rewrite, Site

_EMPTIES = {
    "str": '""', "list": "[]", "dict": "{}", "tuple": "()", "set": "set()", "int": "0",
    "float": "0.0", "bool": "False", "bytes": 'b""', "List": "[]", "Dict": "{}",
}  # fmt: skip
_NONE_CRASHES = ("AttributeError", "TypeError")
# Asking twice must not change the answer.
_CONSUMING = re.compile(r"\b(next|pop|popleft|popitem|read|readline|recv|send|await|yield)\b")


def guard(site: Site) -> Iterator[Rewrite]:
    """Yield early returns, skips and raises under the condition that fails here."""
    if site.function is None:
        return
    top = _top(site)
    for condition, cost in _conditions(site):
        for leave, says in _leaves(site):
            lines = [f"if {condition}:", f">{leave}"]
            text = f"{says} when `{condition}`, where it {site.fails}"
            yield from _present(site.before(site.statement, lines, text, cost=cost))
            if top is not None and top is not site.statement and _holds_at_top(site, condition):
                yield from _present(site.before(top, lines, text, cost=cost + 1))


def _present(made: Rewrite | None) -> Iterator[Rewrite]:
    if made is not None:
        yield made


def _top(site: Site) -> ast.stmt | None:
    """Return the first statement of the function after its docstring."""
    body = site.function.body if site.function else []
    start = (
        1
        if body and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
        else 0
    )
    return body[start] if len(body) > start else None


def _holds_at_top(site: Site, condition: str) -> bool:
    """Say whether a condition reads only parameters, so that it means the same at the top."""
    names = {n.id for n in walk(parse_quietly(condition)) if isinstance(n, ast.Name)}
    arguments = site.function.args if site.function else None
    if arguments is None:
        return False
    given = {arg.arg for arg in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
    return names <= given | {"len", "isinstance"}


def _conditions(site: Site) -> Iterator[tuple[str, float]]:
    """Yield the conditions under which this statement fails, those seen in the crash first."""
    found: dict[str, float] = {}
    for node in site.loads():
        for condition, crashes in _failing(site, node):
            explains = not site.exception or site.exception in crashes.split()
            if explains and not _CONSUMING.search(condition):
                cost = _seen(site, node, condition)
                found[condition] = min(cost, found.get(condition, cost))
    yield from sorted(found.items(), key=lambda pair: pair[1])


def _seen(site: Site, node: ast.expr, condition: str) -> float:
    """Return a lower cost when the recorded value is the bad one, a higher when it is not."""
    held = dotted(node)
    value: Any = site.facts.value(held) if held else UNKNOWN
    if value is UNKNOWN:
        return 1.0
    bad = value is None if condition.endswith("is None") else not value
    return 0.5 if bad else 4.0


def _failing(site: Site, node: ast.expr) -> Iterator[tuple[str, str]]:
    """Yield pairs of condition and the crashes it would explain."""
    held, kind = dotted(node), site.type_of(node)
    parent = site.module.parents[node]
    if getattr(parent, "func", None) is node or (held or "").partition(".")[0] in site.fixed:
        return
    used = isinstance(parent, (ast.Attribute, ast.Subscript)) and parent.value is node
    if held and held not in ("self", "cls") and (used or not isinstance(parent, ast.Attribute)):
        if kind in ("None", "") or kind not in ("int", "float", "bool"):
            yield f"{held} is None", " ".join(_NONE_CRASHES)
        if kind not in ("bool",):
            yield f"not {held}", "IndexError ValueError ZeroDivisionError StopIteration KeyError"
    if isinstance(node, ast.Subscript) and not isinstance(node.slice, ast.Slice):
        index, base = site.operand(node.slice, 7), site.operand(node.value, 7)
        if "\n" not in index + base:
            number = number_of(node.slice)
            if number is None or site.type_of(node.value) == "dict":
                yield f"{index} not in {base}", "KeyError"
            if number is not None:
                yield f"len({base}) <= {number if number >= 0 else -number - 1}", "IndexError"
            else:
                yield f"{index} >= len({base})", "IndexError"
    if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Div, ast.FloorDiv, ast.Mod)):
        yield f"{site.operand(node.right, 7)} == 0", "ZeroDivisionError"


def _leaves(site: Site) -> Iterator[tuple[str, str]]:
    """Yield the ways to leave, likeliest first, each with the behaviour it invents."""
    if _in_loop(site):
        yield "continue", "skips an item"
    for value in results(site)[:5]:
        yield (f"return {value}" if value else "return"), f"returns {value or None}"
    for text in raisable(site)[:2]:
        yield text, f"raises `{text.removeprefix('raise ')}`"


def results(site: Site) -> list[str]:
    """Return the values a function may return early, likeliest first; `""` is a bare return."""
    function = site.function
    known = list(returned(site.module, function))
    annotation = dotted(function.returns) if function else ""
    if function and isinstance(function.returns, ast.Subscript):
        annotation = dotted(function.returns.value)
    typed = [_EMPTIES[annotation]] if annotation in _EMPTIES else []
    kinds = [
        site.type_of(node.value)
        for node in walk(function or site.statement)
        if isinstance(node, ast.Return) and node.value is not None
    ]
    alike = [_EMPTIES[kind] for kind in kinds if kind in _EMPTIES]
    silent = "" if not kinds else "None"
    inside = site.module.class_of(site.statement) and function and function.args.args
    own = [function.args.args[0].arg] if inside and function and function.args.args else []
    getter = own if function and function.name in ("__get__", "__enter__", "__iter__") else []
    # A method may answer with itself: descriptors and builders do.
    return list(dict.fromkeys((*getter, *known, *typed, silent, *alike, *own)))


def _in_loop(site: Site) -> bool:
    for up in site.module.ancestors(site.statement):
        if isinstance(up, (ast.For, ast.While, ast.AsyncFor)):
            return site.statement not in up.orelse
        if isinstance(up, FUNCTIONS):
            return False
    return False


def catch(site: Site) -> Iterator[Rewrite]:
    """Yield the statement under `try`, with a default, a skip or an early return after it."""
    if not isinstance(site.statement, SIMPLE) or site.function is None:
        return
    exception = _catchable(site)
    for line, says in _fallbacks(site):
        text = f"{says} where it {site.fails}"
        tail = [f"except {exception}:", f">{line}"]
        yield from _present(site.wrap(site.statement, "try:", tail, text, cost=1.5))


def _catchable(site: Site) -> str:
    """Return the class to catch: the crash's own if it is built in, else Exception's nearest."""
    import builtins

    known = isinstance(getattr(builtins, site.exception, None), type)
    return site.exception if known and site.exception else "ValueError"


def _fallbacks(site: Site) -> Iterator[tuple[str, str]]:
    node = site.statement
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and site.exception:
        target = node.targets[0]
        for value in _defaults(site, target, node.value):
            yield f"{site.text(target)} = {value}", f"sets `{site.text(target)}` to {value}"
    if _in_loop(site):
        yield "continue", "skips an item"
    for value in results(site)[:4] if site.exception else ():
        yield (f"return {value}" if value else "return"), f"returns {value or None}"


def _defaults(site: Site, target: ast.expr, value: ast.expr) -> list[str]:
    """Return values for a failed assignment; one for each plain part of an unpacking."""
    if isinstance(target, ast.Tuple):
        plain = [part for part in target.elts if not isinstance(part, ast.Starred)]
        end = "," if len(plain) == 1 else ""
        wholes = [*_unpacked(site, value), '""']
        filled = [", ".join([whole, *['""'] * (len(plain) - 1)]) + end for whole in wholes]
        return [*dict.fromkeys(filled), ", ".join(["None"] * len(plain)) + end]
    kind = site.type_of(value) or site.type_of(target)
    known = [_EMPTIES[kind]] if kind in _EMPTIES else []
    return list(dict.fromkeys([*known, "None", "[]", '""']))


def _unpacked(site: Site, value: ast.expr) -> list[str]:
    """Return what was unpacked, whole: `text` of `text.split(":")`, `str(p)` of `p.parts`."""
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
        return [site.text(value.func.value)]
    if isinstance(value, ast.Attribute):
        return [f"str({site.text(value.value)})", site.text(value.value)]
    return [spelled] if (spelled := dotted(value)) else []
