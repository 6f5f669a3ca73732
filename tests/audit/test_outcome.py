"""What came of a change: silence counts only where it was unlikely."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.audit.outcome import OutcomeKind, Sessions, judge_outcome, luck_of
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Claim


def told(affected: int | None, seen: int | None) -> Sessions:
    return Sessions(seen=seen, affected=affected)


CASES = {
    "enough silence after a repair": (Claim.REPAIR, (10, 100), (0, 100), OutcomeKind.VERIFIED),
    "enough after a mitigation": (Claim.MITIGATION, (10, 100), (0, 100), OutcomeKind.CONTAINED),
    "an unknown claim is a mitigation": (None, (10, 100), (0, 100), OutcomeKind.CONTAINED),
    "too few sessions": (Claim.REPAIR, (1, 1000), (0, 100), OutcomeKind.INCONCLUSIVE),
    "met again": (Claim.REPAIR, (10, 100), (1, 10_000), OutcomeKind.REGRESSED),
    "met again, sessions unknown": (Claim.REPAIR, (10, 100), (3, None), OutcomeKind.REGRESSED),
    "nobody came": (Claim.REPAIR, (10, 100), (0, 0), OutcomeKind.INCONCLUSIVE),
    "old rate unknown": (Claim.REPAIR, (None, None), (0, 10_000), OutcomeKind.INCONCLUSIVE),
    "it never happened before": (Claim.REPAIR, (0, 100), (0, 10_000), OutcomeKind.INCONCLUSIVE),
    "sessions without ids": (Claim.REPAIR, (10, 100), (None, None), OutcomeKind.INCONCLUSIVE),
    "always before, never now": (Claim.REPAIR, (5, 5), (0, 1), OutcomeKind.VERIFIED),
}


@pytest.mark.parametrize("name", CASES)
def test_outcomes(name: str) -> None:
    claim, before, after, expected = CASES[name]
    assert judge_outcome(claim, told(*before), told(*after)).kind is expected


@given(st.integers(1, 500), st.integers(1, 500), st.integers(0, 5_000))
def test_silence_verifies_only_where_luck_is_unlikely(hit: int, missed: int, seen: int) -> None:
    before = told(hit, hit + missed)
    outcome = judge_outcome(Claim.REPAIR, before, told(0, seen))
    assert before.rate is not None
    verified = outcome.kind is OutcomeKind.VERIFIED
    assert verified == (luck_of(before.rate, seen) <= 0.05 + 1e-12)


def test_more_affected_than_seen_cannot_be() -> None:
    with pytest.raises(BadInput):
        told(2, 1)
