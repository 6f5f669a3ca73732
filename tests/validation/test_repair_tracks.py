"""From a failing suite to a proof: tests that fail for unrelated reasons do not hide each other."""

import sys
from pathlib import Path

from selfdrive_dagster.model import Claim, Commit, Product, Verdict
from selfdrive_dagster.validation.repair import Budget, repair
from tests.fakes.plain_sandbox import PlainSandbox

SHOP = '''\
def is_free(cents):
    """Say whether shipping is free: from 50 euros."""
    return cents > 5000


def unknown(word):
    raise NotImplementedError("nobody knows what this should do")
'''
TESTS = """\
import pytest
import till


@pytest.mark.parametrize("cents", [5000, 5001])
def test_free(cents):
    assert till.is_free(cents)


@pytest.mark.parametrize("cents", [0, 4999])
def test_not_free(cents):
    assert not till.is_free(cents)


def test_unrelated():
    assert till.unknown("tea") == {"tea": ["green", 17.25]}
"""
QUICK = ("-p", "no:hypothesispytest", "-p", "no:anyio", "-p", "no:timeout", "-p", "no:platformdirs")


class NoHistory:
    """Version control that knows nothing."""

    def blame(self, path: str, line: int) -> Commit | None:
        return None

    def changes(self, path: str, limit: int) -> tuple[Commit, ...]:
        return ()

    def show(self, revision: str, path: str) -> str | None:
        return None


def test_one_of_two_unrelated_failures_is_mended_alone(tmp_path: Path) -> None:
    (tmp_path / "till.py").write_text(SHOP)
    (tmp_path / "test_till.py").write_text(TESTS)
    product = Product(
        name="till", root=str(tmp_path), python=sys.executable, source=("till.py",), tests=QUICK
    )
    found = repair(
        product, NoHistory(), PlainSandbox(), crash=None, budget=Budget(max_candidates=120)
    )
    assert found.best is not None
    assert found.best.claim is Claim.REPAIR
    assert found.verdict is Verdict.CERTIFIED
    assert "+    return cents >= 5000" in found.best.patch
    assert found.diagnosis.failing_tests == ("test_till.py::test_free[5000]",)
