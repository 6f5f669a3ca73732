"""Claude as a proposer: every end has a name, a record and its money settled."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from fakes.models import PRICE, TERMS, OpenPurse, Scripted
from msgspec.structs import replace

from selfdrive_dagster.model import (
    Ask,
    Diagnosis,
    FrameFinding,
    Product,
    Ran,
    Result,
    Suspicion,
    Usage,
)
from selfdrive_dagster.patches.asking.conversing import LONGEST_WAIT, TIMES, Terms
from selfdrive_dagster.patches.asking.money import most
from selfdrive_dagster.patches.asking.proposer import Claude
from selfdrive_dagster.patches.asking.questions import AGAIN, Answer
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.proposers import Templates
from selfdrive_dagster.patches.search import search
from tests.fakes.made_findings import NO_SUITE, reproducer
from tests.fakes.scripted_sandbox import ScriptedSandbox, answer

RATES = "RATES = {'DE': 4}\n\n\ndef cost(zone):\n    return RATES[zone]\n"
DIAGNOSIS = Diagnosis(
    revision="",
    sentence="",
    crash=None,
    failing_tests=(),
    frames=(FrameFinding(path="rates.py", line=5, function="cost", depth=0),),
    suspicions=(Suspicion(path="rates.py", line=5, function="cost", score=1.0, why="it raises"),),
    inputs=(),
    suspect=None,
    exception_type="KeyError",
)
USED = Usage(input_tokens=1000, output_tokens=100)


@pytest.fixture
def product(tmp_path: Path) -> Product:
    (tmp_path / "rates.py").write_text(RATES)
    return Product(name="rates", root=str(tmp_path), python=sys.executable, source=("rates.py",))


def draft(replacement: str = "RATES.get(zone, 4)") -> dict:
    edit = {"path": "rates.py", "search": "RATES[zone]", "replace": replacement}
    return {"explanation": "e", "invents": "charges 7", "edits": [edit]}


def says(*drafts: dict) -> Answer:
    return Answer(
        result=Result.ANSWERED,
        text=json.dumps({"drafts": list(drafts)}),
        model=TERMS.model,
        request_id="req_1",
        usage=USED,
    )


def trial(outcome: str) -> Ran:
    """A sandbox's answer for one candidate."""
    return answer({"kind": "trial", "id": "0", "outcome": outcome}, {"kind": "end", "exit": 0})


class Asked:
    """A proposer, and all that came of its asking once."""

    def __init__(
        self,
        product: Product,
        answers: Iterable[Answer],
        purse: OpenPurse | None = None,
        terms: Terms = TERMS,
        own: frozenset[str] = frozenset(),
    ) -> None:
        self.model, self.purse, self.slept = Scripted(answers), purse or OpenPurse(), []
        self.claude = Claude(
            self.model, self.purse, terms, own_secrets=own, sleep=self.slept.append
        )
        self.drafts: tuple[Draft, ...] = tuple(self.claude.propose(DIAGNOSIS, product, limit=9))
        self.asks: tuple[Ask, ...] = self.claude.told()


def test_an_answer_becomes_drafts_and_a_record(product: Product) -> None:
    asked = Asked(product, [says(draft())])
    (one,), (ask,) = asked.drafts, asked.asks
    assert (one.generator, one.invented) == ("claude", "`RATES[zone]` gives `4`")
    assert (ask.result, ask.request_id, ask.drafts) == (Result.ANSWERED, "req_1", ("fits",))
    assert ask.spent_micros == 1000 * 2 + 100 * 10 < ask.reserved_micros
    assert len(ask.prompt_sha256) == 64
    assert asked.purse.settled == [ask] and not asked.purse.held
    assert asked.claude.told() == ()


@pytest.mark.parametrize("result", [r for r in Result if r not in AGAIN], ids=lambda r: r.value)
def test_no_end_raises_and_each_is_recorded(product: Product, result: Result) -> None:
    asked = Asked(product, [Answer(result=result, says="why", text="{")])
    (ask,) = asked.asks
    expected = Result.MALFORMED if result is Result.ANSWERED else result
    assert (asked.drafts, ask.result, asked.slept) == ((), expected, [])
    assert len(asked.model.asked) == 1 and not asked.purse.held


@pytest.mark.parametrize("result", sorted(AGAIN, key=lambda r: r.value), ids=lambda r: r.value)
def test_what_passes_is_asked_again_a_few_times_each_with_money(
    product: Product, result: Result
) -> None:
    asked = Asked(product, [Answer(result=result)])
    assert [ask.result for ask in asked.asks] == [result] * TIMES
    assert len(asked.slept) == TIMES - 1 and len(asked.purse.settled) == TIMES
    assert asked.purse.spent == TIMES * asked.asks[0].reserved_micros


def test_an_answer_after_a_fault_counts(product: Product) -> None:
    busy = Answer(result=Result.RATE_LIMITED, is_free=True, retry_after=7.0)
    asked = Asked(product, [busy, says(draft())])
    assert len(asked.drafts) == 1 and asked.slept == [7.0]
    assert [ask.spent_micros for ask in asked.asks] == [0, 3000]


def test_who_is_told_to_wait_for_long_asks_no_more(product: Product) -> None:
    told = Answer(result=Result.RATE_LIMITED, is_free=True, retry_after=LONGEST_WAIT + 1)
    asked = Asked(product, [told])
    assert (len(asked.asks), asked.slept) == (1, [])


COSTS = {
    "by usage": (Answer(result=Result.REFUSED, usage=USED), 3000),
    "certainly free": (Answer(result=Result.SPEND_LIMIT, is_free=True), 0),
    "nobody knows": (Answer(result=Result.TOO_SLOW), None),
    "another model's usage": (Answer(result=Result.OTHER_MODEL, usage=USED), None),
    "no usage told": (replace(says(draft()), usage=None), None),
}


@pytest.mark.parametrize(("given", "spent"), COSTS.values(), ids=COSTS)
def test_unknown_charges_what_was_reserved(
    product: Product, given: Answer, spent: int | None
) -> None:
    (ask,) = Asked(product, [given]).asks
    assert ask.spent_micros == (ask.reserved_micros if spent is None else spent)


def test_cached_tokens_without_a_price_charge_what_was_reserved(product: Product) -> None:
    terms = replace(TERMS, price=replace(PRICE, cache_read=None))
    used = replace(USED, cache_read_tokens=5)
    asked = Asked(product, [replace(says(), usage=used)], terms=terms)
    assert asked.asks[0].spent_micros == asked.asks[0].reserved_micros
    assert not asked.model.asked[0].caches


def test_without_money_nothing_is_sent(product: Product) -> None:
    asked = Asked(product, [says(draft())], OpenPurse(most=1))
    (ask,) = asked.asks
    assert (ask.result, ask.spent_micros, asked.model.asked) == (Result.NO_BUDGET, 0, [])
    assert "cap per day" in ask.says


def test_money_for_one_call_is_no_money_for_its_retry(product: Product) -> None:
    first = Asked(product, [says()]).asks[0].reserved_micros
    asked = Asked(product, [Answer(result=Result.OVERLOADED)], OpenPurse(most=first))
    assert [ask.result for ask in asked.asks] == [Result.OVERLOADED, Result.NO_BUDGET]
    assert len(asked.model.asked) == 1


def test_what_is_reserved_bounds_the_whole_question(product: Product) -> None:
    asked = Asked(product, [says()])
    (question,) = asked.model.asked
    texts = (*question.system, *question.shown)
    assert question.size() > sum(len(text.encode()) for text in texts)
    reserved = most(question.size(), TERMS.max_tokens, PRICE)
    assert asked.asks[0].reserved_micros == reserved


def test_an_unknown_price_is_not_free(product: Product) -> None:
    asked = Asked(product, [says(draft())], terms=replace(TERMS, price=None))
    assert (asked.asks[0].result, asked.model.asked) == (Result.NO_PRICE, [])


def test_an_own_secret_in_the_code_keeps_the_prompt_at_home(product: Product) -> None:
    (Path(product.root) / "rates.py").write_text(RATES + "\n\nX = 'kept-very-hidden'\n")
    asked = Asked(product, [says(draft())], own=frozenset(("kept-very-hidden",)))
    assert (asked.asks[0].result, asked.model.asked) == (Result.SECRET_IN_PROMPT, [])


def test_where_nothing_may_be_changed_nothing_is_sent(product: Product) -> None:
    asked = Asked(replace(product, protected=("rates.py",)), [says(draft())])
    assert (asked.asks[0].result, asked.model.asked) == (Result.NOTHING_TO_SHOW, [])


def test_what_our_trials_said_is_told_and_asked_once_more(product: Product) -> None:
    model = Scripted([says(draft()), says(draft(), draft("RATES.get(zone, 0)"))])
    purse = OpenPurse()
    tried = search(
        DIAGNOSIS,
        reproducer(),
        NO_SUITE,
        product,
        ScriptedSandbox(trial("killed"), trial("plausible")),
        max_candidates=5,
        seconds=60,
        proposers=(Claude(model, purse, TERMS),),
    )
    assert [ask.purpose for ask in tried.asks] == ["draft", "revise"]
    (found,) = tried.plausible
    assert "RATES.get(zone, 0)" in found.patch
    assert (found.generator, tried.tried) == ("claude", 2)
    told = model.asked[1].shown[-1]
    assert "did not hold (killed)" in told and "+    return RATES.get(zone, 4)" in told
    assert model.asked[0].shown == model.asked[1].shown[:-1]


def test_nobody_is_asked_again_when_something_holds(product: Product) -> None:
    model = Scripted([says(draft())])
    tried = search(
        DIAGNOSIS,
        reproducer(),
        NO_SUITE,
        product,
        ScriptedSandbox(trial("plausible")),
        max_candidates=1,
        seconds=60,
        proposers=(Templates(), Claude(model, OpenPurse(), TERMS)),
    )
    assert [ask.purpose for ask in tried.asks] == ["draft"]
    assert [one.generator for one in tried.plausible] == ["claude"]


SIBLING = "\n\ndef days(zone):\n    return RATES.get(zone, 9)\n"


@pytest.mark.parametrize(
    ("outcome", "asked"), [("plausible", 0), ("killed", 2)], ids=["a repair holds", "none does"]
)
def test_money_is_spent_only_where_the_templates_found_no_repair(
    product: Product, outcome: str, asked: int
) -> None:
    (Path(product.root) / "rates.py").write_text(RATES + SIBLING)
    model = Scripted([says(draft("RATES.get(zone, 9)"))])
    lines = [{"kind": "trial", "id": str(n), "outcome": outcome} for n in range(40)]
    ran = answer(*lines, {"kind": "end", "exit": 0})
    search(
        DIAGNOSIS,
        reproducer(),
        NO_SUITE,
        product,
        ScriptedSandbox(*[ran] * 9),
        max_candidates=40,
        seconds=60,
        proposers=(Templates(), Claude(model, OpenPurse(), TERMS)),
    )
    assert len(model.asked) == asked


def test_there_is_room_for_a_model_however_many_templates_there_are(product: Product) -> None:
    model = Scripted([says(draft())])
    tried = search(
        DIAGNOSIS,
        reproducer(),
        NO_SUITE,
        product,
        ScriptedSandbox(*[trial("killed")] * 9),
        max_candidates=10,
        seconds=60,
        proposers=(Templates(), Claude(model, OpenPurse(), TERMS)),
    )
    assert tried.families["asked"] == 1
    assert sum(tried.families.values()) <= 10


def test_when_the_time_is_over_nobody_is_asked(product: Product) -> None:
    model = Scripted([says(draft())])
    claude = Claude(model, OpenPurse(), TERMS)
    search(
        DIAGNOSIS, reproducer(), NO_SUITE, product, ScriptedSandbox(),
        max_candidates=5, seconds=0.0, proposers=(claude,),
    )  # fmt: skip
    assert model.asked == []
