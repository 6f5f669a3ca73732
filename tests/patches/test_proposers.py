"""Proposers: what somebody handed in has its turn before the templates, and no trust for it."""

import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from selfdrive_dagster.model import Claim, Diagnosis, FrameFinding, Product, Suspicion
from selfdrive_dagster.patches.earlier import Earlier
from selfdrive_dagster.patches.proposers import UNTOLD, HandedIn, Patch, Templates
from selfdrive_dagster.patches.search import search
from selfdrive_dagster.patches.text import render_diff
from tests.fakes.made_findings import NO_SUITE, reproducer
from tests.fakes.scripted_sandbox import ScriptedSandbox, answer

RATES = "RATES = {'DE': 4}\n\n\ndef cost(zone):\n    return RATES[zone]\n"
SIBLING = "\n\ndef days(zone):\n    return RATES.get(zone, 9)\n"
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


@pytest.fixture
def product(tmp_path: Path) -> Product:
    (tmp_path / "rates.py").write_text(RATES)
    (tmp_path / "test_rates.py").write_text("import rates\n")
    return Product(name="rates", root=str(tmp_path), python=sys.executable, source=("rates.py",))


def handed(new: str, words: str = "", path: str = "rates.py", old: str = RATES) -> HandedIn:
    return HandedIn([Patch(name="mine", text=words + render_diff(path, old, new))])


def test_a_handed_in_patch_is_a_draft_like_any_other(product: Product) -> None:
    mine = handed(RATES.replace("RATES[zone]", "RATES.get(zone, 7)"), "Invents: charges 7\n\n")
    (draft,) = mine.propose(DIAGNOSIS, product, limit=5)
    assert (draft.generator, draft.path, draft.function) == ("drafts", "rates.py", "cost")
    assert (draft.invented, draft.supports) == ("charges 7", ())
    assert not list(mine.propose(DIAGNOSIS, product, limit=0))


def test_a_patch_keeps_the_author_that_git_wrote_above_it(product: Product) -> None:
    words = "From 1f0 Mon Sep 17 00:00:00 2001\nFrom: Ada <ada@example.org>\n\n---\n a.py | 2\n"
    diff = render_diff("rates.py", RATES, RATES.replace("RATES[zone]", "RATES.get(zone, 7)"))
    texts = (words + "diff --git a/rates.py b/rates.py\n" + diff + "-- \n2.39.2\n", diff)
    named, nameless = (
        HandedIn([Patch(name="mine", text=text)]).propose(DIAGNOSIS, product, limit=1)
        for text in texts
    )
    assert [one.author for one in (*named, *nameless)] == ["Ada <ada@example.org>", "unknown"]


def test_what_a_patch_makes_up_is_never_left_unsaid(product: Product) -> None:
    (draft,) = handed(RATES.replace("RATES[zone]", "RATES.get(zone, 7)")).propose(
        DIAGNOSIS, product, limit=5
    )
    assert draft.invented == UNTOLD


def test_a_handed_in_patch_earns_its_claim_by_the_same_evidence(tmp_path: Path) -> None:
    old = RATES + SIBLING
    (tmp_path / "rates.py").write_text(old)
    product = Product(name="r", root=str(tmp_path), python=sys.executable, source=("rates.py",))
    mine = handed(old.replace("RATES[zone]", "RATES.get(zone, 9)"), old=old)
    (draft,) = mine.propose(DIAGNOSIS, product, limit=5)
    assert [one.kind for one in draft.supports] == ["sibling_idiom"]


@pytest.mark.parametrize(
    "text",
    [
        "no diff at all",
        render_diff("rates.py", "other = 1\n", "other = 2\n"),  # made for another revision
        render_diff("elsewhere.py", None, "x = 1\n"),  # not a file that the crash ran through
        render_diff("rates.py", RATES, None),  # deletes it
        render_diff("rates.py", RATES, RATES + "x = 1\n") + render_diff("a.py", None, "y = 1\n"),
    ],
    ids=["words", "other revision", "other file", "deletion", "two files"],
)
def test_what_does_not_fit_is_nobodys_draft(text: str, product: Product) -> None:
    mine = HandedIn([Patch(name="mine", text=text)])
    assert list(mine.propose(DIAGNOSIS, product, limit=5)) == []


def test_tests_and_protected_files_are_not_drafted_on(product: Product) -> None:
    new = RATES + "x = 1\n"
    guarded = replace(product, protected=("rates.py",))
    assert list(handed(new).propose(DIAGNOSIS, guarded, limit=5)) == []


def test_what_was_made_for_this_crash_is_tried_and_ranked_first(product: Product) -> None:
    mine = handed(RATES.replace("RATES[zone]", "RATES.get(zone, 7) or RATES.get(zone, 8)"))
    sandbox = ScriptedSandbox(
        answer(
            *({"kind": "trial", "id": str(n), "outcome": "plausible"} for n in range(3)),
            {"kind": "end", "exit": 0},
        )
    )
    found = search(
        DIAGNOSIS, reproducer(), NO_SUITE, product, sandbox,
        max_candidates=20, seconds=30.0, proposers=(Templates(), mine),
    )  # fmt: skip
    assert [one.generator for one in found.plausible] == ["drafts", "builtin", "builtin"]
    assert found.plausible[0].claim is Claim.MITIGATION
    assert [one.author for one in found.plausible] == ["unknown", "", ""]


def test_what_did_not_hold_before_is_not_tried_again(product: Product) -> None:
    new = RATES.replace("RATES[zone]", "RATES.get(zone, 7)")
    before = Earlier(
        change_id="chg_1",
        ended="regressed",
        because="it came back",
        patch=render_diff("rates.py", RATES, new),
        bars=True,
    )
    sandbox = ScriptedSandbox(answer({"kind": "end", "exit": 0}))
    found = search(
        DIAGNOSIS, reproducer(), NO_SUITE, product, sandbox,
        max_candidates=20, seconds=30.0, proposers=(handed(new),), earlier=(before,),
    )  # fmt: skip
    assert (found.barred, found.tried, sandbox.jobs) == (1, 0, [])
    told = search(
        DIAGNOSIS, reproducer(), NO_SUITE, product, sandbox,
        max_candidates=20, seconds=30.0, proposers=(handed(new),),
        earlier=(replace(before, bars=False),),
    )  # fmt: skip
    assert (told.barred, len(sandbox.jobs)) == (0, 1)
