"""The docs name what there is: kinds of issues, and the numbers that an owner may set."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from selfdrive_dagster.adapters.claude.standin import read_script
from selfdrive_dagster.config import Detect, Issues, parse
from selfdrive_dagster.config.settings import Patches
from selfdrive_dagster.issues.kinds import KINDS
from selfdrive_dagster.issues.score import FORMULA
from selfdrive_dagster.model import Result

ROOT = Path(__file__).resolve().parents[1]
HURTS = (ROOT / "docs" / "what-hurts.md").read_text()


@pytest.mark.parametrize("name", [kind.name for kind in KINDS])
def test_each_kind_of_issue_is_told(name: str) -> None:
    assert f"\n| `{name}` | " in HURTS


def test_the_example_of_settings_is_the_defaults_and_is_read() -> None:
    example = HURTS.partition("```toml\n")[2].partition("```")[0]
    settings = parse(example, ROOT / "selfdrive.toml")
    assert settings.detect == Detect()
    assert set(tomllib.loads(example)["detect"]) == set(Detect.__struct_fields__)
    assert set(tomllib.loads(example)["issues"]) == set(Issues.__struct_fields__)
    assert msgspec.structs.asdict(settings.issues)["funnels"]


CLAUDE = (ROOT / "docs" / "claude.md").read_text()


@pytest.mark.parametrize("result", Result, ids=lambda one: one.value)
def test_each_end_of_a_question_is_told(result: Result) -> None:
    assert f"`{result.value}`" in CLAUDE


def test_the_settings_of_claude_are_read_and_its_script_can_be_played(tmp_path: Path) -> None:
    parts = [part.partition("```")[0] for part in CLAUDE.split("```toml\n")[1:]]
    script, settings, prices = parts
    (tmp_path / "script.toml").write_text(script)
    assert len(read_script(tmp_path / "script.toml").reply) == 2
    patches = parse(settings, ROOT / "selfdrive.toml").patches
    assert patches.generators == ("builtin", "claude") and patches.budget_usd_per_day == 2
    (model,) = parse(prices, ROOT / "selfdrive.toml").patches.prices
    assert model == patches.model


@pytest.mark.parametrize("name", ["call", "change", "issue", "day", "month"])
def test_each_cap_is_told_with_its_default(name: str) -> None:
    row = next(line for line in CLAUDE.splitlines() if f"| `budget_usd_per_{name}` |" in line)
    default = getattr(Patches(), f"budget_usd_per_{name}")
    assert row.split("|")[2].strip().startswith(f"{default:g}" if default % 1 else str(default)[:1])


def test_the_formula_is_named() -> None:
    assert f"(`{FORMULA}`)" in HURTS
