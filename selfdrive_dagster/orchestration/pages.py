"""What a reader of the Dagster UI wants to see of each stage, as metadata.

Belongs here: choosing and escaping. Does not belong: the records themselves; whoever needs
them whole reads the evidence by its digest.
"""

import math
from typing import Any

import dagster as dg
import msgspec

from selfdrive_dagster.audit.outcome import Outcome
from selfdrive_dagster.issues import RankedIssue
from selfdrive_dagster.model import Ask, Candidate, Diagnosis, Report, Reproduction
from selfdrive_dagster.model.drawing import as_markdown
from selfdrive_dagster.orchestration.text import fenced, plain, table
from selfdrive_dagster.patches.asking.edits import FITS
from selfdrive_dagster.patches.asking.money import MICROS, dollars
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.approval import Approval
from selfdrive_dagster.rollout.canary.plots import evidence_svg, rates_svg
from selfdrive_dagster.rollout.observed import Observed
from selfdrive_dagster.validation import Proof
from selfdrive_dagster.validation.head import HeadProof

SHOWN = 12
MARKS = {True: "passed", False: "failed", None: "unknown"}


def why_now(issue: RankedIssue) -> dict[str, Any]:
    """Return what a ledger row says about why an issue was taken up."""
    return {
        "rank": issue.rank,
        "score": round(issue.score.total, 3),
        "formula": issue.score.formula_version,
        "users": issue.users,
        "events_24h": issue.events_24h,
        "triage": issue.triage.decision.value,
    }


def of_diagnosis(found: Diagnosis, issue: RankedIssue) -> dict[str, Any]:
    """Show where, since when, and what was seen."""
    frames = [(f.path, str(f.line), f.function) for f in found.frames[:SHOWN]]
    inputs = [
        (i.function, i.name, i.expression if i.expression is not None else f"unknown: {i.unknown}")
        for i in found.inputs[:SHOWN]
    ]
    suspect = found.suspect
    return {
        "issue": plain(issue.title),
        "says": plain(found.sentence),
        "suspect_commit": f"{suspect.commit.sha[:12]} {plain(suspect.commit.summary)}"
        if suspect
        else "none found",
        "base_revision": found.revision,
        "frames": table(("file", "line", "function"), frames),
        "inputs": table(("function", "parameter", "value"), inputs),
    }


def of_reproduction(made: Reproduction) -> dict[str, Any]:
    """Show the test, or why there is none."""
    tries = [(a.way.value, a.target, a.outcome) for a in made.attempts]
    shown: dict[str, Any] = {"attempts": table(("way", "of", "outcome"), tries)}
    test = made.reproducer
    shown["way"] = test.way.value if test else "none: nothing can be proven"
    if test is not None and test.source is not None:
        shown["test"] = fenced(test.source, "python")
    return {**shown, **of_asks(made.asks)}


def of_search(tried: Search) -> dict[str, Any]:
    """Show how much was tried, and what held."""
    rows = [(str(c.rank), c.family, c.claim.value, c.invented, c.path) for c in tried.plausible]
    return {
        "tried": tried.tried,
        "plausible": len(tried.plausible),
        "outcomes": dg.MetadataValue.json(tried.outcomes),
        "stopped": tried.stopped,
        "candidates": table(("rank", "family", "claim", "invents", "file"), rows[:SHOWN]),
        "seconds": tried.seconds,
        **of_asks(tried.asks),
    }


def of_asks(asks: tuple[Ask, ...]) -> dict[str, Any]:
    """Show what a model was asked and what it cost, nothing where none was."""
    if not asks:
        return {}
    rows = [
        (
            one.purpose,
            one.returned_model or one.model,
            one.result.value,
            one.says,
            f"{one.drafts.count(FITS)} of {len(one.drafts)}",
            dollars(one.spent_micros),
        )
        for one in asks
    ]
    heads = ("asked to", "model", "end", "why", "drafts fit", "cost")
    spent = sum(one.spent_micros for one in asks)
    return {"asked": table(heads, rows), "cost_usd": round(spent / MICROS, 6)}


def of_proof(proof: Proof, tried: Search) -> dict[str, Any]:
    """Show the verdicts, the checks of the best candidate, and its diff."""
    by_id: dict[str, Candidate] = {c.id: c for c in tried.plausible}
    rows = [
        (str(by_id[r.candidate_id].rank), r.claim.value, r.verdict.value, r.reason)
        for r in proof.reports
    ]
    shown: dict[str, Any] = {
        "verdict": verdict_of(proof),
        "reports": table(("rank", "claim", "verdict", "reason"), rows),
    }
    best = proof.best
    if best is not None:
        report = next(r for r in proof.reports if r.candidate_id == best.id)
        checks = [(c.name, MARKS[c.passed], c.says) for c in report.checks]
        shown["checks"] = table(("check", "", "says"), checks)
        shown["passed"] = in_short(report)
        shown["diff"] = fenced(best.patch, "diff")
        shown["claim"] = best.claim.value
        shown["author"] = plain(best.author) or "the loop"
        shown["invented"] = plain(best.invented) or "nothing"
        shown["patch_sha256"] = report.patch_sha256
        shown["sandbox"] = report.sandbox_level
    return shown


def in_short(report: Report) -> str:
    """Name the checks that passed, in a line: the UI folds a longer table away."""
    passed = [check.name for check in report.checks if check.passed]
    return f"{len(passed)} of {len(report.checks)}: {', '.join(passed)}"


def of_proposal(put: Proposal) -> dict[str, Any]:
    """Show the page, escaped where it quotes strangers already, and where it lies."""
    return {
        "page": dg.MetadataValue.md(put.page),
        "branch": put.branch,
        "commit": put.commit,
        "pushed_to": put.pushed_to or "this repository only",
        "verdict": put.verdict.value if put.verdict else "nothing proven",
        "claim": put.claim.value if put.claim else "none",
    }


def of_approval(found: Approval) -> dict[str, Any]:
    """Show who signed what, by which key, and until when it holds."""
    statement = found.statement
    return {
        "approver": plain(statement.approver),
        "reason": plain(statement.reason),
        "expires": statement.expires.isoformat(),
        "fingerprint": found.fingerprint,
        "custody": f"{statement.custody.value}: {statement.custody.says}",
        "invented": plain(statement.invented) or "nothing",
        "statement_sha256": found.statement_sha256,
        "binding": dg.MetadataValue.json(msgspec.to_builtins(found.binding)),
        "carried_over": "yes" if found.binding != statement.binding else "no",
    }


def of_head(found: HeadProof) -> dict[str, Any]:
    """Show whether a patch is on the branch of today what was signed."""
    rows = [(one.name, MARKS[one.passed], one.says) for one in found.report.checks]
    return {
        "holds": found.holds,
        "verdict": found.report.verdict.value,
        "signed_verdict": found.signed.verdict.value,
        "reason": plain(found.report.reason),
        "head": found.head,
        "commit": found.commit,
        "checks": table(("check", "", "says"), rows),
    }


def of_stage(found: Observed) -> dict[str, Any]:
    """Show a turn of a rollout: the verdict, each guardrail's evidence, and how it grew."""
    judged, plan = found.judgement, found.plan
    rows = [
        (
            one.name,
            f"{one.counted.affected.canary} of {one.counted.exposed.canary}",
            f"{one.counted.affected.stable} of {one.counted.exposed.stable}",
            f"{one.log_harm / math.log(10):.2f}",
            f"{one.log_safe / math.log(10):.2f}",
        )
        for one in judged.readings
    ]
    heads = ("guardrail", "canary", "stable", "log10 e, harm", "log10 e, safe")
    rates = [rates_svg(found.windows, plan, rail.name) for rail in plan.guardrails[:1]]
    return {
        "verdict": judged.verdict.value,
        "reason": plain(judged.reason),
        "stood": f"{found.state}, stage {found.stage} of {len(plan.stages)}",
        "share": judged.share,
        "guardrails": table(heads, rows),
        "thresholds": f"harm {judged.log_harm_threshold / math.log(10):.2f}, "
        f"safe {judged.log_safe_threshold / math.log(10):.2f} (log10 of the e-value)",
        "evidence": dg.MetadataValue.md(
            as_markdown(evidence_svg(found.windows, plan), "e-values over time")
        ),
        "rates": dg.MetadataValue.md("\n\n".join(as_markdown(svg, "rates") for svg in rates)),
        "canary": found.canary,
        "stable": found.stable,
    }


def of_outcome(found: Outcome) -> dict[str, Any]:
    """Show what came of a change, with the sessions it was drawn from."""
    rows = [
        (when, *("unknown" if n is None else str(n) for n in (told.seen, told.affected)))
        for when, told in (("before the release", found.before), ("on the release", found.after))
    ]
    return {
        "outcome": found.kind.value,
        "reason": found.reason,
        "sessions": table(("", "seen", "met the issue"), rows),
        "needed": "unknown" if found.needed is None else found.needed,
    }


def verdict_of(proof: Proof) -> str:
    """Return the best verdict of a proof in a word."""
    if proof.best is None:
        return "nothing proven"
    return next(r.verdict.value for r in proof.reports if r.candidate_id == proof.best.id)
