"""Messages to templates: the stored cases, and Python and SQL saying the same."""

import json
import re
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from selfdrive_dagster.issues import template, template_sql
from selfdrive_dagster.issues.normalise import PATTERNS

CASES = json.loads(
    (Path(__file__).parents[1] / "cases/issues/templates.json").read_text(encoding="utf-8")
)

PIECES = (
    "user 42", "-7", "3.5", "0x1f", "'a 1'", "'name'", '"b 2"', "don't", "/a/b/c", "a@b.cd",
    "10.0.0.1", "::1", "fe80::1:2:3:4", "2026-11-23", "2026-11-23T06:41:05Z", "12:00:01",
    "http://x.y/z?1", "30 ms", "5 kB", "abcdef1", "1a2b3c4d5", "é", "ſ", "\n", "_1234", ":",
    "6f1c9b1e-7d0a-4a53-9a5e-0b6f1f0a2b3c",
)  # fmt: skip


def in_sql(messages: list[str]) -> list[str]:
    query = f"SELECT {template_sql('m')} FROM (SELECT unnest($messages) AS m)"
    with duckdb.connect(":memory:") as engine:
        return [row[0] for row in engine.execute(query, {"messages": messages}).fetchall()]


@pytest.mark.parametrize(("message", "expected"), CASES.items())
def test_messages_become_the_stored_templates(message: str, expected: str) -> None:
    assert template(message) == expected


def test_sql_makes_the_stored_templates_too() -> None:
    assert in_sql(list(CASES)) == list(CASES.values())


texts = st.lists(
    st.one_of(
        st.sampled_from(PIECES),
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
        st.text("0123456789abcdefxXT:.-/'\" \t", max_size=16),
    ),
    max_size=8,
).map(" ".join)


def squeezed(text: str) -> str:
    return text.replace(" ", "")


@settings(max_examples=30, deadline=None)
@given(
    messages=st.lists(
        st.one_of(texts, texts.map(lambda t: t.replace(" ", ""))), min_size=20, max_size=40
    )
)
def test_python_and_sql_agree(messages: list[str]) -> None:
    assert in_sql(messages) == [template(message) for message in messages]


def test_only_the_beginning_of_a_message_is_read() -> None:
    assert len(template("word " * 100_000)) <= 1000


@settings(max_examples=200, deadline=None)
@given(message=texts)
def test_what_a_pattern_needs_is_there_wherever_it_matches(message: str) -> None:
    """Otherwise a kit would leave out a pattern that has something to say."""
    for each in PATTERNS:
        if re.search(each.regex, message, re.ASCII):
            assert re.search(each.needs, message, re.ASCII), each
