"""What a person signs, and what voids it."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import Claim
from selfdrive_dagster.rollout.approval import Binding, carries_over, check, draw_statement
from selfdrive_dagster.rollout.custody import Custody

NOW = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)
BINDING = Binding(
    change_id="chg_0000000000000001",
    patch="1" * 64,
    base="b" * 40,
    tree="7" * 40,
    report="2" * 64,
    policy="2026-11.2",
)
INVENTED = "returns None where it raised IndexError"


def statement(claim: Claim | None = Claim.REPAIR, typed: str = "", reason: str = "read it all"):
    return draw_statement(
        BINDING,
        approver="ada@example.org",
        reason=reason,
        typed=typed,
        claim=claim,
        invented="" if claim is Claim.REPAIR else INVENTED,
        author="",
        custody=Custody.HARDWARE,
        now=NOW,
    )


def allowed(made, *, binding=BINDING, signed_by="ada@example.org", authors=frozenset(), at=NOW):
    check(made, binding=binding, signed_by=signed_by, authors=authors, now=at)


def test_what_was_signed_is_allowed_until_it_expires() -> None:
    allowed(statement())
    allowed(statement(), at=NOW + timedelta(days=6, hours=23))
    with pytest.raises(Refused, match="expired"):
        allowed(statement(), at=NOW + timedelta(days=7))


@pytest.mark.parametrize("field", ["change_id", "patch", "base", "tree", "report", "policy"])
def test_any_other_digest_voids_it(field: str) -> None:
    with pytest.raises(Refused, match=f"for another {field}"):
        allowed(statement(), binding=replace(BINDING, **{field: "0" * 40}))


def test_nobody_approves_for_another_or_for_themselves() -> None:
    with pytest.raises(Refused, match="signed for"):
        allowed(statement(), signed_by="eve@example.org")
    for author in ("ada@example.org", "Ada@Example.org"):
        with pytest.raises(Refused, match="made this change"):
            allowed(statement(), authors=frozenset({author}))


def test_a_signature_serves_for_what_it_was_given_alone() -> None:
    advance = draw_statement(
        BINDING,
        approver="ada@example.org",
        reason="too few visitors at night",
        typed="",
        claim=Claim.MITIGATION,
        invented=INVENTED,
        author="",
        custody=Custody.HARDWARE,
        now=NOW,
        verdict="advance_on_weak_evidence",
        stage=2,
    )
    assert advance.expires == NOW + timedelta(hours=24)
    with pytest.raises(Refused, match="not to approve"):
        allowed(advance)
    with pytest.raises(Refused, match="not to advance"):
        check(
            statement(),
            binding=BINDING,
            signed_by="ada@example.org",
            authors=frozenset(),
            now=NOW,
            verdict="advance_on_weak_evidence",
        )


def test_an_approval_from_the_future_is_none() -> None:
    with pytest.raises(Refused, match="in the future"):
        allowed(statement(), at=NOW - timedelta(hours=1))


@pytest.mark.parametrize("reason", ["", "ok", "  fine  "])
def test_a_reason_is_one_that_can_be_read_later(reason: str) -> None:
    with pytest.raises(BadInput, match="reason"):
        statement(reason=reason)


@pytest.mark.parametrize("claim", [Claim.MITIGATION, None])
def test_what_a_mitigation_invents_is_typed(claim: Claim | None) -> None:
    for typed in ("", "yes", INVENTED[:-1]):
        with pytest.raises(BadInput, match="returns None"):
            statement(claim, typed)
    assert statement(claim, f"  {INVENTED} ").invented == INVENTED


def test_the_signed_bytes_tell_every_field() -> None:
    made = statement()
    for name in made.__struct_fields__:
        others = {
            "verdict": "advance_on_weak_evidence",
            "binding": replace(BINDING, patch="0" * 64),
            "at": NOW + timedelta(seconds=1),
            "expires": NOW,
            "stage": 3,
            "custody": Custody.AGENT,
        }
        assert replace(made, **{name: others.get(name, "another")}).to_sign() != made.to_sign()


TOUCHED = frozenset({"shop/cart.py", "tests/test_cart.py"})


@pytest.mark.parametrize(
    ("same_patch", "moved", "policy", "expected"),
    [
        (True, {"README.md"}, "2026-11.2", True),
        (True, {"shop/cart.py"}, "2026-11.2", False),
        (True, {"tests/test_cart.py"}, "2026-11.2", False),
        (False, {"README.md"}, "2026-11.2", False),
        (True, {"README.md"}, "2026-12.1", False),
    ],
)
def test_it_is_carried_to_a_moved_base_only_where_nothing_of_it_moved(
    same_patch, moved, policy, expected
) -> None:
    new = replace(BINDING, base="c" * 40, tree="8" * 40, policy=policy)
    told = carries_over(
        BINDING, new, same_patch=same_patch, touched=TOUCHED, moved=frozenset(moved)
    )
    assert told is expected
