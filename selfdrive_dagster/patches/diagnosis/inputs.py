"""What went into a function: its parameters, rebuilt from the variables of a frame.

A trace shows values at the raise. Nothing here is a guess: what was changed, cut, hidden or
not sent stays unknown, with the reason.
"""

import ast

from selfdrive_dagster.model import Frame, FrameFinding, ObservedInput
from selfdrive_dagster.patches.diagnosis.datafiles import from_file
from selfdrive_dagster.patches.diagnosis.frames import Placed
from selfdrive_dagster.patches.diagnosis.rebound import rebound_before
from selfdrive_dagster.patches.syntax import ANONYMOUS, Function, Tree
from selfdrive_dagster.patches.values import SDK_BREADTH, Rebuilt, Unknown, Value, rebuild


def observe(tree: Tree, placed: tuple[Placed, ...]) -> tuple[tuple[ObservedInput, ...], list[str]]:
    """Return the parameters of all frames that carry variables, and a note when none does."""
    found = tuple(
        observed(finding.function, name, value)
        for frame, finding in placed
        if frame.variables is not None and frame.function not in ANONYMOUS
        for name, value in arguments_of(tree, frame, finding).items()
    )
    bare = placed and all(frame.variables is None for frame, _ in placed)
    return found, ["The event carries no variables: no argument is known."] if bare else []


def observed(function: str, name: str, value: Value) -> ObservedInput:
    """Return a value as the record that reviewers see."""
    if isinstance(value, Rebuilt):
        told = "; ".join(value.notes)
        return ObservedInput(
            function=function, name=name, expression=value.expression, unknown=told
        )
    return ObservedInput(function=function, name=name, expression=None, unknown=value.reason)


def arguments_of(tree: Tree, frame: Frame, finding: FrameFinding) -> dict[str, Value]:
    """Rebuild each parameter of a frame, in the order of the signature. None of them is a guess."""
    module = tree.module(finding.path)
    function = module.function(finding.function) if module else None
    if function is None:
        return {}
    changed = rebound_before(function.node, finding.line)
    return {given.arg: _argument(tree, frame, given, changed) for given in parameters(function)}


def parameters(function: Function) -> list[ast.arg]:
    """Return all parameters, `*args` and `**kwargs` included, in the order of the signature."""
    given = function.node.args
    stars = [given.vararg] if given.vararg else []
    last = [given.kwarg] if given.kwarg else []
    return [*given.posonlyargs, *given.args, *stars, *given.kwonlyargs, *last]


def _argument(tree: Tree, frame: Frame, given: ast.arg, changed: set[str]) -> Value:
    variables = frame.variables
    if variables is None:
        return Unknown("was not sent: the event has no variables")
    if given.arg not in variables:
        full = len(variables) == SDK_BREADTH
        return Unknown("is not among the ten variables that were sent" if full else "was not sent")
    if given.arg in changed:
        return Unknown("was changed before the raise")
    return from_file(rebuild(variables[given.arg], tree, given.annotation), tree.product)
