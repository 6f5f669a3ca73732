"""What the UI shows of questions to a model."""

from fakes import made_findings as found
from msgspec.structs import replace

from selfdrive_dagster.orchestration.pages import of_asks, of_reproduction, of_search


def test_questions_are_shown_with_their_cost_and_strangers_words_escaped() -> None:
    search = found.drafted().search
    (ask,) = search.asks
    shown = of_search(replace(search, asks=(ask, replace(ask, says="| <b>x</b> `"))))
    assert shown["cost_usd"] == 0.022944
    text = str(shown["asked"].value)
    assert "$0\\.0115" in text and "1 of 1" in text
    assert "<b>" not in text
    assert len(text.splitlines()) == 4
    assert all(line.count(" | ") == 5 for line in text.splitlines())


def test_where_nothing_was_asked_nothing_is_shown_of_it() -> None:
    assert of_asks(()) == {}
    assert "cost_usd" not in of_search(found.certified().search)


def test_questions_for_a_test_are_shown_where_it_was_asked_for() -> None:
    made = replace(found.certified().reproduction, asks=found.drafted().search.asks)
    assert of_reproduction(made)["cost_usd"] == 0.011472
