"""Cutting a project's test down to one, and giving it another ending."""

import ast
from textwrap import dedent

import pytest

from selfdrive_dagster.patches.reproduce.pruning import CannotBorrowError
from selfdrive_dagster.patches.reproduce.shrink import made_up
from selfdrive_dagster.patches.reproduce.testcode import (
    TestCode,
    cut_after,
    find_test,
)
from selfdrive_dagster.patches.values import Import


def cut(text: str, node_id: str = "test_a", call: int = -1, lean: bool = False) -> str:
    """Cut a test at one of its calls of `f`."""
    test = code_of(text, node_id)
    calls = [one for one in test.calls if ast.unparse(one.func) in ("f", "self.f")]
    return cut_after(
        test,
        calls[call],
        lambda indent: " " * indent + "f(42)\n",
        name="test_new",
        imports=frozenset({Import("decimal", "Decimal")}),
        sentence="It failed.",
        lean=lean,
    )


def code_of(text: str, node_id: str = "test_a") -> TestCode:
    found = find_test("tests/test_x.py", dedent(text).lstrip("\n"), f"tests/test_x.py::{node_id}")
    assert found is not None
    return found


CASES = {
    "helpers, fixtures and comments stay, the rest goes": (
        '''
        """About f."""

        from __future__ import annotations
        import json, os
        from shop import f, g, unused

        LIMIT = 3  # the usual
        OTHER = 4

        # makes things
        def helper():
            return g(LIMIT)

        def idle():
            return OTHER

        def test_b(): f(1)

        def test_a():
            # prepare
            thing = helper()
            assert f(thing) == 3
            assert f(thing) == 4
        ''',
        '''
        """It failed."""

        from __future__ import annotations
        from shop import f, g
        from decimal import Decimal

        LIMIT = 3  # the usual

        # makes things
        def helper():
            return g(LIMIT)


        def test_new():
            # prepare
            thing = helper()
            f(42)
        ''',
    ),
    "a context and a loop stay around the call": (
        """
        from shop import f, door

        def test_a():
            with door() as d:
                for one in d:
                    x = f(one)
                    print(x)
            f(2)
        """,
        '''
        """It failed."""

        from shop import f, door
        from decimal import Decimal

        def test_new():
            with door() as d:
                for one in d:
                    f(42)
        ''',
    ),
    "an expected raise goes": (
        """
        import pytest
        from shop import f

        def test_a():
            with pytest.raises(ValueError):
                f(1)
        """,
        '''
        """It failed."""

        from shop import f
        from decimal import Decimal

        def test_new():
            f(42)
        ''',
    ),
    "parameters that are no longer used go": (
        """
        import pytest
        from shop import f

        @pytest.mark.slow
        @pytest.mark.parametrize(("x", "y"), [(1, 2)])
        def test_a(door, x: int, y):
            f(x + y)
        """,
        '''
        """It failed."""

        import pytest
        from shop import f
        from decimal import Decimal

        @pytest.mark.slow
        def test_new(door):
            f(42)
        ''',
    ),
    "a class keeps its set-up": (
        """
        import unittest
        from shop import f

        class TestF(unittest.TestCase):
            f = staticmethod(f)

            def setUp(self):
                self.x = 1

            def test_b(self): pass

            def test_a(self):
                self.f(self.x)

        class TestOther:
            def test_c(self): pass
        """,
        '''
        """It failed."""

        import unittest
        from shop import f
        from decimal import Decimal

        class TestF(unittest.TestCase):
            f = staticmethod(f)

            def setUp(self):
                self.x = 1

            def test_new(self):
                f(42)
        ''',
    ),
    "what pytest finds by name stays": (
        """
        import pytest
        from shop import f

        pytestmark = pytest.mark.usefixtures("door")

        @pytest.fixture(autouse=True)
        def always(): pass

        @pytest.fixture(name="door")
        def make_door(): pass

        @pytest.fixture
        def window(): pass

        def test_a():
            f(1)
        """,
        '''
        """It failed."""

        import pytest
        from shop import f
        from decimal import Decimal

        pytestmark = pytest.mark.usefixtures("door")

        @pytest.fixture(autouse=True)
        def always(): pass

        @pytest.fixture(name="door")
        def make_door(): pass


        def test_new():
            f(42)
        ''',
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_test_is_cut_down(name: str) -> None:
    before, after = CASES[name]
    node_id = "TestF::test_a" if "TestF" in before else "test_a"
    assert cut(before, node_id, call=0) == dedent(after).lstrip("\n")


def test_a_lean_test_loses_its_earlier_assertions_and_idle_names() -> None:
    text = "from shop import f\n\ndef test_a():\n    x = 3\n    assert f(1)\n    f(x)\n"
    assert "assert f(1)" in cut(text)
    assert cut(text, lean=True).endswith("def test_new():\n    f(42)\n")


@pytest.mark.parametrize(
    "body",
    [
        "try:\n        f(1)\n    except KeyError:\n        pass",
        "def inner():\n        f(1)\n    inner()",
        "g(lambda: f(1))",
        "g([f(x) for x in y])",
    ],
)
def test_a_call_that_cannot_be_cut_after_is_refused(body: str) -> None:
    with pytest.raises(CannotBorrowError):
        cut(f"from shop import f, g\n\ndef test_a():\n    {body}\n")


def test_a_name_that_means_something_else_is_refused() -> None:
    with pytest.raises(CannotBorrowError, match="uses the name Decimal for something else"):
        cut("from shop import f, Decimal\n\ndef test_a():\n    x = Decimal(2)\n    f(x)\n")


@pytest.mark.parametrize(
    "node_id", ["test_gone", "TestGone::test_a", "test_a[1-2]", "TestA::Deep::test_a"]
)
def test_node_ids_name_tests(node_id: str) -> None:
    found = find_test("t.py", "def test_a(): pass\n", f"t.py::{node_id}")
    assert (found is not None) == (node_id == "test_a[1-2]")


def test_made_up_texts_keep_the_shape() -> None:
    assert made_up("Ada Byron, 1815") == ("Xxx Xxxxx, 1111",)
    assert made_up("Żan 5") == ("Xxx 1", "Żxx 1")
    assert made_up("x 1") == ()
