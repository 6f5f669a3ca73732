"""Learned frequencies move the ladder's weights, and nothing they do not know starves."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.patches.templates import FAMILIES
from selfdrive_dagster.patches.templates.frequencies import FREQUENCIES, counted, shares

NAMES = ("comparison", "guard", "delete")
LADDER = {"comparison": 1.0, "guard": 0.2, "delete": 0.25}


def test_what_ships_counts_families_that_exist_and_says_where_it_comes_from() -> None:
    told = tomllib.loads(FREQUENCIES.read_text(encoding="utf-8"))
    assert set(counted()) <= {family.name for family in FAMILIES}
    assert len(told["pairs"]) >= 20
    assert sum(counted().values()) >= len(told["pairs"]) - told["unlike_any"]


@given(st.dictionaries(st.sampled_from((*NAMES, "other")), st.integers(0, 500)))
def test_weights_add_up_and_none_is_lost(counts: dict[str, int]) -> None:
    found = shares(LADDER, counts)
    assert sum(found.values()) == pytest.approx(sum(LADDER.values()))
    assert min(found.values()) > 0


def test_nothing_counted_is_the_ladder_and_much_counted_are_the_counts() -> None:
    assert shares(LADDER, {}) == pytest.approx(LADDER)
    found = shares(LADDER, {"guard": 90_000, "comparison": 10_000})
    assert found["guard"] / found["comparison"] == pytest.approx(9, rel=0.02)
