"""Edits that no one would write are never tried."""

import ast

import pytest

from selfdrive_dagster.patches.templates.nonsense import nonsense

NONSENSE = (
    "n[n:]", "seq[seq:]", "seq[seq]", "seq[str(n):]", "seq[:'x']", "-seq[n:]", "seq[n:] + 1",
    "1 - seq[:n]", "-(a in b)", "~[a]", "a == a", "a.b is a.b", "a and a", "b or a or a",
    "isinstance(a, a)",
)  # fmt: skip
SENSE = (
    "seq[-n:]", "seq[n]", "seq[n:] + rest", "seq[n:] * 2", "seq[len(seq) - 1:]", "-n", "~mask",
    "a == b", "next(a) == next(a)", "a and b and a", "isinstance(a, b)", "seq[int(n):]",
    "seq[a < b]", "seq[None:]", "not a",
)  # fmt: skip


@pytest.mark.parametrize("text", NONSENSE)
def test_nonsense_is_known(text: str) -> None:
    assert nonsense(ast.parse(text))


@pytest.mark.parametrize("text", SENSE)
def test_what_somebody_may_write_is_none(text: str) -> None:
    assert not nonsense(ast.parse(text))
