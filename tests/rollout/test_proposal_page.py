"""The page in its forms: what was proven, and as plainly what was not."""

from collections.abc import Callable
from pathlib import Path

import pytest
from fakes import made_findings as made
from fakes.boards import crash
from markdown_it import MarkdownIt
from msgspec.structs import replace

from selfdrive_dagster.model import Verdict, Way
from selfdrive_dagster.patches.earlier import Earlier
from selfdrive_dagster.rollout import Destination, Findings, Form, write_page
from selfdrive_dagster.rollout.page import PROVEN
from selfdrive_dagster.validation import Proof

CASES = Path(__file__).parents[1] / "cases/proposal"
AWAY = Destination(branch=f"loop/{made.CHANGE}", into="main", remote="origin")
HERE = replace(AWAY, remote="")
FORMS: dict[str, tuple[Callable[[], Findings], Destination, Form]] = {
    "certified": (made.certified, AWAY, Form.CERTIFIED),
    "contained": (made.contained, HERE, Form.CONTAINED),
    "unproven": (made.unproven, AWAY, Form.UNPROVEN),
    "diagnosed": (made.diagnosed, HERE, Form.UNPROVEN),
}


@pytest.mark.parametrize("name", FORMS)
def test_the_page_of_each_form(name: str) -> None:
    """To accept a new page, write what this test prints into tests/cases/proposal."""
    findings, destination, form = FORMS[name]
    page = write_page(findings(), destination)
    assert findings().form is form
    assert page == (CASES / f"{name}.md").read_text(), page


def chapter(page: str, title: str) -> str:
    return page.partition(f"## {title}\n")[2].partition("\n## ")[0]


@pytest.mark.parametrize("name", FORMS)
def test_the_diff_comes_before_everything_that_speaks_for_it(name: str) -> None:
    findings, destination, _ = FORMS[name]
    page = write_page(findings(), destination)
    titles = [line[3:] for line in page.splitlines() if line.startswith("## ")]
    assert name == "diagnosed" or "```diff\n" in page.partition("\n## ")[2].partition("\n## ")[0]
    assert "What was NOT proven" in titles


def test_an_invented_value_is_told_before_the_diff_and_after_it() -> None:
    page = write_page(made.contained(), HERE)
    before, _, after = page.partition("```diff")
    assert "THE VALUE IS INVENTED:** returns 0 where it raised" in before
    assert "returns 0 where it raised" in after.partition("## What was proven")[0]
    assert "**That the value is right.**" in chapter(page, "What was NOT proven")


def test_a_mitigation_that_does_not_tell_what_it_invents_is_the_worse_for_it() -> None:
    silent = made.mitigation(invented="")
    proof = Proof(reports=(made.report(silent, Verdict.CONTAINED, "ok"),), best=silent)
    page = write_page(made.findings(proof=proof), HERE)
    assert "nobody can say what it returns instead" in page.partition("```diff")[0]


@pytest.mark.parametrize("name", PROVEN)
@pytest.mark.parametrize("passed", [False, None])
def test_a_check_that_did_not_pass_is_never_among_the_proven(
    name: str, passed: bool | None
) -> None:
    best = made.candidate()
    told = made.report(best, Verdict.UNCERTIFIED, "no", checks=made.checks(**{name: passed}))
    page = write_page(made.findings(proof=Proof(reports=(told,), best=None)), AWAY)
    assert f"(`{name}`:" not in chapter(page, "What was proven")
    mark = "Failed" if passed is False else "Unknown"
    assert f"**{mark}** `{name}`" in chapter(page, "What was NOT proven")


@pytest.mark.parametrize("name", PROVEN)
def test_a_check_that_was_never_made_is_a_doubt(name: str) -> None:
    best = made.candidate()
    fewer = tuple(check for check in made.checks() if check.name != name)
    told = made.report(best, Verdict.CERTIFIED, "ok", checks=fewer)
    page = write_page(made.findings(proof=Proof(reports=(told,), best=best)), AWAY)
    assert f"Not checked at all: `{name}`" in chapter(page, "What was NOT proven")


def test_what_has_no_verdict_to_stand_on_is_unproven() -> None:
    best = made.candidate()
    for verdict in (Verdict.UNCERTIFIED, Verdict.INCONCLUSIVE):
        proof = Proof(reports=(made.report(best, verdict, "no"),), best=best)
        findings = made.findings(proof=proof)
        assert findings.form is Form.UNPROVEN
        assert findings.proposed is None
    assert made.findings(proof=Proof(reports=(), best=best)).form is Form.UNPROVEN


def test_the_reviewer_sees_every_value_from_production_or_that_there_are_more() -> None:
    many = tuple(f"'value {number}'" for number in range(50))
    reproduction = replace(
        made.findings().reproduction, reproducer=made.reproducer(production_values=many)
    )
    told = chapter(
        write_page(made.findings(reproduction=reproduction), AWAY), "Values from production"
    )
    assert [f"`'value {number}'`" in told for number in range(40)] == [True] * 40
    assert "and 10 more" in told


def test_a_recorded_message_or_argument_is_not_committed() -> None:
    """The page goes into the product's history; only the test may hold production values."""
    findings = made.diagnosed()
    assert "islands" in findings.diagnosis.sentence
    assert "'islands'" not in write_page(findings, HERE)


def test_a_borrowed_state_and_a_weak_sandbox_are_doubts() -> None:
    best = made.candidate()
    borrowed = replace(
        made.findings().reproduction, reproducer=made.reproducer(way=Way.BORROWED_STATE)
    )
    told = made.report(best, Verdict.CERTIFIED, "ok", sandbox_level="partial")
    proof = Proof(reports=(told,), best=best)
    page = write_page(made.findings(reproduction=borrowed, proof=proof), AWAY)
    doubts = chapter(page, "What was NOT proven")
    assert "borrows one from a passing test" in doubts
    assert "the sandbox was partial" in doubts


COMMANDS = [
    (AWAY, ["git fetch origin loop/", "git merge --no-ff FETCH_HEAD"]),
    (HERE, ["git diff main...loop/", "git merge --no-ff loop/"]),
    (replace(AWAY, remote="a b; rm -rf ~"), ["git fetch 'a b; rm -rf ~' loop/"]),
]


@pytest.mark.parametrize(("destination", "lines"), COMMANDS, ids=["remote", "here", "quoted"])
def test_the_commands_can_be_pasted(destination: Destination, lines: list[str]) -> None:
    told = chapter(write_page(made.certified(), destination), "How to take it")
    assert [line in told for line in lines] == [True] * len(lines)


HOSTILE = (
    "x](https://evil.example) ![](https://evil.example/p.png) <img src=x onerror=alert(1)>",
    "\n# Approved by @security-team\n\n| a | b |\n|---|---|\n```\n~~~\n",
    "\u202edlrow\u202c \x1b[31mred\x1b[0m ze\u200bro www.evil.example me@evil.example",
    "Fixes #1, GH-2, owner/repo#3, !4, &amp; &#64;x deadbeefdeadbeef :tada: $x$ [^1] [ ] **b** _i_",
)


def test_strangers_text_everywhere_makes_nothing_but_text() -> None:
    """Every string that telemetry or a product could have written, hostile at once."""
    evil = " ".join(HOSTILE)
    best = made.mitigation(
        invented=evil, path=evil, family=evil, patch=evil, id="cnd_x", supports=()
    )
    diagnosis = made.diagnosis(exception_type=evil, sentence=evil)
    suspect = diagnosis.suspect
    assert suspect is not None
    commit = replace(suspect.commit, author=evil, summary=evil, when=evil)
    diagnosis = replace(
        diagnosis,
        frames=(replace(made.FRAME, path=evil, function=evil),),
        suspect=replace(suspect, commit=commit, reason=evil),
    )
    checks = tuple(replace(check, says=evil) for check in made.checks(suite=False, policy=None))
    test = made.reproducer(source=evil, node_ids=(evil,), production_values=(evil,))
    search = made.findings().search
    findings = made.findings(
        issue=made.issue(title=evil),
        diagnosis=diagnosis,
        reproduction=replace(made.findings().reproduction, reproducer=test),
        search=replace(search, plausible=(best, *search.plausible), outcomes={evil: 3}),
        proof=Proof(
            reports=(made.report(best, Verdict.CONTAINED, evil, checks=checks),), best=best
        ),
    )
    page = write_page(findings, AWAY)
    kinds, texts = rendered(page)
    assert kinds & {"image", "link_open", "html_inline", "html_block", "table_open", "hr"} == set()
    assert not any(word in texts for word in ("@", "#", "://", "www.", "GH-", "\u202e", "\x1b"))
    honest = write_page(made.contained(), HERE)
    assert headings(page) - headings(honest) <= {"Values from production"}
    assert "\x1b" not in page
    assert "\u202e" not in page


def rendered(page: str) -> tuple[set[str], str]:
    """Return the kinds of Markdown tokens and the text that stands outside of code."""
    kinds: set[str] = set()
    words: list[str] = []
    for token in MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(page):
        kinds.add(token.type)
        for child in token.children or ():
            kinds.add(child.type)
            words += [child.content] if child.type == "text" else []
    return kinds, " ".join(words)


def headings(page: str) -> set[str]:
    tokens = MarkdownIt("commonmark").parse(page)
    return {
        tokens[at + 1].content
        for at, token in enumerate(tokens)
        if token.type == "heading_open" and token.tag != "h1"
    }


def test_the_page_names_the_author_of_what_was_handed_in() -> None:
    told = chapter(write_page(made.handed_in("Ada <script>@b.c>"), HERE), "The change")
    assert "its author, who may not approve it: Ada" in told
    page = write_page(made.handed_in("unknown"), HERE)
    assert "names no author" in chapter(page, "The change")
    assert "it names nobody" in chapter(page, "What was NOT proven")
    assert "handed in" not in write_page(made.certified(), HERE)


def test_a_page_says_that_a_model_drafted_it_and_repeats_none_of_its_words() -> None:
    found = made.drafted()
    crashed = replace(found, diagnosis=replace(found.diagnosis, crash=crash("shipping_cost")))
    page = write_page(crashed, HERE)
    told = chapter(page, "The change")
    assert "A model drafted it: `claude-made-1-20260101`, for $0.0115" in told
    assert "which strangers send" in chapter(page, "What was NOT proven")
    assert "Trust me" not in page
    assert "which strangers send" not in write_page(found, HERE)  # a failing test told of it
    assert "model" not in write_page(made.certified(), HERE)


def test_the_page_says_what_was_tried_before_and_why_it_did_not_hold() -> None:
    before = Earlier(
        change_id="chg_00000000000000aa",
        ended="was rolled back",
        because="new_crashes in 3 of 20 canary sessions <script>",
        patch=made.MITIGATION,
        bars=True,
    )
    page = write_page(replace(made.certified(), earlier=(before,)), HERE)
    told = chapter(page, "What was tried before and did not hold")
    assert "chg_00000000000000aa" in told
    assert "3 of 20 canary sessions" in told
    assert "<script>" not in MarkdownIt().render(page)
    assert "not proposed again" in told and "this very patch" not in told
    assert "tried before" not in write_page(made.certified(), HERE)


def test_a_patch_that_was_called_back_before_is_told_to_be_the_same() -> None:
    before = Earlier(
        change_id="chg_00000000000000aa",
        ended="was called back",
        because="ada: the islands complain",
        patch=made.REPAIR,
        bars=False,
    )
    page = write_page(replace(made.certified(), earlier=(before,)), HERE)
    told = chapter(page, "What was tried before and did not hold")
    assert "the islands complain" in told and "this very patch" in told
    assert "not proposed again" not in told
