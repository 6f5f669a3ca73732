"""SQL models: the shipped ones, and files that must be refused with a sentence."""

from pathlib import Path

import pytest

from selfdrive_dagster.adapters.warehouse.models import load_models, load_tests
from selfdrive_dagster.errors import BadInput

SQL = Path(__file__).parents[2] / "sql"

NOT_PORTABLE = {
    "quantile_cont": "SELECT quantile_cont(duration_ms, 0.95) FROM spans",
    "percentile_cont": "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY duration_ms) FROM spans",
    "approx_quantile": "SELECT approx_quantile(duration_ms, 0.5) FROM spans",
    "median": "SELECT median(duration_ms) OVER (ORDER BY timestamp ROWS 3 PRECEDING) FROM spans",
    "mad": "SELECT mad(duration_ms) FROM spans",
    "time_bucket": "SELECT time_bucket(INTERVAL 1 HOUR, timestamp) FROM spans",
    "epoch_ms": "SELECT epoch_ms(count) FROM metric_points",
    "epoch": "SELECT epoch(timestamp) FROM spans",
    "extract": "SELECT extract(dow FROM timestamp) FROM spans",
    "hour()": "SELECT hour(timestamp) FROM spans",
    "strftime": "SELECT strftime(timestamp, '%H') FROM spans",
    "TIMESTAMP without a zone": "SELECT CAST(timestamp AS TIMESTAMP) FROM spans",
    "a time as text": "SELECT CAST(date_trunc('day', timestamp) AS VARCHAR) FROM spans",
    "A time as text": "SELECT stable_hash(name, timestamp) FROM spans",
    "a cast to a whole number": "SELECT CAST(duration_ms AS BIGINT) FROM spans",
    "round to digits": "SELECT round(duration_ms, 2) FROM spans",
    "by what may be zero": "SELECT sum(duration_ms) / count(*) FROM spans",
    "ln, log, sqrt": "SELECT ln(duration_ms) FROM spans",
    "substr from 0": "SELECT substr(name, 0, 4) FROM spans",
    "list[i]": "SELECT frames[event_number] FROM exceptions",
    "->>": "SELECT attributes_json ->> 'x' FROM spans",
    "LIKE with a backslash": "SELECT name LIKE 'a\\_' FROM spans",
    "WITH RECURSIVE": "WITH RECURSIVE a AS (SELECT 1 UNION ALL FROM a) SELECT 1 FROM a",
    "range": "SELECT * FROM range(3)",
    "arg_max": "SELECT arg_max(name, duration_ms) FROM spans",
    "any_value": "SELECT any_value(name) FROM spans",
    "array_agg": "SELECT array_agg(name ORDER BY name) FROM spans",
    "string_agg without ORDER BY": "SELECT string_agg(name, ',') FROM spans",
    "without ORDER BY": "SELECT row_number() OVER (PARTITION BY name) FROM spans",
    "LIMIT without ORDER BY": "SELECT name FROM spans LIMIT 3",
    "p_quantile over a frame": "SELECT p_quantile(sum, 0.5) OVER (ORDER BY sum) FROM metric_points",
    "no function of the contract": "SELECT soundex(name) FROM spans",
    "No function of the contract": "SELECT levenshtein(name, kind) FROM spans",
    "other than (?:": "SELECT regexp_matches(name, 'a(?=b)') FROM spans",
    "without 'g'": "SELECT regexp_replace(name, 'a', 'b') FROM spans",
    "a pattern that is no literal": "SELECT regexp_matches(name, kind) FROM spans",
    "an escape": "SELECT regexp_matches(name, '\\pL') FROM spans",
    "regexp_full_match": "SELECT regexp_full_match(name, 'a') FROM spans",
    "date_diff": "SELECT date_diff('hour', timestamp, received_at) FROM spans",
    "age": "SELECT age(timestamp, received_at) FROM spans",
    "ASOF JOIN": "SELECT 1 FROM spans ASOF JOIN log_events AS l ON spans.timestamp >= l.timestamp",
    "map": "SELECT map {'a': 1} FROM spans",
    "PIVOT": "SELECT * FROM (PIVOT spans ON kind USING count(*))",
    "hash": "SELECT hash(name) FROM spans",
    "now": "SELECT now() FROM spans",
    "current_timestamp": "SELECT current_timestamp FROM spans",
    "random": "SELECT random() FROM spans",
    "reading files": "SELECT * FROM read_parquet('x.parquet')",
}  # fmt: skip


def write(folder: Path, name: str, sql: str) -> Path:
    path = folder / "issues" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(sql, encoding="utf-8")
    return path


def test_shipped_models_come_after_those_they_read() -> None:
    models = load_models(SQL)
    names = [model.name for model in models]
    assert {"issue_hourly", "issue_user_daily", "issue_stats", "active_hourly"} <= set(names)
    for model in models:
        before = names[: names.index(model.name)]
        assert set(model.depends_on) & set(names) <= set(before)
        assert len(model.description) > 20
        assert model.description.endswith(".")


def test_grain_and_tests_are_read_from_the_files() -> None:
    models = {model.name: model for model in load_models(SQL)}
    grains = {name: model.grain for name, model in models.items()}
    assert grains["issue_hourly"] == "event_hour"
    assert grains["issue_user_daily"] == "event_date"
    assert grains["issue_stats"] == ""
    assert [test.claim for test in models["issue_hourly"].tests] == ["adds_up"]
    assert models["issue_stats"].depends_on == ("issue_hourly",)
    assert "exceptions" in {test.table for test in load_tests(SQL)}


@pytest.mark.parametrize("name", NOT_PORTABLE)
def test_what_spark_would_answer_otherwise_is_refused(tmp_path: Path, name: str) -> None:
    write(tmp_path, "made.sql", f"-- A table.\n{NOT_PORTABLE[name]}")
    with pytest.raises(BadInput, match="not portable") as told:
        load_models(tmp_path)
    assert name.lower() in str(told.value).lower()


@pytest.mark.parametrize(
    ("sql", "says"),
    [
        ("SELECT 1 AS x FROM spans", "no description"),
        ("-- A table.\nSELECT 1 AS x; SELECT 2 AS x", "one SELECT"),
        ("-- A table.\nDELETE FROM spans", "one SELECT"),
        ("-- A table.\nSELECT 1 AS x FROM span", "'span', which nobody makes"),
        ("-- A table.\nSELECT (1 AS x FROM spans", "cannot be parsed"),
        ("-- A table.\nSELECT 1 AS x FROM made", "depend on each other: made"),
    ],
)
def test_files_that_are_no_model_are_refused_by_name(tmp_path: Path, sql: str, says: str) -> None:
    write(tmp_path, "made.sql", sql)
    with pytest.raises(BadInput, match=says) as told:
        load_models(tmp_path)
    assert "made" in str(told.value)


def test_a_test_must_name_its_table_and_claim(tmp_path: Path) -> None:
    write(tmp_path, "claim.test.sql", "-- A claim.\nSELECT 1 AS x FROM spans")
    with pytest.raises(BadInput, match="<table>__<claim>"):
        load_models(tmp_path)


def test_own_with_names_are_no_dependency(tmp_path: Path) -> None:
    sql = "-- A table.\nWITH seen AS (SELECT name FROM spans) SELECT name FROM seen"
    write(tmp_path, "made.sql", sql)
    assert load_models(tmp_path)[0].depends_on == ("spans",)
