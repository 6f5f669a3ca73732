"""The JSON of `repair` is a contract: its fields, their order, and what each is called."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from fakes import made_findings as found
from fakes.selfdrive_program import ROOT
from msgspec.structs import replace

from selfdrive_dagster.cli.repair import told_by
from selfdrive_dagster.cli.repair.contract import Answer, Location, Offered, answer_of
from selfdrive_dagster.config import Settings
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Attempt, Confidence, Part, Reproduction, Verdict, Way
from selfdrive_dagster.rollout import Findings
from selfdrive_dagster.validation.repair import Repair

SNAPSHOT = Path(__file__).parents[1] / "cases/repair_json/certified.json"
DOCS = (ROOT / "docs/repair-json.md").read_text()
RECORDS = ("best", "diagnosis", "reproduction", "search", "reports")


def repaired(findings: Findings, **other: Any) -> Repair:
    made = Repair(
        diagnosis=findings.diagnosis,
        reproduction=findings.reproduction,
        search=findings.search,
        reports=findings.proof.reports,
        best=findings.proof.best,
        seconds=4.5,
        confidences={r.candidate_id: r.confidence for r in findings.proof.reports if r.confidence},
    )
    return replace(made, **other)


def test_the_contract_is_as_it_was() -> None:
    """To accept a new contract, write what this test prints into tests/cases/repair_json."""
    told = msgspec.to_builtins(answer_of(repaired(found.certified())))
    contract = {key: value for key, value in told.items() if key not in RECORDS}
    assert set(told) - set(contract) == set(RECORDS)
    text = json.dumps(contract, indent=2) + "\n"
    assert text == SNAPSHOT.read_text(), text


FIELDS = [
    *(name for name in Answer.__struct_fields__ if name not in RECORDS),
    *(name for name in Offered.__struct_fields__ if name not in ("verdict", "reason")),
    *Location.__struct_fields__,
    *Confidence.__struct_fields__,
    *Part.__struct_fields__,
]


@pytest.mark.parametrize("name", sorted(set(FIELDS)))
def test_each_field_is_told(name: str) -> None:
    assert f"`{name}`" in DOCS


@pytest.mark.parametrize("verdict", [*(one.value for one in Verdict), "none"])
def test_each_verdict_is_told(verdict: str) -> None:
    assert f"`{verdict}`" in DOCS


def torn() -> Repair:
    """Two repairs that behave otherwise, behind one that a test refuted."""
    first, second = found.candidate(), found.candidate(family="operator", patch="--- other")
    reports = (
        found.report(first, Verdict.UNCERTIFIED, "suite: broke"),
        found.report(second, Verdict.AMBIGUOUS, "on (n=1) this one returned 1, another raised"),
    )
    return repaired(found.certified(), reports=reports, best=None)


def unjudged() -> Repair:
    made = found.certified()
    nothing = replace(made.search, plausible=())
    return repaired(replace(made, search=nothing), reports=(), best=None)


def unreproduced() -> Repair:
    tried = Attempt(way=Way.HTTP_REPLAY, target="app", outcome="it answered 200")
    lost = Reproduction(reproducer=None, attempts=(tried,))
    return replace(unjudged(), reproduction=lost)


ABSTAINED = {
    "a patch held": (repaired(found.certified()), "certified", None),
    "the value is invented": (repaired(found.contained()), "contained", None),
    "others behave otherwise": (torn(), "ambiguous", "on (n=1) this one returned 1"),
    "nothing was plausible": (unjudged(), "none", "no candidate is plausible: the candidates are"),
    "nothing reproduced it": (unreproduced(), "none", "http_replay: it answered 200"),
}


@pytest.mark.parametrize("name", ABSTAINED)
def test_verdict_and_why_nothing_is_offered(name: str) -> None:
    given, verdict, because = ABSTAINED[name]
    told = answer_of(given)
    assert told.verdict == verdict
    assert (told.abstained_because is None) == (because is None) == (told.best is not None)
    assert (because or "") in (told.abstained_because or "")


def test_what_was_not_judged_is_null() -> None:
    told = answer_of(repaired(found.certified()))
    later = told.candidates[1]
    assert (later.verdict, later.reason, later.confidence) == (None, None, None)


def test_the_command_line_goes_before_the_settings() -> None:
    settings = Settings()
    told = told_by(settings, "python -m unittest", ("src/app/", "tools.py")).service
    assert (told.tests, told.source) == ("python -m unittest", ("src/app", "tools.py"))
    assert told_by(settings, "", ()) == settings


def test_tests_of_another_runner_are_refused() -> None:
    with pytest.raises(BadInput, match=r"'tox -e py' is no command of pytest or unittest"):
        told_by(Settings(), "tox -e py", ())
