"""Recorded values and the expressions that rebuild them."""

import ast
import datetime
from collections import Counter, OrderedDict, defaultdict, deque
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sentry_sdk.serializer import serialize

from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.reproduce.writing import docstring, inline, quoted
from selfdrive_dagster.patches.syntax import Tree
from selfdrive_dagster.patches.values import Rebuilt, Unknown, from_repr, literal, rebuild

MODELS = """
from collections import namedtuple
from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

class Color(Enum):
    RED = 1
    SKY = "<'blue'>"

@dataclass
class Item:
    name: str
    color: Color = Color.RED

class Point(NamedTuple):
    x: int
    y: int

class Outer:
    class Inner:
        def __init__(self, size): self.size = size

class Opaque: ...

class Odd:
    def __init__(): ...

def pick(): ...
"""


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").write_text("")
    (tmp_path / "shop" / "models.py").write_text(MODELS)
    return Tree(Product(name="shop", root=str(tmp_path), python="", source=("shop",)))


def value_of(found: Rebuilt | Unknown) -> Any:
    """Run what was rebuilt, with what it says it imports: the oracle of these tests."""
    assert isinstance(found, Rebuilt), found
    scope: dict[str, Any] = {}
    for one in found.imports:
        line = f"from {one.module} import {one.name}" if one.name else f"import {one.module}"
        exec(line, scope)
    return eval(inline(found.node), scope)


VALUES = [
    3,
    -3.5,
    2 + 3j,
    'it\'s "quoted" \\ \n',
    b"\x00bytes",
    (1, 2),
    {1, 2},
    frozenset({"a"}),
    set(),
    range(0, 7, 2),
    bytearray(b"x"),
    datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC),
    datetime.date(2026, 1, 2),
    datetime.timedelta(days=-1, seconds=5),
    Decimal("-1.50"),
    Fraction(1, 3),
    UUID(int=5),
    Path("a/b"),
    deque([1], maxlen=3),
    OrderedDict(a=1),
    defaultdict(int, a=1),
    Counter("aab"),
    float("-inf"),
    None,
    True,
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_reprs_of_the_standard_library_come_back(tree: Tree, value: Any) -> None:
    back = value_of(from_repr(repr(value), tree))
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    ("text", "expression", "imported"),
    [
        ("<Color.RED: 1>", "Color.RED", "shop.models"),
        ("<Color.SKY: \"<'blue'>\">", "Color.SKY", "shop.models"),
        ("Item(name='a>b', color=<Color.RED: 1>)", "Item(name='a>b', color=Color.RED)", ""),
        ("Point(x=1, y=2)", "Point(x=1, y=2)", ""),
        ("[Outer.Inner(size=3)]", "[Outer.Inner(size=3)]", ""),
        ("<class 'shop.models.Item'>", "Item", ""),
        ("<class 'int'>", "int", None),
        ("<function pick at 0x7f00>", "pick", ""),
        ("<module 'shop.models' from '/srv/shop/models.py'>", "models", "shop"),
    ],
)
def test_the_products_own_names_are_found(
    tree: Tree, text: str, expression: str, imported: str | None
) -> None:
    found = from_repr(text, tree)
    assert isinstance(found, Rebuilt)
    assert found.expression == expression
    modules = {one.module for one in found.imports}
    assert modules == (set() if imported is None else {imported or "shop.models"})


HIDDEN = [
    ("[Filtered]", "str", "'filtered'"),
    ("[secret]", None, "'filtered'"),
    ("[email]", "str | None", "'somebody@example.org'"),
    ("[secret]", "bytes", "b'filtered'"),
    ("[card]", "int", "4111111111111111"),
    ("'write to [email] from [ip]'", None, "'write to somebody@example.org from 192.0.2.1'"),
]


@pytest.mark.parametrize(("recorded", "annotation", "expression"), HIDDEN)
def test_a_valid_value_of_its_type_stands_in_for_a_hidden_one(
    tree: Tree, recorded: str, annotation: str | None, expression: str
) -> None:
    hint = ast.parse(annotation, mode="eval").body if annotation else None
    found = rebuild(recorded, tree, hint)
    assert isinstance(found, Rebuilt)
    assert found.expression == expression
    assert "stands in for what was hidden" in found.notes[0]


def test_a_hidden_value_of_a_type_of_the_product_stays_unknown(tree: Tree) -> None:
    assert isinstance(rebuild("[secret]", tree, ast.Name("Item")), Unknown)


STRANGERS = [
    (
        {"$object": "subprocess:Popen", "made": "row", "state": {"args": "'id'"}},
        "no import of ours",
    ),
    ({"$object": "tempfile:_TemporaryFileCloser", "state": {"name": "'/x'"}}, "no import of ours"),
    ({"$name": "os:system"}, "no import of ours reaches"),
    ({"$name": "shop.models:make.<locals>.f"}, "no import of ours reaches"),
    ({"$name": "builtins:eval"}, "no import of ours reaches"),
    ({"$method": "a.b", "of": "1"}, "cannot be read back"),
    ({"$record": "shop.models:Item", "state": {"a)": "1"}}, "cannot be read back"),
    ({"$list": "'x'"}, "cannot be read back"),
    ({"$cut": "socket"}, "is a socket: its state was not sent"),
    ({"$object": "shop.models:pick", "made": "model", "state": {}}, "no class that the product"),
    ({"$record": "shop.models:pick", "state": {"x": "1"}}, "no class that the product"),
    (
        {"$object": "shop.models:Item.__init__.__globals__.clear", "made": "row", "state": {}},
        "no import of ours",
    ),
    ({"$object": "shop.models:Opaque", "state": {"class": "1"}}, "cannot be read back"),
    ({"$object": "shop.models:Opaque", "state": {"__class__": "1"}}, "cannot be read back"),
    ({"$object": "shop.models:Opaque", "state": {f"a{n}": "1" for n in range(999)}}, "too many"),
    ({"$default": {}, "factory": {"$name": "shop.models:pick"}}, "makes its values by"),
    ({"$list": ["1"] * 6000}, "holds too much"),
]


@pytest.mark.parametrize(("recorded", "reason"), STRANGERS)
def test_a_state_calls_nothing_but_the_products_own(
    tree: Tree, recorded: dict[str, Any], reason: str
) -> None:
    """Anybody may send a state: it must not choose what a committed test runs."""
    found = rebuild(recorded, tree)
    assert isinstance(found, Unknown)
    assert reason in found.reason


def test_a_constructor_that_takes_nothing_is_not_asked(tree: Tree) -> None:
    found = rebuild({"$object": "shop.models:Odd", "state": {"size": "1"}}, tree)
    assert isinstance(found, Rebuilt)
    assert found.expression == "restored(Odd, size=1)"


def test_what_is_lost_is_told_in_a_few_lines(tree: Tree) -> None:
    lost = {f"a{n}": {"$cut": "socket"} for n in range(100)}
    found = rebuild({"$object": "shop.models:Opaque", "state": {"b": "1", **lost}}, tree)
    assert isinstance(found, Rebuilt)
    assert len(found.notes) == 9
    assert found.notes[-1] == "92 more things are left out or made up"


@pytest.mark.parametrize(
    ("recorded", "reason"),
    [
        ("<shop.models.Opaque object at 0x7f>", "is a <Opaque object>: its state was not sent"),
        ("Item(name=<Opaque object at 0x7f>)", "is a <Opaque object>: its state was not sent"),
        ("Item(nom='a')", "is a Item whose constructor does not take nom"),
        ("Stranger(name='a')", "is a Stranger: no such class is in the tree"),
        ("<Color.BLUE: 3>", "is Color.BLUE, which is not in the tree"),
        ("[cut]", "was hidden by the sender ([cut])"),
        ("'cut off by the s...", "was cut by the sender"),
        ("<cyclic>", "was sent as <cyclic>, which cannot be read back"),
        (["1"] * 10, "has exactly ten entries, so the sender may have cut it"),
        ({str(n): "1" for n in range(10)}, "has exactly ten entries"),
        ([[[[[]]]]], "is nested deeper than the sender follows"),
        ("__import__('os').system('true')", "cannot be read back"),
        ("open('/etc/passwd').read()", "cannot be read back"),
        ("eval('1')", "is a eval: no such class is in the tree"),
        ("[x for x in (1,)]", "cannot be read back"),
        ("'a' * 10**9", "cannot be read back"),
        ("f'{1}'", "cannot be read back"),
        ("'" + "".join(map(chr, range(0x4E00, 0x5600))) + "'", "too long for a test"),
    ],
)
def test_what_cannot_be_known_says_why(tree: Tree, recorded: Any, reason: str) -> None:
    found = rebuild(recorded, tree)
    assert isinstance(found, Unknown)
    assert reason in found.reason


@pytest.mark.parametrize(
    ("recorded", "annotation", "expression"),
    [
        (["1", "2"], "", "[1, 2]"),
        (["1", "2"], "tuple[int, ...]", "(1, 2)"),
        (["1"], "set[int]", "{1}"),
        ([], "frozenset[str] | None", "frozenset()"),
        (["1"], "Optional[deque]", "deque([1])"),
        ({"7": "'a'"}, "dict[int, str]", "{7: 'a'}"),
        ({"7": "'a'"}, "", "{'7': 'a'}"),
        ({"k": ["1"]}, "dict[str, tuple[int, ...]]", "{'k': (1,)}"),
    ],
)
def test_an_annotation_chooses_between_look_alikes(
    tree: Tree, recorded: Any, annotation: str, expression: str
) -> None:
    hint = ast.parse(annotation, mode="eval").body if annotation else None
    found = rebuild(recorded, tree, hint)
    assert isinstance(found, Rebuilt)
    assert found.expression == expression


def test_a_long_text_of_one_letter_is_short(tree: Tree) -> None:
    found = from_repr(repr("ab" * 40_000), tree)
    assert isinstance(found, Rebuilt)
    assert len(found.expression) < 20
    assert value_of(found) == "ab" * 40_000


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=30),
    lambda inner: (
        st.lists(inner, max_size=9) | st.dictionaries(st.text(max_size=9), inner, max_size=9)
    ),
    max_leaves=12,
)


@given(value=plain)
def test_what_the_sdk_sends_comes_back_or_is_unknown(value: Any) -> None:
    tree = Tree(Product(name="none", root="/nonexistent", python=""))
    sent = serialize({"value": value}, is_vars=True)["value"]
    found = rebuild(sent, tree)
    if isinstance(found, Rebuilt):
        assert value_of(found) == value


@given(value=plain)
def test_json_comes_back_or_is_unknown(value: Any) -> None:
    found = literal(value)
    if isinstance(found, Rebuilt):
        assert value_of(found) == value


@given(text=st.text())
def test_a_written_text_is_that_text_and_shows_what_it_holds(text: str) -> None:
    assert ast.literal_eval(quoted(text)) == text
    assert quoted(text).isprintable()


@given(text=st.text())
def test_a_docstring_stays_one_harmless_line(text: str) -> None:
    shown = docstring(text)
    assert shown.isprintable()
    [statement] = ast.parse(shown).body
    assert isinstance(statement, ast.Expr)
    assert isinstance(statement.value, ast.Constant)
