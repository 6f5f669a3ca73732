"""Templates for slow paths: each named case is rewritten as told, or left alone."""

import tomllib
from pathlib import Path
from typing import Any

import pytest

from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.improve import Hot, ideas
from selfdrive_dagster.patches.syntax import Tree
from selfdrive_dagster.patches.text import apply_patch

CASES = Path(__file__).parents[2] / "cases" / "improve" / "templates.toml"


def product_of(root: Path, source: str) -> Product:
    (root / "shop.py").write_text(source, encoding="utf-8")
    return Product(name="shop", root=str(root), python="python", source=("shop.py",))


def hot(function: str) -> tuple[Hot, ...]:
    return (Hot(path="shop.py", function=function, own=0.9, total=0.9, lines={}),)


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=case["name"])
        for case in tomllib.loads(CASES.read_text(encoding="utf-8"))["case"]
    ],
)
def test_a_hot_function_is_rewritten_or_left_alone(case: dict[str, Any], tmp_path: Path) -> None:
    product = product_of(tmp_path, case["source"].lstrip("\n"))
    drawn = list(ideas(hot(case["function"]), Tree(product), product))
    sources = [one.draft.source.splitlines() for one in drawn]
    if not case["expect"]:
        assert [one.says for one in drawn] == []
        return
    assert [rows for rows in sources if set(case["expect"]) <= set(rows)], sources
    for one in drawn:
        assert apply_patch(product.read, one.draft.patch) == {"shop.py": one.draft.source}
        compile(one.draft.source, "shop.py", "exec")


def test_the_import_stands_among_its_kin(tmp_path: Path) -> None:
    head = (
        '"""Shop."""\n\nfrom __future__ import annotations\n\nimport math\nfrom shop import x\n\n'
    )
    function = "\ndef half(n: int) -> int:\n    return math.floor(n / 2)\n"
    product = product_of(tmp_path, head + function)
    [one] = ideas(hot("half"), Tree(product), product)
    rows = one.draft.source.splitlines()
    assert rows.index("from functools import lru_cache") == rows.index("import math") + 1


def test_a_protected_file_is_left_alone(tmp_path: Path) -> None:
    source = "def weight(word: str) -> int:\n    return len(word * 2)\n"
    product = product_of(tmp_path, source)
    closed = Product(
        name="shop", root=product.root, python="python", source=("shop.py",), protected=("shop.py",)
    )
    assert list(ideas(hot("weight"), Tree(product), product))
    assert list(ideas(hot("weight"), Tree(closed), closed)) == []


def test_a_cache_of_a_function_that_calls_itself_says_what_that_costs(tmp_path: Path) -> None:
    source = "def fib(n: int) -> int:\n    return n if n < 2 else fib(n - 1) + fib(n - 2)\n"
    product = product_of(tmp_path, source)
    [one] = ideas(hot("fib"), Tree(product), product)
    assert any("recursion limit" in sentence for sentence in one.assumes)


def test_what_was_judged_on_the_way_is_judged_again(tmp_path: Path) -> None:
    """`odd` rests on `even`: asked for first or last, neither is pure."""
    case = next(
        one
        for one in tomllib.loads(CASES.read_text(encoding="utf-8"))["case"]
        if one["name"].startswith("two functions that call each other")
    )
    product = product_of(tmp_path, case["source"].lstrip("\n"))
    both = (*hot("even"), *hot("odd"))
    assert list(ideas(both, Tree(product), product)) == []
