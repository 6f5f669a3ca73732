"""From an error raised in the shop to its place in `selfdrive issues`, with `up` running.

`python bench/latency.py [--count 20]`

Each sample asks the running shop for a page that crashes and then asks the command, again and
again, until the issue counts one event more. Prints every sample, the median and the load of the
machine. The command's own start (about a second) is part of what a user waits for, so it counts.
"""

import argparse
import os
import statistics
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from selfdrive_dagster.cli.demo.theatre import Theatre

ROOT = Path(__file__).resolve().parent.parent
DEFECT = ROOT / "examples" / "shop" / "defects" / "04-price-in-words" / "defect.patch"
CRASHES = "/products?max_price=cheap"
PATIENCE_SECONDS = 180.0


def crash(url: str) -> None:
    """Ask for the page that crashes; anything but a 500 would measure nothing."""
    try:
        urllib.request.urlopen(url + CRASHES, timeout=10)
    except urllib.error.HTTPError as error:
        if error.code == 500:
            return
    sys.exit(f"{url}{CRASHES} did not answer 500")


def events(theatre: Theatre) -> int:
    """Return how many events all issues count now."""
    return sum(int(issue["events_total"]) for issue in theatre.issues())


def sample(theatre: Theatre) -> float:
    """Return the seconds from a crash until the ranking counts it."""
    before, start = events(theatre), time.monotonic()
    crash(theatre.shop)
    while time.monotonic() - start < PATIENCE_SECONDS:
        if events(theatre) > before:
            return time.monotonic() - start
        time.sleep(0.5)
    sys.exit(f"not seen after {PATIENCE_SECONDS:g} s")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=20)
    count = parser.parse_args().count
    with Theatre(ROOT, DEFECT, observe=True) as theatre:
        theatre.open(print, visitors=False)
        taken = []
        for number in range(1, count + 1):
            taken.append(sample(theatre))
            print(f"{number:>3}  {taken[-1]:6.1f} s  load {os.getloadavg()[0]:.1f}", flush=True)
    print(f"median {statistics.median(taken):.1f} s, worst {max(taken):.1f} s, of {count}")


if __name__ == "__main__":
    main()
