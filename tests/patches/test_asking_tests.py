"""A model's test counts only if it raises what was recorded, and may do little even to be tried."""

import json
from pathlib import Path

import pytest
from fakes.injected import crash, make_product
from fakes.models import TERMS, OpenPurse, Scripted

from selfdrive_dagster.adapters.folder import NoHistory
from selfdrive_dagster.model import (
    Attempt,
    Diagnosis,
    Product,
    Reproduction,
    Result,
    Usage,
    Way,
)
from selfdrive_dagster.patches import diagnose
from selfdrive_dagster.patches.asking.proposer import Claude
from selfdrive_dagster.patches.asking.questions import Answer
from selfdrive_dagster.patches.asking.reproducing import reproduce_by_writers
from selfdrive_dagster.patches.asking.testing import TEST_SCHEMA, read_tests
from selfdrive_dagster.patches.proposers import Templates
from tests.fakes.plain_sandbox import PlainSandbox

RIGHT = """\
from dataclasses import dataclass

import till


@dataclass
class Guest:
    is_paid: bool = False


def test_a_parcel_to_the_states():
    till.parcel_rate("US", 2400, 100, Guest())
"""
NOTHING = Reproduction(
    reproducer=None,
    attempts=(Attempt(way=Way.CAPTURED_ARGUMENTS, target="parcel_rate", outcome="no \u202e way"),),
)


@pytest.fixture
def product(tmp_path: Path) -> Product:
    return make_product(tmp_path)


@pytest.fixture
def diagnosis(product: Product) -> Diagnosis:
    return diagnose(product, NoHistory(), crash=crash())


def says(*sources: str) -> Answer:
    tests = [{"explanation": "so\nit is", "source": source} for source in sources]
    return Answer(
        result=Result.ANSWERED,
        text=json.dumps({"tests": tests}),
        model=TERMS.model,
        usage=Usage(input_tokens=10, output_tokens=10),
    )


def reproduced(
    diagnosis: Diagnosis, product: Product, *sources: str, made: Reproduction = NOTHING
) -> tuple[Reproduction, Scripted]:
    model = Scripted([says(*sources)])
    writers = (Templates(), Claude(model, OpenPurse(), TERMS))
    found = reproduce_by_writers(writers, diagnosis, made, product, PlainSandbox())
    return found, model


def test_a_test_that_raises_what_was_recorded_is_a_reproducer(
    diagnosis: Diagnosis, product: Product
) -> None:
    found, model = reproduced(diagnosis, product, RIGHT)
    assert found.reproducer is not None
    assert found.reproducer.way is Way.WRITTEN_BY_MODEL
    assert (found.reproducer.function, found.reproducer.exception_type) == (
        "parcel_rate",
        "KeyError",
    )
    assert found.reproducer.path.startswith("tests/test_selfdrive_")
    assert found.reproducer.source == RIGHT
    assert found.reproducer.production_values == ("'US'", "2400", "100")
    assert [one.way for one in found.attempts] == [Way.CAPTURED_ARGUMENTS, Way.WRITTEN_BY_MODEL]
    assert [(one.purpose, one.result) for one in found.asks] == [("reproduce", Result.ANSWERED)]
    (question,) = model.asked
    assert question.schema == TEST_SCHEMA
    told = "\n".join(question.shown)
    assert "def test_home" in told and "no  way" in told and "\u202e" not in told


WRONG = {
    "another type": RIGHT.replace('till.parcel_rate("US", 2400, 100, Guest())', "raise ValueError"),
    "another place": RIGHT.replace("till.parcel_rate(", '{}["US"]\n    till.parcel_rate('),
    "passes": RIGHT.replace('"US"', '"DE"'),
    "no test": "import till\n",
}


@pytest.mark.parametrize("source", WRONG.values(), ids=WRONG)
def test_the_models_word_makes_no_reproducer(
    diagnosis: Diagnosis, product: Product, source: str
) -> None:
    found, _ = reproduced(diagnosis, product, source)
    assert found.reproducer is None
    assert found.attempts[-1].way is Way.WRITTEN_BY_MODEL
    assert found.asks[0].result is Result.ANSWERED


def test_where_our_own_ways_did_nobody_is_asked(diagnosis: Diagnosis, product: Product) -> None:
    first, _ = reproduced(diagnosis, product, RIGHT)
    again, model = reproduced(diagnosis, product, RIGHT, made=first)
    assert again is first and model.asked == []


BARRED = {
    "a shell": ("    __import__('os').system('true')", "uses __import__"),
    "an import": ("    import subprocess", "imports subprocess"),
    "from os": ("    from os import path", "imports os"),
    "its folder": ("    from . import conftest", "imports from its own folder"),
    "a file": ("    open('x')", "uses open"),
    "eval": ("    eval('1')", "uses eval"),
    "monkeypatch": ("    monkeypatch = None", "uses monkeypatch"),
    "a mock": ("    import unittest.mock", "imports unittest.mock"),
    "in the product's place": ("    till.ZONES = {}", "sets something of others"),
    "in a table of it": ("    till.ZONES['US'] = 1", "sets something of others"),
    "caught": ("    try:\n        pass\n    except KeyError:\n        pass", "catches exceptions"),
    "dunder": ("    __builtins__", "uses __builtins__"),
    "hidden": ("    # \u202e", "hidden characters"),
    "long": ("    pass\n" * 70, "more than 60 lines"),
    "no python": ("    def (", "is no Python"),
}


@pytest.mark.parametrize(("line", "fate"), BARRED.values(), ids=BARRED)
def test_a_test_that_reaches_out_is_not_even_tried(
    diagnosis: Diagnosis, product: Product, line: str, fate: str
) -> None:
    text = says(f"{RIGHT}{line}\n").text
    made = read_tests(text, diagnosis=diagnosis, product=product)
    assert (made.result, made.drafts) == (Result.NOTHING_FITS, ())
    assert fate in made.fates[0]


def test_a_fixture_named_after_a_stand_in_is_one(diagnosis: Diagnosis, product: Product) -> None:
    text = says(RIGHT.replace("to_the_states()", "to_the_states(monkeypatch)")).text
    assert "monkeypatch" in read_tests(text, diagnosis=diagnosis, product=product).says


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("no JSON", Result.MALFORMED),
        ('{"drafts": []}', Result.WRONG_SCHEMA),
        ('{"tests": []}', Result.ANSWERED),
    ],
)
def test_every_answer_has_a_result(
    diagnosis: Diagnosis, product: Product, text: str, result: Result
) -> None:
    assert read_tests(text, diagnosis=diagnosis, product=product).result is result
