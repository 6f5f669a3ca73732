"""`repair` writes only what it was asked for, whole, and tells of it beside its answer."""

import json
import os
from pathlib import Path

import msgspec
import pytest
from fakes import made_findings as found
from fakes.made_repository import MadeRepository
from fakes.selfdrive_program import ROOT, selfdrive
from msgspec.structs import replace

from selfdrive_dagster.cli.repair import answer, knowing_the_root, read_trace, remedies, writable
from selfdrive_dagster.cli.repair.start import unseen
from selfdrive_dagster.errors import BadInput, Refused, SelfdriveError
from selfdrive_dagster.rollout import Findings
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


def test_the_commit_names_the_crash_and_its_proof_in_our_own_words(made: MadeRepository) -> None:
    told = repaired(made, STRANGE)
    answer(told, writable(made.path), apply=False, branch="fix", as_json=True)
    message = made.git("log", "-1", "--format=%B", "fix")
    assert message == ("Fix KeyError in shipping_cost\n\nCERTIFIED, a repair: every check passed.")


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


TO_COMMIT = {
    "nothing": ((), "", []),
    "a new test": (("tests/test_new.py",), "", ["1 file ", "tests/test_new.py"]),
    "an edit and a new file": (("notes.txt", "new.py"), "", ["2 files ", "notes.txt, new.py"]),
    "five edits": (tuple(f"n{i}.py" for i in range(5)), "", ["5 files ", "n0.py, n1.py, n2.py, …"]),
    "what is no code": (("crash.json", ".venv/lib/a.py", "v/site-packages/b.py"), "", []),
    "a revision was named": (("tests/test_new.py",), "HEAD", []),
}


@pytest.mark.parametrize(("paths", "revision", "told"), TO_COMMIT.values(), ids=TO_COMMIT)
def test_what_is_not_committed_is_told_as_unseen(
    paths: tuple[str, ...], revision: str, told: list[str], made: MadeRepository
) -> None:
    made.commit("All of it")
    for path in paths:
        made.write(path, "edited\n")
    notes = " ".join(unseen(made.path, revision))
    assert bool(notes) == bool(told)
    assert all(part in notes for part in told)


def test_the_answer_carries_what_was_not_seen(
    made: MadeRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    told = replace(repaired(made), notes=unseen(made.path, ""))
    answer(told, None, apply=False, branch="", as_json=True)
    assert "notes.txt" in json.loads(capsys.readouterr().out)["notes"][0]


NO_BRANCH = {
    "a bad name": "bad name~",
    "one that is there": "theirs/fix",
    "one below another": "theirs/fix/rates",
    "one above another": "theirs",
    "the current one": "main",
}


@pytest.mark.parametrize("name", NO_BRANCH.values(), ids=NO_BRANCH)
def test_a_branch_that_cannot_be_made_is_told_first_and_with_a_remedy(
    name: str, made: MadeRepository
) -> None:
    made.git("branch", "theirs/fix")
    with pytest.raises(SelfdriveError) as error:
        writable(made.path, name)
    assert error.value.remedy
    assert "update-ref" not in error.value.message
    assert writable(made.path, "theirs/fixed")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize(
    ("folder", "branch", "apply"), [(".git/objects", "fix", False), (".", "", True)], ids=str
)
def test_a_repository_that_cannot_be_written_is_told_first(
    folder: str, branch: str, apply: bool, made: MadeRepository
) -> None:
    place = made.path / folder
    place.chmod(0o555)
    try:
        with pytest.raises(Refused, match="cannot be written") as error:
            writable(made.path, branch, apply=apply)
    finally:
        place.chmod(0o755)
    assert error.value.remedy


def test_a_patch_that_is_applied_is_called_so(made: MadeRepository) -> None:
    answer(repaired(made), writable(made.path), apply=True, branch="", as_json=True)
    with pytest.raises(Refused, match="already applied"):
        answer(repaired(made), writable(made.path), apply=True, branch="", as_json=True)


def drawn(findings: Findings, capsys: pytest.CaptureFixture[str], *, verbose: bool = False) -> str:
    """What people read of a repair that found this."""
    told = Repair(
        diagnosis=findings.diagnosis,
        reproduction=findings.reproduction,
        search=findings.search,
        reports=findings.proof.reports,
        best=findings.proof.best,
        seconds=1.0,
    )
    answer(told, None, apply=False, branch="", as_json=False, verbose=verbose)
    return capsys.readouterr().out


def test_an_unproven_patch_is_shown_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    said = drawn(found.unproven(), capsys)
    result = said.partition("\nResult")[2]
    assert "unproven" in result
    assert "+    return RATES.get(zone, DEFAULT_RATE)" in result
    assert "Why: neighbours: only 3 inputs could be compared" in result


def test_only_the_best_patch_shows_every_check(capsys: pytest.CaptureFixture[str]) -> None:
    findings = found.contained()
    short, long = (drawn(findings, capsys, verbose=verbose) for verbose in (False, True))
    total = len(found.PROVEN)
    assert f"{total - 1} of {total} checks passed; ✗ suite: " in short
    assert short.count("what the gate says of neighbours") == 1
    assert long.count("what the gate says of neighbours") == 2


def test_values_from_production_are_asked_about_wherever_a_test_is_written(
    made: MadeRepository, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(repaired(made), writable(made.path), apply=False, branch="fix", as_json=False)
    said = capsys.readouterr()
    for text in (said.out, said.err):
        assert "'islands'. Is any of them somebody's?" in text


def test_a_plain_traceback_that_led_nowhere_ends_with_a_remedy(tmp_path: Path) -> None:
    log = tmp_path / "crash.log"
    log.write_text(
        "Traceback (most recent call last):\n"
        '  File "/app/shop/shipping.py", line 5, in shipping_cost\n'
        "    return RATES[zone]\n"
        "KeyError: 'islands'\n"
    )
    findings = found.diagnosed()
    crash = read_trace(log, Redactor())
    told = Repair(
        diagnosis=replace(findings.diagnosis, crash=crash),
        reproduction=findings.reproduction,
        search=findings.search,
        reports=(),
        best=None,
        seconds=1.0,
    )
    assert "send the Sentry event" in " ".join(remedies(told, tmp_path))


def test_in_a_subfolder_the_remedy_names_the_repositorys_root(made: MadeRepository) -> None:
    with pytest.raises(BadInput) as below, knowing_the_root(made.path / "shop"):
        raise BadInput("No test was found.", remedy="check the settings")
    assert below.value.remedy.endswith(f"try selfdrive repair {made.path}")
    with pytest.raises(BadInput) as at_top, knowing_the_root(made.path):
        raise BadInput("No test was found.", remedy="check the settings")
    assert at_top.value.remedy == "check the settings"


def test_a_plain_folder_is_told_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "crash.log").write_text("not read\n")
    said = selfdrive("repair", ".", "--failing-tests", "--apply", cwd=tmp_path / "shop")
    assert said.code == 3
    assert "no git repository" in said.err
    assert said.out == ""
