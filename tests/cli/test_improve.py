"""`selfdrive improve`: what it refuses before anything runs, and an effect looked up later."""

import json
from pathlib import Path

import pytest

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.cli.improve import improve
from selfdrive_dagster.cli.repair.drafting import Generator
from selfdrive_dagster.errors import BadInput, MissingTool


@pytest.fixture
def product(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SELFDRIVE_HOME", str(tmp_path / "home"))
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "selfdrive.toml").write_text('[service]\nname = "shop"\nrepository = "."\n')
    (folder / "shop.py").write_text("")
    return folder


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        ({}, "either an issue of the ranking or --route"),
        ({"issue": "iss_1", "route": "GET /x"}, "either an issue of the ranking or --route"),
        ({"issue": "iss_1"}, "no issue 'iss_1'"),
        ({"route": "GET /x", "generator": Generator.CLAUDE}, "asked about an issue"),
        ({"outcome": Path("none.json")}, "Name the release"),
        ({"outcome": Path("none.json"), "version": "r2"}, "cannot be read"),
    ],
)
def test_what_is_refused_before_anything_runs(product: Path, asked: dict, says: str) -> None:
    with pytest.raises((BadInput, MissingTool), match=says):
        improve(repo=product, **asked)


def test_a_run_that_stated_no_effect_has_no_outcome(product: Path, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(json.dumps({"effect": None, "best": None}))
    with pytest.raises(BadInput, match="states no effect"):
        improve(outcome=tmp_path / "run.json", version="r2")


def test_without_requests_of_a_release_the_outcome_is_unknown(
    product: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from selfdrive_dagster.adapters.warehouse.models import load_models
    from selfdrive_dagster.adapters.warehouse.refresh import refresh

    warehouse = Warehouse(tmp_path / "home")
    root = Path(__file__).parents[2]
    refresh(warehouse, [one for one in load_models(root / "sql") if one.name == "requests"])
    effect = {"signal": "p95_ms", "service_name": "shop", "subject": "GET /x", "before": 900.0,
              "low": 50.0, "high": 90.0}  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps({"effect": effect}))
    assert improve(outcome=tmp_path / "run.json", version="r2", as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["outcome"], told["value"], told["seen"]) == ("unknown", None, 0)
