"""`selfdrive issues` and `issue` on a telemetry file alone: no database, no registered loop."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfdrive_dagster.cli import Command, Invocation, build_app
from selfdrive_dagster.cli.issues import issue, issues
from selfdrive_dagster.errors import BadInput

ENVELOPES = Path(__file__).parents[1] / "cases/shop_envelopes"
ENVELOPE = ENVELOPES / "01-unknown-zone.envelope"
APP = build_app((Command("issues", issues, "Look"), Command("issue", issue, "Look")))


def run(*arguments: str | Path) -> str:
    done = CliRunner().invoke(APP, [str(each) for each in arguments], obj=Invocation())
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def ranking(*arguments: str | Path) -> Any:
    return json.loads(run("issues", *arguments, "--json"))


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand in a folder that is no product, with a home of this test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SELFDRIVE_HOME", str(tmp_path / "home"))


def hostile(tmp_path: Path) -> Path:
    event = {
        "event_id": "0" * 32,
        "timestamp": "2026-11-23T10:00:00Z",
        "exception": {
            "values": [
                {
                    "type": "[red]Evil",
                    "value": "\x1b[2J\x1b]0;owned\x07 \u202egnirts [bold]x[/bold]",
                    "stacktrace": {"frames": [{"filename": "a.py", "function": "f\x1b[1m"}]},
                }
            ]
        },
    }  # fmt: skip
    path = tmp_path / "hostile.json"
    path.write_text(json.dumps(event), encoding="utf-8")
    return path


def test_a_file_is_ranked_with_every_part_of_the_score() -> None:
    [only] = ranking(ENVELOPE)
    assert (only["exception_type"], only["culprit"]) == ("KeyError", "shop.shipping.parcel_rate")
    assert only["triage"]["reasons"] == ["code"]
    parts = only["score"]["parts"]
    names = ["users", "volume", "severity", "spike", "recency", "regression"]
    assert [part["name"] for part in parts] == names
    assert sum(part["points"] for part in parts) == pytest.approx(only["score"]["total"])


def test_the_same_file_gives_the_same_issues_every_time() -> None:
    assert ranking(ENVELOPE) == ranking(ENVELOPE)


@pytest.mark.parametrize("path", sorted(ENVELOPES.glob("*.envelope")), ids=lambda path: path.stem)
def test_crashes_of_the_shop_are_issues_in_its_own_code(path: Path) -> None:
    [only] = ranking(path)
    assert only["culprit"].startswith("shop.")
    assert only["fp_rule"] == "stack"


def test_why_shows_each_part_times_its_weight() -> None:
    [only] = ranking(ENVELOPE)
    for shown in (
        run("issues", ENVELOPE, "--why", only["issue_id"]),
        run("issue", only["issue_id"][:9], ENVELOPE),
    ):
        assert "1 of 1 users" in shown
        assert "0.30" in shown
        assert f"{only['score']['total']:.1f}" in shown
        words = " ".join(shown.split())
        for name in ("ever resolved", "how critical the service is", "burn rates"):
            assert "unknown: nobody told" in words and name in words


def test_what_a_stranger_wrote_cannot_move_the_cursor_or_paint(tmp_path: Path) -> None:
    path = hostile(tmp_path)
    [only] = ranking(path)
    for shown in (run("issues", path), run("issue", only["issue_id"], path)):
        assert not {"\x1b", "\x07", "\u202e"} & set(shown)
        assert "[red]Evil" in shown


def test_an_unknown_id_names_the_known_ones() -> None:
    with pytest.raises(BadInput, match="no issue") as told:
        run("issue", "iss_nothing", ENVELOPE)
    assert ranking(ENVELOPE)[0]["issue_id"] in told.value.remedy


@pytest.mark.parametrize("junk", [b"", b"\0\1\2", b'{"exception": ', b"hello"])
def test_junk_is_refused_with_a_sentence(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "junk.json"
    path.write_bytes(junk)
    with pytest.raises(BadInput) as told:
        run("issues", path)
    assert "junk.json" in str(told.value)


def test_a_home_without_tables_says_what_to_do(tmp_path: Path) -> None:
    assert ranking() == []
    said = run("issues")
    assert "No issue is known" in said
    assert "selfdrive up" in said
    with pytest.raises(BadInput, match="no issue"):
        run("issue", "iss_1")
    assert not (tmp_path / "home").exists()


def test_reading_a_file_imports_nothing_heavy() -> None:
    program = (
        "import sys; from pathlib import Path; from selfdrive_dagster.cli.issues import issues; "
        f"issues(Path({str(ENVELOPE)!r}), as_json=True); "
        "heavy = {'duckdb', 'polars', 'sqlglot', 'dagster', 'sqlalchemy', 'anthropic'}; "
        "sys.exit(' '.join(sorted(heavy & set(sys.modules))) or 0)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=root, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
