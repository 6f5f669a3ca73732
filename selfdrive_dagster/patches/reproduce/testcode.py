"""The product's tests as text that can be cut down to one test, and given another ending.

A borrowed test keeps what it stands on (imports, helpers, fixtures, comments) and loses the
rest. Edits go by source span, so that what stays reads as its author wrote it.
"""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cached_property

import msgspec

from selfdrive_dagster.patches.reproduce import writing
from selfdrive_dagster.patches.text import Edit, Lines, apply_edits
from selfdrive_dagster.patches.tree import FunctionNode, dotted, last_name
from selfdrive_dagster.patches.values import Import

_KEPT_HOOKS = re.compile(r"pytest_\w+|setup\w*|teardown\w*|setUp\w*|tearDown\w*|pytestmark|__\w+__")
_BLOCKS = (ast.With, ast.AsyncWith, ast.For, ast.AsyncFor, ast.If, ast.While)

Ending = Callable[[int], str]
"""Given an indent, returns the statements that a cut test ends with."""


class CannotBorrowError(Exception):
    """The test cannot be cut there; the message says why."""


class TestCode(msgspec.Struct, frozen=True, kw_only=True, dict=True, eq=False):
    """One test function of a test module, perhaps a method."""

    __test__ = False  # pytest must not collect it

    path: str
    text: str
    module: ast.Module
    owner: ast.ClassDef | None
    node: FunctionNode

    @property
    def name(self) -> str:
        """Return `Class.test` or `test`."""
        return f"{self.owner.name}.{self.node.name}" if self.owner else self.node.name

    @property
    def parameter_names(self) -> tuple[str, ...]:
        """Return the fixtures (and parameters) it asks for."""
        given = self.node.args
        return tuple(one.arg for one in [*given.posonlyargs, *given.args, *given.kwonlyargs])

    @cached_property
    def calls(self) -> tuple[ast.Call, ...]:
        """Return the calls in its body, in the order of the text."""
        found = [
            node
            for statement in self.node.body
            for node in ast.walk(statement)
            if isinstance(node, ast.Call)
        ]
        return tuple(sorted(found, key=lambda one: (one.lineno, one.col_offset)))


def find_test(path: str, text: str, node_id: str) -> TestCode | None:
    """Return the test that a node id names; None when the file does not parse or has none."""
    try:
        module = ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    *owners, name = node_id.partition("[")[0].split("::")[1:] or [""]
    body, owner = module.body, None
    for wanted in owners:
        owner = next((o for o in body if isinstance(o, ast.ClassDef) and o.name == wanted), None)
        if owner is None:
            return None
        body = owner.body
    for node in body:
        if isinstance(node, FunctionNode) and node.name == name and len(owners) < 2:
            return TestCode(path=path, text=text, module=module, owner=owner, node=node)
    return None


def cut_after(
    test: TestCode,
    call: ast.Call,
    ending: Ending,
    *,
    name: str,
    imports: frozenset[Import],
    sentence: str,
    lean: bool,
) -> str:
    """Return a module that holds only `test`, called `name` and cut where `call` stands.

    The statement with the call gives way to `ending`. A `lean` test loses the assertions before
    it too; they may have side effects, so a fuller one should stand by. Raises
    CannotBorrowError when the call stands where a cut would leave no valid function.
    """
    lines = Lines(test.text)
    start, indent = _place_of(test, call, lines)
    last = lines.span(test.node).stop
    edits = [Edit(start, last, ending(indent).strip("\n").removeprefix(" " * indent))]
    edits.append(_renamed(test.node, name, lines))
    edits += _without_docstring(test.node, lines, start)
    edits += [_deleted(other, lines) for other in _other_tests(test)]
    if lean:
        edits += [_deleted(one, lines) for one in early_assertions(test, call)]
    edits += _new_docstring(test.module, sentence, lines)
    text = apply_edits(test.text, edits)
    text = _pruned(text, name)
    return _tidy(_with_imports(text, imports))


def early_assertions(test: TestCode, call: ast.Call) -> list[ast.stmt]:
    """Return the assertions that stand above the statement with the call."""
    above = [one for one in test.node.body if (one.end_lineno or one.lineno) < call.lineno]
    return [one for one in above if isinstance(one, ast.Assert)]


def _place_of(test: TestCode, call: ast.Call, lines: Lines) -> tuple[int, int]:
    """Return where the new ending begins: offset and indent of the statement to be replaced."""
    body = test.node.body
    while True:
        holder = next((one for one in body if _contains(one, call)), None)
        if holder is None:
            raise CannotBorrowError("the call is not in the test's own body")
        if not isinstance(holder, _BLOCKS) or not any(_contains(one, call) for one in holder.body):
            break
        if isinstance(holder, ast.With) and _expects_raise(holder):
            break
        body = holder.body
    if isinstance(holder, ast.Try | FunctionNode | ast.ClassDef | ast.Match):
        raise CannotBorrowError("the call stands in a block that cannot be cut")
    for node in ast.walk(holder):
        inner = isinstance(node, ast.Lambda | ast.GeneratorExp | ast.ListComp | ast.DictComp)
        if inner and _contains(node, call):
            raise CannotBorrowError("the call stands inside another expression's function")
    return lines.offset(holder.lineno, holder.col_offset), holder.col_offset


def _contains(node: ast.AST, call: ast.Call) -> bool:
    return any(one is call for one in ast.walk(node))


def _expects_raise(holder: ast.With) -> bool:
    calls = [one.context_expr for one in holder.items if isinstance(one.context_expr, ast.Call)]
    return any(last_name(dotted(one.func)) in ("raises", "assertRaises") for one in calls)


def _renamed(node: FunctionNode, name: str, lines: Lines) -> Edit:
    at = lines.offset(node.lineno, node.col_offset)
    found = re.compile(rf"\b{re.escape(node.name)}\b").search(lines.text, at)
    if found is None:
        raise CannotBorrowError("its name was not found in its own text")
    return Edit(found.start(), found.end(), name)


def _without_docstring(node: FunctionNode, lines: Lines, start: int) -> Iterator[Edit]:
    first = node.body[0]
    if ast.get_docstring(node, clean=False) is not None and len(node.body) > 1:
        after = lines.offset(node.body[1].lineno, node.body[1].col_offset)
        yield Edit(lines.span(first).start, min(after, start), "")


def _other_tests(test: TestCode) -> Iterator[ast.stmt]:
    """Yield the module's other tests, and those of the test's own class."""
    own = test.owner.body if test.owner else []
    for node in [*test.module.body, *own]:
        if _is_other(node, test) or (node is not test.owner and _is_test_class(node)):
            yield node


def _is_other(node: ast.stmt, test: TestCode) -> bool:
    named = isinstance(node, FunctionNode) and node.name.startswith("test")
    return named and node is not test.node


def _is_test_class(node: ast.stmt) -> bool:
    if not isinstance(node, ast.ClassDef):
        return False
    bases = {last_name(dotted(base)) for base in node.bases}
    return node.name.startswith("Test") or any(base.endswith("TestCase") for base in bases)


def _deleted(node: ast.stmt, lines: Lines) -> Edit:
    """Delete a statement with its decorators and the comment lines that stand right above it."""
    marks = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(one.lineno for one in marks)])
    while first > 1 and lines.line(first - 1).lstrip().startswith("#"):
        first -= 1
    last = node.end_lineno or node.lineno
    end = lines.starts[last] if last < len(lines) else len(lines.text)
    return Edit(lines.starts[first - 1], end, "")


def _new_docstring(module: ast.Module, sentence: str, lines: Lines) -> Iterator[Edit]:
    text = writing.docstring(sentence)
    if ast.get_docstring(module, clean=False) is not None:
        span = lines.span(module.body[0])
        yield Edit(span.start, span.stop, text)
    else:
        yield Edit(lines.starts[0], lines.starts[0], f"{text}\n\n")


# --- pruning ----------------------------------------------------------------------------


def _pruned(text: str, name: str) -> str:
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
            edits.append(_deleted(node, lines))
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
        text = apply_edits(text, [_deleted(idle[0], lines)])


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
        return [_deleted(node, lines)]
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


def _with_imports(text: str, imports: frozenset[Import]) -> str:
    """Add what the recorded values need, beside the module's own imports."""
    module = ast.parse(text)
    own = [one for one in module.body if isinstance(one, ast.Import | ast.ImportFrom)]
    bound = {_visible(alias): (node, alias) for node in own for alias in node.names}
    wanted = []
    for one in sorted(imports):
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


def _tidy(text: str) -> str:
    """Take away the blank lines that deletions left."""
    text = re.sub(r"\n{4,}", "\n\n\n", text.strip("\n"))
    text = re.sub(r"(\n(?: {4}|\t).*)\n{3,}(?=(?: {4}|\t))", r"\1\n\n", text)
    return re.sub(r'\A("""[^\n]*""")\n{3,}(?=import|from)', r"\1\n\n", text) + "\n"
