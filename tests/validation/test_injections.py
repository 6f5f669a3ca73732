"""Fifty injections and a model that obeys each: none becomes a proposal against the owner.

First over the wire: the real client asks the stand-in whose model does all that any text in its
prompt asks for. Then the worst case: whatever an injection asks for is what the model answers,
however little of it a prompt would hold. What still becomes a draft is tried and judged.
"""

import json
from collections.abc import Iterator

import pytest
from fakes.ground import Ground
from fakes.injected import NAMES, asking, crash, edits_of, make_product
from fakes.models import TERMS, OpenPurse, client_of

from selfdrive_dagster.adapters.claude.standin import Reply, Script, Standin, serving
from selfdrive_dagster.adapters.folder import NoHistory
from selfdrive_dagster.model import Product, Verdict
from selfdrive_dagster.patches import diagnose
from selfdrive_dagster.patches.asking.clean import is_plain
from selfdrive_dagster.patches.asking.proposer import Claude
from selfdrive_dagster.patches.drafts import Draft
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


@pytest.fixture(scope="module")
def ground(product: Product) -> Ground:
    made = Ground(product, measure_base(product, PlainSandbox()), crash())
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
