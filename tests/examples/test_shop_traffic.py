"""Traffic against the running shop: every seeded defect is met, and crashes as described."""

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from shop_product import DEFECTS, SHOP, load

history = load("make_history")
ENVELOPES = SHOP.parents[1] / "tests" / "cases" / "shop_envelopes"
CRASHES = {name: defect for name, defect in DEFECTS.items() if defect["exception"]}


class Run:
    """What traffic counted, and the last words of each traceback in the shop's log."""

    def __init__(self, counts: dict[str, Any], log: str) -> None:
        self.counts = counts
        self.crashes = {_last_words(text) for text in log.split("Traceback")[1:]}


def _last_words(traceback: str) -> tuple[str, str, str]:
    """Return path and function of the innermost frame of the shop, and the exception."""
    frames = re.findall(r'File ".*?/(shop/[\w/]+\.py)", line \d+, in (\w+)', traceback)
    raised = re.findall(r"^(?:\w+\.)*(\w+)(?::|$)", traceback, flags=re.MULTILINE)
    return (*frames[-1], raised[0])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    folder = tmp_path_factory.mktemp("running")
    history.make_history(folder / "product", history.known_defects())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with (folder / "log").open("w") as log:
        shop = subprocess.Popen(
            [sys.executable, "-m", "shop", "--port", str(port)],
            cwd=folder / "product",
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            stderr=log,
        )
    try:
        _wait_for(port)
        counts = json.loads(_traffic(port, "--seconds", "6", "--rate", "60", "--json").stdout)
    finally:
        shop.terminate()
        shop.wait(timeout=10)
    yield Run(counts, (folder / "log").read_text("utf-8"))


def _wait_for(port: int) -> None:
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    raise AssertionError("the shop did not start within ten seconds")


def _traffic(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, str(SHOP / "traffic.py"), "--url", url, *arguments]
    return subprocess.run(command, capture_output=True, text=True)


@pytest.mark.parametrize("name", CRASHES)
def test_traffic_meets_the_crash(run: Run, name: str) -> None:
    defect = CRASHES[name]
    function = defect["function"].rpartition(".")[2]
    assert (defect["path"], function, defect["exception"]) in run.crashes
    assert run.counts[defect["journey"]]["failed_visits"] > 0


def test_nothing_else_crashes(run: Run) -> None:
    named = {(one["path"], one["function"].rpartition(".")[2]) for one in CRASHES.values()}
    assert {crash[:2] for crash in run.crashes} == named


def test_traffic_meets_the_silent_defect(run: Run) -> None:
    assert run.counts["exact"]["wrong"] > 0
    assert run.counts["exact"]["failed_visits"] == 0


def test_healthy_journeys_stay_healthy(run: Run) -> None:
    for journey in ("browse", "buy"):
        assert run.counts[journey]["failed_visits"] == 0
        assert run.counts[journey]["statuses"].get("0", 0) == 0


def test_shares_are_as_the_defects_say() -> None:
    shares = {walk.__name__: share for walk, share in load("traffic").JOURNEYS}
    assert sum(shares.values()) == 100
    assert {one["journey"]: one["sessions_pct"] for one in DEFECTS.values()}.items() <= (
        shares.items()
    )


def test_a_stranger_is_not_driven() -> None:
    command = [sys.executable, str(SHOP / "traffic.py"), "--url", "http://shop.example:80"]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout) == (2, "")


def test_a_silent_server_is_told() -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        ran = _traffic(closed.getsockname()[1], "--seconds", "0.3")
    assert ran.returncode == 1
    assert "never answered" in ran.stderr


@pytest.mark.parametrize("name", CRASHES)
def test_a_recorded_envelope_tells_the_same_crash(name: str) -> None:
    lines = (ENVELOPES / f"{name}.envelope").read_bytes().split(b"\n")
    event = json.loads(lines[2])
    assert json.loads(lines[1])["length"] == len(lines[2])
    raised = event["exception"]["values"][-1]
    innermost = [frame for frame in raised["stacktrace"]["frames"] if frame["in_app"]][-1]
    described = CRASHES[name]
    assert raised["type"] == described["exception"]
    assert innermost["filename"] == described["path"]
    assert innermost["function"] == described["function"].rpartition(".")[2]
    assert event["tags"]["session.id"]
