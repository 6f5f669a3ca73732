"""The page: what a reviewer reads before taking a change, or refusing it.

The patch comes first, then what was proven of it and, just as plainly, what was not. Every
stranger's word passes `markdown`. The page is committed with the patch, so a recorded message
or argument is not on it: those stay in the evidence.
"""

import shlex
from collections.abc import Callable

from selfdrive_dagster.model import Candidate, Check, Claim, Report, Way
from selfdrive_dagster.patches.asking.money import dollars
from selfdrive_dagster.patches.authors import UNKNOWN
from selfdrive_dagster.patches.earlier import essence_of
from selfdrive_dagster.rollout.doubts import doubts
from selfdrive_dagster.rollout.markdown import code, fenced, prose
from selfdrive_dagster.rollout.proposal import (
    Destination,
    Findings,
    Form,
    counted,
    hurts,
    invention,
    title_of,
)

RIVALS = 8
SUSPICIONS = 5
VALUES = 40
VALUE_LENGTH = 120

PROVEN = {
    "applies": "The patch fits the base revision exactly",
    "policy": "It keeps to the policy: paths, size, and what new lines reach for",
    "claim": "What it claims is what the evidence supports",
    "canary_base": "A planted test failed on the base, as it must: the run was not made up",
    "fails_on_base": "The reproducer fails without the patch",
    "canary_suite": "A planted test failed on the patch, as it must",
    "passes_on_patch": "The reproducer passes with the patch",
    "mends_all": "No other test that failed alike runs the changed lines and still fails",
    "suite": "The product's whole suite ends as it did before",
    "canary_suite_again": "A planted test failed in the second run, as it must",
    "suite_again": "The suite ends alike a second time, with another hash seed",
    "passes_on_patch_again": "The reproducer passes a second time, with another hash seed",
    "mends_all_again": "The same a second time, with another hash seed",
    "good_calls": "Requests that production answered well are answered as the base does",
    "neighbours": "On other inputs the patch behaves as the base does",
    "general": "Its values do not rest on the word of one failing test",
    "unambiguous": "It stands with the majority of repairs that fit all tests as well",
    "confident": "We are as sure of it as the settings want",
}
"""What a passed check means, in the order in which the gate asks."""

WAYS = {
    Way.CAPTURED_ARGUMENTS: "A test calls the function with the arguments that were recorded.",
    Way.BORROWED_STATE: "A passing test's own set-up is used, with the recorded arguments put in.",
    Way.HTTP_REPLAY: "A test sends the recorded request to the product's own application object.",
    Way.WRITTEN_BY_MODEL: "A model wrote the test; it raises what was recorded, where it was.",
    Way.FAILING_TEST: "The product's own failing test shows it; nothing was added.",
}


def write_page(findings: Findings, destination: Destination) -> str:
    """Return the page as Markdown; equal findings give an equal page."""
    chapters = [chapter(findings, destination) for chapter in CHAPTERS]
    return "\n\n".join(block for blocks in chapters for block in blocks) + "\n"


def _head(findings: Findings, _destination: Destination) -> list[str]:
    where = f" in {code(findings.function)}" if findings.function else ""
    issue = f"{code(findings.exception)}{where} {hurts(findings.issue)}."
    return [f"# {prose(title_of(findings))}", _banner(findings), issue]


def _banner(findings: Findings) -> str:
    report, shown = findings.report, findings.shown
    if findings.form is Form.CERTIFIED and report:
        return f"> **CERTIFIED REPAIR:** {prose(report.reason)}."
    if findings.form is Form.CONTAINED and shown:
        return (
            f"> **CONTAINED, NOT REPAIRED. THE VALUE IS INVENTED:** {prose(invention(shown))}.\n"
            "> The crash stops; the cause stays open. Nothing in the project says that this value "
            "is right: take it only if you know that it is."
        )
    if report is None:
        return "> **UNPROVEN: A DIAGNOSIS ONLY.** No patch is proposed, none could be judged."
    verdict = report.verdict.value.upper()
    return (
        f"> **UNPROVEN: NO PATCH IS ON THIS BRANCH.** The likeliest one is {verdict}: "
        f"{prose(report.reason)}."
    )


def _change(findings: Findings, _destination: Destination) -> list[str]:
    shown = findings.shown
    if shown is None:
        return []
    if findings.form is Form.UNPROVEN:
        told = "This patch is **not proven and not on this branch**; it may show where to look."
        return ["## The likeliest patch, unproven", told, fenced(shown.patch, "diff")]
    return ["## The change", fenced(shown.patch, "diff"), *_claim(findings)]


def _claim(findings: Findings) -> list[str]:
    shown = findings.shown
    if shown is None:
        return []
    if shown.claim is Claim.MITIGATION:
        claim = f"It claims to be a **mitigation** and invents: **{prose(invention(shown))}**."
    else:
        claim = "It claims to be a **repair**: the behaviour is right, supported by"
    supports = [
        f"- {prose(s.kind.replace('_', ' '))} at {code(s.where)}: {prose(s.says)}"
        for s in shown.supports
    ]
    if not supports and shown.claim is Claim.REPAIR:
        supports = ["- the product's own failing test"]
    return [*_author(shown), *_model(findings), claim, *_listed(supports)]


def _model(findings: Findings) -> list[str]:
    """Say that a model drafted it, which, and what that cost; its words are not repeated."""
    shown = findings.shown
    asks = [one for one in findings.search.asks if shown and one.generator == shown.generator]
    if not asks:
        return []
    models = ", ".join(dict.fromkeys(one.returned_model or one.model for one in asks))
    spent = dollars(sum(one.spent_micros for one in asks))
    return [f"A model drafted it: {code(models)}, for {spent}. Nothing rests on its word."]


def _author(shown: Candidate) -> list[str]:
    """Say who made a patch that was handed in: by what came with it, which proves nothing."""
    if not shown.author:
        return []
    if shown.author == UNKNOWN:
        return ["It was handed in and **names no author**."]
    return [f"It was handed in; its author, who may not approve it: {prose(shown.author)}."]


def _earlier(findings: Findings, _destination: Destination) -> list[str]:
    """Say what was tried before, and why it did not hold."""
    shown = essence_of(findings.shown.patch) if findings.shown else ""
    told = [
        f"- {code(one.change_id)} {prose(one.ended)}: {prose(one.because)}"
        + " **It was this very patch.**" * (one.essence == shown)
        for one in findings.earlier
    ]
    if not told:
        return []
    barred = any(one.bars for one in findings.earlier)
    says = ["What did harm, crashed or regressed is not proposed again."] * barred
    return ["## What was tried before and did not hold", *_listed(told), *says]


def _cause(findings: Findings, _destination: Destination) -> list[str]:
    diagnosis = findings.diagnosis
    frames = [
        f"- {code(f'{f.path}:{f.line}')} in {code(f.function)}"
        + " (the line has moved since)" * f.drifted
        for f in diagnosis.frames[:6]
    ]
    blocks = ["## Where it happens", *_listed(frames or ["- no frame was found in the tree"])]
    if findings.form is Form.UNPROVEN:
        lines = [
            f"- {code(f'{s.path}:{s.line}')} in {code(s.function)}: {prose(s.why)}"
            for s in diagnosis.suspicions[:SUSPICIONS]
        ]
        told = "Lines that may hold the fault, the likeliest first:"
        blocks += [told, *_listed(lines)] if lines else []
    if diagnosis.suspect is None:
        return [*blocks, "No commit is suspected."]
    commit = diagnosis.suspect.commit
    suspect = (
        f"Suspect commit: {code(commit.sha[:12])} of {code(commit.when[:10])} by "
        f"{prose(commit.author, 80)}: {prose(commit.summary, 120)}. "
        f"Why: {prose(diagnosis.suspect.reason)}."
    )
    return [*blocks, suspect]


def _reproduced(findings: Findings, _destination: Destination) -> list[str]:
    made = findings.reproduction.reproducer
    tries = [
        f"- {a.way.value.replace('_', ' ')} of {code(a.target)}: {prose(a.outcome)}"
        for a in findings.reproduction.attempts
    ]
    if made is None:
        none = "**Not reproduced**, so no patch can be proven. What was tried:"
        return ["## How it was reproduced", none, *_listed(tries or ["- nothing could be tried"])]
    tests = "\n".join(f"- {code(node_id)}" for node_id in made.node_ids)
    source = [] if made.source is None else [fenced(made.source, "python")]
    return ["## How it was reproduced", WAYS[made.way], tests, *source]


def _proven(findings: Findings, _destination: Destination) -> list[str]:
    report = findings.report
    if report is None:
        return []
    passed = [check for check in report.checks if check.passed]
    level = f"In a sandbox of level **{prose(report.sandbox_level)}**, seed {report.seed}:"
    told = ["## What was proven", level, *_listed([_check(c) for c in passed] or ["- nothing"])]
    return [*told, *_confidence(report)]


def _confidence(report: Report) -> list[str]:
    """Say how sure the gate is, part by part; an earlier gate did not say."""
    sure = report.confidence
    if sure is None:
        return []
    parts = [
        f"- {prose(p.name)}: {'unknown' if p.value is None else f'{p.value:.2f}'} ({prose(p.says)})"
        for p in sure.parts
    ]
    return [f"Confidence **{sure.value:.2f}** of 1, the product of:", *_listed(parts)]


def _check(check: Check) -> str:
    words = PROVEN.get(check.name, prose(check.name))
    return f"- {words} ({code(check.name)}: {prose(check.says)})"


def _not_proven(findings: Findings, _destination: Destination) -> list[str]:
    return ["## What was NOT proven", *_listed([f"- {d}" for d in doubts(findings, PROVEN)])]


def _alternatives(findings: Findings, _destination: Destination) -> list[str]:
    search = findings.search
    outcomes = ", ".join(f"{n} {prose(name)}" for name, n in sorted(search.outcomes.items()))
    tried = f"{counted(search.tried, 'candidate')} {'was' if search.tried == 1 else 'were'} tried"
    told = f"{tried} ({outcomes or 'none'}); the search ended because "
    told += f"{prose(search.stopped)}."
    if not search.tried:
        return ["## Alternatives", f"No candidate was tried: {prose(search.stopped)}."]
    shown = findings.shown
    others = [c for c in search.plausible if shown is None or c.id != shown.id]
    verdicts = {r.candidate_id: f"{r.verdict.value}: {r.reason}" for r in findings.proof.reports}
    rivals = [
        f"- rank {c.rank}, {prose(c.family)} at {code(f'{c.path}:{c.line}')}, {c.claim.value}"
        + (f" that invents: {prose(c.invented)}" if c.invented else "")
        + f"; {prose(verdicts.get(c.id, 'not judged'))}"
        for c in others[:RIVALS]
    ]
    if len(others) > RIVALS:
        rivals.append(f"- and {len(others) - RIVALS} more, in the evidence")
    return ["## Alternatives", told, *_listed(rivals)]


def _production(findings: Findings, _destination: Destination) -> list[str]:
    made = findings.reproduction.reproducer
    if made is None or made.way is Way.FAILING_TEST:
        return []
    values = [f"- {code(value, VALUE_LENGTH)}" for value in made.production_values[:VALUES]]
    if len(made.production_values) > VALUES:
        values.append(f"- and {len(made.production_values) - VALUES} more: read the test")
    told = (
        "These values came from production and stand in the test. **Is any of them somebody's?** "
        "Then refuse, or replace it before you merge:"
    )
    title = "## Values from production"
    return [title, told, *_listed(values)] if values else [title, "None stands in the test."]


def _why(findings: Findings, _destination: Destination) -> list[str]:
    issue, score = findings.issue, findings.issue.score
    parts = [
        f"- {prose(p.name)}: {'unknown' if p.value is None else f'{p.points:.1f} points'} "
        f"({prose(p.says)})"
        for p in score.parts
    ]
    told = (
        f"{code(issue.issue_id)}, {prose(issue.title)}, is number {issue.rank} of the ranking with "
        f"{score.total:.1f} of 100 points (formula {code(score.formula_version)}):"
    )
    return ["## Why this issue", told, *_listed(parts)]


def _take(findings: Findings, destination: Destination) -> list[str]:
    remote, branch = shlex.quote(destination.remote), shlex.quote(destination.branch)
    tip = "FETCH_HEAD" if destination.remote else branch
    fetch = [f"git fetch {remote} {branch}"] if destination.remote else []
    look = f"git diff {shlex.quote(destination.into)}...{tip}"
    refuse = f'selfdrive reject {findings.change_id} --reason "..."'
    if findings.form is Form.UNPROVEN:
        told = "There is nothing to merge. To work on from here:"
        lines = [*fetch, f"git switch -c work {tip}"]
    else:
        told = "Read the change, then merge it as you merge others; Selfdrive notices it."
        lines = [*fetch, look, f"git merge --no-ff {tip}"]
    return ["## How to take it", told, fenced("\n".join(lines), "sh"), "To refuse it:",
            fenced(refuse, "sh")]  # fmt: skip


def _roll_back(findings: Findings, _destination: Destination) -> list[str]:
    if findings.form is Form.UNPROVEN:
        return []
    told = (
        "Traffic first: if users are hurt, run the release from before. Then take the change out "
        "of the branch, so that the next release does not bring it back:"
    )
    lines = "git revert -m 1 <merge commit>   # if it was merged\n"
    lines += "git revert <commit>              # if it was squashed, rebased or fast-forwarded"
    return ["## How to roll it back", told, fenced(lines, "sh")]


def _digests(findings: Findings, _destination: Destination) -> list[str]:
    report, made = findings.report, findings.reproduction.reproducer
    rows = [("change", findings.change_id), ("base revision", findings.diagnosis.revision)]
    if report:
        rows += [("patch", report.patch_sha256), ("reproducer", report.reproducer_sha256)]
    rows += list(findings.digests.items())
    if made is None:
        rows.append(("reproducer", "none"))
    return ["## Digests", "sha256 of canonical JSON, as the ledger and the evidence name them:",
            *_listed([f"- {name}: {code(value)}" for name, value in rows])]  # fmt: skip


def _listed(items: list[str]) -> list[str]:
    return ["\n".join(items)] if items else []


Chapter = Callable[[Findings, Destination], list[str]]
CHAPTERS: tuple[Chapter, ...] = (
    _head,
    _change,
    _earlier,
    _cause,
    _proven,
    _not_proven,
    _reproduced,
    _production,
    _alternatives,
    _why,
    _take,
    _roll_back,
    _digests,
)
