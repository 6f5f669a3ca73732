"""A call that gives the same in each turn of a loop, made once before it.

The call must be pure by its syntax, and all that it reads must stay the same in the loop. What it
returns must not be kept where the loop could change it. Belongs here: this edit. Does not belong:
whether it helps.
"""

import ast
from collections.abc import Iterator

from selfdrive_dagster.patches.improve.edits import Rewrite, Spot, fresh_name, in_front
from selfdrive_dagster.patches.improve.scope import COMPREHENSIONS, LOOPS, annotation_names
from selfdrive_dagster.patches.improve.words import SCALARS
from selfdrive_dagster.patches.syntax import Function, dotted, last_name

CHEAP = frozenset({"len", "abs", "bool", "isinstance", "range", "enumerate", "zip", "reversed",
                   "map", "filter"})  # fmt: skip
"""Built-ins that are not worth it, or whose result is used up by whoever reads it first."""
RETURNS_PLAIN = frozenset({"sum", "round", "str", "int", "float", "ord", "chr", "repr"})


def steady_call(spot: Spot) -> Iterator[Rewrite]:
    """Yield one rewrite for each outermost call that could stand before its outermost loop."""
    taken: set[ast.AST] = set()
    for call in (one for one in ast.walk(spot.function.node) if isinstance(one, ast.Call)):
        if taken & {call, *spot.module.ancestors(call)} or call in spot.module.sealed:
            continue
        loops = [one for one in spot.scope.loops_around(call) if _is_steady(spot, call, one)]
        if not loops or not _is_worth_it(call) or not _stays_whole(spot, call):
            continue
        if spot.purity.expression_fault(spot.module, spot.scope, call):
            continue
        statement = spot.scope.statement_of(loops[-1])
        if statement is None:
            continue
        text = spot.module.source(call)
        same = _same(spot, call, loops[-1])
        if not any(_is_unconditional(spot, one, loops[-1]) for one in same):
            continue
        name = fresh_name(spot, _name_of(call))
        placed = in_front(spot, statement, f"{name} = {text}")
        if placed is None:
            continue
        taken.update(same)
        yield Rewrite(
            family="hoist",
            edits=(placed, *(spot.replaced(one, name) for one in same)),
            line=call.lineno,
            says=f"{text} is worked out once before the loop, since nothing in the loop changes it",
            assumes=(
                f"{text} has no effect but its answer",
                "it is now worked out even where the loop has no turn",
            ),
            deterministic=True,
        )


def _is_steady(spot: Spot, call: ast.Call, loop: ast.AST) -> bool:
    names = {one.id for one in ast.walk(call) if isinstance(one, ast.Name)}
    own = {one.id for one in ast.walk(call)
           if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)}  # fmt: skip
    outer = names - own - {dotted(call.func).partition(".")[0]}
    if own and any(len(spot.scope.bindings(name)) > 1 for name in own):
        return False
    return all(name not in _bound_by(loop) and _stays(spot, name, loop) for name in outer)


def _stays(spot: Spot, name: str, loop: ast.AST) -> bool:
    if name not in spot.scope.parameters and not spot.scope.bindings(name):
        return True  # a name of the module: purity looks at it
    kinds = (
        annotation_names(spot.scope.parameters[name].annotation)
        if name in spot.scope.parameters
        else None
    )
    if kinds is not None and kinds <= SCALARS:
        return not any(one.id == name and not isinstance(one.ctx, ast.Load)
                       for one in ast.walk(loop) if isinstance(one, ast.Name))  # fmt: skip
    return spot.scope.is_steady(name, loop) and spot.purity.is_quiet(spot.module, spot.scope, loop)


def _is_unconditional(spot: Spot, call: ast.Call, loop: ast.AST) -> bool:
    """Say whether a loop's first turn makes a call whatever happens in it.

    A call behind a condition may be one that would have failed.
    """
    below: ast.AST = call
    for up in spot.module.ancestors(call):
        if isinstance(up, ast.Try | ast.TryStar | ast.ExceptHandler | ast.Match):
            return False
        if (
            isinstance(up, ast.If | ast.IfExp | ast.While)
            and below is not up.test
            and up is not loop
        ):
            return False
        if isinstance(up, ast.BoolOp) and below is not up.values[0]:
            return False
        if isinstance(up, ast.Compare) and len(up.ops) > 1 and below in up.comparators[1:]:
            return False
        if isinstance(up, COMPREHENSIONS) and any(one.ifs for one in up.generators):
            return False
        if (isinstance(below, ast.stmt) and up is loop) or isinstance(up, LOOPS):
            body: list[ast.AST] = list(getattr(up, "body", []))
            before = body[: body.index(below)] if below in body else []
            if any(isinstance(one, _LEAVES) for each in before for one in ast.walk(each)):
                return False
        if up is loop:
            return True
        below = up
    return False


_LEAVES = (ast.Continue, ast.Break, ast.Return, ast.Raise)


def _bound_by(loop: ast.AST) -> frozenset[str]:
    return frozenset(
        one.id
        for one in ast.walk(loop)
        if isinstance(one, ast.Name) and not isinstance(one.ctx, ast.Load)
    )


def _is_worth_it(call: ast.Call) -> bool:
    name = dotted(call.func)
    if name in CHEAP or not name:
        return False
    reads = [one for one in ast.walk(call) if isinstance(one, ast.Name) and one.id != name]
    return bool(reads)


def _stays_whole(spot: Spot, call: ast.Call) -> bool:
    """Say whether the loop cannot change what the call returned: it is plain, or only looked at."""
    called = spot.purity.called(spot.module, dotted(call.func))
    if isinstance(called, Function):
        kinds = annotation_names(called.node.returns)
        if kinds is not None and kinds <= SCALARS:
            return True
    if last_name(dotted(call.func)) in RETURNS_PLAIN and not isinstance(called, Function):
        return True
    parent = spot.module.parents[call]
    if isinstance(parent, ast.Attribute):
        return parent.attr in ("index", "count", "get")
    if isinstance(parent, ast.Subscript):
        return isinstance(parent.ctx, ast.Load) and parent.value is call
    if isinstance(parent, ast.Call):
        return dotted(parent.func) in ("len", "sum", "min", "max", "any", "all")
    return isinstance(parent, ast.Compare)


def _same(spot: Spot, call: ast.Call, loop: ast.AST) -> list[ast.Call]:
    """Return the calls of a loop that are written alike: all read one value."""
    wanted = ast.dump(call)
    return [
        one for one in ast.walk(loop)
        if isinstance(one, ast.Call) and ast.dump(one) == wanted and one not in spot.module.sealed
        and loop in spot.scope.loops_around(one)
    ]  # fmt: skip


def _name_of(call: ast.Call) -> str:
    base = last_name(dotted(call.func)).strip("_") or "value"
    words = [one.id for one in call.args if isinstance(one, ast.Name)]
    return "_".join([base, *words[:1]]).lower()
