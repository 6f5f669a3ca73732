"""Grouping: which traces of one bug end in one issue, and which of two bugs do not.

`python bench/grouping.py [--held-out] [--cache FOLDER]`

Real bugs, run under the real SDK, and what becomes of their traces by the list of telemetry.md §3
(`grouping_cases`). Prints B-cubed precision, recall and F1 of the development half, and with
`--held-out` of the other half too: of the product as it comes and of its fingerprints alone, beside
drain3-improved, a plain "type + message" key and "types + own frames", in one run. All bugs are in
one product. Each number is a mean over events.
"""

import argparse
import os
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

import grouping_peers as peers
import msgspec
import products
from grouping_bugs import Bug, all_bugs
from grouping_cases import DEVELOPMENT, FOREIGN, HELD_OUT, RAISER, Item, half_of, items, setting_of
from grouping_traces import without

from selfdrive_dagster.issues import named_event
from selfdrive_dagster.issues.members import placed
from selfdrive_dagster.model import Crash
from selfdrive_dagster.telemetry import Arrival, Redactor, read_records
from selfdrive_dagster.telemetry.rows import ExceptionRow

ARRIVAL = Arrival(received_at=datetime(2026, 11, 27, tzinfo=UTC), redactor=Redactor(key=bytes(32)))
OURS = "the product"
GOAL_F1, GOAL_PRECISION = 0.95, 0.98


class Score(msgspec.Struct, frozen=True):
    """B-cubed of one way to group: precision, recall and their harmonic mean."""

    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Return 2PR / (P + R)."""
        return 2 * self.precision * self.recall / (self.precision + self.recall)


Group = Callable[[Sequence[ExceptionRow]], Sequence[str]]


def main(arguments: Sequence[str] | None = None) -> int:
    """Make the set, group it in each way, print the tables. Returns 1 where the goal is missed."""
    options = read_options(arguments)
    cache = products.cache_folder(options.cache)
    print(f"load at the start: {os.getloadavg()[0]:.1f}, cores: {os.cpu_count()}")
    found = all_bugs(cache, lambda line: print(f"  {line}", flush=True))
    bugs = [bug for each in found.values() for bug in each.bugs]
    alike = sum(each.alike for each in found.values())
    print(f"{len(bugs)} bugs of {len(found)} releases; left out, on another's path: {alike}")
    ours = Score(0, 0)
    for half in (DEVELOPMENT, HELD_OUT)[: 1 + options.held_out]:
        ours = measured(half, [bug for bug in bugs if half_of(bug) == half], cache)
    return int(not (ours.f1 >= GOAL_F1 and ours.precision >= GOAL_PRECISION))


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--held-out", action="store_true", help="look at the held-out half too")
    parser.add_argument("--cache", type=Path, help="folder that downloads and events stay in")
    return parser.parse_args(arguments)


def measured(half: str, bugs: list[Bug], cache: Path) -> Score:
    """Group one half in every way, print what came out, and return the product's own score."""
    told = list(items(bugs))
    rows = [row_of(item, number) for number, item in enumerate(told)]
    settings = Counter(setting_of(bug) for bug in bugs)
    counted = ", ".join(f"{count} {name}" for name, count in sorted(settings.items()))
    print(f"\n{half} half: {len(told)} events of {len(bugs)} bugs ({counted})")
    print(f"  {'':36}precision  recall  F1     issues  seconds")
    labels = [item.bug for item in told]
    ours = Score(0, 0)
    for name, group in groupers(cache):
        started = time.monotonic()
        try:
            groups = group(rows)
        except products.NotToBeHad as fault:
            print(f"  {name:36}not to be had: {fault}")
            continue
        seconds = time.monotonic() - started
        score = b_cubed(labels, groups)
        tell(name, score, f"{len(set(groups)):6}  {seconds:.1f}")
        by_setting(told, labels, groups)
        if name == OURS:
            ours = score
            by_case(told, labels, groups)
    return ours


def tell(name: str, score: Score, more: str) -> None:
    """Print a line of the table."""
    figures = f"{score.precision:.3f}      {score.recall:.3f}   {score.f1:.3f}"
    print(f"  {name:36}{figures}  {more}", flush=True)


def groupers(cache: Path) -> Iterator[tuple[str, Group]]:
    """Yield every way to group, by name."""
    yield OURS, lambda rows: [event.issue_id for event in placed(map(named_event, rows))]
    yield "its fingerprints alone", lambda rows: [named_event(row)[0].issue_id for row in rows]
    yield "type + message", lambda rows: peers.type_and_message(crashes(rows))
    yield "types + own frames", lambda rows: peers.type_and_frames(crashes(rows))
    yield "drain3-improved, type + message", lambda rows: peers.drain(crashes(rows), cache)


def row_of(item: Item, number: int) -> ExceptionRow:
    """Return what the product stores of an event, each an hour after the one before."""
    sent = without(item.event, "grouping_probe")
    event = {**sent, "event_id": f"{number:032x}", "timestamp": 1_760_000_000 + 3600 * number}
    [row] = read_records(msgspec.json.encode(event), "bench", ARRIVAL).exceptions
    return row


def crashes(rows: Sequence[ExceptionRow]) -> list[Crash]:
    """Return what the rows hold."""
    return [msgspec.json.decode(row.crash_json, type=Crash) for row in rows]


def b_cubed(labels: Sequence[str], groups: Sequence[str]) -> Score:
    """Return B-cubed of groups against labels (Bagga and Baldwin, 1998): means over events."""
    return mean(list(shares(labels, groups)))


def mean(each: Sequence[tuple[float, float]]) -> Score:
    """Return the mean precision and recall of events."""
    precision, recall = (sum(share[n] for share in each) / len(each) for n in (0, 1))
    return Score(precision, recall)


def shares(labels: Sequence[str], groups: Sequence[str]) -> Iterator[tuple[float, float]]:
    """Yield each event's precision and recall."""
    pairs = list(zip(labels, groups, strict=True))
    of_label, of_group, of_both = Counter(labels), Counter(groups), Counter(pairs)
    for pair in pairs:
        yield of_both[pair] / of_group[pair[1]], of_both[pair] / of_label[pair[0]]


def by_setting(told: Sequence[Item], labels: Sequence[str], groups: Sequence[str]) -> None:
    """Print the two settings that are asked for by name."""
    for name in (FOREIGN, RAISER):
        named = [
            share
            for item, share in zip(told, shares(labels, groups), strict=True)
            if item.setting == name
        ]
        if named:
            tell(f"  … {name}", mean(named), f"        of {len(named)} events")


def by_case(told: Sequence[Item], labels: Sequence[str], groups: Sequence[str]) -> None:
    """Print the product's means for each case of bugs in its own code."""
    found: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for item, share in zip(told, shares(labels, groups), strict=True):
        found[f"{item.setting}: {item.case}"].append(share)
    for name, each in sorted(found.items()):
        tell(f"    {name[:46]:46}"[:36], mean(each), f"        of {len(each)} events")


if __name__ == "__main__":
    sys.exit(main())
