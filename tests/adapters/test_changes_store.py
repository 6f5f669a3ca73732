"""Changes and decisions: state and ledger move together, or not at all."""

import threading
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import Authority, Changes, MoveRefused
from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.audit import verify
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import short_id
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State

NOW = datetime(2026, 11, 23, 7, tzinfo=UTC)
ISSUE = short_id("iss", "a")
CHANGE = short_id("chg", "a")
LOOP = Authority(who="loop", role=Actor.LOOP, run_id="run-1")
GUARD = Authority(who="guard", role=Actor.GUARD, run_id="run-2")
VALIDATOR = Authority(who="gate", role=Actor.VALIDATOR, run_id="run-3")
ALL = frozenset(Fact)


def opened(engine: Engine, change: str = CHANGE, issue: str = ISSUE) -> Changes:
    changes = Changes(engine)
    changes.open(change, issue, service="shop", base_revision="abc", by=LOOP, now=NOW)
    return changes


def test_a_change_is_opened_with_its_ledger_row(engine: Engine) -> None:
    changes = opened(engine)
    change = changes.get(CHANGE)
    assert (change.state, change.version, change.since) == (State.DRAFT, 1, NOW)
    assert change.deadline > NOW
    (row,) = Ledger(engine).entries(CHANGE)
    assert (row.entry.kind, row.entry.issue_id, row.entry.run_id) == (
        "change.opened",
        ISSUE,
        "run-1",
    )
    assert changes.all(active=True) == (change,)
    assert changes.get(short_id("chg", "none")) is None


def test_an_issue_has_one_active_change(engine: Engine) -> None:
    changes = opened(engine)
    other = short_id("chg", "b")
    with pytest.raises(Refused, match="has an active change already"):
        opened(engine, other)
    with pytest.raises(Refused, match="exists already"):
        opened(engine, CHANGE, short_id("iss", "b"))
    assert len(Ledger(engine).entries()) == 1  # a refusal leaves no row
    late = changes.get(CHANGE).deadline
    changes.move(CHANGE, Event.DEADLINE, by=GUARD, now=late)
    opened(engine, other)
    assert [c.change_id for c in changes.all(active=True)] == [other]
    assert [c.change_id for c in changes.all(active=False)] == [CHANGE]
    assert len(changes.all()) == 2


def test_a_move_writes_state_and_row_together(engine: Engine) -> None:
    changes = opened(engine)
    moved = changes.move(
        CHANGE, Event.START, by=LOOP, now=NOW, facts=ALL, body={"report": "e" * 64}
    )
    assert moved.change == changes.get(CHANGE)
    assert (moved.change.state, moved.change.version) == (State.VALIDATING, 2)
    assert moved.row.entry.kind == "change.start"
    assert moved.row.entry.body == {
        "role": "loop",
        "from": "draft",
        "to": "validating",
        "report": "e" * 64,
    }
    assert verify(Ledger(engine).entries()) is None


def test_a_refused_move_writes_nothing(engine: Engine) -> None:
    changes = opened(engine)
    before = changes.get(CHANGE)
    with pytest.raises(MoveRefused, match="stays draft: not known: budget_left") as caught:
        changes.move(CHANGE, Event.START, by=LOOP, now=NOW, facts=frozenset({Fact.NOT_QUARANTINED}))
    assert caught.value.refusal.missing == (Fact.BUDGET_LEFT,)
    with pytest.raises(BadInput, match="neither a run nor a signature"):
        nameless = Authority(who="loop", role=Actor.LOOP)
        changes.move(CHANGE, Event.START, by=nameless, now=NOW, facts=ALL)
    with pytest.raises(BadInput, match="There is no change"):
        changes.move(short_id("chg", "x"), Event.START, by=LOOP, now=NOW)
    assert changes.get(CHANGE) == before
    assert len(Ledger(engine).entries()) == 1


def test_of_two_movers_at_once_one_is_refused(engine: Engine) -> None:
    changes = opened(engine)
    outcomes: list[str] = []

    def start() -> None:
        try:
            changes.move(CHANGE, Event.START, by=LOOP, now=NOW, facts=ALL)
            outcomes.append("moved")
        except MoveRefused:
            outcomes.append("refused")

    threads = [threading.Thread(target=start) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["moved", "refused", "refused"]
    assert len(Ledger(engine).entries(CHANGE)) == 2


def test_overdue_changes_are_found_and_expire(engine: Engine) -> None:
    changes = opened(engine)
    late = changes.get(CHANGE).deadline
    assert changes.overdue(late - timedelta(seconds=1)) == ()
    (change,) = changes.overdue(late)
    moved = changes.move(change.change_id, Event.DEADLINE, by=GUARD, now=late)
    assert moved.change.state is State.EXPIRED
    assert moved.change.deadline is None
    assert changes.overdue(late + timedelta(days=99)) == ()


def test_a_decision_waits_until_a_move_carries_it_out(engine: Engine) -> None:
    changes = opened(engine)
    decisions = Decisions(engine)
    noted = decisions.record(
        CHANGE,
        "reject",
        actor="ada",
        reason=" wrong default ",
        digests={"patch": "d" * 64},
        now=NOW,
    )
    assert decisions.waiting() == (noted,)
    assert noted.reason == "wrong default"
    assert decisions.waiting(after=noted.decision_id) == ()
    ada = Authority(who="ada", role=Actor.HUMAN, run_id="run-9")
    reasons = frozenset({Fact.REASON_GIVEN})
    moved = changes.move(
        CHANGE, Event.REJECT, by=ada, now=NOW, facts=reasons, decision_id=noted.decision_id
    )
    assert moved.change.state is State.REJECTED
    assert decisions.waiting() == ()


def test_a_decision_is_carried_out_once_and_on_its_own_change(engine: Engine) -> None:
    changes = opened(engine)
    other = short_id("chg", "b")
    opened(engine, other, short_id("iss", "b"))
    noted = Decisions(engine).record(CHANGE, "reject", actor="ada", reason="no", now=NOW)
    with pytest.raises(Refused, match="not one that waits"):
        changes.move(other, Event.START, by=LOOP, now=NOW, facts=ALL, decision_id=noted.decision_id)
    assert changes.get(other).state is State.DRAFT  # the whole move was undone
    assert len(Ledger(engine).entries(other)) == 1


@pytest.mark.parametrize(
    ("change", "reason", "says"),
    [(CHANGE, "  ", "a reason"), (short_id("chg", "none"), "because", "There is no change")],
)
def test_a_decision_needs_a_reason_and_a_change(
    engine: Engine, change: str, reason: str, says: str
) -> None:
    opened(engine)
    with pytest.raises(BadInput, match=says):
        Decisions(engine).record(change, "reject", actor="ada", reason=reason, now=NOW)
