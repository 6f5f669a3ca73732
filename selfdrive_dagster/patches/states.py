"""From the state that the opt-in hook sends to the expression that makes such an object again.

The hook (`selfdrive_dagster/hooks/state.py`) marks what Python had by a key with `$`. Nothing in
it is trusted: only classes that the product's text declares are ever called, names lead only to
the product and to harmless functions of the standard library, and sizes are bounded, since a
stranger could otherwise choose what a committed test runs.

An attribute that cannot be rebuilt is left out and told. Belongs here: marks and how an object
is made. Does not belong: reprs of plain values.
"""

import ast
import keyword
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from selfdrive_dagster.patches.constructors import as_written, constructing, has_alias
from selfdrive_dagster.patches.spellings import BUILTIN_TYPES, STANDARD_ENUMS
from selfdrive_dagster.patches.syntax import Class, Tree, dotted, last_name

HARMLESS = frozenset({"operator", "math", "statistics", "string", "random", "time", "json"})
"""Modules of the standard library whose functions may be named."""

BUILTINS = BUILTIN_TYPES | frozenset(
    {"len", "sum", "min", "max", "sorted", "abs", "repr", "any", "all", "round", "hash", "ord"}
)
SEQUENCES = ("$list", "$tuple", "$set", "$frozenset", "$deque")
MAPPINGS = {"$ordered": "OrderedDict", "$default": "defaultdict", "$counter": "Counter"}
MODELS = ("model", "row")
RECORDS = ("namedtuple", "NamedTuple")
MOST_FIELDS = 200


class CannotRebuildError(Exception):
    """Carries the reason out of the recursion."""


class Builder(Protocol):
    """What states need of the reader of plain values."""

    def recorded(self, value: Any) -> ast.expr:
        """Rebuild a value as recorded: a repr, or a state."""

    def needs(self, module: str, name: str) -> ast.expr:
        """Import a name and return it; `module` "" is a helper that the test defines."""

    def attempt(self, value: Any) -> ast.expr | str:
        """Rebuild a value, or return why that fails, as if it had never been tried."""

    def tells(self, note: str) -> None:
        """Keep a sentence for the reviewer."""


def is_state(value: Mapping[str, Any]) -> bool:
    """Say whether the hook wrote this mapping."""
    return any(key in READERS for key in value)


def read_state(value: Mapping[str, Any], tree: Tree, builder: Builder) -> ast.expr:
    """Return the expression of a state. Raises CannotRebuildError with the reason."""
    key = next(key for key in value if key in READERS)
    return READERS[key](_State(value, key, tree, builder))


class _State:
    """One marked mapping; `inner` is what stands under its mark."""

    def __init__(self, value: Mapping[str, Any], key: str, tree: Tree, builder: Builder) -> None:
        self.value, self.key, self.tree, self.builder = value, key, tree, builder
        self.inner = value[key]

    def items(self) -> list[ast.expr]:
        """Rebuild a list of values."""
        return [self.builder.recorded(one) for one in _list(self.inner)]

    def named(self, key: str) -> dict[str, Any]:
        """Return the values by name under a key, none of which a call could not take."""
        found = self.value.get(key)
        if not isinstance(found, dict) or not all(map(_is_plain, found)):
            raise CannotRebuildError("was sent in a form that cannot be read back")
        if len(found) > MOST_FIELDS:
            raise CannotRebuildError(f"has {len(found)} fields, too many for a test")
        return found

    def owned(self) -> ast.expr:
        """Return the product's own thing that the mark names."""
        module, _, qualname = str(self.inner).partition(":")
        first, *rest = qualname.split(".")
        if not all(map(_is_plain, (first, *rest))) or not self.binds(module, first):
            raise CannotRebuildError(f"is a {_shown(qualname)}, which no import of ours reaches")
        node = self.builder.needs(module, first)
        for part in rest:
            node = ast.Attribute(node, part, ast.Load())
        return node

    def binds(self, module: str, name: str) -> bool:
        """Say whether a module of the product binds a name at its top."""
        return any(name in _bound(node) for node in self._top(module))

    def _top(self, module: str) -> list[ast.stmt]:
        found = next((one for one in self.tree.modules if one.name == module), None)
        return found.tree.body if found is not None else []

    def class_of(self) -> Class:
        """Return the product's class that the mark names: nothing else may be called."""
        found = self.tree.classes_named(str(self.inner).replace(":", "."))
        if len(found) != 1:
            name = last_name(str(self.inner).partition(":")[2])
            raise CannotRebuildError(f"is a {_shown(name)}, no class that the product declares")
        return found[0]

    def is_record(self) -> bool:
        """Say whether the mark names a type that a module's top makes by `namedtuple`."""
        module, _, name = str(self.inner).partition(":")
        made = (
            dotted(node.value.func)
            for node in self._top(module)
            if isinstance(node, ast.Assign)
            and isinstance(node.value, ast.Call)
            and name in _bound(node)
        )
        return any(last_name(one) in RECORDS for one in made)


def _is_plain(name: str) -> bool:
    """Say whether a test may write a name: no keyword, and nothing that Python itself uses."""
    return name.isidentifier() and not keyword.iskeyword(name) and name[:2] != "__"


def _list(sent: Any) -> list[Any]:
    if not isinstance(sent, list):
        raise CannotRebuildError("was sent in a form that cannot be read back")
    return sent


def _bound(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name}
    if isinstance(node, ast.Assign):
        return {dotted(target) for target in node.targets}
    return {dotted(node.target)} if isinstance(node, ast.AnnAssign) else set()


def _shown(text: str) -> str:
    return ascii(text)[1:-1][:60]


def _call(func: ast.expr, *args: ast.expr, **named: ast.expr) -> ast.expr:
    return ast.Call(func, [*args], [ast.keyword(name, one) for name, one in named.items()])


def _sequence(state: _State) -> ast.expr:
    items, kind = state.items(), state.key[1:]
    if kind == "list":
        return ast.List(items, ast.Load())
    if kind == "tuple":
        return ast.Tuple(items, ast.Load())
    if kind == "set" and items:
        return ast.Set(items)
    func = (
        state.builder.needs("collections", "deque")
        if kind == "deque"
        else ast.Name(kind, ast.Load())
    )
    return _call(func, *([ast.List(items, ast.Load())] if items else []))


def _mapping(state: _State) -> ast.expr:
    node = _dict(state)
    name = MAPPINGS.get(state.key)
    if name is None:
        return node
    func = state.builder.needs("collections", name)
    first = [_factory(state)] if name == "defaultdict" else []
    return _call(func, *first, *([node] if node.keys else []))


def _factory(state: _State) -> ast.expr:
    """Return what makes the values of a defaultdict: None, a builtin type or a class."""
    sent = state.value.get("factory")
    made = state.builder.recorded(sent)
    named = str(sent.get("$name")) if isinstance(sent, dict) else ""
    if named and named.removeprefix("builtins:") not in BUILTIN_TYPES:
        found = state.tree.classes_named(named.replace(":", "."))
        if len(found) != 1:
            raise CannotRebuildError(f"makes its values by {_shown(named)}, no class of ours")
    elif not named and sent != "None":
        raise CannotRebuildError("makes its values by something else than a class")
    return made


def _dict(state: _State) -> ast.Dict:
    if isinstance(state.inner, dict):
        values = [state.builder.recorded(one) for one in state.inner.values()]
        return ast.Dict([ast.Constant(key) for key in state.inner], values)
    pairs = [_list(pair) for pair in _list(state.inner)]
    both = [(state.builder.recorded(k), state.builder.recorded(v)) for k, v in pairs]
    return ast.Dict([k for k, _ in both], [v for _, v in both])


def _enum(state: _State) -> ast.expr:
    member = str(state.value.get("name"))
    name = last_name(str(state.inner).partition(":")[2])
    if not _is_plain(member):
        raise CannotRebuildError(f"is a {_shown(name)} without a name of its own")
    standard = STANDARD_ENUMS.get(name)
    owner = state.builder.needs(standard, name) if standard else state.owned()
    return ast.Attribute(owner, member, ast.Load())


def _name(state: _State) -> ast.expr:
    module, _, qualname = str(state.inner).lstrip("_").partition(":")
    if module == "builtins" and qualname in BUILTINS:
        return ast.Name(qualname, ast.Load())
    if module in HARMLESS and qualname.isidentifier():
        return state.builder.needs(module, qualname)
    return state.owned()


def _method(state: _State) -> ast.expr:
    owner = state.value.get("of")
    name = str(state.inner)
    if not _is_plain(name):
        raise CannotRebuildError("was sent in a form that cannot be read back")
    if isinstance(owner, dict) and owner.get("$object") == "random:Random":
        return state.builder.needs("random", name)
    return ast.Attribute(state.builder.recorded(owner), name, ast.Load())


def _pattern(state: _State) -> ast.expr:
    flags = state.value.get("flags")
    more = [ast.Constant(flags)] if isinstance(flags, int) and flags not in (0, 32) else []
    func = state.builder.needs("re", "")
    compile_ = ast.Attribute(func, "compile", ast.Load())
    return _call(compile_, state.builder.recorded(state.inner), *more)


def _partial(state: _State) -> ast.expr:
    func = state.builder.needs("functools", "partial")
    args = state.builder.recorded(state.value.get("args"))
    named = state.builder.recorded(state.value.get("keywords"))
    keywords = [ast.keyword(None, named)] if getattr(named, "keys", None) else []
    inner = state.builder.recorded(state.inner)
    return ast.Call(func, [inner, *getattr(args, "elts", [])], keywords)


def _record(state: _State) -> ast.expr:
    owner = state.owned()
    if not state.is_record():
        state.class_of()
    fields = {k: state.builder.recorded(v) for k, v in state.named("state").items()}
    return _call(owner, **fields)


def _cut(state: _State) -> ast.expr:
    raise CannotRebuildError(f"is a {_shown(str(state.inner))}: its state was not sent")


def _object(state: _State) -> ast.expr:
    """Make an object by its constructor where that makes the recorded state, else without it."""
    owner, made = state.owned(), state.class_of()
    fields, lost = _rebuilt(state)
    how = state.value.get("made")
    if how in MODELS and set(made.bases) - {"", "object"}:
        plain = how == "row" or not (lost or has_alias(made))
        maker = owner if plain else ast.Attribute(owner, "model_construct", ast.Load())
        return _call(maker, **as_written(made, fields))
    is_dataclass = how == "dataclass"
    given = as_written(made, fields) if is_dataclass else fields
    named = None if lost else constructing(made, given, is_dataclass)
    if named is not None:
        return _call(owner, **named)
    return _call(state.builder.needs("", "restored"), owner, **fields)


def _rebuilt(state: _State) -> tuple[dict[str, ast.expr], bool]:
    """Return the attributes that can be rebuilt, and whether others were lost; those are told."""
    name = _shown(last_name(str(state.inner).partition(":")[2]))
    sent = state.named("state")
    tried = {one: state.builder.attempt(value) for one, value in sent.items()}
    fields = {one: node for one, node in tried.items() if not isinstance(node, str)}
    if sent and not fields:
        raise CannotRebuildError(f"is a {name}: none of its attributes can be rebuilt")
    for one, reason in tried.items():
        if isinstance(reason, str):
            state.builder.tells(f"{name}.{_shown(one)} is left out: it {reason}")
    return fields, len(fields) < len(tried)


READERS: dict[str, Callable[[_State], ast.expr]] = {
    **dict.fromkeys(SEQUENCES, _sequence),
    **dict.fromkeys(("$dict", *MAPPINGS), _mapping),
    "$enum": _enum,
    "$name": _name,
    "$method": _method,
    "$pattern": _pattern,
    "$partial": _partial,
    "$record": _record,
    "$object": _object,
    "$cut": _cut,
}
"""What each mark of the hook reads as."""
