"""A projection is counted from the very prompts that would be sent, and sends none."""

import sys
from pathlib import Path

import pytest
from fakes.models import TERMS, OpenPurse, Scripted
from msgspec.structs import replace

from selfdrive_dagster.model import (
    Diagnosis,
    FrameFinding,
    Product,
    Reproduction,
    Result,
    Suspicion,
    Usage,
)
from selfdrive_dagster.patches.asking.conversing import MOST_PROMPT_BYTES
from selfdrive_dagster.patches.asking.money import cost, most
from selfdrive_dagster.patches.asking.projecting import project
from selfdrive_dagster.patches.asking.proposer import Claude
from selfdrive_dagster.patches.asking.questions import Answer
from tests.fakes.made_findings import reproducer

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
MADE, NONE = (Reproduction(reproducer=one, attempts=()) for one in (reproducer(), None))
LONGEST = most(MOST_PROMPT_BYTES, TERMS.max_tokens, TERMS.price)


@pytest.fixture
def product(tmp_path: Path) -> Product:
    lines = "RATES = {'DE': 4}\n\n\ndef cost(zone):\n    return RATES[zone]\n"
    (tmp_path / "rates.py").write_text(lines)
    return Product(name="rates", root=str(tmp_path), python=sys.executable, source=("rates.py",))


def asked(product: Product, made: Reproduction) -> int:
    """Return the bytes of the first question that is really asked."""
    model = Scripted([Answer(result=Result.REFUSED)])
    claude = Claude(model, OpenPurse(), TERMS)
    if made.reproducer is None:
        claude.tests(DIAGNOSIS, product, made.attempts)
    else:
        list(claude.propose(DIAGNOSIS, product, limit=4))
    return model.asked[0].size()


@pytest.mark.parametrize(("made", "follow"), [(MADE, 1), (NONE, 2)], ids=["patches", "a test"])
def test_the_prompt_that_would_be_sent_is_counted(
    product: Product, made: Reproduction, follow: int
) -> None:
    told = project(DIAGNOSIS, made, product, TERMS)
    assert told is not None and told.prompt_bytes == asked(product, made)
    first = most(told.prompt_bytes, TERMS.max_tokens, TERMS.price)
    assert told.most_micros == first + follow * LONGEST
    guessed = Usage(input_tokens=told.prompt_bytes // 4, output_tokens=3_000)
    assert told.likely_micros == cost(guessed, TERMS.price) < first


def test_an_answer_that_may_not_be_long_is_not_guessed_longer(product: Product) -> None:
    long, short = (
        project(DIAGNOSIS, MADE, product, replace(TERMS, max_tokens=n)) for n in (3_000, 100)
    )
    assert long and short and long.likely_micros - short.likely_micros == 2_900 * TERMS.price.output


def test_what_nobody_knows_is_not_projected(product: Product) -> None:
    assert project(DIAGNOSIS, MADE, product, replace(TERMS, price=None)) is None
    hidden = replace(product, protected=("rates.py",))
    assert project(DIAGNOSIS, MADE, hidden, TERMS) is None
