"""An answer becomes drafts, or a named result, or a reason for each draft that does not fit."""

import json
import sys
from pathlib import Path

import pytest

from selfdrive_dagster.model import Product, Result
from selfdrive_dagster.patches.asking.conversing import Made
from selfdrive_dagster.patches.asking.edits import SCHEMA, read_answer
from selfdrive_dagster.patches.proposers import UNTOLD

RATES = (
    "RATES = {'DE': 4}\n\n\ndef cost(zone):\n    return RATES[zone]\n\n\n"
    "def free():\n    return 0\n"
)
SPANS = {"rates.py": ((4, 5),), "auth/login.py": ((1, 1),), "test_rates.py": ((1, 1),)}
CRASHED = {"rates.py": (5,)}


@pytest.fixture
def product(tmp_path: Path) -> Product:
    (tmp_path / "auth").mkdir()
    for name in ("test_rates.py", "auth/login.py", "selfdrive.toml"):
        (tmp_path / name).write_text("import rates\n")
    (tmp_path / "rates.py").write_text(RATES)
    return Product(
        name="rates",
        root=str(tmp_path),
        python=sys.executable,
        source=(".",),
        protected=("**/auth/**",),
    )


def edit(search: str, replace: str, path: str = "rates.py") -> dict[str, str]:
    return {"path": path, "search": search, "replace": replace}


def drafted(*edits: dict[str, str], invents: str = "charges 7") -> dict[str, object]:
    return {"explanation": "since\nit\u202e helps", "invents": invents, "edits": list(edits)}


def read(product: Product, *drafts: dict[str, object]) -> Made:
    text = json.dumps({"drafts": list(drafts)})
    return read_answer(text, product, SPANS, generator="claude", most=4, crashed=CRASHED)


GOOD = edit("return RATES[zone]", "return RATES.get(zone, 0)")


def test_a_block_that_stands_once_becomes_a_draft(product: Product) -> None:
    made = read(product, drafted(GOOD))
    (draft,) = made.drafts
    assert (made.result, made.fates, made.explanations) == (
        Result.ANSWERED,
        ("fits",),
        ("since it helps It says that it invents: charges 7",),
    )
    assert (draft.path, draft.line, draft.function) == ("rates.py", 5, "cost")
    assert (draft.generator, draft.invented, draft.supports) == (
        "claude",
        "`RATES[zone]` gives `0`",  # as its code says, whatever it says of itself
        (),
    )
    assert "+    return RATES.get(zone, 0)" in draft.patch


def test_what_a_draft_makes_up_is_never_left_unsaid(product: Product) -> None:
    swapped = edit("return RATES[zone]", "return RATES[str(zone)]")
    (draft,) = read(product, drafted(swapped, invents="nothing at all")).drafts
    assert draft.invented == UNTOLD


UNFIT = {
    "absent": ([edit("return RATES[area]", "pass")], "does not stand"),
    "twice": ([edit("return", "raise")], "stands 2 times"),
    "empty search": ([edit("", "x")], "does not stand"),
    "nothing": ([edit("return RATES[zone]", "return RATES[zone]")], "changes nothing"),
    "no edits": ([], "changes no file"),
    "two files": ([GOOD, edit("import rates", "pass", "test_rates.py")], "several files"),
    "a test": ([edit("import rates", "", "test_rates.py")], "may not change"),
    "protected": ([edit("import rates", "", "auth/login.py")], "may not change"),
    "settings": ([edit("import rates", "", "selfdrive.toml")], "may not change"),
    "new file": ([edit("", "import os", "conftest.py")], "may not change"),
    "outside": ([edit("x", "y", "../../etc/passwd.py")], "may not change"),
    "absolute": ([edit("x", "y", "/etc/x.py")], "may not change"),
    "not suspected": ([edit("return 0", "return 1")], "not suspected"),
    "module": ([edit("{'DE': 4}", "{'DE': 0}")], "not suspected"),
    "stray beside": ([GOOD, edit("return 0", "return 1")], "not suspected"),
    "no python": ([edit("return RATES[zone]", "return RATES[")], "no Python"),
    "hidden": ([edit("RATES[zone]", "RATES[zone]  # \u202eeno")], "hidden"),
    "long": ([edit("return RATES[zone]", "\n    ".join(["x = 1"] * 60))], "more than 50"),
    "huge": ([edit("return RATES[zone]", "x = 1\n" * 5000)], "too long"),
    "many": ([GOOD] * 9, "too many blocks"),
    "after itself": ([GOOD, GOOD], "does not stand"),
}


VALUES = {
    "a number": ("RATES.get(zone, 7)", "brings in 7"),
    "a text": ('RATES.get(zone, "free")', "brings in 'free'"),
    "in a comparison": ("RATES[zone] if zone != 'XQ' else 0", "brings in 'XQ'"),
    "in a set": ("RATES[zone] * (zone not in {4711})", "brings in 4711"),
    "in an exception's comparison": (
        "RATES[zone]\n    raise KeyError(zone == 'XQ')",
        "brings in 'XQ'",
    ),
    "known": ("RATES[zone] if zone in RATES and zone != 'DE' else 0", ""),
    "known elsewhere": ("RATES[zone] if len(zone) < 12 else 0", ""),
    "known, as the answer": ("RATES.get(zone, 12)", "answers with"),
    "plain": ("RATES.get(zone, 0)", ""),
    "nothing": ("RATES.get(zone)", ""),
    "twice what is there": ("RATES.get('DE', 4)", "answers with"),
}


@pytest.mark.parametrize(("new", "fate"), VALUES.values(), ids=VALUES)
def test_no_value_comes_in_that_the_code_does_not_know(
    product: Product, new: str, fate: str
) -> None:
    (Path(product.root) / "zones.py").write_text("DOZEN = 12\n")
    made = read(product, drafted(edit("RATES[zone]", new)))
    assert bool(made.drafts) is not bool(fate) and fate in made.fates[0]


@pytest.mark.parametrize(
    "line",
    [
        "    if zone not in RATES:\n        raise LookupError(f'no rate for {zone}')",
        "    if zone not in RATES:\n        raise ValueError('we do not ship there')",
        "    zone = zone.encode('utf-8', errors='replace').decode(encoding='utf-8')",
    ],
)
def test_words_of_an_exception_and_of_an_encoding_are_free(product: Product, line: str) -> None:
    (Path(product.root) / "zones.py").write_text("CODE = 'utf-8'\n")
    block = edit("    return RATES[zone]", f"{line}\n    return RATES[zone]")
    assert read(product, drafted(block)).drafts


def test_without_strangers_a_test_may_demand_any_value(product: Product) -> None:
    text = json.dumps({"drafts": [drafted(edit("RATES[zone]", "RATES.get(zone, 7)"))]})
    made = read_answer(
        text, product, SPANS, generator="claude", most=4, crashed=None, strangers=False
    )
    assert made.fates == ("fits",)


def test_strangers_without_a_crash_still_bring_in_no_value(product: Product) -> None:
    """An improvement's prompt holds their text as well, but nothing crashed."""
    for new, fate in (("RATES.get(zone, 7)", "brings in 7"), ("RATES.get(zone, 4)", "fits")):
        text = json.dumps({"drafts": [drafted(edit("RATES[zone]", new))]})
        made = read_answer(text, product, SPANS, generator="claude", most=4, crashed=None)
        assert fate in made.fates[0]


SIBLING = "\n\ndef days(zone):\n    return RATES.get(zone, 9)\n"
VOUCHED = {
    "the sibling's value": ("    return RATES[zone]", "    return RATES.get(zone, 9)", 1, "fits"),
    "another value": ("    return RATES[zone]", "    return RATES.get(zone, 4)", 0, "otherwise"),
    "and a word of it": (
        "    return RATES[zone]", '    """Any zone."""\n    return RATES.get(zone, 9)', 1, "fits"
    ),
    "and a line beside": (
        "    return RATES[zone]", "    RATES.clear()\n    return RATES.get(zone, 9)", 0, "adds"
    ),
    "and a handler around": (
        "    return RATES[zone]",
        "    try:\n        return RATES.get(zone, 9)\n    except TypeError:\n        return None",
        0, "answers with",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "vouched", "fate"), VOUCHED.values(), ids=VOUCHED)
def test_a_sibling_vouches_for_its_treatment_and_for_nothing_beside(
    product: Product, old: str, new: str, vouched: int, fate: str
) -> None:
    (Path(product.root) / "rates.py").write_text(RATES + SIBLING)
    made = read(product, drafted(edit(old, new)))
    assert fate in made.fates[0]
    assert [len(one.supports) for one in made.drafts] == [vouched] * (fate == "fits")


@pytest.mark.parametrize(("edits", "fate"), UNFIT.values(), ids=UNFIT)
def test_what_does_not_fit_says_why(product: Product, edits: list, fate: str) -> None:
    made = read(product, drafted(*edits))
    assert (made.result, made.drafts) == (Result.NOTHING_FITS, ())
    assert fate in made.fates[0] and fate in made.says


def test_one_that_fits_is_kept_beside_one_that_does_not(product: Product) -> None:
    made = read(product, drafted(edit("absent", "")), drafted(GOOD), drafted(GOOD))
    assert [len(made.drafts), made.result] == [1, Result.ANSWERED]
    assert made.fates[1:] == ("fits", "is the same as one before")


def test_more_than_asked_for_is_left_out(product: Product) -> None:
    assert len(read(product, *[drafted(GOOD)] * 9).fates) == 4


def test_no_draft_is_an_answer(product: Product) -> None:
    assert read(product).result is Result.ANSWERED


def test_windows_line_ends_stay(product: Product) -> None:
    (Path(product.root) / "rates.py").write_bytes(RATES.replace("\n", "\r\n").encode())
    block = edit("def cost(zone):\n    return RATES[zone]", "def cost(zone):\n    return 0")
    (draft,) = read(product, drafted(block)).drafts
    assert draft.source.count("\r\n") == draft.source.count("\n") == RATES.count("\n")


MALFORMED = {
    "prose": ("Sure! Here it is: {", Result.MALFORMED),
    "cut": ('{"drafts": [{"explanation": "a', Result.MALFORMED),
    "nothing": ("", Result.MALFORMED),
    "surrogates": ('{"drafts": "\ud800"}', Result.WRONG_SCHEMA),
    "list": ("[]", Result.WRONG_SCHEMA),
    "other keys": ('{"patches": []}', Result.WRONG_SCHEMA),
    "more keys": ('{"drafts": [], "approve": true}', Result.WRONG_SCHEMA),
    "wrong type": (
        '{"drafts": [{"explanation": 1, "invents": "", "edits": []}]}',
        Result.WRONG_SCHEMA,
    ),
    "deep": ("[" * 100_000, Result.WRONG_SCHEMA),
}


@pytest.mark.parametrize(("text", "result"), MALFORMED.values(), ids=MALFORMED)
def test_what_is_no_answer_is_named(product: Product, text: str, result: Result) -> None:
    made = read_answer(text, product, SPANS, generator="claude", most=4, crashed=CRASHED)
    assert (made.result, made.drafts) == (result, ())


def test_the_schema_is_closed_everywhere() -> None:
    text = json.dumps(SCHEMA)
    assert text.count('"additionalProperties": false') == text.count('"type": "object"') == 3
