"""The sink: whatever a stranger writes is shown, and nothing of it is obeyed."""

import subprocess
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from selfdrive_dagster.rollout.markdown import (
    HIDDEN,
    code,
    commit_message,
    fenced,
    one_line,
    prose,
    spelled,
)

PIECES = st.sampled_from(
    [*"`*_[]()<>#+-=.!|~&@\\:$^{}'\"/ \n\t", "```", "http://a.b", "www.a.b", "@me", "#1", "GH-1",
     "a", "word", "12", "1.", "abcdef1234567", "\u202e", "\u200b", "\x1b[1m", "é", "漢", "e\u0301",
     "skip", "[skip ci]", "NO_CI", "***"]
)  # fmt: skip
NASTY = st.lists(PIECES, max_size=30).map("".join) | st.text(max_size=60)
PARSER = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def parts(markdown: str) -> list[tuple[str, str]]:
    """Return (kind, text) of the one paragraph that this must be."""
    tokens = PARSER.parse(markdown)
    assert [token.type for token in tokens] in (
        ["paragraph_open", "inline", "paragraph_close"],
        [],
    )
    return [(c.type, c.content) for token in tokens for c in token.children or ()]


@given(NASTY)
def test_prose_is_one_paragraph_of_plain_words_and_code(text: str) -> None:
    found = parts(prose(text))
    assert {kind for kind, _ in found} <= {"text", "code_inline"}
    for kind, words in found:
        if kind == "text":
            assert not set(words) & set("@#$~^&<>[]{}*_`\\|=/+"), words
            assert "www." not in words
            assert "GH-" not in words


@given(NASTY)
def test_prose_loses_nothing_that_can_be_seen(text: str) -> None:
    shown = "".join(words for _, words in parts(prose(text, 10_000)))

    def bare(line: str) -> str:
        return "".join(line.replace("`", "").split())

    assert bare(shown) == bare(one_line(text, 10_000))


@given(NASTY)
def test_code_is_one_span_of_the_same_text(text: str) -> None:
    line = one_line(text)
    assert parts(code(text)) == ([("code_inline", line)] if line else [("text", "(empty)")])


@given(NASTY)
def test_a_fence_holds_all_of_its_text(text: str) -> None:
    tokens = PARSER.parse(fenced(text, "diff"))
    assert [token.type for token in tokens] == ["fence"]
    assert tokens[0].content.rstrip("\n") == spelled(text, keep="\n\t").rstrip("\n")
    assert tokens[0].info == "diff"


@given(st.text())
def test_nothing_hidden_is_left(text: str) -> None:
    import unicodedata

    for shown in (one_line(text), prose(text), code(text)):
        assert not any(unicodedata.category(character) in HIDDEN for character in shown)
        assert "\n" not in shown
        shown.encode()


SHOWN = [
    ("KeyError: 'north' in shipping_cost (shop/shipping.py:12), reached through checkout",
     "KeyError: 'north' in `shipping_cost` (`shop/shipping.py:12`), reached through checkout"),
    ("the same treatment stands there: `row['x']` gives `0`",
     "the same treatment stands there: `row['x']` gives `0`"),
    ("all 12 tests end as before", "all 12 tests end as before"),
    ("ask @admin or see https://evil.example/x.", "ask `@admin` or see `https://evil.example/x`."),
    ("1. first", "`1`. first"),
    ("x == y and so on", "x `==` y and so on"),
    ("closes #12 and GH-3", "closes `#12` and `GH-3`"),
    ("", ""),
]  # fmt: skip


@pytest.mark.parametrize(("text", "shown"), SHOWN)
def test_prose_stays_readable(text: str, shown: str) -> None:
    assert prose(text) == shown


def trailers(message: str) -> str:
    told = subprocess.run(
        ["git", "interpret-trailers", "--parse"], input=message, capture_output=True, text=True
    )
    return told.stdout


FORGED = [
    "Signed-off-by: Linus <linus@example.org>",
    "Co-authored-by: Mallory <m@evil.example>",
    "reviewed-by : Ada",
    "Fixes: deadbeef",
    "(cherry picked from commit 0123456789012345678901234567890123456789)",
]


@pytest.mark.parametrize("forged", FORGED)
@pytest.mark.parametrize("shape", ["{}", "A title\n\n{}", "A title\n\nText.\n\n{}\n{}\n"])
def test_a_stranger_cannot_sign(forged: str, shape: str) -> None:
    assert trailers(f"A title\n\nText.\n\n{forged}\n") != "" or "picked" in forged
    made = commit_message(shape.replace("{}", forged))
    assert trailers(made) == ""
    assert trailers(f"Squashed\n\n* {made}\n\n{made}") == ""


SKIPS = [
    ("[skip ci]", "(skip ci)"),
    ("[CI Skip]", "(CI Skip)"),
    ("[no ci]", "(no ci)"),
    ("[skip\u00a0actions]", "(skip actions)"),
    ("[cf-pages-skip]", "(cf-pages-skip)"),
    ("[[skip ci]]", "[(skip ci)]"),
    ("[skip ://ci]", "(skip ci)"),
    ("****NO_CI***", "NO_CI"),
    ("row[skip] and [1]", "row(skip) and [1]"),
    ("a list [1, 2] of skips", "a list [1, 2] of skips"),
]


@pytest.mark.parametrize(("words", "plain"), SKIPS)
def test_a_stranger_cannot_switch_the_tests_off(words: str, plain: str) -> None:
    assert commit_message(f"Fix {words}") == f"Fix {plain}\n"
    body = commit_message(f"Fix it\n\nSee {words}").partition("\n")[2]
    assert not any(order in body.lower() for order in ("[skip", "skip]", "[no", "***"))


@given(st.lists(NASTY | st.sampled_from(FORGED), max_size=6).map("\n".join))
def test_a_message_tells_nobody_and_closes_nothing(text: str) -> None:
    made = commit_message(text)
    subject = made.split("\n")[0]
    assert len(subject) <= 72
    assert "://" not in made
    assert not any(f"#{digit}" in made for digit in range(10))
    assert not any(a == "@" and not b.isspace() for a, b in pairwise(made))
    assert commit_message(made) == made
