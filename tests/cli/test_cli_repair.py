"""`repair` writes only what it was asked for, whole, and tells of it beside its answer."""

import json
from pathlib import Path

import msgspec
import pytest
from fakes import made_findings as found
from fakes.made_repository import MadeRepository
from fakes.selfdrive_program import ROOT, selfdrive
from msgspec.structs import replace

from selfdrive_dagster.cli.repair import answer, read_trace, writable
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.telemetry import Redactor
from selfdrive_dagster.validation.repair import Repair

TEST_PATH = "tests/test_selfdrive_1a2b3c4d.py"
STRANGE = "KeyError: boom fixes #12 @org/team [skip ci] ***NO_CI***"


@pytest.fixture
def made(tmp_path: Path) -> MadeRepository:
    repository = MadeRepository(tmp_path / "repo")
    repository.write("shop/shipping.py", found.SOURCE)
    repository.write("notes.txt", "theirs\n")
    repository.commit("Begin")
    repository.write("notes.txt", "not committed yet\n")
    return repository


def repaired(made: MadeRepository, sentence: str = "KeyError in shipping_cost") -> Repair:
    """What a repair of this repository's head found."""
    findings = found.certified()
    head = made.git("rev-parse", "HEAD")
    return Repair(
        diagnosis=replace(findings.diagnosis, revision=head, sentence=sentence),
        reproduction=findings.reproduction,
        search=findings.search,
        reports=findings.proof.reports,
        best=findings.proof.best,
        seconds=1.0,
    )


def snapshot(made: MadeRepository) -> tuple[str, ...]:
    return (
        made.git("status", "--porcelain"),
        made.git("for-each-ref"),
        (made.path / "shop/shipping.py").read_text(),
    )


@pytest.mark.parametrize("options", [{"apply": True}, {"branch": "fix"}, {}], ids=str)
def test_json_stays_alone_on_stdout(
    options: dict[str, object], made: MadeRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"apply": False, "branch": "", **options}
    answer(repaired(made), writable(made.path), as_json=True, **given)
    said = capsys.readouterr()
    assert json.loads(said.out)["diagnosis"]["sentence"] == "KeyError in shipping_cost"
    assert bool(said.err) == bool(options)


def test_apply_edits_the_one_file_and_nothing_else(
    made: MadeRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    refs = made.git("for-each-ref")
    answer(repaired(made), writable(made.path), apply=True, branch="", as_json=True)
    assert made.git("status", "--porcelain") == "M notes.txt\n M shop/shipping.py"
    assert "DEFAULT_RATE" in (made.path / "shop/shipping.py").read_text()
    assert made.git("for-each-ref") == refs
    assert f"Applied to {made.path}: shop/shipping.py" in capsys.readouterr().err


def test_branch_commits_patch_and_test_beside_the_working_tree(
    made: MadeRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    status = made.git("status", "--porcelain")
    answer(repaired(made), writable(made.path), apply=False, branch="fix", as_json=True)
    assert made.git("diff", "--name-status", "main", "fix").splitlines() == [
        "M\tshop/shipping.py",
        f"A\t{TEST_PATH}",
    ]
    assert made.git("show", f"fix:{TEST_PATH}") == found.TEST.strip()
    assert made.git("status", "--porcelain") == status
    assert f"Committed {made.git('rev-parse', 'fix')[:12]} to fix" in capsys.readouterr().err


def test_a_strangers_words_are_written_but_not_obeyed(made: MadeRepository) -> None:
    told = repaired(made, STRANGE)
    answer(told, writable(made.path), apply=False, branch="fix", as_json=True)
    message = made.git("log", "-1", "--format=%B", "fix")
    assert message == "KeyError - boom fixes no. 12 (at)org/team (skip ci) NO_CI"


def test_windows_line_ends_stay_on_the_branch(made: MadeRepository) -> None:
    made.write("shop/shipping.py", found.SOURCE.replace("\n", "\r\n"))
    made.commit("Windows")
    answer(repaired(made), writable(made.path), apply=False, branch="fix", as_json=True)
    assert made.git("diff", "--numstat", "main", "fix", "--", "shop") == "1\t1\tshop/shipping.py"


IN_THE_WAY = {
    "the branch is there": lambda made: made.git("branch", "fix"),
    "the file was edited": lambda made: made.write("shop/shipping.py", "RATES = {}\n"),
    "the test is there": lambda made: (made.write(TEST_PATH, "theirs\n"), made.commit("Theirs")),
}


@pytest.mark.parametrize("put", IN_THE_WAY.values(), ids=IN_THE_WAY)
def test_when_one_of_both_cannot_be_written_neither_is(
    put: object, made: MadeRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    put(made)
    before = snapshot(made)
    with pytest.raises(Refused):
        answer(repaired(made), writable(made.path), apply=True, branch="fix", as_json=True)
    assert snapshot(made) == before
    assert msgspec.json.decode(capsys.readouterr().out)


def test_without_a_patch_nothing_is_written_and_that_is_said(
    made: MadeRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    before = snapshot(made)
    told = replace(repaired(made), best=None)
    answer(told, writable(made.path), apply=True, branch="fix", as_json=True)
    assert snapshot(made) == before
    assert "nothing was written" in capsys.readouterr().err


def test_a_trace_keeps_no_variables_where_the_product_says_so() -> None:
    envelope = ROOT / "tests" / "cases" / "shop_envelopes" / "01-unknown-zone.envelope"
    kept, left_out = (
        read_trace(envelope, Redactor(keeps_variables=keeps)).raised.frames
        for keeps in (True, False)
    )
    assert any(frame.variables for frame in kept)
    assert all(frame.variables is None for frame in left_out)


def test_a_plain_folder_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "crash.log").write_text("not read\n")
    said = selfdrive("repair", ".", "--failing-tests", "--apply", cwd=tmp_path / "shop")
    assert said.code == 3
    assert "no git repository" in said.err
    assert said.out == ""
