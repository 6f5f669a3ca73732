"""Default: `or d`, `.get`, `getattr`, `default=`, `setdefault`, slices, initial values.

Defaults come from the repository's idioms for the same key, attribute or callee first, then
from how the value is used, then None.
"""

import ast
from collections.abc import Callable, Iterator
from itertools import pairwise

from selfdrive_dagster.patches.idioms import key_subject, looked_up, needle
from selfdrive_dagster.patches.syntax import dotted, walk
from selfdrive_dagster.patches.templates.site import Rewrite, Site

_EMPTIES = {"str": '""', "list": "[]", "dict": "{}", "int": "0", "float": "0.0", "tuple": "()"}
_USES: dict[str, str] = {
    "append": "[]", "extend": "[]", "items": "{}", "keys": "{}", "values": "{}", "get": "{}",
    "split": '""', "strip": '""', "lower": '""', "upper": '""', "join": '""', "startswith": '""',
    "add": "set()", "replace": '""', "encode": '""', "endswith": '""',
}  # fmt: skip

_OR_CRASHES = ("AttributeError", "TypeError", "ValueError", "IndexError")


def default(site: Site) -> Iterator[Rewrite]:
    """Yield every way this statement's accesses can fall back to a value."""
    for kinds, crashes, make in _WAYS:
        if not crashes or not site.exception or site.exception in crashes:
            for node in site.nodes(ast.expr):
                if isinstance(node, kinds):
                    yield from make(site, node)


def divide(site: Site) -> Iterator[Rewrite]:
    """Yield divisions that answer when the divisor is zero."""
    for node in site.nodes(ast.BinOp):
        if (
            isinstance(node.op, (ast.Div, ast.FloorDiv, ast.Mod))
            and site.type_of(node.left) != "str"
        ):
            divisor = site.operand(node.right, 4)
            whole, says = site.text(node), "where it divided by zero"
            for value in ("0", "0.0", "None"):
                new = f"{whole} if {divisor} else {value}"
                yield site.replace(node, new, f"gives {value} {says}", kind="wrap")
            yield site.replace(node.right, f"({divisor} or 1)", f"divides by 1 {says}", kind="wrap")
            new = f"max({site.text(node.right)}, 1)"
            yield site.replace(node.right, new, f"divides by 1 {says}", kind="wrap")


def _told(site: Site, kind: str, subject: str) -> list[str]:
    """Return the values the repository uses for the same key, attribute or callee."""
    found = [
        _as_written(idiom.value, site.module.text)
        for _, idiom in site.repository.idioms(needle(subject), site.module.path)
        if idiom.kind == kind and idiom.subject == subject
    ]
    return list(dict.fromkeys(found))[:3]


def _as_written(value: str, text: str) -> str:
    """Return a value with the quotes that a file prefers."""
    plain = value[:1] == "'" and value.count("'") == 2 and not set('"\\') & set(value)
    return value.replace("'", '"') if plain and text.count('"') > text.count("'") else value


def _wanted(site: Site, node: ast.expr) -> list[str]:
    """Return default values that the use of an expression suggests, then None."""
    parent = site.module.parents[node]
    found: list[str] = []
    if isinstance(parent, ast.Attribute) and parent.attr in _USES:
        found.append(_USES[parent.attr])
    if isinstance(parent, (ast.For, ast.comprehension, ast.Starred)):
        found.append("[]")
    if isinstance(parent, ast.BinOp):
        other = parent.right if parent.left is node else parent.left
        found.append(_EMPTIES.get(site.type_of(other), "0"))
    if isinstance(parent, ast.AugAssign):
        found.append(_EMPTIES.get(site.type_of(parent.value), "0"))
    if isinstance(parent, ast.Call) and dotted(parent.func) in ("int", "float", "sum", "abs"):
        found.append("0")
    kind = site.type_of(node)
    found += [_EMPTIES[kind]] if kind in _EMPTIES else []
    return found


def _keyed(site: Site, node: ast.Subscript) -> Iterator[Rewrite]:
    """Yield `d.get(k, v)`, `d.setdefault(k, v)` and a default read before an update."""
    if isinstance(node.slice, (ast.Slice, ast.Tuple)) or site.type_of(node.value) in (
        "list",
        "str",
    ):
        return
    base, key = site.operand(node.value, 16), site.text(node.slice)
    wanted, number = _wanted(site, node), isinstance(node.slice, ast.UnaryOp)
    told = _told(site, "get", key_subject(node.value, node.slice))
    if isinstance(node.slice, ast.Constant) and not isinstance(node.slice.value, str):
        number = site.type_of(node.value) != "dict"
    if number or "\n" in base + key:
        return
    if isinstance(node.ctx, ast.Load):
        for empty in [value for value in ("[]", "{}", "set()") if value in wanted]:
            says = f"stores {empty} where {key} was missing"
            yield site.replace(node, f"{base}.setdefault({key}, {empty})", says)
        values = dict.fromkeys((*told, *wanted, "None", '""', "0", "[]", "{}"))
        for cost, value in enumerate(values, start=2):
            new = f"{base}.get({key})" if value == "None" else f"{base}.get({key}, {value})"
            says = f"uses {value} where {key} is missing"
            yield site.replace(node, new, says, cost=cost / 2)
    elif isinstance(site.statement, ast.AugAssign) and site.statement.target is node:
        yield from _updated(site, node, f"{base}.get({key}, {{0}})")


def _updated(site: Site, node: ast.Subscript, shape: str) -> Iterator[Rewrite]:
    """Yield `d[k] = d.get(k, 0) + n` for `d[k] += n`."""
    span, value = site.module.lines.span(node), site.statement
    if not isinstance(value, ast.AugAssign):
        return
    start, stop = span.stop, site.module.lines.span(value.value).start
    operator = site.module.text[start:stop].strip().rstrip("=")
    for empty in dict.fromkeys((_EMPTIES.get(site.type_of(value.value), "0"), "0", "1")):
        says = f"starts from {empty} where the key is missing"
        yield site.swap_text(start, stop, f" = {shape.format(empty)} {operator} ", says)


def _first(site: Site, node: ast.Subscript) -> Iterator[Rewrite]:
    """Yield an element that may be missing: a slice of a string, an `if`, an `or [d]`."""
    if isinstance(node.slice, ast.Slice) or not isinstance(node.ctx, ast.Load):
        return
    base, kind = site.operand(node.value, 16), site.type_of(node.value)
    index, text = site.text(node.slice), site.text(node)
    if kind == "dict" or "\n" in text:
        return
    if kind in ("str", "") and index in ("0", "-1"):
        new = f"{base}[:1]" if index == "0" else f"{base}[-1:]"
        yield site.replace(node, new, "reads an empty part where there is no element")
    for value in dict.fromkeys((*_wanted(site, node), "None", '""')):
        new, says = f"{text} if {base} else {value}", f"uses {value} where there is no element"
        yield site.replace(node, new, says, cost=1.5, kind="wrap")
        if index not in ("0", "-1"):
            new = f"{text} if len({base}) > {index} else {value}"
            yield site.replace(node, new, says, cost=1.5, kind="wrap")


def _called(site: Site, node: ast.Call) -> Iterator[Rewrite]:
    """Yield `default=` for max and min, a second argument for next, pop and getattr, `or`."""
    name = dotted(node.func)
    last = node.func.attr if isinstance(node.func, ast.Attribute) else name
    keywords = {keyword.arg for keyword in node.keywords}
    if name in ("max", "min") and len(node.args) == 1 and "default" not in keywords:
        told = _told(site, "default", f"{name}({ast.unparse(node.args[0])})")
        for value in dict.fromkeys((*told, *_wanted(site, node), "0", "None")):
            yield insert_argument(site, node, f"default={value}", f"gives {value} for nothing")
    if (name == "next" and len(node.args) == 1) or (name == "getattr" and len(node.args) == 2):
        for value in dict.fromkeys((*_wanted(site, node), "None")):
            yield insert_argument(site, node, value, f"gives {value} where there is none")
    if last == "pop" and len(node.args) == 1 and site.type_of(node.args[0]) != "int":
        key, owner = site.text(node.args[0]), getattr(node.func, "value", node.func)
        told = _told(site, "pop", key_subject(owner, node.args[0]))
        for value in dict.fromkeys((*told, *_wanted(site, node), "None")):
            yield insert_argument(site, node, value, f"takes {value} where {key} is missing")
    if last in ("split", "rsplit") and len(node.args) == 1:
        yield from _parts(site, node)


def insert_argument(site: Site, node: ast.Call, text: str, says: str, cost: float = 1.0) -> Rewrite:
    """Return the rewrite that appends an argument to a call."""
    arguments = [*node.args, *(keyword.value for keyword in node.keywords)]
    spans = [site.module.lines.span(argument) for argument in arguments]
    close = site.module.lines.span(node).stop - 1
    if not spans:
        return site.swap_text(close, close, text, says, cost)
    last = max(span.stop for span in spans)
    if last > close:  # a lone generator shares the call's parentheses
        whole = site.module.text[spans[0]]
        return site.swap_text(spans[0].start, last, f"({whole}, {text})", says, cost)
    while site.module.text[last:close].lstrip()[:1] == ")":
        last = site.module.text.index(")", last) + 1
    return site.swap_text(last, last, f", {text}", says, cost)


def _parts(site: Site, node: ast.Call) -> Iterator[Rewrite]:
    """Yield splits that give as many parts as are unpacked."""
    statement = site.statement
    if not (isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Tuple)):
        return
    count = len(statement.targets[0].elts)
    says = f"takes {count} parts whatever the text holds"
    yield insert_argument(site, node, str(count - 1), says)
    text = site.text(node)
    if isinstance(node.func, ast.Attribute) and count in (2, 3):
        base, separator = site.operand(node.func.value, 16), site.text(node.args[0])
        way = "rpartition" if node.func.attr == "rsplit" else "partition"
        end = "[::2]" if count == 2 else ""
        yield site.replace(node, f"{base}.{way}({separator}){end}", says)
    fill = ", ".join(['""'] * (count - 1)) + ("," if count == 2 else "")
    yield site.replace(node, f"(*{text}, {fill})[:{count}]", says, cost=1.5, kind="wrap")
    yield site.replace(node, f'({text} + [""] * {count})[:{count}]', says, cost=2.0, kind="wrap")


def _attribute(site: Site, node: ast.Attribute) -> Iterator[Rewrite]:
    """Yield `getattr(x, "a", d)` and `x.a if x is not None else d`."""
    if not isinstance(node.ctx, ast.Load) or dotted(node.value) in site.fixed:
        return
    missing = site.facts.clues.get("attribute") or site.facts.clues.get("none_attribute")
    parent = site.module.parents[node]
    if missing and node.attr != missing:
        return
    base = site.operand(node.value, 16)
    if (base in ("self", "cls") and not missing) or "\n" in base:
        return
    called = isinstance(parent, ast.Call) and parent.func is node
    outer: ast.expr = parent if called and isinstance(parent, ast.Call) else node
    told = _told(site, "getattr", node.attr)
    for value in dict.fromkeys((*told, *_wanted(site, outer), "None")):
        if not called:
            says = f"uses {value} where there is no `.{node.attr}`"
            new = f'getattr({site.text(node.value)}, "{node.attr}", {value})'
            yield site.replace(node, new, says, cost=1.5)
        if "\n" not in site.text(outer):
            says = f"uses {value} where `{base}` is None"
            new = f"{site.text(outer)} if {base} is not None else {value}"
            yield site.replace(outer, new, says, cost=1.5, kind="wrap")


def _or(site: Site, node: ast.expr) -> Iterator[Rewrite]:
    """Yield `x or d` where the use tells which `d`, or where x was seen to be None."""
    parent = site.module.parents[node]
    if not isinstance(getattr(node, "ctx", ast.Load()), ast.Load) or "\n" in site.text(node):
        return
    if getattr(parent, "func", None) is node or dotted(node) == "self":
        return
    held = dotted(node)
    if held is not None and held.partition(".")[0] in site.fixed:
        return
    seen = held is not None and site.facts.values.get(held, 1) is None
    told = _told(site, "or", held) if held else _told(site, "lookup_or", looked_up(node))
    extra = ["[]", '""', "0", "{}"] if seen else []
    for value in dict.fromkeys((*told, *_wanted(site, node), *extra)):
        says = f"uses {value} where there was nothing"
        cost = 1.0 if seen else 1.5
        yield site.replace(
            node, f"{site.operand(node, 4)} or {value}", says, cost=cost, kind="wrap"
        )
        if isinstance(parent, ast.For) and parent.iter is node and value == "[]":
            return


def initialise(site: Site) -> Iterator[Rewrite]:
    """Yield a first value for a name that some branch leaves unbound."""
    function, name = site.function, site.facts.clues.get("name", "")
    if function is None:
        return
    bound = [
        node
        for node in walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == name
    ]
    if not bound:
        return
    place = _branch_before(site, bound[0])
    values = [
        site.type_of(parent.value)
        for node in bound
        if isinstance(parent := site.module.parents[node], ast.Assign)
    ]
    fitting = [_EMPTIES[kind] for kind in values if kind in _EMPTIES]
    for value in dict.fromkeys((*fitting, "None", "0", '""', "[]", "{}", "False")):
        says = f"starts `{name}` as {value}"
        if place and (made := site.before(place, [f"{name} = {value}"], says)):
            yield made


def _branch_before(site: Site, node: ast.AST) -> ast.stmt | None:
    """Return the outermost statement of the function that holds the conditional assignment."""
    chain = [node, *site.module.ancestors(node)]
    for inner, outer in pairwise(chain):
        if outer is site.function and isinstance(inner, ast.stmt):
            return inner
    return None


# Which accesses fall back, for which crashes (none named: for all), in this order.
_WAYS: tuple[
    tuple[tuple[type[ast.expr], ...], tuple[str, ...], Callable[..., Iterator[Rewrite]]], ...
] = (
    ((ast.Subscript,), ("KeyError",), _keyed),
    ((ast.Subscript,), ("IndexError",), _first),
    ((ast.Call,), ("ValueError", "StopIteration", "KeyError", "AttributeError"), _called),
    ((ast.Subscript, ast.Call, ast.Attribute, ast.Name), _OR_CRASHES, _or),
    ((ast.Attribute,), ("AttributeError", "TypeError"), _attribute),
)
