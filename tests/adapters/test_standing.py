"""What the ledger tells of a service's past is what the breaker judges."""

from datetime import timedelta

from fakes.rolling import ALL, NOW, STAGES, TO_APPROVED, TO_CANARY, TO_PROMOTED, TO_STAGED, by, led
from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import Change, Changes
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.standing import CLOSED, endings, standing_of
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact

LATER = NOW + timedelta(days=3)


def back(engine: Engine, name: str, event: Event, role: Actor, steps: tuple = TO_CANARY) -> Change:
    """Lead a change on its way, and call it back."""
    change = led(engine, name, *steps)
    for one, who in ((event, role), (Event.RESTORED, Actor.CONTROLLER)):
        Changes(engine).move(change.change_id, one, by=by(who), now=NOW, facts=ALL, stages=STAGES)
    return change


def test_a_service_without_a_past_may_go_on(engine: Engine) -> None:
    led(engine, "a", *TO_APPROVED)
    assert endings(engine, "shop") == ()
    found = standing_of(engine, service="shop", issue_id="iss_x", now=NOW)
    assert found.facts == {Fact.BREAKER_CLOSED, Fact.NOT_QUARANTINED}


def test_what_met_users_is_told_with_how_it_ended(engine: Engine) -> None:
    promoted = led(engine, "a", *TO_PROMOTED)
    harmed = back(engine, "b", Event.HARM, Actor.ANALYST)
    aborted = back(engine, "c", Event.ABORT, Actor.HUMAN)
    back(engine, "d", Event.STOP, Actor.GUARD, TO_STAGED)  # nobody met it
    led(engine, "e", *TO_PROMOTED, service="other")
    Changes(engine).move(promoted.change_id, Event.HARM, by=by(Actor.ANALYST), now=LATER, facts=ALL)
    told = [(one.change_id, one.came_back, one.by_harm, one.at) for one in endings(engine, "shop")]
    assert told == [
        (promoted.change_id, False, False, NOW),
        (harmed.change_id, True, True, NOW),
        (aborted.change_id, True, False, NOW),
        (promoted.change_id, True, True, LATER),
    ]
    assert endings(engine, "shop")[1].fingerprint == harmed.issue_id


def test_two_that_came_back_open_the_breaker_until_a_person_closes_it(engine: Engine) -> None:
    back(engine, "a", Event.STOP, Actor.GUARD)
    back(engine, "b", Event.STOP, Actor.GUARD)

    def facts() -> frozenset[Fact]:
        return standing_of(engine, service="shop", issue_id="iss_x", now=LATER).facts

    assert Fact.BREAKER_CLOSED not in facts()
    for service in ("other", "shop"):
        assert Fact.BREAKER_CLOSED not in facts()
        body = {"service": service, "reason": "the proxy was at fault"}
        Ledger(engine).append(
            Entry(at=NOW, actor="ada", kind=CLOSED, body=body, signature="signed")
        )
    assert Fact.BREAKER_CLOSED in facts()


def test_an_issue_that_did_harm_twice_in_a_module_is_quarantined(engine: Engine) -> None:
    first = back(engine, "a", Event.HARM, Actor.ANALYST)
    Changes(engine).move(
        first.change_id, Event.REVERTED, by=by(Actor.CONTROLLER), now=NOW, facts=ALL
    )
    second = led(engine, "a again", *TO_CANARY, issue="a")
    Changes(engine).move(second.change_id, Event.HARM, by=by(Actor.ANALYST), now=NOW, facts=ALL)
    for module, free in (("cart.py", False), ("pay.py", True)):
        found = standing_of(
            engine,
            service="shop",
            issue_id=first.issue_id,
            now=LATER,
            module=module,
            modules={first.change_id: "cart.py", second.change_id: "cart.py"},
        )
        assert (Fact.NOT_QUARANTINED in found.facts) == free
