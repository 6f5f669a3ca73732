"""The loop's Claude: chosen by the settings, with the purse of the change and its issue."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes import made_findings as found
from fakes.signers import SETTINGS, SignedProduct
from sqlalchemy import Engine

from selfdrive_dagster.adapters.claude import KEY
from selfdrive_dagster.adapters.claude.standin import Reply, Script, serving
from selfdrive_dagster.adapters.spending import Spending
from selfdrive_dagster.model import Result
from selfdrive_dagster.patches.proposers import asks_of

CHOSEN = '[patches]\ngenerators = ["builtin", "claude"]\n'


def shop(tmp_path: Path, url: str, engine: Engine, lines: str) -> SignedProduct:
    made = SignedProduct(tmp_path, url, engine, SETTINGS + CHOSEN + lines)
    made.propose()
    return made


@contextmanager
def closing(made: SignedProduct) -> Iterator[SignedProduct]:
    """Close the workshop at the end, with what it exported."""
    try:
        yield made
    finally:
        made.workshop.close()


@pytest.mark.parametrize(
    ("lines", "fault", "result"),
    [
        ("budget_usd_per_day = 1.0\n", "", Result.ANSWERED),
        ("budget_usd_per_day = 1.0\n", "spend_limit", Result.SPEND_LIMIT),
        ("budget_usd_per_day = 0.01\n", "", Result.NO_BUDGET),
        ("", "", Result.NO_BUDGET),
    ],
    ids=["asked", "a fault", "too little money", "no money"],
)
def test_a_change_asks_with_the_money_of_the_settings(
    tmp_path: Path,
    database_url: str,
    engine: Engine,
    monkeypatch: pytest.MonkeyPatch,
    lines: str,
    fault: str,
    result: Result,
) -> None:
    script = Script(reply=(Reply(fault=fault),))
    with serving(script) as standin, closing(shop(tmp_path, database_url, engine, lines)) as made:
        monkeypatch.setenv(KEY, "rehearsal")
        monkeypatch.setenv("ANTHROPIC_BASE_URL", standin.url)
        builtin, claude = made.workshop.proposers(found.CHANGE)
        product, _ = made.workshop.product(made.base)
        drafts = list(claude.propose(found.diagnosis(), product, limit=5))
    (ask,) = asks_of(claude)
    change = made.changes.get(found.CHANGE)
    assert change is not None
    assert (builtin.name, drafts, ask.result) == ("builtin", [], result)
    assert len(standin.asked) == (result is not Result.NO_BUDGET)
    spent = Spending(engine).by_issue()
    assert set(spent) == ({change.issue_id} if standin.asked else set())
    if standin.asked:
        assert spent[change.issue_id].micros == ask.spent_micros
        assert Spending(engine).by_change()[found.CHANGE].open_micros == 0
