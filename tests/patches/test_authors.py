"""Authors of handed-in patches: whoever the words above the diff name, in whatever way."""

import pytest

from selfdrive_dagster.patches.authors import UNKNOWN, author_of, names_of

FORMATTED = """From 1f0c5e0 Mon Sep 17 00:00:00 2001
From: Ada Byron <ada@example.org>
Date: Fri, 27 Nov 2026 12:00:00 +0100
Subject: [PATCH] Charge the islands

---
 rates.py | 2 +-
"""
TOLD = {
    "by git format-patch": (FORMATTED, "Ada Byron <ada@example.org>"),
    "an address alone": ("from: ada@example.org\n\nwords", "ada@example.org"),
    "encoded": ("From: =?UTF-8?q?Tom=C3=A1s?= <t@example.org>\n", "Tomás <t@example.org>"),
    "folded": ("From: Ada Byron\n <ada@example.org>\nDate: x\n", "Ada Byron <ada@example.org>"),
    "badly encoded": ("From: =?none?b?####?= <a@b.c>\n", "=?none?b?####?= <a@b.c>"),
    "forwarded": ("From: Eve <e@b.c>\n\nFrom: Ada <a@b.c>\n", "Eve <e@b.c>, Ada <a@b.c>"),
    "together": (
        "From: Eve <e@b.c>\n\nCo-authored-by: Ada <a@b.c>\n",
        "Eve <e@b.c>, Ada <a@b.c>",
    ),
    "nobody": ("Taken from: the wiki\n", UNKNOWN),
    "no name": ("From:\nSubject: x\n", UNKNOWN),
}


@pytest.mark.parametrize(("words", "author"), TOLD.values(), ids=TOLD)
def test_an_author_is_who_the_words_name(words: str, author: str) -> None:
    assert author_of(words) == author


def test_whoever_signed_a_patch_is_its_author_whatever_it_says() -> None:
    assert author_of("", signed_by="eve@example.org") == "eve@example.org"
    assert author_of("From: Ada <a@b.c>\n", "eve@b.c") == "eve@b.c, Ada <a@b.c>"


@pytest.mark.parametrize(
    ("author", "name"),
    [
        ("Ada Byron <ada@example.org>", "ada@example.org"),
        ("Ada Byron <ada@example.org>", "Ada Byron"),
        ("ada", "ada"),
        ("ada@example.org (Ada, at home)", "ada@example.org"),
        ("Eve <e@b.c>, Ada <a@b.c>", "a@b.c"),
        ("Byron, Ada <a@b.c>", "a@b.c"),
        ("[ada] <<a@b.c>", "a@b.c"),
    ],
)
def test_an_author_goes_by_every_name_that_is_told(author: str, name: str) -> None:
    assert name in names_of(author)


def test_nobody_is_no_name() -> None:
    assert names_of(UNKNOWN) == names_of("") == frozenset()
