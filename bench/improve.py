"""From the shop's real traffic to a slow path, and from the slow path to a proven improvement.

`python bench/improve.py [--only gifts] [--seconds 40]`

For each patch in `examples/shop/slow/`: a git history with it on top; the shop as a process under
the stock OpenTelemetry SDK; visitors of `traffic.py` over HTTP; a real receiver that stores what
the SDK sends; the tables, the detectors and the ranking over that; then the built-in engine on the
issue that ranks as a slow path. One span of the next hour is added by hand, since detectors look at
full hours and a bench should not wait for one.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tomllib
import urllib.request
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import receiving

from selfdrive_dagster.adapters.ingest import ingest_segments
from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.adapters.segments import SegmentWriter
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.models import load_models
from selfdrive_dagster.adapters.warehouse.ranking import rank_issues
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.adapters.warehouse.slowness import KIND, slow_path_of
from selfdrive_dagster.config import load
from selfdrive_dagster.issues.rank import RankedIssue
from selfdrive_dagster.telemetry.rows import SpanRow
from selfdrive_dagster.validation.improve import Improvement, improve

ROOT = Path(__file__).resolve().parents[1]
SHOP = ROOT / "examples" / "shop"
SLOW = SHOP / "slow"
START_SECONDS = 30.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what came of each slow path; 0 if each ended as its table expects."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", help="one folder of examples/shop/slow")
    parser.add_argument("--seconds", type=float, default=40.0, help="of traffic")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    missed = 0
    for folder in sorted(SLOW.iterdir()):
        if folder.is_dir() and options.only in (None, folder.name):
            table = tomllib.loads((folder / "slow.toml").read_text("utf-8"))
            print(f"== {folder.name}: {table['title']}", flush=True)
            with tempfile.TemporaryDirectory(prefix="improve-") as home:
                ended = one(folder, table, Path(home), options.seconds, options.seed)
            fits = ended == table["expect"]
            print(f"{folder.name}: {ended}, expected {table['expect']}\n", flush=True)
            missed += not fits
    return int(missed > 0)


def one(folder: Path, table: dict[str, str], home: Path, seconds: float, seed: int) -> str:
    """Take one slow path from its traffic to its end: `improved`, `abstained` or `not found`."""
    repo = home / "shop"
    subprocess.run(
        [sys.executable, str(SHOP / "make_history.py"), str(repo), "--defects", "",
         "--extra", str(folder / "slow.patch")],
        check=True, stdout=subprocess.DEVNULL,
    )  # fmt: skip
    walk(repo, home, table["journey"], seconds, seed)
    warehouse = tables_of(home)
    issue = next((i for i in rank_issues(warehouse, soon()) if i.kind == KIND), None)
    if issue is None:
        return "not found"
    print(f"issue {issue.issue_id}, rank {issue.rank}: {issue.title}; {issue.says}")
    found = improved(warehouse, issue, repo, home)
    tell(found)
    return "improved" if found.best is not None else "abstained"


def walk(repo: Path, home: Path, journey: str, seconds: float, seed: int) -> None:
    """Run receiver and shop, and let visitors walk through it."""
    with receiving.receiver(home, "shop") as dsn:
        endpoint = "http://" + dsn.partition("@")[2].partition("/")[0]
        port = free_port()
        release = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repo, check=True, text=True,
                                 capture_output=True).stdout.strip()  # fmt: skip
        shop = subprocess.Popen(
            [sys.executable, "-m", "shop", "--port", str(port)],
            cwd=repo,
            env={**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "SHOP_RELEASE": release,
                 "PYTHONPATH": "", "PYTHONDONTWRITEBYTECODE": "1"},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            wait_for(f"{url}/health")
            done = subprocess.run(
                [sys.executable, str(SHOP / "traffic.py"), "--url", url, "--seconds", str(seconds),
                 "--rate", "3", "--seed", str(seed), "--also", journey],
                check=True, text=True, capture_output=True,
            )  # fmt: skip
            print(done.stdout.splitlines()[-1])
        finally:
            shop.send_signal(signal.SIGINT)  # the SDK sends what it still holds
            shop.wait(30)


def tables_of(home: Path) -> Warehouse:
    """Return the tables over all that the receiver stored, their last hour closed."""
    SegmentWriter(home / "segments").close()
    warehouse = Warehouse(home)
    stored = ingest_segments([home / "segments"], warehouse).stored
    print(f"{stored.get('spans', 0)} spans stored")
    next_hour = soon()
    warehouse.append("spans", [
        SpanRow(
            event_id="bench-next-hour", source="bench", timestamp=next_hour, received_at=next_hour,
            service_name="shop", service_version=None, deployment_environment_name=None,
            trace_id="0" * 32, span_id="0" * 16, parent_span_id=None, session_id=None,
            enduser_pseudo_id=None, name="GET /health", kind="SERVER", duration_ms=1.0,
            http_request_method="GET", http_response_status_code=200, http_route="/health",
            url_path="/health",
        )
    ])  # fmt: skip
    settings = load(SHOP)
    refresh(warehouse, load_models(ROOT / "sql", settings.detect), settings=settings)
    return warehouse


def soon() -> datetime:
    """Return a moment of the next hour."""
    now = datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    return now + timedelta(hours=1, minutes=1)


def improved(warehouse: Warehouse, issue: RankedIssue, repo: Path, home: Path) -> Improvement:
    """Return what the built-in engine made of an issue."""
    slow = slow_path_of(warehouse, issue)
    with tempfile.TemporaryDirectory(dir=home) as folder:
        product, _ = open_product(repo, load(repo), Path(folder))
        sandbox = BwrapSandbox(Path(tempfile.gettempdir()) / f"improve-sandbox-{os.getuid()}")
        return improve(slow, product, sandbox, progress=lambda told: print(f"  {told}", flush=True))


def tell(found: Improvement) -> None:
    """Print patch, checks, gain and expected effect."""
    for tried in found.tried:
        print(f"  {tried.report.verdict.value}: {tried.idea.says}")
        for check in tried.report.checks:
            print(f"    {check.passed!s:>5} {check.name}: {check.says}")
    if found.best is not None:
        print(found.best.patch)
        print(f"  expected: {found.effect.says if found.effect else 'nothing could be stated'}")
    else:
        print(f"  abstained: {found.abstained}")
        hottest = found.profile.hot[:3] if found.profile else ()
        print(f"  {msgspec.json.encode(hottest).decode()[:400]}")
    print(f"  {found.seconds:.0f} s")


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def wait_for(url: str) -> None:
    """Wait until a URL answers."""
    end = time.monotonic() + START_SECONDS
    while True:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


if __name__ == "__main__":
    sys.exit(main())
