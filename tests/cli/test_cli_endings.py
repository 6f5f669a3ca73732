"""How commands end: exit codes, words instead of tracebacks, pipes and signals."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from fakes.selfdrive_program import environment, selfdrive

from selfdrive_dagster.cli.endings import EXIT_CODES, run_to_its_end
from selfdrive_dagster.errors import Busy, MissingTool, Refused, SelfdriveError, SettingsError

ERRORS = [
    (SelfdriveError("It broke.", remedy="mend it"), 1, ["Error: It broke.", "Remedy: mend it"]),
    (SettingsError("selfdrive.toml", ["a", "b"]), 2, ["selfdrive.toml has 2 faults", "- a", "- b"]),
    (Refused("No."), 3, ["No."]),
    (MissingTool("no git"), 4, ["no git"]),
    (Busy("port"), 5, ["port"]),
    (OSError(28, "No space left on device", "/x"), 1, ["No space left on device: /x"]),
    (ZeroDivisionError("ours"), 70, ["ZeroDivisionError: ours", "--debug"]),
    (SelfdriveError("\x1b[31mred\u202e"), 1, [r"\x1b[31mred\u202e"]),
    (SelfdriveError("[bold]markup[/nothing]"), 1, ["[bold]markup[/nothing]"]),
]


@pytest.mark.parametrize(("error", "code", "words"), ERRORS, ids=[str(c[0])[:20] for c in ERRORS])
def test_errors_are_told(
    error: Exception, code: int, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise error

    assert run_to_its_end(fail, debug=lambda: False) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert all(word in said.err for word in words)
    assert "\x1b" not in said.err
    assert code in dict(EXIT_CODES)


def test_an_error_that_comes_of_ctrl_c_is_a_stop(capsys: pytest.CaptureFixture[str]) -> None:
    def interrupted() -> None:
        fault = RuntimeError("a library's own words for it")
        fault.__context__ = KeyboardInterrupt()
        raise fault

    assert run_to_its_end(interrupted, debug=lambda: False) == 130
    assert capsys.readouterr().err == "Stopped.\n"


def test_debug_lets_the_traceback_through() -> None:
    with pytest.raises(ZeroDivisionError):
        run_to_its_end(lambda: 1 / 0, debug=lambda: True)


def test_help_lists_the_exit_codes(tmp_path: Path) -> None:
    said = selfdrive("--help", cwd=tmp_path)
    assert said.code == 0
    for code, _ in EXIT_CODES:
        assert f" {code} " in said.out
    assert selfdrive(cwd=tmp_path).out.strip() == said.out.strip()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("doctr",), "No such command 'doctr'"),
        (("doctor", "--jsn"), "No such option"),
        (("doctor", "a", "b"), "unexpected extra argument"),
    ],
)
def test_a_mistyped_call_points_to_help(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    said = selfdrive(*arguments, cwd=tmp_path)
    assert said.code == 2
    assert words in said.err
    assert "--help" in said.err
    assert said.out == ""


def test_version(tmp_path: Path) -> None:
    assert selfdrive("--version", cwd=tmp_path).out.startswith("selfdrive 0.")


SLEEPER = """
import sys, tempfile, time
from selfdrive_dagster import cli
def sleeper() -> None:
    with tempfile.TemporaryDirectory(dir={folder!r}):
        print("asleep", flush=True)
        time.sleep(60)
app = cli.build_app
cli.build_app = lambda: app((cli.Command("sleeper", sleeper, ""), cli.Command("x", sleeper, "")))
cli.main(["sleeper"])
"""


def test_exit_codes_are_a_line_each_on_a_narrow_terminal(tmp_path: Path) -> None:
    told = selfdrive("--help", cwd=tmp_path, COLUMNS="80").out.partition("Exit codes")[2]
    lines = told.strip().splitlines()
    assert [int(line.split()[0]) for line in lines] == [code for code, _ in EXIT_CODES]


@pytest.mark.parametrize(
    ("number", "code", "words"),
    [(signal.SIGINT, 130, "Stopped."), (signal.SIGTERM, 143, "")],
)
def test_a_stopped_command_cleans_up(
    number: signal.Signals, code: int, words: str, tmp_path: Path
) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    with subprocess.Popen(
        [sys.executable, "-c", SLEEPER.format(folder=str(folder))],
        env=environment(tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "asleep\n"
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
    assert process.returncode == code
    assert words in err
    assert "Error" not in err
    assert "Traceback" not in err
    assert list(folder.iterdir()) == []


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "selfdrive_dagster", "init", "--print", "--json"],
        cwd=tmp_path,
        env=environment(tmp_path),
        stdout=writing,
        stderr=subprocess.PIPE,
    )
    os.close(writing)
    assert ran.stderr == b""
    assert ran.returncode == 141
