"""Lineage of columns as Dagster shows it: kept in the home, and read anew when it does not fit."""

from pathlib import Path

import msgspec
import pytest

from selfdrive_dagster.adapters.warehouse.models import SqlModel, load_models
from selfdrive_dagster.adapters.warehouse.tables import ROW_TYPES
from selfdrive_dagster.orchestration.lineage import KEPT, lineage_by_model

MODELS = load_models(Path(__file__).parents[2] / "sql")
STAGES = {**dict.fromkeys(ROW_TYPES, "telemetry"), **{each.name: each.stage for each in MODELS}}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SELFDRIVE_HOME", str(tmp_path))
    return tmp_path


def origins(models: tuple[SqlModel, ...], table: str, column: str) -> set[tuple[str, str]]:
    deps = lineage_by_model(models, STAGES)[table].deps_by_column[column]
    return {(dep.asset_key.to_user_string(), dep.column_name) for dep in deps}


def test_what_was_kept_is_what_would_be_read(home: Path) -> None:
    first = lineage_by_model(MODELS, STAGES)
    before = (home / KEPT).read_bytes()
    assert lineage_by_model(MODELS, STAGES) == first
    assert (home / KEPT).read_bytes() == before
    assert origins(MODELS, "issue_newest", "says") == {("issues/issue_daily", "says")}


@pytest.mark.parametrize("damaged", [b"", b"{", b'{"read_from": 1, "models": {}}'])
def test_a_damaged_file_is_made_again(home: Path, damaged: bytes) -> None:
    first = lineage_by_model(MODELS, STAGES)
    (home / KEPT).write_bytes(damaged)
    assert lineage_by_model(MODELS, STAGES) == first


def test_another_model_is_read_anew(home: Path) -> None:
    lineage_by_model(MODELS, STAGES)
    sql = "SELECT timestamp AS says FROM occurrences"
    changed = tuple(
        msgspec.structs.replace(each, sql=sql) if each.name == "issue_newest" else each
        for each in MODELS
    )
    assert origins(changed, "issue_newest", "says") == {("issues/occurrences", "timestamp")}


def test_without_a_home_none_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFDRIVE_HOME", str(tmp_path / "none"))
    assert lineage_by_model(MODELS, STAGES)
    assert not (tmp_path / "none").exists()
