"""From the tables to a slow path with its recorded requests, and to the outcome of an effect."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.adapters.warehouse.slowness import signal_of, signals_of, slow_path_of
from selfdrive_dagster.config import Settings
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues.rank import RankedIssue
from selfdrive_dagster.patches.improve import Effect
from selfdrive_dagster.telemetry.rows import SpanRow

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 27, 12, 20, tzinfo=UTC)


def span(number: int, path: str, ms: float, version: str = "r1", hours: int = 1) -> SpanRow:
    at = NOW - timedelta(hours=hours) + timedelta(seconds=number)
    return SpanRow(
        event_id=f"{version}-{path}-{number}", source="otlp", timestamp=at, received_at=at,
        service_name="shop", service_version=version, deployment_environment_name=None,
        trace_id=f"{number:032x}", span_id=f"{number:016x}", parent_span_id=None,
        session_id=f"s{number}", enduser_pseudo_id=None, name="GET", kind="SERVER", duration_ms=ms,
        http_request_method="GET", http_response_status_code=200,
        http_route="/gifts/{euros:int}" if "gifts" in path else path, url_path=path,
    )  # fmt: skip


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Warehouse, RankedIssue]:
    warehouse = Warehouse(tmp_path_factory.mktemp("home"))
    rows = [span(n, f"/gifts/{50 + n % 3}", 800.0 + n) for n in range(30)]
    rows += [span(100 + n, "/", 5.0) for n in range(60)]
    rows += [span(300 + n, "/gifts/51", 40.0, "r2", hours=0) for n in range(70)]
    warehouse.append("spans", rows)
    refresh(warehouse, load_models(ROOT / "sql"), settings=Settings())
    [issue] = [one for one in rank_issues(warehouse, NOW) if one.kind == "slow_path"]
    return warehouse, issue


def test_a_slow_path_comes_with_its_requests(told: tuple[Warehouse, RankedIssue]) -> None:
    slow = slow_path_of(*told)
    assert (slow.route, slow.service_name) == ("GET /gifts/{euros:int}", "shop")
    assert len(slow.requests) == 20
    assert {one.request.method for one in slow.requests} == {"GET"}
    assert all((one.duration_ms or 0) >= 800 for one in slow.requests)
    assert all(one.request.url.startswith("/gifts/5") and one.status == 200
               for one in slow.requests)  # fmt: skip
    assert slow.p95_ms is not None and 800 < slow.p95_ms < 830


def test_signals_of_an_issue(told: tuple[Warehouse, RankedIssue]) -> None:
    p95, uses = signals_of(*told)
    assert p95 is not None and 800 < p95 < 830
    assert uses == 30.0


def test_the_outcome_reads_one_release(told: tuple[Warehouse, RankedIssue]) -> None:
    warehouse, issue = told
    effect = Effect(signal="p95_ms", service_name="shop", subject=issue.culprit, before=829.0,
                    low=30.0, high=60.0)  # fmt: skip
    assert signal_of(warehouse, effect, "r2") == (40.0, 70)
    assert signal_of(warehouse, effect, "r3") == (None, 0)


def test_a_signal_that_is_not_stored_is_no_answer(told: tuple[Warehouse, RankedIssue]) -> None:
    effect = Effect(
        signal="sightings_24h", service_name="shop", subject="x", before=1, low=0, high=0
    )
    with pytest.raises(BadInput, match="cannot be read"):
        signal_of(told[0], effect, "r2")
