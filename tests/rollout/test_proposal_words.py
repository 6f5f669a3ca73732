"""The subject, the message and the record of a proposal."""

import pytest
from fakes import made_findings as made
from msgspec.structs import replace

from selfdrive_dagster.model import Claim, Verdict, digest
from selfdrive_dagster.rollout import Destination, draw_proposal, message_of, title_of

FRAMES = made.diagnosis().frames
LONG = "Outer.<locals>." + "very_" * 14 + "long"


@pytest.mark.parametrize(
    ("findings", "title"),
    [
        (made.certified(), "Fix KeyError in shipping_cost"),
        (made.contained(), "Contain KeyError in shipping_cost"),
        (made.unproven(), "Diagnose KeyError in shipping_cost"),
        (made.diagnosed(), "Diagnose KeyError in shipping_cost"),
        (made.findings(diagnosis=made.diagnosis(exception_type="shop.errors.NoRate")),
         "Fix NoRate in shipping_cost"),
        (made.findings(diagnosis=made.diagnosis(exception_type="a\nCo-authored-by: x")),
         "Fix a failure in shipping_cost"),
        (made.findings(diagnosis=made.diagnosis(exception_type="")),
         "Fix a failure in shipping_cost"),
    ],
)  # fmt: skip
def test_the_subject_is_a_plain_imperative_of_names(findings: made.Findings, title: str) -> None:
    assert title_of(findings) == title


def test_a_long_name_is_cut() -> None:
    frames = (replace(FRAMES[0], function=LONG),)
    title = title_of(made.findings(diagnosis=made.diagnosis(frames=frames)))
    assert title.startswith("Fix KeyError in ")
    assert len(title) <= 72


def test_the_message_tells_the_issue_the_verdict_and_where_to_read_on() -> None:
    subject, issue, verdict, own = message_of(made.contained()).strip().split("\n\n")
    assert subject == "Contain KeyError in shipping_cost"
    assert " ".join(issue.split()) == (
        "KeyError in shipping_cost hit an unknown number of users in an unknown number of sessions "
        "with 40 events in 24 hours, 93 in all since 2026-11-20 08:30 UTC."
    )
    assert " ".join(verdict.split()) == (
        "CONTAINED, a mitigation whose value is invented: returns 0 where it raised KeyError."
    )
    assert made.CHANGE in own
    assert made.ISSUE in own
    assert all(len(line) <= 72 for line in message_of(made.contained()).splitlines())


@pytest.mark.parametrize(
    "findings", [made.certified(), made.contained(), made.unproven(), made.diagnosed()]
)
def test_no_word_of_the_exceptions_message_is_in_the_commit(findings: made.Findings) -> None:
    assert "islands" in findings.diagnosis.sentence
    assert "islands" not in message_of(findings)


AWAY = Destination(branch=f"loop/{made.CHANGE}", into="main", remote="origin")


def test_the_record_of_a_certified_repair() -> None:
    findings = made.certified()
    proposal = draw_proposal(findings, AWAY, commit="c" * 40, page="page")
    assert (proposal.verdict, proposal.claim) == (Verdict.CERTIFIED, Claim.REPAIR)
    assert proposal.patch == made.REPAIR
    assert proposal.patch_sha256 == findings.proof.reports[0].patch_sha256
    assert proposal.reproducer_sha256 == findings.proof.reports[0].reproducer_sha256
    assert proposal.report_sha256 == digest(findings.proof)
    assert proposal.page_sha256 == digest(b"page")
    assert proposal.seconds == 15.75
    assert (proposal.branch, proposal.pushed_to) == (AWAY.branch, "origin")


def test_an_unproven_patch_is_never_recorded_as_proposed() -> None:
    proposal = draw_proposal(made.unproven(), AWAY, commit="c" * 40, page="page")
    assert (proposal.patch, proposal.patch_sha256) == (None, None)
    assert proposal.verdict is Verdict.INCONCLUSIVE
    assert proposal.reproducer_path is not None
    nothing = draw_proposal(made.diagnosed(), AWAY, commit="c" * 40, page="page")
    assert (nothing.verdict, nothing.claim, nothing.reason) == (None, None, None)
    assert (nothing.reproducer_path, nothing.reproducer_sha256) == (None, None)
