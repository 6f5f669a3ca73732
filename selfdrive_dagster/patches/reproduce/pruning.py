"""A cut test's module, freed of what the test does not need, and given what it does.

What stays: the names that the test comes to through helpers and fixtures, whatever pytest
finds by itself, and the author's own formatting.
"""

import ast
import re
from collections.abc import Iterator

from selfdrive_dagster.patches.syntax import FunctionNode, dotted, last_name
from selfdrive_dagster.patches.text import Edit, Lines, apply_edits
from selfdrive_dagster.patches.values import Import

_KEPT_HOOKS = re.compile(r"pytest_\w+|setup\w*|teardown\w*|setUp\w*|tearDown\w*|pytestmark|__\w+__")


class CannotBorrowError(Exception):
    """The test cannot be cut there; the message says why."""


def pruned(text: str, name: str) -> str:
    """Leave out what the test does not need: unused parameters, locals, helpers and imports."""
    text = _without_unused_parameters(text, name)
    text = _without_unused_locals(text, name)
    module = ast.parse(text)
    needed = _needed(module, name)
    lines = Lines(text)
    edits: list[Edit] = []
    for node in module.body[1:]:
        if isinstance(node, ast.Import | ast.ImportFrom):
            edits += _narrowed(node, needed, lines)
        elif not _defines_needed(node, needed) and not _always_kept(node):
            edits.append(deleted(node, lines))
    return apply_edits(text, edits)


def _without_unused_parameters(text: str, name: str) -> str:
    """Drop a parametrize mark, and its parameters, when the cut test no longer uses them."""
    node = _function(ast.parse(text), name)
    lines = Lines(text)
    used = _names(node.body)
    edits = []
    for mark in node.decorator_list:
        names = _parametrized(mark)
        if names and not names & used:
            edits += [_deleted_line(mark, lines), *_without_arguments(node, names, lines)]
    return apply_edits(text, edits)


def _parametrized(mark: ast.expr) -> set[str]:
    if not isinstance(mark, ast.Call) or last_name(dotted(mark.func)) != "parametrize":
        return set()
    match mark.args[0] if mark.args else None:
        case ast.Constant(value=str() as names):
            return {one.strip() for one in names.split(",")}
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return {str(one.value) for one in items if isinstance(one, ast.Constant)}
    return set()


def _deleted_line(mark: ast.expr, lines: Lines) -> Edit:
    end = lines.starts[min(mark.end_lineno or mark.lineno, len(lines) - 1)]
    return Edit(lines.starts[mark.lineno - 1], end, "")


def _without_arguments(node: FunctionNode, names: set[str], lines: Lines) -> Iterator[Edit]:
    """Write the parameter list again without some names; annotations stay."""
    left = [one for one in node.args.args if one.arg not in names]
    if not node.args.args or node.args.defaults or node.args.kwonlyargs:
        return
    first, last = node.args.args[0], node.args.args[-1]
    start = lines.offset(first.lineno, first.col_offset)
    end = lines.offset(last.end_lineno or last.lineno, last.end_col_offset or 0)
    yield Edit(start, end, ", ".join(ast.unparse(one) for one in left))


def _without_unused_locals(text: str, name: str) -> str:
    """Drop `x = <literal>` from the cut test where `x` is no longer used."""
    while True:
        node = _function(ast.parse(text), name)
        used = {
            one.id
            for statement in node.body
            for one in ast.walk(statement)
            if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)
        }
        lines = Lines(text)
        idle = [one for one in node.body[:-1] if _idle(one, used)]
        if not idle:
            return text
        text = apply_edits(text, [deleted(idle[0], lines)])


def _idle(node: ast.stmt, used: set[str]) -> bool:
    if not isinstance(node, ast.Assign) or len(node.targets) != 1:
        return False
    target = node.targets[0]
    plain = all(
        isinstance(one, ast.Constant | ast.List | ast.Tuple | ast.Dict | ast.Set | ast.expr_context)
        for one in ast.walk(node.value)
    )
    return isinstance(target, ast.Name) and target.id not in used and plain


def _function(module: ast.Module, name: str) -> FunctionNode:
    found = [n for n in ast.walk(module) if isinstance(n, FunctionNode) and n.name == name]
    return found[0]


def _needed(module: ast.Module, name: str) -> set[str]:
    """Return every name that the test can come to, through helpers and fixtures of its module."""
    roots = [
        node
        for node in module.body
        if _always_kept(node)
        or any(isinstance(one, FunctionNode) and one.name == name for one in ast.walk(node))
    ]
    needed = {name}.union(*(_bound(node) for node in roots))
    while roots:
        found = _names(roots) - needed
        needed |= found
        roots = [node for node in module.body if _bound(node) & found]
    return needed


def _names(nodes: list[ast.stmt]) -> set[str]:
    """Return names read in code, fixtures asked for, and texts that may name a fixture."""
    found: set[str] = set()
    for node in nodes:
        for one in ast.walk(node):
            match one:
                case ast.Name(id=name):
                    found.add(name)
                case ast.arg(arg=name):
                    found.add(name)
                case ast.Constant(value=str() as text) if text.isidentifier():
                    found.add(text)
    return found


def _bound(node: ast.stmt) -> set[str]:
    """Return the names a module-level statement binds; imports are looked at on their own."""
    if isinstance(node, FunctionNode | ast.ClassDef):
        return {node.name, *_fixture_names(node)}
    if isinstance(node, ast.Import | ast.ImportFrom):
        return set()
    return {
        one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store)
    }


def _fixture_names(node: FunctionNode | ast.ClassDef) -> Iterator[str]:
    for mark in node.decorator_list:
        for keyword in mark.keywords if isinstance(mark, ast.Call) else ():
            if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                yield str(keyword.value.value)


def _defines_needed(node: ast.stmt, needed: set[str]) -> bool:
    return bool(_bound(node) & needed)


def _always_kept(node: ast.stmt) -> bool:
    if isinstance(node, FunctionNode | ast.ClassDef):
        automatic = any("autouse=True" in ast.unparse(mark) for mark in node.decorator_list)
        return automatic or _KEPT_HOOKS.fullmatch(node.name) is not None
    if isinstance(node, ast.Import | ast.ImportFrom):
        return False
    simple = isinstance(node, ast.Assign | ast.AnnAssign)
    return not simple or any(_KEPT_HOOKS.fullmatch(name) for name in _bound(node))


def _narrowed(node: ast.Import | ast.ImportFrom, needed: set[str], lines: Lines) -> list[Edit]:
    """Keep of an import what is needed; `__future__` and star imports stay."""
    if isinstance(node, ast.ImportFrom) and node.module == "__future__":
        return []
    kept = [one for one in node.names if one.name == "*" or _visible(one) in needed]
    if len(kept) == len(node.names):
        return []
    if not kept:
        return [deleted(node, lines)]
    names = [ast.alias(one.name, one.asname) for one in kept]
    text = (
        ast.unparse(ast.ImportFrom(node.module, names, node.level))
        if isinstance(node, ast.ImportFrom)
        else ast.unparse(ast.Import(names))
    )
    span = lines.span(node)
    return [Edit(span.start, span.stop, text)]


def _visible(alias: ast.alias) -> str:
    return (alias.asname or alias.name).partition(".")[0]


def with_imports(text: str, imports: frozenset[Import]) -> str:
    """Add what the recorded values need, beside the module's own imports."""
    module = ast.parse(text)
    own = [one for one in module.body if isinstance(one, ast.Import | ast.ImportFrom)]
    bound = {_visible(alias): (node, alias) for node in own for alias in node.names}
    wanted = []
    for one in sorted(one for one in imports if one.module):
        name = one.name or one.module.partition(".")[0]
        if name in bound and not _is_same(*bound[name], one):
            raise CannotBorrowError(f"it uses the name {name} for something else")
        if name not in bound:
            wanted.append(f"from {one.module} import {one.name}" if one.name else f"import {name}")
    if not wanted:
        return text
    lines = Lines(text)
    block = "\n".join(wanted)
    if own:
        end = lines.span(own[-1]).stop
        return apply_edits(text, [Edit(end, end, f"\n{block}")])
    end = lines.span(module.body[0]).stop
    return apply_edits(text, [Edit(end, end, f"\n\n{block}\n")])


def _is_same(node: ast.Import | ast.ImportFrom, alias: ast.alias, wanted: Import) -> bool:
    if isinstance(node, ast.Import):
        return not wanted.name and alias.asname is None
    return (node.module, alias.name) == (wanted.module, wanted.name)


def tidy(text: str) -> str:
    """Take away the blank lines that deletions left."""
    text = re.sub(r"\n{4,}", "\n\n\n", text.strip("\n"))
    text = re.sub(r"(\n(?: {4}|\t).*)\n{3,}(?=(?: {4}|\t))", r"\1\n\n", text)
    return re.sub(r'\A("""[^\n]*""")\n{3,}(?=import|from)', r"\1\n\n", text) + "\n"


def deleted(node: ast.stmt, lines: Lines) -> Edit:
    """Delete a statement with its decorators and the comment lines that stand right above it."""
    marks = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(one.lineno for one in marks)])
    while first > 1 and lines.line(first - 1).lstrip().startswith("#"):
        first -= 1
    last = node.end_lineno or node.lineno
    end = lines.starts[last] if last < len(lines) else len(lines.text)
    return Edit(lines.starts[first - 1], end, "")
