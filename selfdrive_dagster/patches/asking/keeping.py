"""Keeping: what a draft must leave as it is, if strangers may have told the model to draft it.

Only statements that crashed may change, and what binds a name that one of them read. Before and
around them may come what asks and then answers with nothing (`answering`), raises or goes on;
everything else stays, in its order and under the conditions under which it stood. A check that did
not crash cannot be the fault, and is what a stranger would like to see gone. The price: a right
patch that mends another line is dropped. Belongs here: statements, before and after. Does not
belong: files, functions, values.
"""

import ast
from collections.abc import Collection, Iterator, Sequence
from typing import NamedTuple

from selfdrive_dagster.patches.asking.answering import Answers, is_nothing, is_question
from selfdrive_dagster.patches.syntax import header_nodes, parse_quietly

MOST_WORDS = 60
_LEAVING = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_BLOCKS = ("body", "orelse", "finalbody", "handlers")


_Added = ast.stmt | ast.ExceptHandler


class _Told(NamedTuple):
    """What is known while two trees are compared."""

    lines: frozenset[int]
    answers: Answers


def oversteps(old: str, new: str, lines: Collection[int], vouched: Collection[str]) -> str:
    """Say what a change does beyond answering for the statements at `lines`, "" if it does not.

    `vouched` are values, as code is written, that a sibling gives for the very same thing.
    """
    before, after = parse_quietly(old), parse_quietly(new)
    known = {ast.unparse(one.func) for one in ast.walk(before) if isinstance(one, ast.Call)}
    bound = {line for one in ast.walk(before) for line in _feeding(one, lines)}
    told = _Told(
        frozenset((*lines, *bound)), Answers({*vouched, *_names_of_nothing(before)}, known)
    )
    return _kept(before.body, after.body, told)


def _feeding(function: ast.AST, lines: Collection[int]) -> Iterator[int]:
    """Yield the lines of a function that bind a name which one of its crashed statements reads."""
    if not isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return
    told = _Told(frozenset(lines), Answers((), ()))
    inside = [one for one in ast.walk(function) if isinstance(one, ast.stmt)]
    crashed = [one for one in inside if _crashed(one, told)]
    heads = (part for one in crashed for part in header_nodes(one))
    read = {one.id for one in heads if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Load)}
    for one in inside:
        match one:
            case ast.Assign(targets=[ast.Name(id=name)]) if name in read:
                yield one.lineno


def _names_of_nothing(module: ast.Module) -> Iterator[str]:
    """Yield the names that a module binds to a constant that is nothing, and to nothing else."""
    for one in module.body:
        match one:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant() as value):
                stores = (inner for inner in ast.walk(module) if isinstance(inner, ast.Name))
                bound = [i for i in stores if i.id == name and isinstance(i.ctx, ast.Store)]
                if is_nothing(value) and len(bound) == 1:
                    yield name


def _kept(old: Sequence[ast.stmt], new: Sequence[ast.stmt], told: _Told) -> str:
    """Say what of a block did not stay, or what came in that may not."""
    there = [one for one in old if not _is_text(one)]
    now = list(_spliced([one for one in new if not _is_text(one)], there, told))
    crashed: list[ast.stmt] = []
    start = 0
    for one in there:
        if _crashed(one, told):
            crashed.append(one)
            continue
        faults = ((at, _same(one, now[at], told)) for at in range(start, len(now)))
        tried = [(at, fault) for at, fault in faults if fault is not None]
        at, fault = next((pair for pair in tried if not pair[1]), tried[0] if tried else (-1, ""))
        if at < 0:
            return f"changes {_words(one)}, which did not crash"
        if fault := fault or _came_in(now[start:at], crashed, told):
            return fault
        start, crashed = at + 1, []
    return _came_in(now[start:], crashed, told)


def _same(old: ast.stmt, new: _Added, told: _Told) -> str | None:
    """Return "" where a statement stayed, what differs within it, None where it is another."""
    if ast.dump(old) == ast.dump(new):
        return ""
    if type(old) is not type(new) or not _holds(old, told):
        return None
    if isinstance(old, ast.Try) and isinstance(new, ast.Try):
        return _same_try(old, new, told)
    return _blocks(old, new, told) if _head(old) == _head(new) else None


def _blocks(old: ast.AST, new: ast.AST, told: _Told) -> str:
    pairs = ((getattr(old, name, []), getattr(new, name, [])) for name in _BLOCKS[:3])
    return next((fault for a, b in pairs if (fault := _kept(a, b, told))), "")


def _same_try(old: ast.Try, new: ast.Try, told: _Told) -> str | None:
    """Compare two tries around the crash: a handler may catch more if it answers with nothing."""
    handlers = list(new.handlers)
    for one in old.handlers:
        at = next((i for i, other in enumerate(handlers) if _catches(one, other)), None)
        if at is None:
            return None
        other = handlers.pop(at)
        if ast.dump(one) == ast.dump(other):
            continue
        if fault := _kept(one.body, other.body, told) or _came_in(other.body, [], told):
            return fault
    fault = next((f for one in handlers if (f := _came_in(one.body, [], told))), "")
    return fault or _blocks(old, new, told)


def _catches(old: ast.ExceptHandler, new: ast.ExceptHandler) -> bool:
    """Say whether a handler catches what another did, or more of it."""
    return old.name == new.name and (
        _types(old) <= _types(new) or "Exception" in _types(new) or new.type is None
    )


def _types(handler: ast.ExceptHandler) -> set[str]:
    match handler.type:
        case None:
            return set()
        case ast.Tuple(elts=parts):
            return {ast.unparse(part) for part in parts}
    return {ast.unparse(handler.type)}


def _spliced(new: Sequence[ast.stmt], old: Sequence[ast.stmt], told: _Told) -> Iterator[_Added]:
    """Yield a block with what a new try, or the other branch of a new guard, holds drawn in.

    The handlers follow the body if all leave, or if nothing but the crash is within: else a
    check behind the crash could be skipped, and the try stays what it is.
    """
    dumps = {ast.dump(one) for one in old if not _crashed(one, told)}
    for one in new:
        fresh = not any(_same(other, one, told) is not None for other in old)
        match one:
            case ast.Try(finalbody=[]) if fresh and _is_safe(one, dumps):
                yield from (*_spliced(one.body, old, told), *one.handlers)
                yield from _spliced(one.orelse, old, told)
            case ast.If(body=[*_, last]) if fresh and one.orelse and _leaves(last):
                guard = ast.If(test=one.test, body=one.body, orelse=[])
                yield ast.copy_location(guard, one)
                yield from _spliced(one.orelse, old, told)
            case _:
                yield one


def _is_safe(one: ast.Try, kept: Collection[str]) -> bool:
    leave = all(_leaves(handler.body[-1]) for handler in one.handlers)
    return leave or not any(ast.dump(inner) in kept for inner in one.body)


def _came_in(added: Sequence[_Added], crashed: Sequence[ast.stmt], told: _Told) -> str:
    """Say what of new statements may not be there, or which crashed one must not be gone."""
    for one in added:
        if fault := _fault(one, crashed, told):
            return fault
    gone = (old for old in crashed if not any(_stands_for(one, old, told) for one in added))
    return next((f"leaves out {_words(old)}" for old in gone if not _binds(old)), "")


def _stands_for(one: _Added, old: ast.stmt, told: _Told) -> bool:
    """Say whether a statement does what one that crashed did: checks, calls, refuses."""
    if isinstance(old, ast.Raise):
        return isinstance(one, (ast.Raise, ast.Return))
    return isinstance(one, ast.stmt) and (
        _is_altered(one, old, told.answers) or _is_changed_block(one, old, told)
    )


def _fault(one: _Added, crashed: Sequence[ast.stmt], told: _Told, deep: bool = False) -> str:
    answers, words = told.answers, _words(one)
    before: list[ast.expr | None]
    match one:
        case ast.Pass() | ast.Continue() | ast.Break():
            return ""
        case ast.ExceptHandler(body=body):
            return _first_fault(body, [one for one in crashed if _binds(one)], told)
        case ast.Return(value=value):
            before = [o.value for o in crashed if isinstance(o, ast.Return)]
            fits = _any_gives(answers, value, before)
        case ast.Raise(exc=exc):
            fits = not any(isinstance(inner, ast.Call) for inner in _said(exc))
        case ast.Assign(targets=[target], value=value):
            before = [
                o.value for o in crashed if isinstance(o, ast.Assign) and _binds_to(o, target)
            ]
            itself = [target] if isinstance(target, ast.Name) else []
            fits = bool(before or itself) and _any_gives(answers, value, [*before, *itself])
        case ast.AnnAssign() | ast.AugAssign() | ast.Expr() | ast.Assert() | ast.Delete():
            fits = not deep and any(_is_altered(one, old, answers) for old in crashed)
        case ast.If(test=test):
            return _branch_fault(one, test, crashed, told)
        case ast.Try(finalbody=[]):
            inner: list[_Added] = [*one.body, *one.handlers, *one.orelse]
            return _first_fault(inner, [o for o in crashed if _binds(o)], told)
        case _:
            fits = any(_is_changed_block(one, old, told) for old in crashed)
    return "" if fits else f"answers with {words}" if _answers(one) else f"adds {words}"


def _first_fault(body: Sequence[_Added], crashed: Sequence[ast.stmt], told: _Told) -> str:
    return next((f for one in body if (f := _fault(one, crashed, told, deep=True))), "")


def _branch_fault(one: ast.If, test: ast.expr, crashed: Sequence[ast.stmt], told: _Told) -> str:
    """Say what is wrong with a branch: with one that crashed before, or with a new one."""
    if any(_is_changed_block(one, old, told) for old in crashed):
        return ""
    if not is_question(test, told.answers.known):
        return f"adds {_words(one)}"
    binding = [old for old in crashed if _binds(old)]
    return _first_fault([*one.body, *one.orelse], binding, told)


def _is_changed_block(new: ast.AST, old: ast.stmt, told: _Told) -> bool:
    """Say whether a compound statement that crashed in its head is there, changed as it may be."""
    if type(new) is not type(old) or _blocks(old, new, told):
        return False
    answers = told.answers
    match old, new:
        case ast.If(test=test), ast.If(test=now):
            return answers.may_test(now, test, refuses=_refuses(old.body, told))
        case ast.While(test=test), ast.While(test=now):
            return answers.may_test(now, test, refuses=False)
        case (ast.For(target=one, iter=over), ast.For(target=other, iter=now)) | (
            ast.AsyncFor(target=one, iter=over),
            ast.AsyncFor(target=other, iter=now),
        ):
            return ast.dump(one) == ast.dump(other) and answers.may_give(now, over)
    return False


def _refuses(body: Sequence[ast.stmt], told: _Told) -> bool:
    """Say whether a block leaves, with nothing or an exception."""
    return _leaves(body[-1]) and not _first_fault(body, [], told)


def _is_altered(new: ast.stmt, old: ast.stmt, answers: Answers) -> bool:
    """Say whether a simple statement is one that crashed, with values that it may have."""
    match new, old:
        case ast.Expr(value=value), ast.Expr(value=before):
            return not answers.may_give(value) and answers.may_give(value, before)
        case ast.Assert(test=test), ast.Assert(test=before):
            return answers.may_test(test, before, refuses=False)
        case ast.AnnAssign(target=one, value=value), ast.AnnAssign(target=other, value=before):
            return ast.dump(one) == ast.dump(other) and answers.may_give(value, before)
        case ast.AugAssign(target=one, value=value), ast.AugAssign(target=other, value=before):
            same = (ast.dump(one), type(new.op)) == (ast.dump(other), type(old.op))
            return same and answers.may_give(value, before)
    return False


def _any_gives(answers: Answers, value: ast.expr | None, before: Sequence[ast.expr | None]) -> bool:
    return any(answers.may_give(value, one) for one in (None, *before))


def _binds_to(old: ast.Assign, target: ast.expr) -> bool:
    return [ast.dump(one) for one in old.targets] == [ast.dump(target)]


def _said(exc: ast.expr | None) -> Iterator[ast.AST]:
    """Yield what an exception is told, with all that is in it."""
    if isinstance(exc, ast.Call):
        for part in (*exc.args, *(one.value for one in exc.keywords)):
            yield from ast.walk(part)


def _binds(statement: ast.stmt) -> bool:
    return isinstance(statement, (ast.Assign, ast.Return))


def _answers(statement: ast.AST) -> bool:
    return isinstance(statement, (ast.Assign, ast.Return))


def _leaves(statement: ast.stmt) -> bool:
    return isinstance(statement, _LEAVING)


def _is_text(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _crashed(statement: ast.stmt, told: _Told) -> bool:
    """Say whether a line of the crash stands in a statement, its blocks left out."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Try)):
        return False
    body = getattr(statement, "body", None)
    last = body[0].lineno - 1 if body else statement.end_lineno or statement.lineno
    return any(statement.lineno <= line <= max(last, statement.lineno) for line in told.lines)


def _holds(statement: ast.stmt, told: _Told) -> bool:
    """Say whether a line of the crash stands anywhere in a statement."""
    last = statement.end_lineno or statement.lineno
    return any(statement.lineno <= line <= last for line in told.lines)


def _head(statement: ast.stmt) -> str:
    """Return a compound statement without its blocks."""
    fields = [
        (name, ast.dump(value) if isinstance(value, ast.AST) else str(_dumped(value)))
        for name, value in ast.iter_fields(statement)
        if name not in _BLOCKS
    ]
    return str(fields)


def _dumped(value: object) -> object:
    return [ast.dump(one) for one in value] if isinstance(value, list) else value


def _words(statement: ast.AST) -> str:
    text = ast.unparse(statement).partition("\n")[0]
    return f"`{text[:MOST_WORDS]}`"
