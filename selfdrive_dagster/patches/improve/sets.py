"""A set where a list is only asked whether it holds something.

Two shapes. A list that the function makes for itself and only grows and asks becomes a set. A list
that is asked within a loop and stays the same there is looked at through a `frozenset` made before
the loop. Both need hashable elements: recorded calls must show plain types. Belongs here: these
edits. Does not belong: whether they help.
"""

import ast
from collections.abc import Iterator

from selfdrive_dagster.patches.improve.edits import Rewrite, Spot, fresh_name, in_front
from selfdrive_dagster.patches.improve.scope import LOOPS, annotation_names
from selfdrive_dagster.patches.syntax import dotted
from selfdrive_dagster.patches.text import Edit

LISTS = frozenset({"list", "tuple", "List", "Tuple"})
HASHABLE = "what is held and asked for is hashable, and equal only if its hash is: {shown}"


def own_list(spot: Spot) -> Iterator[Rewrite]:
    """Turn a list that is only grown and asked into a set."""
    for name in dict.fromkeys(one.id for one in spot.scope.names):
        made = _made_once(spot, name)
        if made is None or name in spot.scope.parameters or spot.scope.is_declared(name):
            continue
        holder, edits = made
        rest = [one for one in spot.scope.uses(name) if isinstance(one.ctx, ast.Load)]
        appended = [one for one in rest if _is_append(spot, one)]
        asked = [one for one in rest if _is_asked(spot, one)]
        if len(appended) + len(asked) != len(rest) or not asked:
            continue
        if not any(spot.scope.loops_around(one) for one in asked):
            continue
        edits += [spot.replaced(_attribute(spot, one), f"{name}.add") for one in appended]
        yield Rewrite(
            family="set_for_list",
            edits=tuple(edits),
            line=holder.lineno,
            says=f"{name} becomes a set: it is only grown and asked whether it holds something",
            assumes=(HASHABLE.format(shown=f"what {name} held in the recorded calls"),),
            elements=(name,),
        )


def steady_list(spot: Spot) -> Iterator[Rewrite]:
    """Ask a set, made before the loop, in place of a list that stays the same in the loop."""
    for name in dict.fromkeys(one.id for one in spot.scope.names):
        if not _is_list(spot, name):
            continue
        asked = [one for one in spot.scope.uses(name) if _is_asked(spot, one)]
        for loop in dict.fromkeys(
            around[-1] for one in asked if (around := spot.scope.loops_around(one))
        ):
            inside = [one for one in asked if loop in spot.scope.loops_around(one)]
            statement = spot.scope.statement_of(loop)
            if statement is None or not spot.scope.is_steady(name, loop):
                continue
            if not spot.purity.is_quiet(spot.module, spot.scope, loop):
                continue
            bound = [one.lineno for one in spot.scope.bindings(name)]
            if any(line >= statement.lineno for line in bound):
                continue
            known = fresh_name(spot, f"known_{name.lower()}")
            placed = in_front(spot, statement, f"{known} = frozenset({name})")
            if placed is None:
                continue
            yield Rewrite(
                family="set_for_list",
                edits=(placed, *(spot.replaced(one, known) for one in inside)),
                line=inside[0].lineno,
                says=f"{name} is asked through a set that is made once before the loop",
                assumes=(HASHABLE.format(shown=f"what {name} held in the recorded calls"),),
                elements=(name,) if name in spot.scope.parameters or bound else (),
            )


def _made_once(spot: Spot, name: str) -> tuple[ast.stmt, list[Edit]] | None:
    """Return the statement that makes a list under a name, with the edits that make it a set."""
    bound = spot.scope.bindings(name)
    holder = spot.module.parents[bound[0]] if len(bound) == 1 else None
    if not isinstance(holder, ast.Assign | ast.AnnAssign) or holder.value is None:
        return None
    if isinstance(holder, ast.Assign) and len(holder.targets) != 1:
        return None
    value = _as_set(spot, holder.value)
    if value is None:
        return None
    edits = [spot.replaced(holder.value, value)]
    if isinstance(holder, ast.AnnAssign):
        told = spot.module.source(holder.annotation)
        if not told.startswith("list"):
            return None
        edits.append(spot.replaced(holder.annotation, "set" + told.removeprefix("list")))
    return holder, edits


def _as_set(spot: Spot, value: ast.expr) -> str | None:
    """Return how a list is written as a set, None when it is no list that is made here."""
    if isinstance(value, ast.List):
        inner = spot.module.source(value)[1:-1]
        return f"{{{inner}}}" if value.elts else "set()"
    if isinstance(value, ast.ListComp):
        return "{" + spot.module.source(value)[1:-1] + "}"
    if isinstance(value, ast.Call) and dotted(value.func) == "list" and len(value.args) < 2:
        return "set" + spot.module.source(value).removeprefix("list")
    return None


def _is_append(spot: Spot, use: ast.Name) -> bool:
    attribute = spot.module.parents[use]
    if not isinstance(attribute, ast.Attribute) or attribute.attr != "append":
        return False
    call = spot.module.parents[attribute]
    return isinstance(call, ast.Call) and isinstance(spot.module.parents[call], ast.Expr)


def _attribute(spot: Spot, use: ast.Name) -> ast.expr:
    attribute = spot.module.parents[use]
    assert isinstance(attribute, ast.Attribute)
    return attribute


def _is_asked(spot: Spot, use: ast.Name) -> bool:
    parent = spot.module.parents[use]
    return (
        isinstance(parent, ast.Compare)
        and len(parent.ops) == 1
        and isinstance(parent.ops[0], ast.In | ast.NotIn)
        and parent.comparators[0] is use
    )


def _is_list(spot: Spot, name: str) -> bool:
    """Say whether a name certainly holds a list or tuple: `in` on a text means something else."""
    if name in spot.scope.parameters:
        kinds = annotation_names(spot.scope.parameters[name].annotation)
        return kinds is not None and kinds <= LISTS and not spot.scope.bindings(name)
    bound = spot.scope.bindings(name)
    if bound:
        made = _made_once(spot, name)
        return made is not None and not any(
            isinstance(up, LOOPS) for up in spot.scope.loops_around(bound[0])
        )
    return _is_constant_list(spot, name)


def _is_constant_list(spot: Spot, name: str) -> bool:
    if spot.purity.constant_fault(spot.module, name):
        return False
    stored = [one for one in spot.module.all(ast.Name)
              if one.id == name and isinstance(one.ctx, ast.Store)]  # fmt: skip
    value = getattr(spot.module.parents[stored[0]], "value", None) if stored else None
    if not isinstance(value, ast.List | ast.Tuple):
        return False
    return len(value.elts) > 3 and all(isinstance(one, ast.Constant) for one in value.elts)
