"""`selfdrive changes`, `show` and `reject` on a real database: the board, the chain, a refusal."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes import made_findings as found
from fakes.made_repository import OWNER, MadeRepository
from fakes.noted_loop import NOW, NotedLoop
from fakes.rolling import TO_APPROVED, led
from msgspec.structs import replace
from sqlalchemy import Engine
from typer.testing import CliRunner

from selfdrive_dagster.adapters.changes import Authority
from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.adapters.outside import carry_out
from selfdrive_dagster.adapters.processes.holding import held
from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.changes import changes
from selfdrive_dagster.cli.rejecting import reject
from selfdrive_dagster.cli.showing import show
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import Verdict, short_id
from selfdrive_dagster.rollout.lifecycle import Actor, Event, State
from selfdrive_dagster.rollout.traffic import Seen
from selfdrive_dagster.validation import Proof

APP = build_app(
    (
        Command("changes", changes, "Loop"),
        Command("show", show, "Loop"),
        Command("reject", reject, "Loop"),
    )
)
RUN = Authority(who="selfdrive", role=Actor.GUARD, run_id="run-guard")


def run(*arguments: str, columns: int = 250) -> str:
    options = {"COLUMNS": str(columns)}
    done = CliRunner().invoke(APP, list(arguments), obj=Invocation(), env=options)
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.stdout


def told(*arguments: str) -> Any:
    return json.loads(run(*arguments, "--json"))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home and a working folder of this test's own."""
    made = MadeRepository(tmp_path / "repo")
    made.git("config", "user.name", "Ada L")
    made.git("config", "user.email", OWNER["GIT_AUTHOR_EMAIL"])
    place = tmp_path / "home"
    place.mkdir(mode=0o700)
    monkeypatch.chdir(made.path)
    monkeypatch.setenv("SELFDRIVE_HOME", str(place))
    monkeypatch.setenv("HOME", str(tmp_path))
    return place


@pytest.fixture
def loop(
    engine: Engine, database_url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[NotedLoop]:
    monkeypatch.setenv("SELFDRIVE_DATABASE_URL", database_url)
    yield NotedLoop(engine, home)


def test_the_board_tells_claim_and_verdict_apart(loop: NotedLoop) -> None:
    loop.proposes(found.contained())
    [line] = told("changes")
    assert line["change_id"] == found.CHANGE
    assert line["title"] == "Contain KeyError in shipping_cost"
    assert (line["state"], line["claim"], line["verdict"]) == (
        "awaiting_approval",
        "mitigation",
        "contained",
    )
    assert line["invented"] == "returns 0 where it raised KeyError"
    assert line["branch"] == f"loop/{found.CHANGE}"
    drawn = run("changes")
    for words in (found.CHANGE, "awaiting approval", "contained", "returns 0", "origin"):
        assert words in drawn


def test_a_narrow_board_gives_each_line_its_full_width(loop: NotedLoop) -> None:
    loop.proposes(found.contained())
    lines = [line.strip() for line in run("changes", columns=80).splitlines()]
    assert lines[:3] == [
        f"{found.CHANGE}  awaiting approval  contained mitigation",
        "Contain KeyError in shipping_cost",
        "returns 0 where it raised KeyError",
    ]
    assert lines[3].startswith(f"loop/{found.CHANGE} at origin")


@pytest.mark.parametrize("columns", [80, 250])
def test_a_diagnosis_without_a_patch_does_not_look_like_one(columns: int, loop: NotedLoop) -> None:
    guess = found.mitigation()
    doubt = found.report(guess, Verdict.UNCERTIFIED, "suite: a test failed")
    loop.proposes(replace(found.unproven(), proof=Proof(reports=(doubt,), best=None)))
    drawn = run("changes", columns=columns)
    assert "diagnosis only, needs a human" in drawn
    assert "returns 0" not in drawn
    assert "mitigation" not in drawn
    assert told("changes")[0]["diagnosis_only"] is True


def test_ended_changes_are_shown_when_asked(loop: NotedLoop) -> None:
    loop.proposes(found.certified())
    late = loop.changes.get(found.CHANGE).deadline
    loop.changes.move(found.CHANGE, Event.DEADLINE, by=RUN, now=late)
    assert told("changes") == []
    assert "--all" in run("changes")
    assert [line["state"] for line in told("changes", "--all")] == ["expired"]


def test_an_approved_change_says_where_the_front_serves_something_else(
    loop: NotedLoop, engine: Engine, home: Path
) -> None:
    change = led(engine, "waits", *TO_APPROVED, base="b" * 40)
    files = FrontFiles(home)
    files.make()
    seen = Seen(generation=1, at=datetime.now(UTC), stable="b" * 40, stable_healthy=True)
    files.write(files.seen_file, seen)
    assert told("changes")[0]["waits"] == ""
    files.write(files.seen_file, replace(seen, stable="a" * 40))
    [line] = told("changes")
    assert line["change_id"] == change.change_id
    assert "the front serves aaaaaaaaaaaa" in line["waits"]
    assert "selfdrive serve --revision bbbbbbbbbbbb" in run("changes", columns=250)
    files.write(files.seen_file, replace(seen, stable="a" * 40, at=seen.at - timedelta(minutes=1)))
    assert told("changes")[0]["waits"] == ""  # nobody knows what is served


def test_a_change_in_the_making_says_what_is_known(loop: NotedLoop) -> None:
    loop.opens(found.CHANGE, found.ISSUE)
    assert told("changes")[0]["title"] is None
    loop.makes(found.CHANGE, "patches/diagnosis", found.diagnosis())
    assert told("changes")[0]["title"] == found.diagnosis().sentence
    drawn = run("show", found.CHANGE)
    assert "no proposal was made yet" in drawn
    assert drawn.count("NOT RECORDED") == 5  # the page and four records


def test_a_change_is_shown_with_its_page_and_every_record(loop: NotedLoop) -> None:
    digests = loop.proposes(found.certified())
    story = told("show", found.CHANGE[:9])
    assert {piece["asset"]: piece["sha256"] for piece in story["pieces"]} == digests
    assert {piece["kept"] for piece in story["pieces"]} == {"sound"}
    assert {piece["run_id"] for piece in story["pieces"]} == {f"run of {a}" for a in digests}
    assert [step["kind"] for step in story["steps"]] == [
        "change.opened",
        "change.start",
        "change.proven",
        "change.propose",
    ]
    drawn = run("show", found.CHANGE.removeprefix("chg_"))
    for words in ("CERTIFIED REPAIR", "What was NOT proven", "DEFAULT_RATE", *digests.values()):
        assert words in drawn


def test_lost_and_altered_evidence_are_told_apart(loop: NotedLoop) -> None:
    digests = loop.proposes(found.certified())
    loop.evidence.path(digests["patches/candidates"]).unlink()
    altered = loop.evidence.path(digests["validation/report"])
    altered.write_bytes(altered.read_bytes() + b" ")
    kept = {piece["asset"]: piece["kept"] for piece in told("show", found.CHANGE)["pieces"]}
    assert kept == {
        "patches/diagnosis": "sound",
        "patches/reproducer": "sound",
        "patches/candidates": "NOT RECORDED",
        "validation/report": "ALTERED",
        "rollout/proposal": "sound",
    }
    drawn = run("show", found.CHANGE)
    assert "ALTERED" in drawn
    assert "NOT RECORDED" in drawn


def test_an_unknown_change_lists_the_known(loop: NotedLoop) -> None:
    other = short_id("chg", "other")
    loop.opens(found.CHANGE, found.ISSUE)
    loop.opens(other, short_id("iss", "other"))
    for wanted in ("chg_zzz", "", "chg_"):
        with pytest.raises(BadInput) as caught:
            run("show", wanted)
        assert found.CHANGE in caught.value.remedy
        assert other in caught.value.remedy
    with pytest.raises(BadInput, match="2 changes start"):
        run("reject", "chg_", "--reason", "no")
    assert Decisions(loop.engine).waiting() == ()


def test_a_refusal_waits_for_the_loop_and_is_then_carried_out(loop: NotedLoop) -> None:
    loop.proposes(found.certified())
    answer = told("reject", found.CHANGE, "--reason", " wrong default ")
    decision = answer["decision"]
    assert decision["reason"] == "wrong default"
    assert decision["actor"].endswith("(Ada L <ada@example.org>)")
    patch = found.certified().proof.reports[0].patch_sha256
    assert decision["digests"]["patch"] == patch
    assert answer["loop_is_running"] is False
    assert loop.changes.get(found.CHANGE).state is State.AWAITING_APPROVAL
    assert told("changes")[0]["decision"] == "reject"
    assert "waits for the loop" in run("show", found.CHANGE)
    [noted] = Decisions(loop.engine).waiting()
    carry_out(noted, loop.changes, loop.engine, by=RUN, now=NOW)
    assert "wrong default" in run("show", found.CHANGE)
    with pytest.raises(Refused, match="can no longer be rejected"):
        run("reject", found.CHANGE, "--reason", "again")


def test_refusing_twice_is_one_decision(loop: NotedLoop) -> None:
    loop.opens(found.CHANGE, found.ISSUE)
    first = told("reject", found.CHANGE, "--reason", "one")
    assert told("reject", found.CHANGE, "--reason", "two") == first
    assert len(Decisions(loop.engine).waiting()) == 1
    assert "already noted: one" in run("reject", found.CHANGE, "--reason", "two")


def test_a_refusal_says_that_the_branch_stays_and_how_to_delete_it(loop: NotedLoop) -> None:
    loop.proposes(found.contained())
    last = run("reject", found.CHANGE, "--reason", "no").splitlines()[-1]
    branch = f"loop/{found.CHANGE}"
    assert f"{branch} stays" in last
    assert f"git branch -D {branch} && git push origin --delete {branch}" in last


def test_it_says_whether_anybody_carries_it_out(loop: NotedLoop, home: Path) -> None:
    loop.opens(found.CHANGE, found.ISSUE)
    assert "until the next `selfdrive up`" in run("reject", found.CHANGE, "--reason", "no")
    with held(home):
        assert "within a minute" in run("reject", found.CHANGE, "--reason", "no")


@pytest.mark.parametrize("reason", ["", "  \n"])
def test_a_refusal_needs_a_reason(reason: str, loop: NotedLoop) -> None:
    loop.opens(found.CHANGE, found.ISSUE)
    with pytest.raises(BadInput, match="reason"):
        run("reject", found.CHANGE, "--reason", reason)


def test_strangers_words_cannot_drive_the_terminal(loop: NotedLoop) -> None:
    evil = "\x1b[2J\u202e[bold]x[/bold] [red]"
    best = found.mitigation(invented=evil)
    proof = found.contained().proof
    findings = replace(found.contained(), proof=replace(proof, best=best))
    loop.proposes(findings)
    run("reject", found.CHANGE, "--reason", f"because {evil}")
    for drawn in (run("changes"), run("show", found.CHANGE)):
        assert "\x1b[2J" not in drawn
        assert "\u202e" not in drawn
        assert "[bold]x[/bold]" in drawn


def test_where_no_loop_ran_nothing_is_made(home: Path) -> None:
    assert told("changes") == []
    with pytest.raises(BadInput, match="no loop has run"):
        run("show", found.CHANGE)
    with pytest.raises(BadInput, match="no loop has run"):
        run("reject", found.CHANGE, "--reason", "no")
    assert list(home.iterdir()) == []
