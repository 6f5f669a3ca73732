"""What reaches a terminal: no control characters of strangers, no flood in a log."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.cli.render import as_plain_json, clean, is_tricky, plain_progress


@given(st.text())
def test_clean_text_cannot_move_or_hide(text: str) -> None:
    assert not any(is_tricky(character) for character in clean(text).replace("\n", ""))


@given(st.text(st.characters(min_codepoint=32, max_codepoint=126)))
def test_plain_text_stays(text: str) -> None:
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("\x1b[2J", r"\x1b[2J"), ("a\u202eb", r"a\u202eb"), ("z\u200bw", r"z\u200bw"), ("é漢", "é漢")],
)
def test_what_is_spelled_out(text: str, shown: str) -> None:
    assert clean(text) == shown


@given(st.dictionaries(st.text(), st.text() | st.integers(0, 9) | st.lists(st.text())))
def test_json_holds_no_tricky_character_and_means_the_same(record: dict[str, object]) -> None:
    shown = as_plain_json(record)
    assert not any(is_tricky(character) for character in shown.replace("\n", ""))
    assert json.loads(shown) == record


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x9b2J", r"\u009b2J"),
        ("a\u202eb", r"a\u202eb"),
        ("\x7f", r"\u007f"),
        ("\U000e0041", r"\udb40\udc41"),
        ("é漢\n", r"é漢\n"),
    ],
)
def test_what_json_spells_out(text: str, shown: str) -> None:
    assert as_plain_json(text) == f'"{shown}"'


def test_a_log_repeats_mere_numbers_seldom(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    say = plain_progress(lambda: now[0])
    for second in range(25):
        now[0] = second
        say(f"Tried {second} of 400")
    say("Done")
    assert capsys.readouterr().err.splitlines() == [
        "Tried 0 of 400",
        "Tried 10 of 400",
        "Tried 20 of 400",
        "Done",
    ]
