"""`selfdrive audit` on a real database: what is recorded is told, what is not is a gap."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fakes import made_findings as found
from fakes.noted_loop import NotedLoop
from sqlalchemy import Engine, text
from typer.testing import CliRunner

from selfdrive_dagster.audit.dossier import QUESTIONS
from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.audit import audit
from selfdrive_dagster.errors import BadInput

APP = build_app((Command("audit", audit, "Loop"), Command("other", audit, "Loop")))


@pytest.fixture
def loop(
    engine: Engine, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NotedLoop]:
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SELFDRIVE_HOME", str(home))
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    yield NotedLoop(engine, home)


def run(*arguments: str) -> tuple[int, str]:
    options = {"COLUMNS": "250"}
    done = CliRunner().invoke(
        APP, ["audit", *arguments], obj=Invocation(), env=options, standalone_mode=False
    )
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.return_value or 0, done.stdout


def told(*arguments: str) -> tuple[int, Any]:
    code, out = run(*arguments, "--json")
    return code, json.loads(out)


@pytest.mark.parametrize("findings", [found.certified, found.contained, found.unproven])
def test_a_whole_record_answers_every_question(loop: NotedLoop, findings) -> None:
    loop.proposes(findings())
    code, [one] = told(found.CHANGE)
    assert (code, one["gaps"]) == (0, [])
    assert len(one["answers"]) == len(QUESTIONS)
    assert all(answer["says"] for answer in one["answers"])
    assert all(len(d) == 64 for answer in one["answers"] for d in answer["digests"])


def test_the_answers_say_what_happened(loop: NotedLoop) -> None:
    loop.proposes(found.contained())
    _, out = run(found.CHANGE)
    for words in ("contained as a mitigation", "nobody yet", "Selfdrive deployed nothing",
                  "not judged yet", "the generator builtin", "sandbox of level full"):  # fmt: skip
        assert words in out
    assert "stood at place" in out


@pytest.mark.parametrize(
    ("author", "says"),
    [
        ("Eve <e@b.c>", "Eve <e@b.c>, as the patch says that was handed in"),
        ("unknown", "nobody knows: the patch was handed in and names no author"),
    ],
)
def test_who_handed_a_patch_in_is_told(loop: NotedLoop, author: str, says: str) -> None:
    loop.proposes(found.handed_in(author))
    _, [one] = told(found.CHANGE)
    [answer] = [a for a in one["answers"] if a["question"] == "Who or what made it?"]
    assert says in answer["says"]


def test_of_a_model_it_is_told_what_it_was_sent_and_what_it_was_paid(loop: NotedLoop) -> None:
    loop.proposes(found.drafted())
    _, [one] = told(found.CHANGE)
    says = {answer["question"]: answer["says"] for answer in one["answers"]}
    assert says["Who or what made it?"] == (
        "the generator claude: claude-made-1-20260101 answered request req_1, prompt "
        "abababababababab, asked to draft"
    )
    assert "prompt abababababababab to claude-made-1" in says["What left this machine?"]
    assert "1 question to a model, $0.0115 (answered 1)" in says["What did it cost?"]


def test_where_no_model_was_asked_nothing_left(loop: NotedLoop) -> None:
    loop.proposes(found.certified())
    _, [one] = told(found.CHANGE)
    says = {answer["question"]: answer["says"] for answer in one["answers"]}
    assert says["What left this machine?"] == "nothing was sent to a model"
    assert "no model was asked" in says["What did it cost?"]


ASSETS = (
    "patches/diagnosis",
    "patches/reproducer",
    "patches/candidates",
    "validation/report",
    "rollout/proposal",
)


@pytest.mark.parametrize("asset", ASSETS)
def test_each_record_that_is_gone_is_named(loop: NotedLoop, asset: str) -> None:
    made = loop.proposes(found.contained())
    loop.evidence.path(made[asset]).unlink()
    code, [one] = told(found.CHANGE)
    assert code == 3
    assert any(asset in gap and "NOT RECORDED" in gap for gap in one["gaps"])
    assert any(answer["says"] is None for answer in one["answers"])


def test_an_altered_record_is_named(loop: NotedLoop) -> None:
    made = loop.proposes(found.contained())
    path = loop.evidence.path(made["validation/report"])
    path.chmod(0o600)
    path.write_bytes(path.read_bytes().replace(b"contained", b"certified"))
    code, [one] = told(found.CHANGE)
    assert code == 3
    assert any("ALTERED" in gap for gap in one["gaps"])


def test_what_lies_ahead_is_no_gap(loop: NotedLoop) -> None:
    loop.opens_only(found.CHANGE, "iss_0000000000000001")
    code, [one] = told(found.CHANGE)
    assert (code, one["gaps"]) == (0, [])
    assert {a["says"] for a in one["answers"] if a["is_ahead"]} == {"not reached yet"}


def test_all_changes_are_walked_when_none_is_named(loop: NotedLoop) -> None:
    made = loop.proposes(found.contained())
    assert run()[1].split()[:2] == [found.CHANGE, "awaiting"]
    assert "complete" in run()[1]
    loop.evidence.path(made["patches/candidates"]).unlink()
    code, out = run()
    assert code == 3
    assert "gaps" in out


def test_verify_asks_dagster_and_git_too(loop: NotedLoop) -> None:
    loop.proposes(found.contained())
    code, [one] = told(found.CHANGE, "--verify")
    assert code == 3
    assert any("Dagster" in gap for gap in one["gaps"])
    assert any("git" in gap for gap in one["gaps"])


def test_verify_names_a_ledger_that_was_touched(loop: NotedLoop) -> None:
    loop.proposes(found.contained())
    with loop.engine.begin() as connection:
        connection.execute(text("ALTER TABLE selfdrive.ledger DISABLE TRIGGER ALL"))
        connection.execute(text("UPDATE selfdrive.ledger SET actor = 'mallory' WHERE seq = 2"))
        connection.execute(text("ALTER TABLE selfdrive.ledger ENABLE TRIGGER ALL"))
    code, [one] = told(found.CHANGE, "--verify")
    assert code == 3
    assert any(gap.startswith("the ledger:") and "2" in gap for gap in one["gaps"])


def test_where_no_loop_ran_there_is_nothing_to_audit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SELFDRIVE_HOME", str(tmp_path / "none"))
    with pytest.raises(BadInput, match="no loop has run"):
        run(found.CHANGE)
