"""The loop as a user has it: a broken shop, the stock SDKs, and what the UI shows at the end.

One shop with one defect is raised once for all tests here; they look at it from outside, over
HTTP, with git and with our commands.
"""

import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.postgres import connect, open_database
from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.audit import Link, verify
from selfdrive_dagster.cli.demo.board import Row, rows_of, settled
from selfdrive_dagster.cli.demo.theatre import Theatre
from selfdrive_dagster.model import SandboxLevel

ROOT = Path(__file__).resolve().parent.parent.parent
DEFECT = ROOT / "examples" / "shop" / "defects" / "04-price-in-words" / "defect.patch"
PATIENCE = 420
READS = {
    "patches/diagnosis": {"issues/ranking"},
    "patches/reproducer": {"patches/diagnosis"},
    "patches/candidates": {"patches/diagnosis", "patches/reproducer"},
    "validation/report": {"patches/reproducer", "patches/candidates"},
    "rollout/proposal": {
        "issues/ranking",
        "patches/diagnosis",
        "patches/reproducer",
        "patches/candidates",
        "validation/report",
    },
}
"""Each record of a change, and the records that it is made of."""

MATERIALIZATIONS = """
query Of($key: AssetKeyInput!, $partition: String!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode {
    assetMaterializations(partitions: [$partition]) {
      runId
      metadataEntries { label ... on JsonMetadataEntry { jsonString }
                        ... on TextMetadataEntry { text } }
    } } } }
"""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


class Stage:
    """What the tests look at."""

    def __init__(self, theatre: Theatre, rows: list[Row]) -> None:
        self.theatre = theatre
        self.rows = rows
        self.change_id = next(row.change for row in rows if row.change)

    def ask(self, *arguments: str) -> Any:
        """Run one of our commands in the shop and return its JSON."""
        return self.theatre.ask(*arguments, "--json")

    def ledger(self) -> tuple[Link, ...]:
        """Return every row of the ledger, read from the home's database."""
        with open_database(self.theatre.folder / "home") as url:
            engine = connect(url)
            try:
                return Ledger(engine).entries()
            finally:
                engine.dispose()

    def query(self, key: list[str]) -> list[dict[str, Any]]:
        """Return the materializations of an asset for the change, from the web server."""
        import httpx2

        variables = {"key": {"path": key}, "partition": self.change_id}
        body = {"query": MATERIALIZATIONS, "variables": variables}
        answer = httpx2.post(f"{self.theatre.ui}/graphql", json=body, timeout=60).json()
        return list(answer["data"]["assetNodeOrError"]["assetMaterializations"])


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    if BwrapSandbox(tmp_path_factory.mktemp("probes")).level() is not SandboxLevel.FULL:
        pytest.skip("no full sandbox here: the loop ends at the issues")
    with Theatre(ROOT, DEFECT, observe=False) as theatre:
        theatre.open(print)
        until = time.monotonic() + PATIENCE
        rows: list[Row] = []
        while time.monotonic() < until and not settled(rows, theatre):
            time.sleep(3)
            rows = rows_of(theatre.issues(), theatre.changes())
        assert settled(rows, theatre), f"not settled in {PATIENCE} s: {rows}"
        yield Stage(theatre, rows)


def test_a_crash_in_production_becomes_a_certified_proposal(stage: Stage) -> None:
    assert {row.verdict for row in stage.rows} == {"certified"}, stage.rows
    assert {row.state for row in stage.rows} == {"awaiting_approval"}


def test_the_branch_holds_patch_test_and_page(stage: Stage) -> None:
    branch = f"loop/{stage.change_id}"
    remote = stage.theatre.folder / "remote.git"
    told = subprocess.run(
        ["git", "-C", str(remote), "diff", "--stat", "main", branch],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    assert "shop/parsing.py" in told
    assert "tests/test_selfdrive_" in told
    assert f"{stage.change_id}.md" in told


def test_every_ledger_row_names_a_run_or_a_signature(stage: Stage) -> None:
    story = stage.ask("show", stage.change_id)
    assert [piece["kept"] for piece in story["pieces"]] == ["sound"] * len(READS)
    rows = stage.ledger()
    assert verify(rows) is None
    assert [row.seq for row in rows if not (row.entry.run_id or row.entry.signature)] == []
    kinds = {row.entry.kind for row in rows if row.entry.change_id == stage.change_id}
    assert kinds >= {"change.opened", "change.start", "change.propose", "evidence.made"}
    assert any(row.entry.change_id == "" for row in rows), "the rankings"


def test_each_materialization_names_the_exact_records_it_read(stage: Stage) -> None:
    story = stage.ask("show", stage.change_id)
    recorded = {p["asset"]: (p["run_id"], p["sha256"]) for p in story["pieces"]}
    assert set(recorded) == set(READS)
    made = [row.entry for row in stage.ledger() if row.entry.kind == "evidence.made"]
    rankings = {(e.run_id, e.body["sha256"]) for e in made if e.body["asset"] == "issues/ranking"}
    for asset, (run_id, sha256) in recorded.items():
        (newest, *_) = stage.query(asset.split("/"))
        told = {e["label"]: e.get("jsonString") or e.get("text") for e in newest["metadataEntries"]}
        assert (newest["runId"], told["sha256"]) == (run_id, sha256)
        inputs = {pin["asset"]: pin for pin in json.loads(told["inputs"])}
        assert set(inputs) == READS[asset]
        for name, pin in inputs.items():
            of_change = name in recorded
            known = {recorded[name]} if of_change else rankings
            assert (pin["run_id"], pin["sha256"]) in known
            assert pin["partition"] == (stage.change_id if of_change else None)


def test_the_audit_finds_no_gap_anywhere(stage: Stage) -> None:
    (found,) = stage.ask("audit", stage.change_id, "--verify")
    assert found["gaps"] == []
    assert all(answer["says"] for answer in found["answers"])


def test_a_browser_finds_lineage_diff_and_checks(stage: Stage) -> None:
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("no Chromium: scripts/system PYTHON browser installs it")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        page = browser.new_page(viewport={"width": 1500, "height": 1100})
        ui = stage.theatre.ui
        page.goto(f"{ui}/locations/selfdrive/asset-groups/validation")
        page.get_by_text("report").first.wait_for(timeout=60_000)
        page.goto(f"{ui}/assets/validation/report?partition={stage.change_id}")
        page.get_by_text("verdict").first.wait_for(timeout=60_000)
        for words in ("certified", "ArithmeticError", "neighbours"):  # verdict, diff, checks
            page.get_by_text(words).first.wait_for(timeout=60_000)
        page.goto(f"{ui}/assets/validation/report?view=lineage&lineageScope=upstream")
        page.get_by_text("candidates").first.wait_for(timeout=60_000)
        browser.close()
