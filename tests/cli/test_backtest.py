"""`selfdrive backtest`: what would have been known and tried when, from files alone.

The shop's envelopes are real ones; a second visitor who meets the same is the same envelope with
another event id and a later time.
"""

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakes.plain_sandbox import PlainSandbox
from fakes.selfdrive_program import ROOT, environment, selfdrive

from selfdrive_dagster.adapters.claude.standin import Script, serving
from selfdrive_dagster.cli.backtest import code_of, run
from selfdrive_dagster.cli.backtest.proposing import Ended, Proposed
from selfdrive_dagster.cli.backtest.record import Backtest
from selfdrive_dagster.cli.backtest.show import closing
from selfdrive_dagster.cli.backtest.trying import Outcome, Try
from selfdrive_dagster.config import load
from selfdrive_dagster.model import SandboxLevel, silent
from selfdrive_dagster.patches.asking.projecting import Projection

ENVELOPES = ROOT / "tests" / "cases" / "shop_envelopes"
PRICE = ENVELOPES / "04-price-in-words.envelope"
ZONE = ENVELOPES / "01-unknown-zone.envelope"
HEAVY = ("dagster", "sqlalchemy", "anthropic", "duckdb", "polars")
needs_box = pytest.mark.skipif(
    shutil.which("bwrap") is None, reason="bubblewrap is not installed: apt-get install bubblewrap"
)


def again(envelope: Path, folder: Path, number: int, later: timedelta) -> Path:
    """Write the same crash of another visit: other event id, later time, same length."""
    data = envelope.read_text("utf-8")
    event_id = json.loads(data.partition("\n")[0])["event_id"]
    event = json.loads(next(line for line in data.splitlines() if '"exception"' in line))
    time = datetime.fromisoformat(event["timestamp"])
    moved = (time + later).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    data = data.replace(event_id, f"{number:032x}").replace(event["timestamp"], moved)
    folder.mkdir(exist_ok=True)
    path = folder / f"{number:03}-{envelope.name}"
    path.write_text(data, "utf-8")
    return path


def event(number: int, at: str | None, caller: str = "page", function: str = "price") -> str:
    frames = [
        {"filename": f"shop/{name}.py", "module": f"shop.{name}", "function": name, "lineno": 3,
         "in_app": True}
        for name in (caller, function)
    ]  # fmt: skip
    raised = {"type": "KeyError", "value": "'US'", "stacktrace": {"frames": frames}}
    told: dict[str, Any] = {"event_id": f"{number:032x}", "exception": {"values": [raised]}}
    return json.dumps(told | ({"timestamp": at} if at else {}))


def lines(folder: Path, *events: str) -> Path:
    path = folder / "events.jsonl"
    path.write_text("\n".join(events))
    return path


def told(*arguments: str | Path, cwd: Path, code: int = 0, **more: str) -> Any:
    said = selfdrive("backtest", *arguments, "--json", cwd=cwd, **more)
    assert said.code == code, said.err
    return said.json()


def test_an_issue_is_known_with_its_first_event_and_tried_with_its_second(tmp_path: Path) -> None:
    shutil.copytree(ENVELOPES, tmp_path / "history")
    again(PRICE, tmp_path / "history" / "deep", 1, timedelta(hours=3))
    made = told("history", cwd=tmp_path)
    assert (made["files"], made["events"], len(made["issues"])) == (10, 10, 9)
    tried = [each for each in made["issues"] if each["tried"]]
    (only,) = tried
    assert only["issue"]["culprit"] == "shop.parsing.parse_price"
    first, second = (datetime.fromisoformat(made[name]) for name in ("begin", "end"))
    known, at = (datetime.fromisoformat(t) for t in (only["known_at"], only["tried"]["at"]))
    batch = timedelta(seconds=15)
    assert first < known <= second - timedelta(hours=3) + batch
    assert second < at <= second + batch
    assert only["tried"]["events"] == 2
    assert {each["why_not"] for each in made["issues"]} == {"", "seen too seldom to act on"}
    assert made["tries"] is None, "without a repository nobody knows"
    assert [each["path"] for each in made["unread"]] == ["history/README.md"]


def test_neither_order_nor_copies_change_the_answer(tmp_path: Path) -> None:
    history = tmp_path / "history"
    paths = [
        again(envelope, history, number, timedelta(minutes=7 * number))
        for number, envelope in enumerate([PRICE, ZONE, ZONE, PRICE, PRICE], start=1)
    ]
    there = told(*paths, cwd=tmp_path)
    back = told(*reversed(paths), "history", "history/*.envelope", cwd=tmp_path)
    assert there["issues"] == back["issues"]
    assert [bool(each["tried"]) for each in there["issues"]] == [True, True]


def test_two_ways_into_one_function_are_one_change(tmp_path: Path) -> None:
    times = [f"2026-11-2{day}T10:00:00Z" for day in (1, 2, 3, 4)]
    path = lines(
        tmp_path, *(event(n, at, "page" if n < 2 else "cart") for n, at in enumerate(times))
    )
    first, second = told(path, cwd=tmp_path)["issues"]
    assert first["tried"]["at"] == "2026-11-22T10:00:15Z"
    assert second["tried"] is None
    assert first["issue"]["issue_id"] in second["why_not"]


def test_a_history_without_times_has_no_moments(tmp_path: Path) -> None:
    path = lines(tmp_path, event(1, None), event(2, None), event(3, "2026-11-21T10:00:00Z"))
    made = told(path, cwd=tmp_path)
    assert (made["events"], made["undated"]) == (1, 2)
    said = selfdrive("backtest", path, cwd=tmp_path)
    assert "no time is told: 2 exceptions" in said.out
    none = lines(tmp_path, event(1, None), event(2, None))
    assert told(none, cwd=tmp_path)["begin"] is None


def test_a_named_file_that_cannot_be_read_is_told_and_keeps_no_other(tmp_path: Path) -> None:
    (tmp_path / "junk.json").write_text("{}")
    said = selfdrive("backtest", "junk.json", PRICE, cwd=tmp_path)
    assert said.code == 2
    assert "Not read: junk.json" in said.out
    assert "1 issue, 0 would have been tried" in said.out


@pytest.mark.parametrize("name", ["junk.json", "missing.json", "none/*.json", "empty"])
def test_nothing_to_read_is_an_error_with_a_remedy(name: str, tmp_path: Path) -> None:
    (tmp_path / "junk.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    said = selfdrive("backtest", name, cwd=tmp_path)
    assert (said.code, said.out) == (2, "")
    assert "Remedy: " in said.err


def test_the_table_tells_when_what_and_a_closing_sentence(tmp_path: Path) -> None:
    later = again(ZONE, tmp_path / "history", 1, timedelta(days=2))
    said = selfdrive("backtest", ZONE, later, cwd=tmp_path, COLUMNS="140")
    assert "KeyError: 'US'" in said.out
    assert "tried 2026-11-29" in said.out
    *_, last = said.out.splitlines()
    assert "2 events from 2026-11-27 to 2026-11-29: 1 issue, 1 would have been tried" in last


def test_what_strangers_wrote_moves_no_cursor(tmp_path: Path) -> None:
    path = lines(tmp_path, event(1, "2026-11-21T10:00:00Z").replace("'US'", "\\u001b[2J"))
    said = selfdrive("backtest", path, cwd=tmp_path)
    assert said.code == 0
    assert "\x1b" not in said.out


def test_it_imports_nothing_heavy(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from selfdrive_dagster.cli.backtest import backtest;"
        f"backtest([Path({str(PRICE)!r})], as_json=True);"
        f"sys.exit(' '.join(sorted(set({HEAVY!r}) & set(sys.modules))) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env=environment(tmp_path),
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / ".local").exists(), "and makes no home"


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shop's repository at the head that the envelopes name as their release."""
    target = tmp_path_factory.mktemp("repository") / "shop"
    made = ROOT / "examples" / "shop" / "make_history.py"
    subprocess.run([sys.executable, made, target], check=True, capture_output=True)
    return target


@pytest.fixture
def history(tmp_path: Path) -> list[Path]:
    """Two shop crashes, each met by two visitors; the price first."""
    folder = tmp_path / "history"
    return [
        again(envelope, folder, number, timedelta(minutes=number))
        for number, envelope in enumerate([PRICE, PRICE, ZONE, ZONE], start=1)
    ]


def test_below_a_full_sandbox_nothing_is_tried_and_that_is_named(
    history: list[Path], shop: Path
) -> None:
    sandbox = PlainSandbox(SandboxLevel.NONE)
    made = run(
        history, shop, load(shop), most=5, seconds=60, say=silent, sandbox=sandbox
    )  # fmt: skip
    assert made.tries is not None
    assert [each.outcome.value for each in made.tries] == ["skipped", "skipped"]
    assert all("no full sandbox" in each.says for each in made.tries)
    assert sandbox.jobs == []
    assert code_of(made) == 3
    assert "0 reproducible, 2 skipped" in closing(made)


@pytest.mark.slow
@needs_box
def test_the_shops_crashes_reproduce_on_the_commit_that_crashed(
    history: list[Path], shop: Path, tmp_path: Path
) -> None:
    release = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=shop, text=True).strip()
    with serving(Script()) as standin:
        key = {"ANTHROPIC_BASE_URL": standin.url, "ANTHROPIC_API_KEY": "rehearsal"}
        made = told(*history, "--repo", shop, "--max", "1", cwd=tmp_path, **key)
    first, second = made["tries"]
    assert (first["outcome"], first["revision"]) == ("reproduced", release)
    assert first["says"] == "by captured arguments"
    assert first["proposed"]["ended"] == "repair" and "+" in first["proposed"]["patch"]
    assert first["asking"] is None, "the built-in engine's repair comes first"
    assert standin.asked == [], "a backtest asks nobody"
    assert (second["outcome"], second["says"]) == ("skipped", "beyond the first 1 (--max)")
    assert second["proposed"] is second["asking"] is None


def tried(ended: str, likely: int | None = None) -> Try:
    """Return a try that ended so; one that was not reproduced ended in nothing."""
    asking = None
    if likely is not None:
        asking = Projection(likely_micros=likely, most_micros=10 * likely, prompt_bytes=1)
    proposed = Proposed(ended=Ended(ended), says="there") if ended else None
    return Try(
        issue_id="iss_0",
        change_id="chg_0",
        outcome=Outcome.REPRODUCED if ended else Outcome.NOT_REPRODUCED,
        revision="0",
        says="by captured arguments",
        seconds=1.0,
        proposed=proposed,
        asking=asking,
    )


ENDINGS = {
    "all three": (
        (tried("repair"), tried("containment", 100), tried("abstained", 100), tried("", 50)),
        "3 reproducible, 1 repair, 1 containment, 1 abstained, would have cost about $0.0003 and "
        "at most $0.0025 to ask Claude about 3 of them (nothing was sent).",
    ),
    "none reproduced": (
        (tried("", 50),),
        "0 reproducible, would have cost about $0.0001 and at most $0.0005 to ask Claude about "
        "1 of them (nothing was sent).",
    ),
    "repaired without a model": (
        (tried("repair"),), "1 reproducible, 1 repair, 0 containments, 0 abstained."
    ),
    "nothing tried": ((), "0 reproducible."),
}  # fmt: skip


@pytest.mark.parametrize(("tries", "says"), ENDINGS.values(), ids=ENDINGS)
def test_the_closing_sentence_counts_each_ending_and_the_money(
    tries: tuple[Try, ...], says: str
) -> None:
    made = Backtest(
        files=1,
        events=2,
        undated=0,
        begin=datetime(2026, 1, 1, tzinfo=UTC),
        end=datetime(2026, 1, 2, tzinfo=UTC),
        issues=(),
        tries=tries,
        most_open=9,
        unread=(),
    )
    assert closing(made).endswith(says)


@needs_box
def test_ctrl_c_while_trying_leaves_nothing(
    history: list[Path], shop: Path, tmp_path: Path
) -> None:
    # A short name: sockets lie below it, and those of a parallel run's folders are too long.
    scratch = Path(tempfile.mkdtemp(prefix="sd-"))
    command = [sys.executable, "-m", "selfdrive_dagster", "backtest", *history, "--repo", shop]
    said = tmp_path / "stderr"
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment(tmp_path, TMPDIR=str(scratch)),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    while "own tests" not in said.read_text() and process.poll() is None:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, ""), said.read_text()
    assert list(scratch.iterdir()) == []
    scratch.rmdir()
    status = subprocess.check_output(["git", "status", "--porcelain"], cwd=shop, text=True)
    assert status == ""
