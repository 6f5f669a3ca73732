"""Tables of every kind of telemetry: the same whatever came late, twice or in another order."""

import itertools
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from made_telemetry import START, rows_of

from selfdrive_dagster.adapters.ingest import ingest_segments
from selfdrive_dagster.adapters.intake import Intake
from selfdrive_dagster.adapters.segments import Limits, SegmentWriter
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.model import digest
from selfdrive_dagster.telemetry import TABLES, Arrival, Records
from selfdrive_dagster.telemetry.late import Window

SQL = Path(__file__).parents[2] / "sql"
MODELS = load_models(SQL)
MADE = (*(model.name for model in MODELS), "detected", "issue_events")
MAY_BE_EMPTY = {"detected", "retry_loops", "rage_clicks", "u_turns", "error_clicks"}
WINDOW = Window(after=timedelta(hours=48))
ROWS = [(table, row) for table in TABLES for row in rows_of(table, 60)]
OLD = [
    (table, msgspec.structs.replace(row, event_id=f"old {row.event_id}", timestamp=old))
    for table in TABLES
    if table != "deployments"
    for row in rows_of(table, 3)
    if (old := row.timestamp - timedelta(hours=49))
]
"""Events of other days that arrive with the rest, an hour too late."""


class Home:
    """A home whose receiver's segments are made by hand."""

    def __init__(self, folder: str) -> None:
        self.warehouse = Warehouse(folder)
        self._segments = Path(folder) / "segments"

    def deliver(self, rows: list[Any]) -> None:
        """Let the receiver take rows and a pass store them; nothing is lost in the counts."""
        writer = SegmentWriter(self._segments, Limits(max_seconds=60))
        records = {table: tuple(row for name, row in rows if name == table) for table in TABLES}
        taken = Intake(writer).take(
            Records(**records), signal="x", content_type="", arrival=Arrival(received_at=START)
        )
        writer.close()
        windows = {self._segments: WINDOW}
        passed = ingest_segments([self._segments], self.warehouse, windows=windows)
        counted = {
            name: passed.stored[name] + passed.duplicate[name]
            for name in passed.stored
            if name != "deployments"  # a sighting of a version is no event
        }
        assert taken.tally.received == sum(name != "deployments" for name, _ in rows)
        assert taken.tally.stored == sum(counted.values())
        refresh(self.warehouse, MODELS)

    def contents(self) -> dict[str, tuple[int, str]]:
        """The rows of every table that is made: how many, and a digest."""
        found = {name: self.warehouse.query(f"SELECT * FROM {name}").rows() for name in MADE}
        return {name: (len(rows), digest(sorted(map(repr, rows)))) for name, rows in found.items()}


@pytest.fixture(scope="module")
def in_one_go() -> Iterator[dict[str, tuple[int, str]]]:
    with TemporaryDirectory() as folder:
        home = Home(folder)
        home.deliver(ROWS + OLD)
        contents = home.contents()
        assert {name for name, (rows, _) in contents.items() if not rows} <= MAY_BE_EMPTY
        yield contents


@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
@example(seed=44365, cuts=[0.85])  # an exception of the trace of a failed request, hours away
@given(seed=st.integers(0, 2**32), cuts=st.lists(st.floats(0, 1), min_size=1, max_size=2))
def test_any_order_and_double_delivery_give_the_same_tables_of_all_kinds(
    seed: int, cuts: list[float], in_one_go: dict[str, tuple[int, str]]
) -> None:
    order = random.Random(seed).sample((ROWS + OLD) * 2, k=2 * len(ROWS + OLD))
    edges = sorted({0, len(order), *(int(cut * len(order)) for cut in cuts)})
    with TemporaryDirectory() as folder:
        home = Home(folder)
        for first, last in itertools.pairwise(edges):
            home.deliver(order[first:last])
        contents = home.contents()
        assert {name for name in MADE if contents[name] != in_one_go[name]} == set()


def test_late_rows_touch_no_hour_but_their_own_table(tmp_path: Path) -> None:
    home = Home(str(tmp_path))
    home.deliver(ROWS)
    before = {name: home.warehouse.live(name) for name in home.warehouse.tables()}
    home.deliver(OLD)
    after = {name: home.warehouse.live(name) for name in home.warehouse.tables()}
    assert {name for name in after if after[name].files != before[name].files} == {
        "late_events",
        "late_daily",
    }
    told = home.warehouse.query("SELECT sum(events) AS n FROM late_daily")["n"].to_list()
    assert told == [len(OLD)]
