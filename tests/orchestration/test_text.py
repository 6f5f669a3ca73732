"""Strangers' text in the Dagster UI is shown letter by letter, whatever it holds."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from selfdrive_dagster.orchestration.text import escaped, fenced, plain, table

HOSTILE = {
    "image": "![x](http://evil.example/track.png)",
    "link": "[click](javascript:alert(1)) <http://evil.example>",
    "html": "<img src=x onerror=alert(1)><script>alert(1)</script>",
    "heading": "# Approved\n\n## by the owner",
    "table": "a | b\n--- | ---\n1 | 2",
    "fence": "```\n</code>\n``````",
    "terminal": "\x1b[2J\x1b]8;;http://evil.example\x07hi\x07",
    "bidi": "user\u202egnp.exe\u2066",
    "nothing": "\u200b\u200d\ufeff",
    "bare address": "Open http://3405803777/login?x=1 or http://evil.example/a|b now",
    "address without a scheme": "www.evil.example and WWW.evil.example",
    "mail": "write to a|boss@evil.example or xmpp:a@b.co",
    "address between backticks": "`http://evil.example` ``www.evil.example`",
    "address behind backslashes": "\\\\http://evil.example\\ \\|x@evil.example",
    "endless": "x" * 100_000,
}
WORDS = {"code_inline", "inline", "text", "text_special"}
TEXT = {"paragraph_open", "paragraph_close", "softbreak"} | WORDS
CELLS = {f"{name}_{side}" for name in ("table", "thead", "tbody", "tr", "th", "td")
         for side in ("open", "close")} | WORDS  # fmt: skip


LINKED = re.compile(
    r"(https?://|www(?=\.))([-.\w]+)([^ \t\r\n]*)|[-.\w+]+@[-\w]+(?:\.[-\w]+)+", re.IGNORECASE
)
"""What the UI's Markdown turns into links (mdast-util-gfm-autolink-literal): it looks at text
from which backslashes are gone, and never into code."""


def linked(markdown: str) -> list[str]:
    """Return what the UI would link of its own accord."""
    tokens: list[Token] = MarkdownIt("commonmark").enable("table").parse(markdown)
    texts = [t.content for token in tokens for t in token.children or () if t.type == "text"]
    return [found.group() for text in texts for found in LINKED.finditer(text)]


def kinds(markdown: str) -> set[str]:
    """Return the kinds of all tokens that a Markdown reader sees."""
    tokens: list[Token] = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    return {t.type for token in tokens for t in (token, *(token.children or ()))}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_stays_text(name: str) -> None:
    assert kinds(escaped(HOSTILE[name])) <= TEXT
    assert kinds(table(("a", "b"), [(HOSTILE[name], "x")]).value or "") <= CELLS
    assert kinds(fenced(HOSTILE[name], "diff").value or "") == {"fence"}


@pytest.mark.parametrize("name", HOSTILE)
def test_no_address_becomes_a_link(name: str) -> None:
    assert linked(escaped(HOSTILE[name])) == []
    assert linked(table(("a", "b"), [(HOSTILE[name], "x")]).value or "") == []


def test_the_judge_of_links_sees_through_backslashes() -> None:
    assert linked(r"http\:\/\/evil\.example a\@b\.co") == ["http://evil.example", "a@b.co"]


def test_an_address_is_still_read_letter_by_letter() -> None:
    assert escaped("GET http://a.b/c_d*e failed!") == r"GET `http://a.b/c_d*e` failed\!"


@given(st.text(alphabet="ahtpw:/.@|`\\ *_-x~"))
def test_any_text_stays_text(text: str) -> None:
    assert linked(escaped(text)) == []
    assert linked(table(("a", "b"), [(text, "x")]).value or "") == []
    assert kinds(table(("a", "b"), [(text, "x")]).value or "") <= CELLS


@given(st.text())
def test_any_letters_stay_text(text: str) -> None:
    assert kinds(escaped(text)) <= TEXT
    assert kinds(fenced(text, "").value or "") == {"fence"}


@given(st.text())
def test_plain_text_is_one_short_line_that_hides_nothing(text: str) -> None:
    line = plain(text)
    assert "\n" not in line and len(line) <= 300
    assert all(character.isprintable() for character in line)
