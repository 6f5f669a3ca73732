"""The policy decides on a patch's text alone, and names all that is wrong at once."""

from pathlib import Path

import pytest

from selfdrive_dagster.model import Check, Product
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.validation import check_policy

OLD = "def price(zone):\n    return RATES[zone]\n"


@pytest.fixture
def product(tmp_path: Path) -> Product:
    for name in ("shop/prices.py", "shop/auth/login.py", "tests/test_prices.py", "setup.py"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(OLD)
    return Product(
        name="shop",
        root=str(tmp_path),
        python="python",
        source=("shop",),
        protected=("**/auth/**",),
        max_lines=6,
    )


def judge(product: Product, path: str, new: str | None, old: str | None = OLD) -> Check:
    return check_policy(render_diff(path, old, new), {path: new}, product)


def test_a_small_change_of_the_products_code_passes(product: Product) -> None:
    check = judge(product, "shop/prices.py", OLD.replace("RATES[zone]", "RATES.get(zone, 0)"))
    assert check.passed and check.numbers["changed_lines"] == 2


REFUSED = {
    "a test": ("tests/test_prices.py", "x = 1\n", "belongs to the tests"),
    "a protected path": ("shop/auth/login.py", "x = 1\n", "protected by **/auth/**"),
    "a build file": ("setup.py", "x = 1\n", "protected by setup.py"),
    "another file": ("notes.py", "x = 1\n", "not the product's own code"),
    "a deletion": ("shop/prices.py", None, "deletes shop/prices.py"),
    "too much": ("shop/prices.py", OLD + "x = 1\n" * 9, "changes 9 lines, more than 6"),
    "a process": ("shop/prices.py", OLD + "import subprocess\n", "brings in 'subprocess'"),
    "evaluation": ("shop/prices.py", OLD.replace("RATES[zone]", "eval(zone)"), "brings in 'eval("),
    "a probe": ("shop/prices.py", OLD + "T = 'PYTEST_CURRENT_TEST'\n", "brings in 'PYTEST_"),
    "a swallowed error": (
        "shop/prices.py",
        "try:\n    from shop.table import RATES\nexcept Exception:\n    pass\n" + OLD,
        "swallows every exception",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_a_patch_must_not_do_is_named(name: str, product: Product) -> None:
    path, new, words = REFUSED[name]
    check = judge(product, path, new)
    assert check.passed is False
    assert words in check.says


def test_all_faults_are_told_at_once(product: Product) -> None:
    check = judge(product, "tests/test_prices.py", OLD + "import socket\n" * 9)
    assert check.says.count(";") >= 3
