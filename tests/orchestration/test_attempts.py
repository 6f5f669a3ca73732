"""Earlier attempts: whatever came back from users is told, and what was at fault is barred."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import made_findings as found
from fakes.driven import DrivenProduct
from sqlalchemy import Engine

from selfdrive_dagster.adapters.controller.journal import Adoption
from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.model import short_id
from selfdrive_dagster.orchestration.attempts import ENDINGS, earlier_of
from selfdrive_dagster.rollout.lifecycle import DEADLINES, RULES, Actor, Event, State
from selfdrive_dagster.rollout.traffic import Cause, Returned

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")
NEXT = short_id("chg", found.ISSUE, 2)


@pytest.fixture
def shop(tmp_path: Path, database_url: str, engine: Engine) -> Iterator[DrivenProduct]:
    made = DrivenProduct(tmp_path, database_url, engine)
    made.begin()
    yield made
    made.workshop.close()


def returns(shop: DrivenProduct, cause: Cause) -> None:
    """Let the front go back to stable by itself, and the ledger hear of it."""
    files = FrontFiles(shop.home)
    files.make()
    told = Returned(at=shop.tick(), cause=cause, reason="it did", change_id=found.CHANGE,
                    generation=4, share=0.1)  # fmt: skip
    files.note(told)
    list(Adoption(shop.home, shop.ledger, lambda _change: shop.signature).look())


WAYS = {
    "harm": (Event.HARM, Actor.ANALYST, None, "did harm", True),
    "a canary that died": (Event.STOP, Actor.GUARD, Cause.CANARY, "crashed", True),
    "the kill switch": (Event.STOP, Actor.GUARD, Cause.KILL_SWITCH, "was stopped", False),
    "an abort": (Event.ABORT, Actor.HUMAN, Cause.COMMAND, "was called back", False),
    "a lost lease": (Event.LEASE_LOST, Actor.GUARD, Cause.LEASE, "lease ran out", False),
}


@pytest.mark.parametrize(("event", "role", "cause", "ended", "bars"), WAYS.values(), ids=WAYS)
def test_what_came_back_from_users_is_told_and_barred_where_it_is_at_fault(
    shop: DrivenProduct, event: Event, role: Actor, cause: Cause | None, ended: str, bars: bool
) -> None:
    if cause:
        returns(shop, cause)
    shop.step(event, role, says="so it was")
    [told] = earlier_at_next(shop)
    assert (told.change_id, told.because, told.patch) == (found.CHANGE, "so it was", found.REPAIR)
    assert (ended in told.ended, told.bars) == (True, bars)


def test_a_hold_that_nobody_answered_is_told(shop: DrivenProduct) -> None:
    shop.step(Event.PAUSE, Actor.HUMAN)
    shop.now += DEADLINES[State.HOLD].after + timedelta(minutes=1)
    shop.step(Event.DEADLINE, Actor.GUARD)
    [told] = earlier_at_next(shop)
    assert (told.because, told.bars) == ("its time was over", False)


def test_who_called_a_change_back_is_told(shop: DrivenProduct) -> None:
    shop.step(Event.ABORT, Actor.HUMAN, reason="the islands complain")
    [told] = earlier_at_next(shop)
    assert told.because == "selfdrive: the islands complain"


def earlier_at_next(shop: DrivenProduct):
    """End the change, open the issue's next one, and return what is told there."""
    shop.step(Event.RESTORED, Actor.CONTROLLER)
    shop.step(Event.REVERTED, Actor.CONTROLLER)
    by = shop.by(Actor.LOOP)
    opened = shop.changes.open(
        NEXT, found.ISSUE, service="shop", base_revision=shop.base, by=by, now=shop.tick()
    )
    return earlier_of(shop.workshop, opened.change)


def test_every_way_back_has_its_words() -> None:
    back = {rule.event for rule in RULES if rule.to is State.ROLLING_BACK}
    assert {one.event for one in ENDINGS} == back | {Event.DEADLINE}
