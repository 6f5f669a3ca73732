"""From a recorded value to the Python expression that rebuilds it, or the reason there is none.

Sentry sends a variable as JSON: leaves are reprs in strings, containers are lists and objects
(`telemetry.md`, `repair.md` §9). Nothing is evaluated: reprs are parsed to syntax, and every
call in them must name a known type of the standard library or a class of the product's own.

What stock SDKs cut or hide counts as unknown, never as empty: containers of exactly ten
entries, containers below depth four, objects without a repr. What the opt-in hook marks is read
by `states`. For a text that was hidden a made-up one stands in, and a note says so.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import msgspec

from selfdrive_dagster.patches.spellings import (
    BUILTIN_CALLS,
    BUILTIN_REPR,
    BUILTIN_TYPES,
    CLASS_REPR,
    ENUM_REPR,
    FUNCTION_REPR,
    MODULE_REPR,
    OBJECT_REPR,
    OPAQUE,
    STANDARD,
    STANDARD_ENUMS,
    angles,
    hinted,
)
from selfdrive_dagster.patches.stand_ins import REDACTED, stand_in, stood_in
from selfdrive_dagster.patches.states import CannotRebuildError as _CannotRebuildError
from selfdrive_dagster.patches.states import is_state, read_state
from selfdrive_dagster.patches.syntax import Class, Module, Tree, dotted, last_name

SDK_BREADTH = 10
SDK_DEPTH = 4
LONGEST_TEXT = 2_000
LONGEST_EXPRESSION = 6_000
MOST_VALUES = 5_000
MOST_NOTES = 8


class Import(msgspec.Struct, frozen=True, order=True):
    """`from module import name`, or `import module` when `name` is empty.

    An empty module means a helper that the test itself defines (`writing.HELPERS`).
    """

    module: str
    name: str = ""


class Rebuilt(msgspec.Struct, frozen=True, eq=False):
    """An expression, what it needs to be imported, and what it does not tell of the original."""

    node: ast.expr
    imports: frozenset[Import] = frozenset()
    notes: tuple[str, ...] = ()

    @property
    def expression(self) -> str:
        """Return the source on one line."""
        return ast.unparse(self.node)


class Unknown(msgspec.Struct, frozen=True):
    """No expression, and why."""

    reason: str


Value = Rebuilt | Unknown


def rebuild(recorded: Any, tree: Tree, annotation: ast.expr | None = None) -> Value:
    """Rebuild a recorded variable: leaves are reprs. The annotation chooses between look-alikes.

    A JSON list may have been a list, tuple or set, and a key `"1"` an integer: without an
    annotation they become lists and texts.
    """
    return _guarded(lambda: _Builder(tree).build(recorded, annotation))


def literal(value: Any) -> Value:
    """Rebuild plain JSON, such as a request's body: texts are texts."""
    return _guarded(lambda: _plain(value, 0))


def from_repr(text: str, tree: Tree) -> Value:
    """Rebuild a value from its repr."""
    return _guarded(lambda: _Builder(tree).repr(text))


def _guarded(build: Callable[[], Rebuilt]) -> Value:
    try:
        built = build()
    except _CannotRebuildError as reason:
        return Unknown(str(reason))
    except RecursionError:
        return Unknown("is nested too deeply")
    if len(built.expression) > LONGEST_EXPRESSION:
        return Unknown("is too long for a test that people read")
    return built


def _plain(value: Any, depth: int) -> Rebuilt:
    if isinstance(value, str):
        return Rebuilt(_text(value))
    if value is None or isinstance(value, bool | int | float):
        return Rebuilt(_number(value))
    if isinstance(value, list):
        _refuse_cut(len(value))
        return Rebuilt(ast.List([_plain(one, depth + 1).node for one in value], ast.Load()))
    if isinstance(value, Mapping):
        _refuse_cut(len(value))
        nodes = [_plain(one, depth + 1).node for one in value.values()]
        return Rebuilt(ast.Dict([_text(str(key)) for key in value], nodes))
    raise _CannotRebuildError(f"is a {type(value).__name__}, which JSON does not have")


def _refuse_cut(length: int) -> None:
    if length == SDK_BREADTH:
        raise _CannotRebuildError("has exactly ten entries, so the sender may have cut it")


def _text(text: str) -> ast.expr:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise _CannotRebuildError("holds half of a surrogate pair")
    if len(text) <= LONGEST_TEXT:
        return ast.Constant(text)
    unit = re.match(r"(.{1,20}?)\1*\Z", text, re.DOTALL)
    if unit is None or len(unit[1]) * 2 > len(text):
        raise _CannotRebuildError(f"is a text of {len(text)} characters, too long for a test")
    times = ast.Constant(len(text) // len(unit[1]))
    return ast.BinOp(ast.Constant(unit[1]), ast.Mult(), times)


def _number(value: float | bool | None) -> ast.expr:
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return ast.Call(ast.Name("float", ast.Load()), [ast.Constant(repr(value))], [])
    if isinstance(value, int | float) and not isinstance(value, bool) and value < 0:
        return ast.UnaryOp(ast.USub(), ast.Constant(-value))
    return ast.Constant(value)


class _Builder:
    """Turns recorded values into syntax; knows the product's classes."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._imports: set[Import] = set()
        self._angles: list[str] = []
        self._notes: list[str] = []
        self._left = MOST_VALUES

    def build(self, value: Any, hint: ast.expr | None) -> Rebuilt:
        return self._made(self._recorded(value, hint, 0))

    def repr(self, text: str) -> Rebuilt:
        return self._made(self._repr(text))

    def _made(self, node: ast.expr) -> Rebuilt:
        notes = tuple(dict.fromkeys(self._notes))
        if len(notes) > MOST_NOTES:
            more = f"{len(notes) - MOST_NOTES} more things are left out or made up"
            notes = (*notes[:MOST_NOTES], more)
        return Rebuilt(node, frozenset(self._imports), notes)

    def recorded(self, value: Any) -> ast.expr:
        return self._recorded(value, None, 0)

    def needs(self, module: str, name: str) -> ast.expr:
        self._imports.add(Import(module, name))
        return _name(name or module)

    def tells(self, note: str) -> None:
        self._notes.append(note)

    def attempt(self, value: Any) -> ast.expr | str:
        imports, notes = set(self._imports), list(self._notes)
        try:
            return self.recorded(value)
        except _CannotRebuildError as reason:
            self._imports, self._notes = imports, notes
            return str(reason)

    def _recorded(self, value: Any, hint: ast.expr | None, depth: int) -> ast.expr:
        self._left -= 1
        if self._left < 0:
            raise _CannotRebuildError("holds too much for a test that people read")
        if isinstance(value, str):
            return self._stand_in(value, hint) if REDACTED.fullmatch(value) else self._repr(value)
        if isinstance(value, Mapping) and is_state(value):
            return read_state(value, self._tree, self)
        if isinstance(value, list | Mapping):
            self._refuse_container(value, hint, depth)
        if isinstance(value, list):
            return self._sequence(value, hint, depth)
        if isinstance(value, Mapping):
            return self._mapping(value, hint, depth)
        if value is None or isinstance(value, bool | int | float):
            return _number(value)
        raise _CannotRebuildError(f"was sent as a {type(value).__name__}")

    def _refuse_container(
        self, value: list[Any] | Mapping[str, Any], hint: ast.expr | None, depth: int
    ) -> None:
        name = hinted(hint)[0]
        if name in OPAQUE:
            raise _CannotRebuildError(f"is a {name}: its state was not sent")
        _refuse_cut(len(value))
        if depth >= SDK_DEPTH:
            raise _CannotRebuildError("is nested deeper than the sender follows")

    def _sequence(self, value: list[Any], hint: ast.expr | None, depth: int) -> ast.expr:
        name, arguments = hinted(hint)
        inner = arguments[0] if arguments else None
        items = [self._recorded(one, inner, depth + 1) for one in value]
        if name in ("tuple", "Tuple"):
            return ast.Tuple(items, ast.Load())
        if name in ("set", "Set", "AbstractSet", "MutableSet") and items:
            return ast.Set(items)
        node: ast.expr = ast.List(items, ast.Load())
        if name in ("set", "frozenset", "FrozenSet"):
            return ast.Call(_name(name.lower()), [node] if items else [], [])
        if name in ("deque", "Deque"):
            self._imports.add(Import("collections", "deque"))
            return ast.Call(_name("deque"), [node], [])
        return node

    def _mapping(self, value: Mapping[str, Any], hint: ast.expr | None, depth: int) -> ast.expr:
        arguments = hinted(hint)[1]
        inner = arguments[1] if len(arguments) == 2 else None
        whole = bool(arguments) and dotted(arguments[0]) == "int"
        keys: list[ast.expr | None] = [_key(key, whole) for key in value]
        return ast.Dict(keys, [self._recorded(one, inner, depth + 1) for one in value.values()])

    def _repr(self, text: str) -> ast.expr:
        if REDACTED.fullmatch(text):
            return self._stand_in(text, None)
        bare = self._takeangles(text)
        try:
            node = ast.parse(bare, mode="eval").body
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            raise _CannotRebuildError(_unreadable(text)) from None
        return self._value(node)

    def _stand_in(self, placeholder: str, hint: ast.expr | None) -> ast.expr:
        made = stand_in(placeholder, hinted(hint)[0])
        if made is None:
            raise _CannotRebuildError(f"was hidden by the sender ({placeholder})")
        self.tells(f"{made!r} stands in for what was hidden as {placeholder}")
        return ast.Constant(made)

    def _takeangles(self, text: str) -> str:
        """Put a name in place of each `<…>` outside of quotes, and keep what it said."""
        pieces = []
        for inside, piece in angles(text):
            if inside:
                pieces.append(f"__angle_{len(self._angles)}__")
                self._angles.append(piece)
            else:
                pieces.append(piece)
        return "".join(pieces)

    def _value(self, node: ast.expr) -> ast.expr:
        match node:
            case ast.Constant(value=str() as text):
                if hidden := REDACTED.search(text):
                    self.tells(f"made-up text stands in for what was hidden as {hidden[0]}")
                return _text(stood_in(text))
            case ast.Constant(value=value) if value is not ...:
                return node
            case ast.UnaryOp(
                op=ast.USub() | ast.UAdd(), operand=ast.Constant(value=float() | int())
            ):
                return node
            case ast.BinOp(
                left=left, op=ast.Add() | ast.Sub(), right=ast.Constant(value=complex())
            ):
                return ast.BinOp(self._value(left), node.op, node.right)
            case ast.List(elts=items):
                return ast.List(self._values(items), ast.Load())
            case ast.Tuple(elts=items):
                return ast.Tuple(self._values(items), ast.Load())
            case ast.Set(elts=items):
                return ast.Set(self._values(items))
            case ast.Dict(keys=keys, values=values) if None not in keys:
                names = self._values([key for key in keys if key is not None])
                return ast.Dict([*names], self._values(values))
            case ast.Name(id=name) if name.startswith("__angle_"):
                return self._angle(self._angles[int(name[8:-2])])
            case ast.Name(id="nan" | "inf" as name):
                return ast.Call(_name("float"), [ast.Constant(name)], [])
            case ast.UnaryOp(op=ast.USub(), operand=ast.Name(id="inf")):
                return ast.Call(_name("float"), [ast.Constant("-inf")], [])
            case ast.Call():
                return self._call(node)
            case ast.Attribute():
                return self._attribute(node)
        raise _CannotRebuildError(_unreadable(ast.unparse(node)))

    def _values(self, nodes: list[ast.expr]) -> list[ast.expr]:
        return [self._value(node) for node in nodes]

    def _call(self, node: ast.Call) -> ast.expr:
        name = dotted(node.func)
        arguments = self._values(node.args)
        keywords = [
            ast.keyword(one.arg, self._value(one.value)) for one in node.keywords if one.arg
        ]
        if len(keywords) != len(node.keywords) or not name:
            raise _CannotRebuildError(_unreadable(ast.unparse(node)))
        if name in BUILTIN_CALLS:
            return ast.Call(_name(name), arguments, keywords)
        if (found := STANDARD.get(name)) is not None:
            module, spelled = found
            self._imports.add(Import(module, spelled))
            return ast.Call(_name(spelled), arguments, keywords)
        made = self._product_class(name)
        _refuse_misfit(made, arguments, keywords, self._tree)
        return ast.Call(self._reference(made), arguments, keywords)

    def _attribute(self, node: ast.Attribute) -> ast.expr:
        name = dotted(node)
        if name == "datetime.timezone.utc":
            self._imports.add(Import("datetime", "timezone"))
            return ast.Attribute(_name("timezone"), "utc", ast.Load())
        raise _CannotRebuildError(_unreadable(ast.unparse(node)))

    def _angle(self, text: str) -> ast.expr:
        if found := CLASS_REPR.fullmatch(text):
            return self._dotted(found[1])
        if found := FUNCTION_REPR.fullmatch(text):
            return self._function(found[1])
        if found := BUILTIN_REPR.fullmatch(text):
            return _name(found[1])
        if found := MODULE_REPR.fullmatch(text):
            return self._module(found[1])
        if found := ENUM_REPR.fullmatch(text):
            return self._member(found[1], found[2])
        raise _CannotRebuildError(_unreadable(text))

    def _dotted(self, name: str) -> ast.expr:
        if name in BUILTIN_TYPES:
            return _name(name)
        if name in STANDARD:
            module, spelled = STANDARD[name]
            self._imports.add(Import(module, spelled))
            return _name(spelled)
        return self._reference(self._product_class(name))

    def _function(self, qualname: str) -> ast.expr:
        found = [
            one
            for module in self._tree.modules
            for one in module.functions
            if one.qualname == qualname
        ]
        if len(found) != 1 or found[0].is_nested:
            raise _CannotRebuildError(
                f"is the function {_short(qualname)}, which no import reaches"
            )
        return self._import_path(found[0].module, qualname)

    def _module(self, name: str) -> ast.expr:
        known: Iterator[Module] = (one for one in self._tree.modules if one.name == name)
        if next(known, None) is None:
            raise _CannotRebuildError(f"is the module {_short(name)}, which is not the product's")
        before, _, last = name.rpartition(".")
        self._imports.add(Import(before, last) if before else Import(name))
        return _name(last)

    def _member(self, owner: str, member: str) -> ast.expr:
        if owner in STANDARD_ENUMS:
            self._imports.add(Import(STANDARD_ENUMS[owner], owner))
            return ast.Attribute(_name(owner), member, ast.Load())
        made = self._product_class(owner)
        if member not in _class_names(made):
            raise _CannotRebuildError(
                f"is {_short(owner)}.{_short(member)}, which is not in the tree"
            )
        return ast.Attribute(self._reference(made), member, ast.Load())

    def _product_class(self, name: str) -> Class:
        found = self._tree.classes_named(name)
        if len(found) != 1:
            many = "several classes of that name exist" if found else "no such class is in the tree"
            raise _CannotRebuildError(f"is a {_short(name)}: {many}")
        return found[0]

    def _reference(self, made: Class) -> ast.expr:
        return self._import_path(made.module, made.qualname)

    def _import_path(self, module: str, qualname: str) -> ast.expr:
        first, *rest = qualname.split(".")
        self._imports.add(Import(module, first))
        node = _name(first)
        for part in rest:
            node = ast.Attribute(node, part, ast.Load())
        return node


def _name(name: str) -> ast.expr:
    return ast.Name(name, ast.Load())


def _key(key: str, whole: bool) -> ast.expr:
    if whole and re.fullmatch(r"-?\d{1,18}", key):
        return _number(int(key))
    if REDACTED.search(key):
        raise _CannotRebuildError("was hidden in part before it was stored")
    return _text(key)


def _class_names(made: Class) -> set[str]:
    """Return the names assigned in a class body: an enum's members, a dataclass's fields."""
    names: set[str] = set()
    for node in made.node.body:
        if isinstance(node, ast.Assign):
            names.update(dotted(target) for target in node.targets)
        elif isinstance(node, ast.AnnAssign):
            names.add(dotted(node.target))
    return names


def _refuse_misfit(
    made: Class, arguments: list[ast.expr], keywords: list[ast.keyword], tree: Tree
) -> None:
    """Refuse a repr that looks like a call its class cannot take."""
    names = _accepted(made, tree)
    extra = [one.arg or "" for one in keywords if one.arg not in names]
    if names and (extra or len(arguments) > len(names)):
        shown = ", ".join(extra) or "so many arguments"
        raise _CannotRebuildError(f"is a {made.node.name} whose constructor does not take {shown}")


def _accepted(made: Class, tree: Tree) -> set[str]:
    """Return the constructor's parameter names; empty when it takes anything or nobody knows."""
    init = made.method("__init__") or made.method("__new__")
    if init is not None:
        given = init.args
        if given.kwarg or given.vararg:
            return set()
        return {one.arg for one in [*given.posonlyargs, *given.args[1:], *given.kwonlyargs]}
    inherited: set[str] = set()
    for base in made.bases:
        for parent in tree.classes_named(last_name(base)) if base else ():
            if parent.node is not made.node:
                inherited |= _accepted(parent, tree)
    return inherited | _class_names(made)


def _unreadable(text: str) -> str:
    if found := OBJECT_REPR.search(text):
        return f"is a <{found[1]} object>: its state was not sent"
    if text.rstrip().endswith(("...", "…")):
        return "was cut by the sender"
    return f"was sent as {_short(text)}, which cannot be read back"


def _short(text: str) -> str:
    shown = ascii(text)[1:-1]
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
