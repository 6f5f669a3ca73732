"""What each macro answers on DuckDB, to the row; `test_spark_parity` asks Spark the same."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sql_probes import BY_ROW, CONSTRUCTS, WHOLE, alike

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.portable import MACROS, expand, lint, parse
from selfdrive_dagster.errors import BadInput


def ask(warehouse: Warehouse, sql: str, parameters: dict[str, Any] | None = None) -> list[Any]:
    query = expand(parse(sql, "a probe"))
    found = warehouse.query(query.sql(dialect="duckdb"), parameters)
    return found.sort("place")["answer"].to_list()


@pytest.fixture
def warehouse(tmp_path: Path) -> Warehouse:
    return Warehouse(tmp_path)


@pytest.mark.parametrize("name", [*BY_ROW, *CONSTRUCTS])
def test_a_probe_is_answered_for_each_row(name: str, warehouse: Warehouse) -> None:
    probe = {**BY_ROW, **CONSTRUCTS}[name]
    found = ask(warehouse, probe.sql(is_whole=False))
    assert alike(found, probe.answers), found


@pytest.mark.parametrize("name", WHOLE)
def test_a_probe_is_answered_for_all_rows(name: str, warehouse: Warehouse) -> None:
    probe = WHOLE[name]
    found = ask(warehouse, probe.sql(is_whole=True))
    assert alike(found, probe.answers), found


def test_every_macro_has_a_probe() -> None:
    asked = " ".join(probe.expression for probe in (*BY_ROW.values(), *WHOLE.values()))
    assert [name for name in MACROS if f"{name}(" not in asked] == ["regex_template"]


texts = st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=8)


@settings(deadline=None)
@given(st.tuples(texts, texts, texts), st.tuples(texts, texts, texts))
def test_equal_hashes_are_equal_arguments(one: tuple[str], two: tuple[str]) -> None:
    names = [f"${place}" for place in "abcdef"]
    hashes = [f"stable_hash({', '.join(part)})" for part in (names[:3], names[3:])]
    sql = f"SELECT 0 AS place, {hashes[0]} = {hashes[1]} AS answer"
    told = dict(zip("abcdef", (*one, *two), strict=True))
    assert ask(Warehouse("."), sql, told) == [one == two]


@pytest.mark.parametrize(
    ("expression", "says"),
    [
        ("p_quantile(a)", "p_quantile takes 2 arguments"),
        ("log_bucket(a, 2)", "log_bucket takes 1 argument"),
        ("stable_hash()", "stable_hash takes 1 or more arguments"),
        ("json_text(a, b)", "the key is no plain text"),
        ("json_text(a, 'x''y')", "the key is no plain text"),
        ("json_text(a, 'x\"].y')", "the key is no plain text"),
        ("setting('rage')", "no number of"),
    ],
)
def test_a_macro_that_is_used_wrongly_is_refused(expression: str, says: str) -> None:
    with pytest.raises(BadInput, match=says):
        expand(parse(f"SELECT {expression} AS x FROM t", "a probe"))


@pytest.mark.parametrize("name", [*BY_ROW, *WHOLE, *CONSTRUCTS])
def test_the_linter_lets_every_probe_pass(name: str) -> None:
    probe = {**BY_ROW, **WHOLE, **CONSTRUCTS}[name]
    lint(parse(f"SELECT {probe.expression} AS x FROM t WINDOW w AS (ORDER BY place)", name), name)
