"""Strangers' text in the Dagster UI is shown letter by letter, whatever it holds."""

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
    "endless": "x" * 100_000,
}
TEXT = {"text", "inline", "paragraph_open", "paragraph_close", "text_special", "softbreak"}
CELLS = {f"{name}_{side}" for name in ("table", "thead", "tbody", "tr", "th", "td")
         for side in ("open", "close")} | {"inline", "text", "text_special"}  # fmt: skip


def kinds(markdown: str) -> set[str]:
    """Return the kinds of all tokens that a Markdown reader sees."""
    tokens: list[Token] = MarkdownIt("commonmark", {"html": True}).enable("table").parse(markdown)
    return {t.type for token in tokens for t in (token, *(token.children or ()))}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text_stays_text(name: str) -> None:
    assert kinds(escaped(HOSTILE[name])) <= TEXT
    assert kinds(table(("a", "b"), [(HOSTILE[name], "x")]).value or "") <= CELLS
    assert kinds(fenced(HOSTILE[name], "diff").value or "") == {"fence"}


@given(st.text())
def test_any_text_stays_text(text: str) -> None:
    assert kinds(escaped(text)) <= TEXT
    assert kinds(fenced(text, "").value or "") == {"fence"}


@given(st.text())
def test_plain_text_is_one_short_line_that_hides_nothing(text: str) -> None:
    line = plain(text)
    assert "\n" not in line and len(line) <= 300
    assert all(character.isprintable() for character in line)
