"""What the stages might have found for one change: honest values, each replaceable."""

from datetime import UTC, datetime
from typing import Any

from msgspec.structs import replace

from selfdrive_dagster.issues import IssueStats, IssueSummary, RankedIssue, rank
from selfdrive_dagster.model import (
    Ask,
    Attempt,
    Candidate,
    Check,
    Claim,
    Commit,
    Confidence,
    Diagnosis,
    Ending,
    FrameFinding,
    ObservedInput,
    Part,
    Report,
    Reproducer,
    Reproduction,
    Result,
    Support,
    SuspectCommit,
    Suspicion,
    Usage,
    Verdict,
    Way,
    digest,
    short_id,
)
from selfdrive_dagster.patches.search import Search
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.patches.text import render_diff
from selfdrive_dagster.rollout import Findings
from selfdrive_dagster.rollout.page import PROVEN
from selfdrive_dagster.validation import Proof

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BASE = "5" * 40
ISSUE = short_id("iss", "shipping")
CHANGE = short_id("chg", ISSUE, 1)
FRAME = FrameFinding(path="shop/shipping.py", line=4, function="shipping_cost", depth=2)

SOURCE = "RATES = {'north': 4}\n\n\ndef shipping_cost(zone):\n    return RATES[zone]\n"


NO_SUITE = SuiteRun(
    ending=Ending.EXITED,
    exit=0,
    collected=(),
    errors=(),
    tests={},
    lines={},
    repeated=(),
    stderr="",
    seconds=0.0,
)
"""A suite of which nothing was collected."""


def _patch(value: str) -> str:
    fixed = SOURCE.replace("RATES[zone]", f"RATES.get(zone, {value})")
    return render_diff("shop/shipping.py", SOURCE, fixed)


REPAIR, MITIGATION = _patch("DEFAULT_RATE"), _patch("0")
TEST = """from shop.shipping import shipping_cost


def test_shipping_cost():
    shipping_cost('islands')
"""


def issue(**other: Any) -> RankedIssue:
    """An issue with users and sessions."""
    stats = IssueStats(
        issue_id=ISSUE,
        now=NOW,
        first_seen=datetime(2026, 11, 20, 8, 30, tzinfo=UTC),
        last_seen=NOW,
        events_total=93,
        events_24h=40,
        events_1h=4,
        expected_1h=2.0,
        users=12,
        sessions=1,
        active_users=100,
        active_sessions=150,
        unhandled=True,
    )
    summary = IssueSummary(
        stats=stats,
        exception_type="KeyError",
        exception_template="<str>",
        culprit="shop.shipping.shipping_cost",
        fp_rule="frames",
        services=("shop",),
        versions=("1.4",),
        sample_event_id="e" * 32,
    )
    return replace(rank([summary])[0], **other)


def diagnosis(**other: Any) -> Diagnosis:
    """A diagnosis with frames and a suspect commit."""
    commit = Commit(
        sha="c" * 40, when="2026-11-19T17:02:11+01:00", author="Ada", summary="Ship to islands"
    )
    found = Diagnosis(
        revision=BASE,
        sentence="KeyError: 'islands' in shipping_cost (shop/shipping.py:4)",
        crash=None,
        failing_tests=(),
        frames=(FRAME, FrameFinding(path="shop/web.py", line=9, function="quote", depth=1)),
        suspicions=(
            Suspicion(
                path="shop/shipping.py",
                line=4,
                function="shipping_cost",
                score=0.9,
                why="the line that raised",
            ),
        ),
        inputs=(ObservedInput(function="shipping_cost", name="zone", expression="'islands'"),),
        suspect=SuspectCommit(commit=commit, reason="it last touched the line that raised"),
        exception_type="KeyError",
    )
    return replace(found, **other)


def candidate(**other: Any) -> Candidate:
    """A repair that a sibling idiom supports."""
    sibling = Support(
        kind="sibling_idiom",
        where="shop/tax.py:12",
        says="the same treatment stands there: `RATES[zone]` gives `DEFAULT_RATE`",
    )
    made = Candidate(
        id="cnd_1",
        generator="builtin",
        family="default",
        path="shop/shipping.py",
        line=4,
        function="shipping_cost",
        patch=REPAIR,
        claim=Claim.REPAIR,
        invented="",
        supports=(sibling,),
        rank=1,
    )
    return replace(made, **other)


def mitigation(**other: Any) -> Candidate:
    """A guard that makes its value up."""
    made = candidate(
        id="cnd_2",
        patch=MITIGATION,
        claim=Claim.MITIGATION,
        invented="returns 0 where it raised KeyError",
        supports=(),
        rank=2,
    )
    return replace(made, **other)


def reproducer(**other: Any) -> Reproducer:
    """A test made of recorded arguments."""
    path = "tests/test_selfdrive_1a2b3c4d.py"
    made = Reproducer(
        way=Way.CAPTURED_ARGUMENTS,
        path=path,
        source=TEST,
        node_ids=(f"{path}::test_shipping_cost",),
        exception_type="KeyError",
        function="shipping_cost",
        target_path="shop/shipping.py",
        production_values=("'islands'",),
    )
    return replace(made, **other)


def checks(**passed: bool | None) -> tuple[Check, ...]:
    """Every check of the gate, passed unless said otherwise."""
    numbers = {"neighbours": {"agreed": 41, "differed": 0, "skipped": {"not answered": 3}}}
    return tuple(
        Check(
            name=name,
            passed=passed.get(name, True),
            says=f"what the gate says of {name.replace('_', ' ')}",
            numbers=numbers.get(name, {}),
        )
        for name in PROVEN
    )


def sure() -> Confidence:
    """A confidence with a part that is not known."""
    parts = (
        Part(name="agreement", value=0.9, says="3 of 4 plausible repairs behave alike"),
        Part(name="mutants", value=None, says="no small change of its lines was tried"),
    )
    return Confidence(value=0.9, parts=parts)


def report(of: Candidate, verdict: Verdict, reason: str, **other: Any) -> Report:
    """A report of one candidate."""
    made = Report(
        candidate_id=of.id,
        claim=of.claim,
        verdict=verdict,
        reason=reason,
        checks=checks(),
        base_revision=BASE,
        patch_sha256=digest(of.patch.encode()),
        reproducer_sha256=digest(reproducer()),
        sandbox_level="full",
        seed=7,
        seconds=12.5,
    )
    return replace(made, **other)


def findings(**other: Any) -> Findings:
    """The findings of a certified repair, or of whatever replaces parts of it."""
    rival = mitigation()
    best = candidate()
    tried = Search(
        plausible=(best, rival),
        tried=96,
        outcomes={"plausible": 2, "still fails": 90, "breaks tests": 4},
        families={"default": 96},
        seconds=3.25,
        stopped="the candidates are exhausted",
    )
    made = Findings(
        change_id=CHANGE,
        issue=issue(),
        diagnosis=diagnosis(),
        reproduction=Reproduction(reproducer=reproducer(), attempts=()),
        search=tried,
        proof=Proof(
            reports=(report(best, Verdict.CERTIFIED, "every check passed", confidence=sure()),),
            best=best,
        ),
    )
    return replace(made, **other)


def certified() -> Findings:
    """A repair that held."""
    return findings()


def handed_in(author: str) -> Findings:
    """A repair that held and that somebody handed in."""
    best = candidate(generator="drafts", family="handed_in", author=author)
    made = findings()
    return replace(
        made,
        search=replace(made.search, plausible=(best,)),
        proof=replace(made.proof, best=best),
    )


def drafted() -> Findings:
    """A repair that held and that a model drafted."""
    best = candidate(generator="claude", family="asked")
    ask = Ask(
        generator="claude",
        purpose="draft",
        model="claude-made-1",
        returned_model="claude-made-1-20260101",
        result=Result.ANSWERED,
        request_id="req_1",
        prompt_sha256="ab" * 32,
        usage=Usage(input_tokens=4_000, output_tokens=150),
        reserved_micros=212_050,
        spent_micros=11_472,
        drafts=("fits",),
        explanations=("Trust me: <b>it is right</b>",),
    )
    made = findings()
    return replace(
        made,
        search=replace(made.search, plausible=(best,), asks=(ask,)),
        proof=replace(made.proof, best=best),
    )


def contained() -> Findings:
    """A mitigation that held, of an issue that names no user."""
    best = mitigation()
    says = "every check passed, but the value is invented"
    first = report(
        candidate(),
        Verdict.UNCERTIFIED,
        "suite: tests/test_a.py::test failed, on base passed",
        checks=checks(suite=False),
    )
    return findings(
        issue=issue(users=None, sessions=None),
        proof=Proof(reports=(first, report(best, Verdict.CONTAINED, says)), best=best),
    )


def unproven() -> Findings:
    """A patch that nobody could compare."""
    likely = candidate()
    says = "neighbours: only 3 inputs could be compared: too few to know"
    doubtful = report(likely, Verdict.INCONCLUSIVE, says, checks=checks(neighbours=None)[:-2])
    return findings(proof=Proof(reports=(doubtful,), best=None))


def diagnosed() -> Findings:
    """A crash that could not be made to happen again."""
    tried = Attempt(
        way=Way.CAPTURED_ARGUMENTS,
        target="shipping_cost",
        outcome="zone is unknown: the value was cut off",
    )
    nothing = Search(
        plausible=(),
        tried=0,
        outcomes={},
        families={},
        seconds=0.0,
        stopped="there is no reproducer",
    )
    return findings(
        reproduction=Reproduction(reproducer=None, attempts=(tried,)),
        search=nothing,
        proof=Proof(reports=(), best=None),
    )
