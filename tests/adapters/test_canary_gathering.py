"""From a log and a warehouse to a verdict: a bad canary, an equal one, and a restart between."""

import random
from datetime import timedelta
from pathlib import Path

import pytest
from fakes.visiting import BEGIN, CHANGE, Asked, ask
from issue_rows import NOW, crash_of, row_of, span_of
from msgspec.structs import replace

from selfdrive_dagster.adapters.canary import Gathering, Watched, WindowStore, usual_slowness
from selfdrive_dagster.adapters.canary.requests import answered
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.issues import Grouping
from selfdrive_dagster.rollout.canary import (
    Guardrail,
    Judgement,
    Measure,
    Plan,
    Stage,
    Step,
    Verdict,
    judge,
)  # fmt: skip

OLD, NEW = "1" * 40, "2" * 40
STAGE = Stage(share=0.2, margin=4.0)
PLAN = Plan(
    stages=(STAGE,), bake_minutes=1, window_seconds=5.0, warm_up_windows=2, lag_windows=4,
    guardrails=(
        Guardrail("errors", tolerable=0.05), Guardrail("latency", Measure.LATENCY, 0.1),
        Guardrail("first_requests", Measure.REQUEST, 0.05),
        Guardrail("issue", tolerable=0.05), Guardrail("new_crashes", tolerable=0.05),
    ),
)  # fmt: skip
SECONDS = 100
STEPS = (Step(BEGIN - timedelta(seconds=PLAN.window_seconds), STAGE.share),)


class Shop:
    """Twelve sessions a second, three requests each. Some of the canary's fail at checkout.

    `landing` is how often a first request fails, in canary and stable: who meets that goes away.
    """

    def __init__(
        self, home: Path, harm: float, seed: int = 1, landing: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self.home, self.warehouse = home, Warehouse(home)
        self.log: list[Asked] = []
        self.spans, self.crashes = [], []
        chance = random.Random(seed)
        for number in range(-60 * 12, SECONDS * 12):
            arm = "canary" if number >= 0 and chance.random() < STAGE.share else "stable"
            if number >= 0 and chance.random() < landing[arm == "stable"]:
                self.log.append(ask(number / 12, "", arm, assigned="", status=500))
                continue
            self.visit(chance, number, arm, harm if arm == "canary" else 0.0)
        self.log.sort(key=answered)
        self.watched = Watched(
            service="shop", issue_id="iss_0123456789abcdef", canary=NEW, stable=OLD, begin=BEGIN,
            window_seconds=PLAN.window_seconds,
        )  # fmt: skip

    def visit(self, chance: random.Random, number: int, arm: str, harm: float) -> None:
        session, version = f"s{number}", NEW if arm == "canary" else OLD
        fails = chance.random() < harm
        self.log.append(ask(number / 12, "", arm, assigned=""))
        for turn in range(3):
            second = number / 12 + turn + chance.random() / 2
            status, seconds = (500 if fails and turn else 200), chance.lognormvariate(-4, 0.5)
            self.log.append(ask(second, session, arm, status=status, seconds=seconds))
            span = span_of(BEGIN + timedelta(seconds=second), number * 3 + turn + 10**6)
            self.spans.append(replace(span, service_version=version, session_id=session))
        if fails:
            ago = NOW - BEGIN - timedelta(seconds=second)
            row = row_of(crash_of("checkout", ago=ago, session=session))
            self.crashes.append(replace(row, service_version=version))

    def ingest(self) -> None:
        self.warehouse.append("spans", self.spans)
        self.warehouse.append("exceptions", self.crashes)
        refresh(self.warehouse, (), Grouping())

    def open(self, home: Path | None = None) -> Gathering:
        store = WindowStore(home or self.home, CHANGE)
        usual = usual_slowness(self.log, PLAN.window_seconds, BEGIN)
        assert usual is not None
        store.freeze(usual)
        return Gathering(store, self.watched, CHANGE)

    def judge(self, gathering: Gathering, until: float) -> Judgement:
        """Judge when the log is as long as at a second."""
        end = BEGIN + timedelta(seconds=until)
        part = [one for one in self.log if answered(one) < end]
        return judge(gathering.look(part, STEPS, self.warehouse), STAGE, PLAN, end)


@pytest.mark.parametrize(("harm", "expected"), [(0.0, Verdict.SAFE), (0.2, Verdict.HARM)])
def test_a_rollout_is_judged_from_what_really_arrives(tmp_path, harm, expected) -> None:
    shop = Shop(tmp_path, harm)
    shop.ingest()
    told = shop.judge(shop.open(), SECONDS)
    assert told.verdict is expected
    assert {one.name for one in told.readings} == {rail.name for rail in PLAN.guardrails}


LANDINGS = {
    "the canary's landing page alone": ((1.0, 0.0), Verdict.HARM),
    "for some visitors of the canary": ((0.2, 0.0), Verdict.HARM),
    "robots fail on both": ((0.3, 0.3), Verdict.SAFE),
    "an outage of both": ((1.0, 1.0), Verdict.NO_DATA),
}


@pytest.mark.parametrize("name", LANDINGS)
def test_a_first_visit_that_fails_and_never_comes_back_is_counted(tmp_path, name: str) -> None:
    landing, expected = LANDINGS[name]
    shop = Shop(tmp_path, 0.0, landing=landing)
    shop.ingest()
    told = shop.judge(shop.open(), SECONDS)
    assert told.verdict is expected, told.reason
    if expected is Verdict.HARM:
        assert "first_requests in" in told.reason and "canary requests" in told.reason


def test_without_telemetry_harm_is_found_and_nothing_is_safe(tmp_path) -> None:
    bad, good = Shop(tmp_path / "bad", 0.2), Shop(tmp_path / "good", 0.0)
    assert bad.judge(bad.open(), SECONDS).verdict is Verdict.HARM
    told = good.judge(good.open(), SECONDS)
    assert told.verdict is Verdict.NO_DATA
    assert told.reason == "not measured: issue, new_crashes"


def test_a_restart_resets_nothing_and_changes_nothing(tmp_path) -> None:
    shop = Shop(tmp_path, 0.02)
    shop.ingest()
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    expected = shop.judge(shop.open(whole), SECONDS)
    for until in (31, 64, 64.5):
        shop.judge(shop.open(broken), until)
    assert shop.judge(shop.open(broken), SECONDS) == expected
    assert WindowStore(whole, CHANGE).read() == WindowStore(broken, CHANGE).read()
