"""The shop's slow paths: each is a commit on the healthy shop, and its suite passes there."""

import tomllib

import pytest
from shop_product import SHOP, load, run_suite

from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.improve import Hot, handler_of, ideas
from selfdrive_dagster.patches.syntax import Tree

history, traffic = load("make_history"), load("traffic")
SLOW = {
    path.parent.name: tomllib.loads(path.read_text("utf-8"))
    for path in sorted(SHOP.glob("slow/*/slow.toml"))
}


@pytest.mark.parametrize("name", SLOW)
def test_a_template_fits_the_function_that_is_slow(name: str, tmp_path) -> None:
    told = SLOW[name]
    history.make_history(tmp_path / "shop", [], SHOP / "slow" / name / "slow.patch")
    product = Product(
        name="shop", root=str(tmp_path / "shop"), python="python", source=("shop",)
    )
    tree = Tree(product)
    assert handler_of(tree, told["route"]) is not None
    hot = Hot(path=told["path"], function=told["function"], own=0.9, total=0.9, lines={})
    assert list(ideas((hot,), tree, product))
    assert told["journey"] in traffic.ALSO


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
def test_the_suite_passes_on_it(name: str, tmp_path) -> None:
    history.make_history(tmp_path / "shop", [], SHOP / "slow" / name / "slow.patch")
    assert run_suite(tmp_path / "shop") == (0, set())
