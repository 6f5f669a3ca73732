"""The asset graph: its shape is kept here, its bodies stay thin, its imports light."""

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest

from selfdrive_dagster.adapters.ingest import FILLED

ROOT = Path(__file__).resolve().parent.parent.parent
SNAPSHOT = ROOT / "tests" / "cases" / "assets" / "graph.json"
THIN = 16
HEAVY = ("anthropic", "pyspark", "polars", "duckdb", "pandas")

LIST = """
import json, sys, warnings
warnings.simplefilter("ignore")
from assets.definitions import defs
graph = defs.resolve_asset_graph()
keys = sorted(graph.get_all_asset_keys(), key=lambda key: key.path)
print(json.dumps({
    "assets": {
        key.to_user_string(): sorted(p.to_user_string() for p in graph.get(key).parent_keys)
        for key in keys
    },
    "checks": sorted(f"{k.asset_key.to_user_string()}:{k.name}" for k in graph.asset_check_keys),
    "jobs": sorted(j.name for j in defs.resolve_all_job_defs() if not j.name.startswith("__")),
    "lanes": {j.name: j.run_tags.get("selfdrive/lane") for j in defs.resolve_all_job_defs()
              if not j.name.startswith("__")},
    "sensors": sorted(sensor.name for sensor in defs.sensors),
    "bare": sorted(
        key.to_user_string() for key in keys
        if not (graph.get(key).description and graph.get(key).group_name and graph.get(key).owners
                and graph.get(key).kinds and graph.get(key).code_version)
    ),
    "fresh": sorted(key.to_user_string() for key in keys if graph.get(key).freshness_policy),
    "untraced": sorted(
        key.to_user_string() for key in keys
        if "sql" in graph.get(key).kinds
        and "dagster/column_lineage" not in graph.get(key).metadata
    ),
    "heavy": [name for name in %r if name in sys.modules],
}))
"""


@pytest.fixture(scope="module")
def graph() -> dict[str, object]:
    done = subprocess.run(
        [sys.executable, "-c", LIST % (HEAVY,)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return dict(json.loads(done.stdout))


def test_keys_edges_and_checks_are_those_we_decided_on(graph: dict[str, object]) -> None:
    """Change the snapshot on purpose only: lineage is what auditors read."""
    kept = json.loads(SNAPSHOT.read_text())
    assert {name: graph[name] for name in kept} == kept


def test_every_asset_says_what_it_is(graph: dict[str, object]) -> None:
    assert graph["bare"] == []


def test_every_model_shows_its_columns_lineage(graph: dict[str, object]) -> None:
    assert graph["untraced"] == []


def test_only_what_each_batch_makes_has_to_be_fresh(graph: dict[str, object]) -> None:
    """A model is made when touched: a quiet product must not fail for ever."""
    assert graph["fresh"] == sorted(f"telemetry/{name}" for name in FILLED)


def test_the_code_location_is_light(graph: dict[str, object]) -> None:
    assert graph["heavy"] == []


def test_batches_and_changes_run_one_at_a_time(graph: dict[str, object]) -> None:
    """The schedule and the sensor may ask at the same moment; the queue keeps them apart."""
    lanes = {
        "approve": "approvals",
        "batch": "batches",
        "propose": "changes",
        "prove_head": "turns",
        "turn": "turns",
        "learn": "outcomes",
        "look_outside": None,
        "tidy": None,
    }
    assert graph["lanes"] == lanes


@pytest.mark.parametrize("path", sorted((ROOT / "assets").glob("*.py")), ids=lambda path: path.name)
def test_asset_bodies_stay_thin(path: Path) -> None:
    tree = ast.parse(path.read_text())
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    lengths = {f.name: f.end_lineno - f.body[0].end_lineno for f in functions if f.end_lineno}
    assert {name: length for name, length in lengths.items() if length > THIN} == {}
