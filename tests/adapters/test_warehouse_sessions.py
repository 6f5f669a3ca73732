"""Sessions in tables: each counts once, as it stood last, whatever order its updates came in."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.issues import Grouping
from selfdrive_dagster.telemetry import SessionRow

SQL = Path(__file__).parents[2] / "sql"
BEGAN = datetime(2026, 11, 27, 8, 59, tzinfo=UTC)


def session(name: str | None, status: str, after: int, count: int = 1) -> SessionRow:
    return SessionRow(
        event_id=f"{name}{status}{after}",
        source="sentry",
        timestamp=BEGAN,
        received_at=BEGAN + timedelta(minutes=after),
        service_name="shop",
        service_version="shop@2",
        session_id=name,
        status=status,
        updated_at=BEGAN + timedelta(seconds=after),
        count=count,
    )


ROWS = (
    session("a", "ok", 0),
    session("a", "errored", 10),
    session("a", "crashed", 20),
    session("b", "exited", 5),
    session(None, "exited", 1, count=7),
    session(None, "errored", 1, count=2),
)


ORDERS = [
    pytest.param((0, 1, 2), marks=pytest.mark.slow),
    pytest.param((2, 1, 0), marks=pytest.mark.slow),
    (1, 2, 0),
]


@pytest.mark.parametrize("order", ORDERS)
def test_a_session_counts_once_as_it_stood_last(tmp_path: Path, order: tuple[int, ...]) -> None:
    warehouse = Warehouse(tmp_path)
    for row in (*(ROWS[at] for at in order), *ROWS[3:], *ROWS):
        warehouse.append("sessions", [row])
        refresh(warehouse, load_models(SQL), grouping=Grouping())
    (told,) = warehouse.query("SELECT * FROM session_hourly").to_dicts()
    counts = (told["sessions"], told["errored"], told["crashed"], told["abnormal"])
    assert counts == (11, 2, 1, 0)
    assert told["service_version"] == "shop@2"
