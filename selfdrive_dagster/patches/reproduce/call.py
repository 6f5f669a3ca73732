"""The call of a product's function with recorded arguments, in the form the function has.

Knows methods, class and static methods, properties, coroutines, generators, context managers
and every kind of parameter. Belongs here: syntax of one call. Does not belong: values, tests.
"""

import ast

import msgspec

from selfdrive_dagster.patches.diagnosis.inputs import parameters
from selfdrive_dagster.patches.syntax import Class, Function, FunctionNode, Tree, dotted, last_name
from selfdrive_dagster.patches.values import Import, Rebuilt, Unknown, Value


class Call(msgspec.Struct, frozen=True, eq=False):
    """A call ready to be written: `receiver` is the object it is made on, if it needs a name."""

    node: ast.expr
    imports: frozenset[Import]
    receiver: ast.expr | None = None
    receiver_name: str = ""
    form: str = "plain"
    used: tuple[str, ...] = ()
    note: str = ""


def call_of(tree: Tree, function: Function, values: dict[str, Value]) -> Call | Unknown:
    """Return the call of `function` with `values` for its parameters, or what is missing."""
    if function.is_nested:
        outer = function.qualname.partition(".<locals>")[0]
        return Unknown(f"{function.name} is nested in {outer}: no import reaches it")
    form = form_of(function)
    if form.startswith("a "):
        return Unknown(f"{function.name} is {form}, which no test calls directly")
    base = _base(tree, function, values)
    if isinstance(base, Unknown):
        return base
    rest = parameters(function)
    if base.skips_first:
        rest = rest[1:]
    missing = [
        f"{one.arg} {value.reason}" for one in rest if isinstance(value := values[one.arg], Unknown)
    ]
    if missing:
        return Unknown("; ".join(missing))
    known = {one.arg: value for one in rest if isinstance(value := values[one.arg], Rebuilt)}
    imports = base.imports.union(*(value.imports for value in known.values()))
    node = base.node
    if form != "property" and base.takes_arguments:
        args, keywords = arguments(function.node, {name: v.node for name, v in known.items()})
        node = ast.Call(node, args, keywords)
    return Call(
        node=node,
        imports=imports,
        receiver=base.receiver,
        receiver_name=base.receiver_name,
        form=form,
        used=(*base.used, *known),
        note=base.note,
    )


def form_of(function: Function) -> str:
    """Return how a function is used: plain, property, coroutine, generator, context manager …"""
    marks = {last_name(name) for name in function.decorators}
    if marks & {"setter", "deleter", "overload", "asynccontextmanager", "fixture"}:
        return "a setter, overload or fixture"
    if marks & {"property", "cached_property"}:
        return "property"
    if "contextmanager" in marks:
        return "context"
    yields = _yields(function.node)
    if isinstance(function.node, ast.AsyncFunctionDef):
        return "async generator" if yields else "coroutine"
    return "generator" if yields else "plain"


class _Base(msgspec.Struct, frozen=True, eq=False):
    """What stands left of the arguments."""

    node: ast.expr
    imports: frozenset[Import]
    skips_first: bool = False
    takes_arguments: bool = True
    receiver: ast.expr | None = None
    receiver_name: str = ""
    used: tuple[str, ...] = ()
    note: str = ""


def _base(tree: Tree, function: Function, values: dict[str, Value]) -> _Base | Unknown:
    top = frozenset({Import(function.module, function.qualname.partition(".")[0])})
    path = _path(function.qualname)
    marks = {last_name(name) for name in function.decorators}
    if function.owner is None or "staticmethod" in marks:
        return _Base(path, top)
    owner = _path(function.qualname.rpartition(".")[0])
    if function.name in ("__init__", "__new__"):
        return _Base(owner, top, skips_first=True)
    if "classmethod" in marks or function.name in ("__init_subclass__", "__class_getitem__"):
        return _Base(path, top, skips_first=True)
    return _method(tree, function, values, owner, top)


def _method(
    tree: Tree,
    function: Function,
    values: dict[str, Value],
    owner: ast.expr,
    top: frozenset[Import],
) -> _Base | Unknown:
    first = parameters(function)[0].arg if parameters(function) else ""
    if not first:
        return Unknown(f"{function.name} takes no self")
    this = values[first]
    made = tree.class_of(function)
    note = ""
    if isinstance(this, Unknown):
        if made is None or not _stateless(made, function.node) or not _made_of_nothing(made):
            return Unknown(f"{first} {this.reason}")
        this = Rebuilt(ast.Call(owner, [], []), top)
        note = f"{function.name} uses no state of its object, so a new one stands in"
    if function.name == "__post_init__":
        return _Base(
            this.node, this.imports, skips_first=True, takes_arguments=False, used=(first,)
        )
    attribute = _mangled(function)
    return _Base(
        ast.Attribute(this.node, attribute, ast.Load()),
        this.imports,
        skips_first=True,
        receiver=this.node,
        receiver_name=function.owner.name if function.owner else "",
        used=() if note else (first,),
        note=note,
    )


def _mangled(function: Function) -> str:
    name = function.name
    if function.owner is not None and name.startswith("__") and not name.endswith("__"):
        return f"_{function.owner.name.lstrip('_')}{name}"
    return name


def arguments(
    node: FunctionNode, values: dict[str, ast.expr]
) -> tuple[list[ast.expr], list[ast.keyword]]:
    """Spell arguments: by position those that must be there, by name the others.

    A value equal to its default is left out.

    `values` lacks a leading `self`; a parameter without a value is left to its default.
    """
    given = node.args
    both = [*given.posonlyargs, *given.args]
    defaults: dict[str, ast.expr | None] = dict(
        zip((one.arg for one in reversed(both)), reversed(given.defaults), strict=False)
    )
    defaults.update(zip((o.arg for o in given.kwonlyargs), given.kw_defaults, strict=True))
    spread = _items(values.get(given.vararg.arg)) if given.vararg else []
    args: list[ast.expr] = []
    keywords: list[ast.keyword] = []
    gap = False
    for one in both:
        if one.arg not in values:
            gap = gap or bool(args) or one.arg not in ("self", "cls")
            continue
        value = values[one.arg]
        named = one.arg in defaults and not spread and one not in given.posonlyargs
        if named and _equal(value, defaults[one.arg]):
            gap = True
        elif (gap or named) and one not in given.posonlyargs:
            keywords.append(ast.keyword(one.arg, value))
        else:
            args.append(value)
    args.extend(spread)
    keywords += [
        ast.keyword(one.arg, values[one.arg])
        for one in given.kwonlyargs
        if one.arg in values and not _equal(values[one.arg], defaults.get(one.arg))
    ]
    if given.kwarg and isinstance(extra := values.get(given.kwarg.arg), ast.Dict):
        keywords += _keywords(extra)
    return args, keywords


def _items(node: ast.expr | None) -> list[ast.expr]:
    if isinstance(node, ast.List | ast.Tuple):
        return list(node.elts)
    return [] if node is None else [ast.Starred(node, ast.Load())]


def _keywords(extra: ast.Dict) -> list[ast.keyword]:
    found = []
    for key, value in zip(extra.keys, extra.values, strict=True):
        name = key.value if isinstance(key, ast.Constant) else None
        if not isinstance(name, str) or not name.isidentifier():
            return [ast.keyword(None, extra)]
        found.append(ast.keyword(name, value))
    return found


def _equal(value: ast.expr, default: ast.expr | None) -> bool:
    return default is not None and ast.dump(value) == ast.dump(default)


def _path(qualname: str) -> ast.expr:
    first, *rest = qualname.split(".")
    node: ast.expr = ast.Name(first, ast.Load())
    for part in rest:
        node = ast.Attribute(node, part, ast.Load())
    return node


def _yields(function: FunctionNode) -> bool:
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef):
            waiting.extend(ast.iter_child_nodes(node))
    return False


def _stateless(made: Class, method: FunctionNode, seen: frozenset[str] = frozenset()) -> bool:
    """Say whether a method uses its object only to reach methods that use none of its state."""
    this = (method.args.posonlyargs + method.args.args)[0].arg
    attributes: list[str] = []
    loads = 0
    for node in ast.walk(method):
        if isinstance(node, ast.Name) and node.id == this:
            loads += 1
        elif isinstance(node, ast.Attribute) and dotted(node.value) == this:
            attributes.append(node.attr)
    if loads != len(attributes):
        return False
    inner = {name: made.method(name) for name in attributes if name not in seen}
    return all(
        found is not None
        and bool(found.args.posonlyargs + found.args.args)
        and not found.decorator_list
        and _stateless(made, found, seen | {*attributes})
        for found in inner.values()
    )


def _made_of_nothing(made: Class) -> bool:
    """Say whether the class can be made without arguments, as far as its own body tells."""
    init = made.method("__init__")
    if init is None:
        fields = [one for one in made.node.body if isinstance(one, ast.AnnAssign)]
        return not made.decorators or all(field.value is not None for field in fields)
    required = len(init.args.posonlyargs + init.args.args) - 1 - len(init.args.defaults)
    return required <= 0 and all(default is not None for default in init.args.kw_defaults)
