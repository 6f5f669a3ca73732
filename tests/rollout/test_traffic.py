"""The rules of traffic: when a share counts, when it must fall, when more may be exposed."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from selfdrive_dagster.rollout.traffic import (
    Cause,
    Seen,
    Traffic,
    Wanted,
    counts,
    must_return,
    refusal,
    returned,
)

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LATER, EARLIER = NOW + timedelta(seconds=30), NOW - timedelta(seconds=1)
TRIED = Wanted(
    generation=7, change_id="chg_a", stable="s", canary="c", share=0.05, lease_until=LATER
)
LOOKED = Seen(
    generation=7, at=NOW, change_id="chg_a", stable="s", canary="c", share=0.05,
    stable_healthy=True, canary_healthy=True,
)  # fmt: skip


def but(record: msgspec.Struct, **changes: object) -> object:
    return msgspec.structs.replace(record, **changes)


FALLS = {
    "a lease that lasts": (TRIED, False, None),
    "a lease that ran out": (but(TRIED, lease_until=EARLIER), False, Cause.LEASE),
    "a lease that ends now": (but(TRIED, lease_until=NOW), False, Cause.LEASE),
    "no lease": (but(TRIED, lease_until=None), False, Cause.LEASE),
    "no share": (but(TRIED, share=0.0, lease_until=None), False, None),
    "the kill switch": (TRIED, True, Cause.KILL_SWITCH),
    "the kill switch before any share": (but(TRIED, share=0.0), True, Cause.KILL_SWITCH),
    "the kill switch without a canary": (Wanted(generation=1, stable="s"), True, None),
}


@pytest.mark.parametrize(("wanted", "killed", "cause"), FALLS.values(), ids=FALLS)
def test_a_share_falls(wanted: Wanted, killed: bool, cause: Cause | None) -> None:
    why = must_return(wanted, NOW, killed=killed)
    assert (why[0] if why else None) == cause
    assert counts(wanted, NOW, killed=killed) == (0.0 if cause else wanted.share)


MORE = {
    "all is well": (TRIED, LOOKED, ""),
    "nobody looked": (TRIED, None, "no front"),
    "nobody looked lately": (TRIED, but(LOOKED, at=NOW - timedelta(seconds=6)), "no front"),
    "another canary was seen": (TRIED, but(LOOKED, canary="b"), "not there yet"),
    "another change was seen": (TRIED, but(LOOKED, change_id="chg_b"), "not there yet"),
    "stable is down": (TRIED, but(LOOKED, stable_healthy=False), "stable is not"),
    "the canary is down": (TRIED, but(LOOKED, canary_healthy=False), "canary is not"),
    "the canary is unknown": (TRIED, but(LOOKED, canary_healthy=None), "canary is not"),
    "no canary": (but(TRIED, canary="", share=0.0), LOOKED, "no canary"),
    "the lease ran out": (but(TRIED, lease_until=EARLIER), LOOKED, "lease ran out"),
}


@pytest.mark.parametrize(("wanted", "seen", "why"), MORE.values(), ids=MORE)
def test_more_is_exposed_only_where_all_is_seen_well(
    wanted: Wanted, seen: Seen | None, why: str
) -> None:
    said = refusal(Traffic(wanted=wanted, seen=seen), 0.25, NOW, killed=False)
    assert (why in said) if why else not said


def test_as_much_or_less_needs_no_look_but_a_lease_and_no_kill_switch() -> None:
    blind = Traffic(wanted=TRIED)
    assert refusal(blind, 0.05, NOW, killed=False) == ""
    assert refusal(blind, 0.0, NOW, killed=True) == ""
    assert "STOP" in refusal(blind, 0.05, NOW, killed=True)
    late = Traffic(wanted=but(TRIED, lease_until=EARLIER))
    assert "lease" in refusal(late, 0.01, NOW, killed=False)


def test_a_return_leaves_nothing_that_a_late_controller_could_renew() -> None:
    after = returned(TRIED, "because", Cause.COMMAND, NOW)
    assert (after.generation, after.share, after.canary, after.lease_until) == (8, 0.0, "", None)
    assert (after.stable, after.change_id) == ("s", "chg_a")
    assert "no canary" in refusal(Traffic(wanted=after, seen=LOOKED), 0.01, NOW, killed=False)


def test_a_return_takes_the_canary_first_and_then_the_last_promotion() -> None:
    promoted = Wanted(generation=3, change_id="chg_a", stable="m", before="s")
    after = returned(promoted, "it hurts", Cause.COMMAND, NOW)
    assert (after.stable, after.before, after.generation) == ("s", "", 4)
    assert after.back is not None and after.back.generation == 4
    again = returned(after, "still", Cause.COMMAND, NOW)
    assert (again.stable, again.generation) == ("s", 5)
    assert returned(but(TRIED, before="x"), "both", Cause.LEASE, NOW).stable == "s"
