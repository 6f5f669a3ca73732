"""By which arguments a class of the product makes an object with given attributes.

Read from the class's text: the fields of a dataclass or model, or an `__init__` that assigns its
parameters and nothing else. Belongs here: classes. Does not belong: what was recorded.
"""

import ast

from selfdrive_dagster.patches.syntax import Class, dotted, walk


def _declared(made: Class) -> dict[str, ast.expr | None]:
    """Return the fields that a class body declares, with their defaults, in order."""
    found = (node for node in made.node.body if isinstance(node, ast.AnnAssign))
    return {dotted(node.target): node.value for node in found}


def as_written(made: Class, fields: dict[str, ast.expr]) -> dict[str, ast.expr]:
    """Return fields in the order of the class, without those that have their default."""
    order = _declared(made)
    ordered = sorted(fields, key=lambda name: [*order, name].index(name))
    defaults = {name: ast.dump(value) for name, value in order.items() if value is not None}
    return {name: fields[name] for name in ordered if defaults.get(name) != ast.dump(fields[name])}


def has_alias(made: Class) -> bool:
    """Say whether a field of a model is given by another name than its own."""
    return any(isinstance(one, ast.keyword) and "alias" in str(one.arg) for one in walk(made.node))


def constructing(
    made: Class, fields: dict[str, ast.expr], is_dataclass: bool
) -> dict[str, ast.expr] | None:
    """Return the constructor's arguments that make just these attributes, if its text shows it."""
    if is_dataclass:
        names = _declared(made)
        hidden = any("init" in ast.dump(value) for value in names.values() if value)
        needed = {name for name, default in names.items() if default is None}
        return fields if needed <= fields.keys() <= names.keys() and not hidden else None
    init = made.method("__init__")
    if init is None or init.args.vararg or init.args.kwarg or set(made.bases) - {"", "object"}:
        return None
    first = [*init.args.posonlyargs, *init.args.args][:1]
    if not first:
        return None  # such a class makes no object at all
    this = first[0].arg
    given = {one.arg for one in [*init.args.args, *init.args.kwonlyargs]} - {this}
    arguments: dict[str, ast.expr] = {}
    fixed: set[str] = set()
    for name, value in _assigned(made, init, this):
        if isinstance(value, ast.Name) and value.id in given and name in fields:
            arguments[value.id] = fields[name]
        elif value is None or ast.dump(value) != ast.dump(fields.get(name, ast.Pass())):
            return None
        fixed.add(name)
    whole = arguments.keys() == given and fixed == fields.keys()
    return arguments if whole else None


def _assigned(
    made: Class, init: ast.FunctionDef | ast.AsyncFunctionDef, this: str
) -> list[tuple[str, ast.expr | None]]:
    """Return what a constructor assigns to its object; (…, None) for what it does besides."""
    found: list[tuple[str, ast.expr | None]] = []
    for node in init.body:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        one = targets[0]
        plain = isinstance(node, ast.Assign | ast.AnnAssign) and len(targets) == 1
        if not plain or not isinstance(one, ast.Attribute) or dotted(one.value) != this:
            return [("", None)]
        private = one.attr.startswith("__") and not one.attr.endswith("__")
        prefix = f"_{made.node.name.lstrip('_')}" if private else ""
        found.append((prefix + one.attr, getattr(node, "value", None)))
    return found
