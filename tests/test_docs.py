"""The docs name what there is: kinds of issues, and the numbers that an owner may set."""

import tomllib
from pathlib import Path

import msgspec
import pytest

from selfdrive_dagster.config import Detect, Issues, parse
from selfdrive_dagster.issues.kinds import KINDS
from selfdrive_dagster.issues.score import FORMULA

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


def test_the_formula_is_named() -> None:
    assert f"(`{FORMULA}`)" in HURTS
