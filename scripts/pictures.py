"""Take the README's pictures from the running product: `python scripts/pictures.py`.

Raises the demo's shop with one defect, waits for its proposal, and photographs Dagster's pages
with the system's Chromium. Needs what the slow tests need.
"""

import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

from selfdrive_dagster.cli.demo.board import rows_of, settled
from selfdrive_dagster.cli.demo.theatre import Theatre

ROOT = Path(__file__).resolve().parent.parent
DEFECT = ROOT / "examples" / "shop" / "defects" / "04-price-in-words" / "defect.patch"
IMAGES = ROOT / "docs" / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PATIENCE_SECONDS = 420.0
DRAWING_SECONDS = 12.0


def photograph(page: Page, address: str, words: str, name: str) -> None:
    """Open a page, wait until it shows some words and has drawn itself, keep it."""
    page.goto(address)
    page.get_by_text(words).first.wait_for(timeout=90_000)
    time.sleep(DRAWING_SECONDS)
    page.screenshot(path=IMAGES / name)
    print(f"docs/images/{name}")


def main() -> None:
    """Take the pictures."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("no Chromium: scripts/system PYTHON browser installs it")
    with Theatre(ROOT, DEFECT, observe=False) as theatre:
        theatre.open(print)
        until = time.monotonic() + PATIENCE_SECONDS
        rows = rows_of(theatre.issues(), theatre.changes())
        while not settled(rows, theatre) and time.monotonic() < until:
            time.sleep(3)
            rows = rows_of(theatre.issues(), theatre.changes())
        change = next(row.change for row in rows if row.change)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1600, "height": 1000})
            lineage = "view=lineage&lineageScope=upstream&lineageDepth=6"
            proposal = f"{theatre.ui}/assets/rollout/proposal?{lineage}"
            photograph(page, proposal, "Graph depth", "asset-graph.png")
            report = f"{theatre.ui}/assets/validation/report?partition={change}"
            photograph(page, report, "verdict", "report.png")
            browser.close()


if __name__ == "__main__":
    main()
