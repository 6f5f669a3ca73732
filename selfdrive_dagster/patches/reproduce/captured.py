"""The first way: call a function of the trace with the arguments that were recorded.

In-app frames from the innermost outwards; the first whose parameters can all be rebuilt.
"""

import ast
from collections.abc import Iterable, Iterator

from selfdrive_dagster.model import Attempt, Diagnosis, FrameFinding, Product, Way
from selfdrive_dagster.patches.diagnosis.frames import Placed
from selfdrive_dagster.patches.diagnosis.inputs import arguments_of, observed
from selfdrive_dagster.patches.reproduce import writing
from selfdrive_dagster.patches.reproduce.call import Call, call_of
from selfdrive_dagster.patches.reproduce.draft import (
    Draft,
    literals,
    own_exceptions,
    sentence_of,
    test_name,
    test_path,
    tests_folder,
)
from selfdrive_dagster.patches.syntax import ANONYMOUS, Function, Tree
from selfdrive_dagster.patches.values import Import, Rebuilt, Unknown, Value

SHORT_RECEIVER = 30
"""A receiver's expression up to this length stays in the call; a longer one gets a name."""


def drafts(
    tree: Tree,
    product: Product,
    diagnosis: Diagnosis,
    placed: tuple[Placed, ...],
) -> Iterator[Draft | Attempt]:
    """Yield a draft for each frame that can be called, for others an attempt that says why."""
    for frame, finding in _callers_first(tree, placed):
        if frame.function in ANONYMOUS:
            continue  # its variables are its own; the function around it comes next
        module = tree.module(finding.path)
        function = module.function(finding.function) if module else None
        if function is None:
            yield _gave_up(finding, "the line stands outside of any function")
            continue
        values = arguments_of(tree, frame, finding)
        call = call_of(tree, function, values)
        if isinstance(call, Unknown):
            yield _gave_up(finding, call.reason)
            continue
        yield Draft(
            way=Way.CAPTURED_ARGUMENTS,
            path=test_path(tests_folder(product), diagnosis, finding.path, finding.function),
            source=_source(tree, product, diagnosis, function, call, notes_of(values, call.used)),
            target=finding,
            tried=f"{function.qualname} with its recorded arguments",
            arguments=tuple(
                observed(finding.function, name, value)
                for name, value in values.items()
                if name in call.used
            ),
            production_values=literals(call.node),
        )


def notes_of(values: dict[str, Value], used: Iterable[str]) -> tuple[str, ...]:
    """Return what the rebuilt values do not tell of the originals."""
    rebuilt = [value for name in used if isinstance(value := values.get(name), Rebuilt)]
    return tuple(dict.fromkeys(note for value in rebuilt for note in value.notes))


def _callers_first(tree: Tree, placed: tuple[Placed, ...]) -> tuple[Placed, ...]:
    """Return frames innermost first; a function that refused its arguments itself comes last.

    Where the innermost line is a `raise`, the function did what it promises, and a test of it
    alone would only accept patches that break the promise. Where a method of the same class called
    it that turns failures into the product's own exceptions, that one answers for them and comes
    first: a test of the inner one alone would refuse a fix in the outer.
    """
    inner = placed[0][1]
    module = tree.module(inner.path)
    if module is not None and module.raises_at(inner.line):
        return (*placed[1:], placed[0])
    if len(placed) > 1 and _answers_for(tree, placed[1][1], inner):
        return (placed[1], placed[0], *placed[2:])
    return placed


def _answers_for(tree: Tree, outer: FrameFinding, inner: FrameFinding) -> bool:
    """Say whether the caller is a method of the same class that both handles and raises."""
    module = tree.module(outer.path)
    function = module.function(outer.function) if module else None
    owners = [one.function.rpartition(".")[0] for one in (outer, inner)]
    if function is None or outer.path != inner.path or not owners[0] or owners[0] != owners[1]:
        return False
    kinds = {type(one) for one in ast.walk(function.node)}
    return {ast.ExceptHandler, ast.Raise} <= kinds


def _gave_up(finding: FrameFinding, reason: str) -> Attempt:
    return Attempt(way=Way.CAPTURED_ARGUMENTS, target=finding.function, outcome=reason)


def _source(
    tree: Tree,
    product: Product,
    diagnosis: Diagnosis,
    function: Function,
    call: Call,
    notes: tuple[str, ...],
) -> str:
    width = writing.line_width(product)
    allowed = own_exceptions(tree, diagnosis)
    body, imports = _body(call, allowed, width)
    own = frozenset(module.name.partition(".")[0] for module in tree.modules)
    head = writing.import_lines(imports, own, width)
    name = test_name(function.name, "call")
    gap = "\n" if head else ""
    text = f"{writing.docstring(sentence_of(diagnosis))}\n{gap}{head}\n\ndef {name}():\n{body}"
    return writing.finished(text, imports, notes, width)


def _body(
    call: Call, allowed: list[tuple[str, Import]], width: int
) -> tuple[str, frozenset[Import]]:
    """Return the test's statements, indented, and all that they import."""
    setup, node = _named_receiver(call, width)
    inner, imports = perform(node, call.form, 8 if allowed else 4, width)
    imports |= call.imports
    if allowed:
        inner, more = permit(inner, allowed, 4)
        imports |= more
    return (f"{setup}\n{inner}" if setup else inner), imports


def permit(
    inner: str, allowed: list[tuple[str, Import]], indent: int
) -> tuple[str, frozenset[Import]]:
    """Let the exceptions pass by which the product says no."""
    names = ", ".join(name for name, _ in allowed)
    own = (one for _, one in allowed if one.module != "builtins")
    imports = frozenset({Import("contextlib", "suppress"), *own})
    return f"{' ' * indent}with suppress({names}):\n{inner}", imports


def _named_receiver(call: Call, width: int) -> tuple[str, ast.expr]:
    """Give a long receiver a line and a name of its own."""
    receiver = call.receiver
    if receiver is None or len(writing.inline(receiver)) <= SHORT_RECEIVER:
        return "", call.node
    name = writing.snake(call.receiver_name)
    if any(one.name == name for one in call.imports):
        name = f"the_{name}"
    attribute = call.node.func if isinstance(call.node, ast.Call) else call.node
    if not isinstance(attribute, ast.Attribute):
        return "", call.node
    short = ast.Attribute(ast.Name(name, ast.Load()), attribute.attr, ast.Load())
    setup = writing.statement(receiver, 4, width, target=name)
    if isinstance(call.node, ast.Call):
        return setup, ast.Call(short, call.node.args, call.node.keywords)
    return setup, short


def perform(node: ast.expr, form: str, indent: int, width: int) -> tuple[str, frozenset[Import]]:
    """Return the statements that make a call happen: awaited, consumed or entered."""
    pad = " " * indent
    match form:
        case "coroutine":
            run = ast.parse("asyncio.run", mode="eval").body
            text = writing.statement(ast.Call(run, [node], []), indent, width)
            return text, frozenset({Import("asyncio")})
        case "generator":
            made = ast.Call(ast.Name("list", ast.Load()), [node], [])
            return writing.statement(made, indent, width), frozenset()
        case "async generator":
            shown = writing.block(node, indent + 4, width, before=23, after=1)
            text = (
                f"{pad}async def consume():\n{pad}    return [one async for one in {shown}]\n\n"
                f"{pad}asyncio.run(consume())\n"
            )
            return text, frozenset({Import("asyncio")})
        case "context":
            shown = writing.block(node, indent, width, before=5, after=1)
            return f"{pad}with {shown}:\n{pad}    pass\n", frozenset()
    return writing.statement(node, indent, width), frozenset()
