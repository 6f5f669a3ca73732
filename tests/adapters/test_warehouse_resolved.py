"""When issues were mended: kept beside the tables, and a later event is a regression."""

from datetime import timedelta
from pathlib import Path

from issue_rows import NOW, crash_of, row_of

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.adapters.warehouse.resolved import keep_resolved, read_resolved


def test_a_mended_issue_that_is_met_again_is_a_regression(tmp_path: Path) -> None:
    warehouse = Warehouse(tmp_path)
    warehouse.append("exceptions", [row_of(crash_of("total"))])
    refresh(warehouse, load_models(Path(__file__).parents[2] / "sql"))
    assert read_resolved(warehouse.root) is None
    [only] = rank_issues(warehouse, NOW, resolved=read_resolved(warehouse.root))
    assert only.score.parts[-1].says == "nobody told whether it was ever resolved"

    for ago, says in ((timedelta(days=1), "came back after it was resolved"),
                      (timedelta(0), "not a regression")):  # fmt: skip
        keep_resolved(warehouse.root, {only.issue_id: NOW - ago})
        [again] = rank_issues(warehouse, NOW, resolved=read_resolved(warehouse.root))
        assert again.score.parts[-1].says == says


def test_what_stays_the_same_is_not_written_again(tmp_path: Path) -> None:
    keep_resolved(tmp_path, {"iss_1": NOW})
    before = (tmp_path / "resolved.json").stat().st_mtime_ns
    keep_resolved(tmp_path, {"iss_1": NOW})
    assert (tmp_path / "resolved.json").stat().st_mtime_ns == before
