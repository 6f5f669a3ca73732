"""The second way: a passing test that reaches the crashing code lends its state.

Its own call of a function of the trace gets the recorded arguments in place of its own; what
was not sent (`self`, a database) stays as the test made it. The result reads like the
project's own test. Where that does not fail, the borrowed object is given what the exception
tells of it (`inferred`).
"""

import ast
from collections.abc import Iterator

from selfdrive_dagster.model import Attempt, Diagnosis, FrameFinding, ObservedInput, Product, Way
from selfdrive_dagster.patches.diagnosis.frames import Placed
from selfdrive_dagster.patches.diagnosis.inputs import arguments_of, observed, parameters
from selfdrive_dagster.patches.diagnosis.localise import Coverage, TestLines
from selfdrive_dagster.patches.reproduce import writing
from selfdrive_dagster.patches.reproduce.call import arguments, form_of
from selfdrive_dagster.patches.reproduce.captured import notes_of, perform, permit
from selfdrive_dagster.patches.reproduce.draft import (
    Draft,
    literals,
    own_exceptions,
    sentence_of,
    test_name,
    test_path,
)
from selfdrive_dagster.patches.reproduce.inferred import Inferred
from selfdrive_dagster.patches.reproduce.pruning import CannotBorrowError
from selfdrive_dagster.patches.reproduce.testcode import (
    TestCode,
    cut_after,
    early_assertions,
    find_test,
)
from selfdrive_dagster.patches.syntax import ANONYMOUS, Function, Tree, dotted, last_name
from selfdrive_dagster.patches.values import Rebuilt, Value

MOST_DRAFTS = 8

Borrowing = tuple[TestCode, ast.Call, bool]
"""A test, the call in it that gives way, and whether the test loses its earlier assertions."""


def drafts(
    tree: Tree,
    product: Product,
    diagnosis: Diagnosis,
    placed: tuple[Placed, ...],
    coverage: Coverage,
    told: tuple[Inferred, ...] = (),
) -> Iterator[Draft | Attempt]:
    """Yield a draft for each fitting call in a passing test, innermost frame first.

    With something `told` of the object whose method raised, methods of its class are called on
    borrowed objects that were given it, one attribute at a time.
    """
    made = 0
    holder = placed[0][1].function.rpartition(".")[0]
    for frame, finding in placed:
        module = tree.module(finding.path)
        function = module.function(finding.function) if module else None
        if function is None or function.is_nested or frame.function in ANONYMOUS:
            continue
        if told and finding.function.rpartition(".")[0] != holder:
            continue
        values = arguments_of(tree, frame, finding)
        tests = reaching(product, coverage, function)
        if not tests and not told:
            yield _gave_up(finding.function, "no passing test reaches it")
            continue
        if not told and not any(isinstance(value, Rebuilt) for value in values.values()):
            yield _gave_up(finding.function, "none of its arguments could be rebuilt")
            continue
        calls = [one for test in tests for one in _direct_calls(test, function)]
        if not calls and not told:
            reason = f"{len(tests)} passing tests reach it, none calls it directly"
            yield _gave_up(finding.function, reason)
        chosen = [(one, given) for one in calls for given in told or (None,)]
        for borrowing, given in chosen[: MOST_DRAFTS - made]:
            made += 1
            yield _draft(tree, product, diagnosis, finding, function, values, borrowing, given)


def _gave_up(target: str, reason: str) -> Attempt:
    return Attempt(way=Way.BORROWED_STATE, target=target, outcome=reason)


def reaching(product: Product, coverage: Coverage, function: Function) -> list[TestCode]:
    """Return the passing tests that ran the function's body, those that ran least first."""
    body = range(function.node.body[0].lineno, function.last_line + 1)
    inside = {(function.path, line) for line in body}
    reached = [test for test in coverage if not test.failed and test.lines & inside]
    found: dict[str, TestCode] = {}
    for test in sorted(reached, key=lambda one: (len(one.lines), one.node_id)):
        code = _code_of(product, test)
        if code is not None:
            found.setdefault(f"{code.path}::{code.name}", code)
    return list(found.values())


def _code_of(product: Product, test: TestLines) -> TestCode | None:
    path = test.node_id.partition("::")[0]
    if not product.has(path):
        return None
    return find_test(path, product.read(path), test.node_id)


def _direct_calls(test: TestCode, function: Function) -> list[Borrowing]:
    """Return a test's first and last call of something named like the function or its class."""
    making = function.name in ("__init__", "__new__", "__post_init__") and function.owner
    wanted = function.owner.name if making and function.owner else function.name
    found = [call for call in test.calls if last_name(_callee(call)) == wanted]
    ends = {call.lineno: call for call in (*found[-1:], *found[:1])}  # a line counts once
    return [one for call in sorted(ends.values(), key=_line) for one in ways(test, call)]


def _line(call: ast.Call) -> int:
    return call.lineno


def ways(test: TestCode, call: ast.Call) -> list[Borrowing]:
    """Return how to cut a test at a call: lean first, then whole if that makes a difference."""
    cuts = (True, False) if early_assertions(test, call) else (False,)
    return [(test, call, lean) for lean in cuts]


def _callee(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else dotted(call.func)


def _draft(
    tree: Tree,
    product: Product,
    diagnosis: Diagnosis,
    finding: FrameFinding,
    function: Function,
    values: dict[str, Value],
    borrowing: Borrowing,
    given: Inferred | None,
) -> Draft | Attempt:
    test, call, lean = borrowing
    whole = "" if lean or not early_assertions(test, call) else ", its assertions kept"
    target = f"{function.qualname} as {test.name} calls it in line {call.lineno}{whole}"
    own = _own_arguments(function, call)
    if own is None:
        return _gave_up(target, "the test spreads * or ** into the call")
    recorded = {name: value for name, value in values.items() if isinstance(value, Rebuilt)}
    merged = {**own, **{name: v.node for name, v in recorded.items() if name in _given(function)}}
    try:
        source = _source(tree, product, diagnosis, function, values, merged, borrowing, given)
    except CannotBorrowError as reason:
        return _gave_up(target, str(reason))
    folder = test.path.rpartition("/")[0]
    used = [value.node for name, value in recorded.items() if name in merged]
    lent = f", with the recorded {_listed(sorted(recorded))}" if recorded else ""
    held = f", {given.attribute} being {given.value}" if given else ""
    state = () if given is None else (_inferred(finding, given),)
    return Draft(
        way=Way.BORROWED_STATE,
        path=test_path(folder, diagnosis, test.path, test.name, str(call.lineno), str(lean), held),
        source=source,
        target=finding,
        tried=f"{target}{lent}{held}",
        arguments=(*(_told(finding, name, values[name], test) for name in values), *state),
        production_values=tuple(dict.fromkeys(one for node in used for one in literals(node))),
    )


def _source(
    tree: Tree,
    product: Product,
    diagnosis: Diagnosis,
    function: Function,
    values: dict[str, Value],
    merged: dict[str, ast.expr],
    borrowing: Borrowing,
    given: Inferred | None,
) -> str:
    """Write the test with other arguments in its call. Raises CannotBorrowError."""
    test, call, lean = borrowing
    args, keywords = arguments(function.node, merged)
    made = ast.Call(call.func, args, keywords)
    allowed, width = own_exceptions(tree, diagnosis), writing.line_width(product)
    form = _form(test, call, function)
    node = ast.Await(made) if form == "awaited" else made
    rebuilt = (value for value in values.values() if isinstance(value, Rebuilt))
    more = perform(node, form, 8, width)[1].union(*(one.imports for one in rebuilt))
    more |= permit("", allowed, 4)[1] if allowed else frozenset()

    def ending(indent: int) -> str:
        inner = perform(node, form, indent + 4 if allowed else indent, width)[0]
        done = permit(inner, allowed, indent)[0] if allowed else inner
        return f"{' ' * indent}{state}\n{done}" if state else done

    state = _given_state(call, given) if given else ""
    notes = notes_of(values, merged)
    if given:
        notes = (*notes, f"nobody sent `{given.attribute}`: {given.why}")
    name, sentence = test_name(function.name, "call"), sentence_of(diagnosis)
    source = cut_after(test, call, ending, name=name, imports=more, sentence=sentence, lean=lean)
    return writing.finished(source, more, notes, width)


def _given_state(call: ast.Call, given: Inferred) -> str:
    """Return the statement that gives the called object an attribute.

    Raises CannotBorrowError when the object has no name.
    """
    match call.func:
        case ast.Attribute(value=ast.Name() | ast.Attribute() as receiver):
            return f"{ast.unparse(receiver)}.{given.attribute} = {given.value}"
    raise CannotBorrowError("the object whose method it calls has no name")


def _inferred(finding: FrameFinding, given: Inferred) -> ObservedInput:
    name = f"self.{given.attribute}"
    unknown = f"it was not sent: {given.why}"
    return ObservedInput(
        function=finding.function, name=name, expression=given.value, unknown=unknown
    )


def _told(finding: FrameFinding, name: str, value: Value, test: TestCode) -> ObservedInput:
    told = observed(finding.function, name, value)
    if told.expression is not None:
        return told
    lent = f"{told.unknown}; {test.name} lends its own"
    return ObservedInput(function=told.function, name=name, expression=None, unknown=lent)


def _given(function: Function) -> set[str]:
    """Return the parameters a call can give: all but a method's first."""
    names = [one.arg for one in parameters(function)]
    static = "staticmethod" in {last_name(one) for one in function.decorators}
    return set(names if function.owner is None or static else names[1:])


def _own_arguments(function: Function, call: ast.Call) -> dict[str, ast.expr] | None:
    """Bind the test's own arguments to parameter names; None when they are spread."""
    if any(isinstance(one, ast.Starred) for one in call.args):
        return None
    if any(one.arg is None for one in call.keywords) or function.node.args.vararg:
        return None
    given = _given(function)
    both = [*function.node.args.posonlyargs, *function.node.args.args]
    names = [one.arg for one in both if one.arg in given]
    bound = dict(zip(names, call.args, strict=False))
    return {**bound, **{one.arg: one.value for one in call.keywords if one.arg}}


def _form(test: TestCode, call: ast.Call, function: Function) -> str:
    awaited = any(
        isinstance(node, ast.Await) and node.value is call for node in ast.walk(test.node)
    )
    return "awaited" if awaited else form_of(function)


def _listed(names: list[str]) -> str:
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names)
