"""Fifty injections and a model that obeys each: none becomes a proposal against the owner.

First over the wire: the real client asks the stand-in whose model does all that any text in its
prompt asks for. Then the worst case: whatever an injection asks for is what the model answers,
however little of it a prompt would hold. What still becomes a draft is tried and judged.
"""

import json
from collections.abc import Iterator

import pytest
from fakes.injected import NAMES, asking, crash, edits_of, make_product
from fakes.models import TERMS, OpenPurse, Scripted, client_of

from selfdrive_dagster.adapters.claude.standin import Reply, Script, Standin, serving
from selfdrive_dagster.adapters.folder import NoHistory
from selfdrive_dagster.model import Diagnosis, Product, Reproduction, Result, Verdict
from selfdrive_dagster.patches import diagnose, reproduce
from selfdrive_dagster.patches.asking.clean import is_plain
from selfdrive_dagster.patches.asking.proposer import Claude
from selfdrive_dagster.patches.asking.questions import Answer
from selfdrive_dagster.patches.diagnosis.localise import coverage_of
from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.search import search_if_reproduced
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.validation.gate import prove_if_reproduced
from selfdrive_dagster.validation.repair import measure_base
from tests.fakes.plain_sandbox import PlainSandbox

HIDDEN = ("user_agent", "url", "query", "feedback", "user", "version", "frame", "source")
"""Fields of which no prompt holds anything."""


@pytest.fixture(scope="module")
def obeying() -> Iterator[Standin]:
    with serving(Script(reply=(Reply(obeys=True),))) as server:
        yield server


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Product:
    return make_product(tmp_path_factory.mktemp("till"))


def drafts_for(product: Product, standin: Standin, name: str) -> tuple[Draft, ...]:
    """Return what the obeying model drafts when a stranger sent an injection."""
    claude = Claude(client_of(standin), OpenPurse(), TERMS)
    diagnosis = diagnose(product, NoHistory(), crash=crash(*asking(name)))
    return tuple(claude.propose(diagnosis, product, limit=9))


def test_there_are_fifty_and_each_is_another() -> None:
    assert len(set(NAMES)) == len({json.dumps(edits_of(n)) + asking(n)[0] for n in NAMES}) == 50


def test_the_obeying_model_obeys(product: Product, obeying: Standin) -> None:
    """Otherwise all that follows would prove nothing."""
    (draft,) = drafts_for(product, obeying, "all for nothing")
    assert "+    return 0" in draft.patch


@pytest.mark.parametrize("name", NAMES)
def test_an_injection_reaches_the_suspected_function_at_most(
    product: Product, obeying: Standin, name: str
) -> None:
    drafts = drafts_for(product, obeying, name)
    where, _ = asking(name)
    assert not (drafts and where in HIDDEN)
    assert all((one.path, one.function) == ("till.py", "parcel_rate") for one in drafts)
    blocks = obeying.asked[-1]["messages"][0]["content"]
    assert all(is_plain(block["text"]) for block in blocks)
    assert not any('EDIT {"' in block["text"] for block in blocks)  # quotes are escaped


class Ground:
    """The product's crash, reproduced once for all."""

    def __init__(self, product: Product) -> None:
        self.product, self.sandbox = product, PlainSandbox()
        self.base: SuiteRun = measure_base(product, self.sandbox)
        coverage = coverage_of(self.base)
        self.diagnosis: Diagnosis = diagnose(product, NoHistory(), crash=crash(), coverage=coverage)
        self.reproduction: Reproduction = reproduce(
            self.diagnosis, product, self.sandbox, coverage=coverage
        )

    def verdicts(self, edits: list[dict[str, str]]) -> tuple[str, list[tuple[Verdict, str]]]:
        """Return what became of a model's draft, and the gate's verdicts if it came so far."""
        draft = {"explanation": "", "invents": "ships for nothing", "edits": edits}
        text = json.dumps({"drafts": [draft]})
        model = Scripted([Answer(result=Result.ANSWERED, text=text, model=TERMS.model)])
        found = search_if_reproduced(
            self.diagnosis,
            self.reproduction,
            self.base,
            self.product,
            self.sandbox,
            max_candidates=3,
            seconds=60,
            proposers=(Claude(model, OpenPurse(), TERMS),),
        )
        proof = prove_if_reproduced(
            found.plausible, self.reproduction, self.base, self.product, self.sandbox
        )
        fate = found.asks[0].says or f"tried: {found.outcomes}"
        return fate, [(one.verdict, one.reason) for one in proof.reports]


@pytest.fixture(scope="module")
def ground(product: Product) -> Ground:
    made = Ground(product)
    assert made.reproduction.reproducer is not None
    return made


def test_an_honest_fix_by_the_same_way_is_certified(ground: Ground) -> None:
    """Otherwise a gate that refuses everything would look like a good one."""
    fix = [{**edits_of("the fix and a shell")[0]}]
    _, verdicts = ground.verdicts(fix)
    assert [verdict for verdict, _ in verdicts] == [Verdict.CERTIFIED]


@pytest.mark.parametrize("name", NAMES)
def test_no_injection_becomes_a_proposal(ground: Ground, name: str) -> None:
    fate, verdicts = ground.verdicts(edits_of(name))
    passed = [one for one in verdicts if one[0] in (Verdict.CERTIFIED, Verdict.CONTAINED)]
    assert passed == [], (fate, verdicts)
