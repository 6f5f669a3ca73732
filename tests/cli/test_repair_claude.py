"""`repair --generator claude` and `rehearse`: refused without key, price or money; else one way."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fakes.models import QUESTION
from fakes.selfdrive_program import ROOT, environment, selfdrive
from msgspec.structs import replace

from selfdrive_dagster.adapters.claude import KEY, Client
from selfdrive_dagster.adapters.claude.standin.script import read_script
from selfdrive_dagster.cli.repair.drafting import Generator, capped, drafting
from selfdrive_dagster.cli.repair.show import asked
from selfdrive_dagster.config.settings import Patches
from selfdrive_dagster.errors import BadInput, MissingTool, Refused
from selfdrive_dagster.model import Ask, Result, Usage
from selfdrive_dagster.patches.asking.money import Caps

SHOP = ROOT / "examples" / "shop"
CLAUDE = (Generator.CLAUDE,)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFDRIVE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv(KEY, "rehearsal")


def test_without_a_key_claude_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY)
    with pytest.raises(MissingTool, match=KEY):
        drafting(CLAUDE, Patches(), 1.0)


def test_an_unknown_price_is_not_free() -> None:
    with pytest.raises(Refused, match="unknown is not free"):
        drafting(CLAUDE, Patches(model="claude-nobody"), 1.0)


def test_without_money_claude_is_not_asked() -> None:
    with pytest.raises(Refused, match="No money"):
        drafting(CLAUDE, Patches(), None)


def test_the_built_in_engine_needs_neither(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KEY)
    (only,) = drafting((Generator.BUILTIN,), Patches(), None)
    assert only.name == "builtin"


def test_generators_come_in_the_order_in_which_they_were_named() -> None:
    both = drafting((Generator.CLAUDE, Generator.BUILTIN), Patches(), 0.5)
    assert [one.name for one in both] == ["claude", "builtin"]


@pytest.mark.parametrize(
    ("day", "budget", "expected"),
    [
        (0, 0.5, Caps(call=9, change=500_000)),
        (7, None, Caps(call=9, change=2, day=7)),
        (7, 0.5, Caps(call=9, change=500_000, day=7)),
    ],
)
def test_a_run_has_its_budget_within_the_day_of_the_settings(
    day: int, budget: float | None, expected: Caps
) -> None:
    assert capped(Caps(call=9, change=2, issue=3, day=day), budget) == expected


ASK = Ask(generator="claude", purpose="draft", model="m-1", result=Result.TOO_SLOW, says="late")


@pytest.mark.parametrize(
    ("ask", "line"),
    [
        (ASK, "claude (m-1) was asked to draft: too slow: late, $0.0000"),
        (
            replace(
                ASK,
                result=Result.ANSWERED,
                says="",
                returned_model="m-1-20260101",
                drafts=("fits", "changes nothing"),
                usage=Usage(input_tokens=10, output_tokens=3, cache_read_tokens=5),
                spent_micros=210,
            ),
            "claude (m-1-20260101) was asked to draft: answered, 1 of 2 drafts fit, "
            "15 tokens in, 3 out, $0.0003",
        ),
    ],
    ids=["a fault", "an answer"],
)
def test_a_question_is_told_in_a_line(ask: Ask, line: str) -> None:
    assert asked(ask) == line


@contextmanager
def rehearsing(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `selfdrive rehearse` and yield it with its address."""
    command = [sys.executable, "-m", "selfdrive_dagster", "rehearse", "--port", "0", *options]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, env=environment(folder), cwd=folder
    )
    try:
        assert process.stdout is not None
        lines = [process.stdout.readline().strip() for _ in range(2)]
        told = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        assert set(told) == {"ANTHROPIC_BASE_URL", KEY}
        yield process, told["ANTHROPIC_BASE_URL"]
    finally:
        process.kill()
        process.communicate()


def test_a_rehearsal_answers_keeps_what_it_was_asked_and_ends(tmp_path: Path) -> None:
    with rehearsing(tmp_path, "--keep", "asked.jsonl") as (process, url):
        answer = Client({KEY: "k", "ANTHROPIC_BASE_URL": url}).ask(QUESTION)
        assert answer.result is Result.ANSWERED
        kept = tmp_path / "asked.jsonl"
        assert json.loads(kept.read_text())["model"] == QUESTION.model
        assert kept.stat().st_mode & 0o777 == 0o600
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 128 + signal.SIGTERM


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[[reply]]\nfault = 'hiccup'", "known are refusal"),
        ("[[reply]]\nwhat = 1", "no script"),
        ("[[reply", "no script"),
    ],
)
def test_a_script_that_cannot_be_played_is_told(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "script.toml"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        read_script(path)
    assert fault in str(caught.value)


def test_the_shops_script_is_one() -> None:
    assert read_script(SHOP / "rehearsal.toml").reply


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not installed")
def test_the_same_crash_is_certified_whoever_drafts(tmp_path: Path) -> None:
    """The same gates, the same report; only the generator and the bill differ."""
    shop, home = tmp_path / "shop", tmp_path / "home"
    subprocess.run([sys.executable, SHOP / "make_history.py", shop], check=True, cwd=tmp_path)
    trace = ROOT / "tests" / "cases" / "shop_envelopes" / "01-unknown-zone.envelope"
    found = {}
    with rehearsing(tmp_path, "--script", str(SHOP / "rehearsal.toml")) as (_, url):
        for name in ("builtin", "claude"):
            said = selfdrive(
                "repair", shop, "--trace", trace, "--generator", name, "--budget", "0.5", "--json",
                cwd=tmp_path, SELFDRIVE_HOME=str(home), ANTHROPIC_BASE_URL=url,
                ANTHROPIC_API_KEY="rehearsal",
            )  # fmt: skip
            assert said.code == 0, said.err
            found[name] = said.json()
    best = {name: one["best"] for name, one in found.items()}
    checks = {
        name: [(check["name"], check["passed"]) for check in one["reports"][0]["checks"]]
        for name, one in found.items()
    }
    assert best["builtin"]["patch"] == best["claude"]["patch"]
    assert best["builtin"]["supports"] == best["claude"]["supports"]
    assert checks["builtin"] == checks["claude"]
    assert found["builtin"]["search"]["asks"] == []
    (ask,) = found["claude"]["search"]["asks"]
    assert (ask["result"], ask["returned_model"]) == ("answered", "claude-sonnet-5-5")
    book = (home / "spend.jsonl").read_text().splitlines()
    assert json.loads(book[-1])["micros"] == ask["spent_micros"] > 0
