"""Second edits come only on candidates that turned a failing test green."""

import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from selfdrive_dagster.model import Diagnosis, Product, Reproducer, Suspicion, Way
from selfdrive_dagster.patches.pairs import pairs, partial
from selfdrive_dagster.patches.search import search
from selfdrive_dagster.patches.templates import Draft, generate
from selfdrive_dagster.patches.text import apply_patch
from tests.fakes.made_findings import NO_SUITE
from tests.fakes.plain_sandbox import PlainSandbox

TILL = """def price(cents, kind):
    if cents > 100:
        return cents - 5
    return cents
"""
TESTS = """import till


def test_boundary():
    assert till.price(100, "a") in (95, 105)


def test_fee():
    assert till.price(200, "a") == 205
"""
TARGETS = ("test_till.py::test_boundary", "test_till.py::test_fee")
REPRODUCER = Reproducer(
    way=Way.FAILING_TEST,
    path="test_till.py",
    source=None,
    node_ids=TARGETS,
    exception_type="AssertionError",
    function="",
    target_path="",
)
DIAGNOSIS = Diagnosis(
    revision="",
    sentence="",
    crash=None,
    failing_tests=TARGETS,
    frames=(),
    suspicions=tuple(
        Suspicion(path="till.py", line=line, function="price", score=1.0, why="it fails")
        for line in (2, 3)
    ),
    inputs=(),
    suspect=None,
    exception_type="",
)


@pytest.fixture
def product(tmp_path: Path) -> Product:
    (tmp_path / "till.py").write_text(TILL)
    (tmp_path / "test_till.py").write_text(TESTS)
    return Product(name="till", root=str(tmp_path), python=sys.executable, source=("till.py",))


def drawn(product: Product, text: str) -> Draft:
    drafts = generate(DIAGNOSIS, product, limit=400)
    return next(draft for draft in drafts if text in draft.source)


def test_who_is_partial_is_told_by_the_test_that_failed(product: Product) -> None:
    draft = drawn(product, "cents >= 100")
    assert partial(draft, TARGETS[0], TARGETS) is None
    assert partial(draft, "", TARGETS) is None
    half = partial(draft, TARGETS[1], TARGETS)
    whole = partial(draft, "test_till.py::test_other", TARGETS)
    assert half is not None
    assert (half.green, half.whole) == (1, False)
    assert whole is not None
    assert (whole.green, whole.whole) == (2, True)


def test_a_pair_is_one_patch_against_the_base(product: Product) -> None:
    half = partial(drawn(product, "cents >= 100"), TARGETS[1], TARGETS)
    assert half is not None
    found = list(pairs([half], DIAGNOSIS, product, limit=60))
    right = next(draft for draft in found if "return cents + 5" in draft.source)
    assert "cents >= 100" in right.source
    assert apply_patch(product.read, right.patch) == {"till.py": right.source}
    assert len({draft.source for draft in found}) == len(found)
    assert list(pairs([half], DIAGNOSIS, product, limit=0)) == []
    assert list(pairs([], DIAGNOSIS, product, limit=9)) == []


def test_lines_below_a_longer_first_edit_are_found_again(product: Product) -> None:
    first = drawn(product, "cents >= 100")
    longer = replace(first, source=first.source.replace("    if", "    kind = 1\n    if"), line=1)
    half = partial(longer, TARGETS[1], TARGETS)
    assert half is not None
    assert any("cents + 5" in one.source for one in pairs([half], DIAGNOSIS, product, limit=60))


@pytest.mark.slow
def test_two_faults_are_mended_together_within_the_budget(product: Product) -> None:
    found = search(
        DIAGNOSIS, REPRODUCER, NO_SUITE, product, PlainSandbox(), max_candidates=250, seconds=60.0
    )
    assert found.tried <= 250
    [best, *_] = found.plausible
    assert "+" in best.family
    assert "+    if cents >= 100:\n+        return cents + 5\n" in best.patch
