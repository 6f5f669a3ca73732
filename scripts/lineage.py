"""Check a home's audit trail: `python scripts/lineage.py HOME`. Exit code 1 names each gap.

Every row of the ledger names a run or a signature, its chain holds, and every materialization of
a change's stage names exactly which records it read: asset, partition, run and sha256, each of
which Dagster, the ledger and the evidence know. What a controller did in a rollout has no run: its
rows name the approval's signature, and the evidence that they rest on is there.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from selfdrive_dagster.adapters.evidence import Evidence  # noqa: E402
from selfdrive_dagster.adapters.ledger import Ledger  # noqa: E402
from selfdrive_dagster.adapters.postgres import connect, open_database  # noqa: E402
from selfdrive_dagster.audit import OBSERVED, Link, verify  # noqa: E402
from selfdrive_dagster.errors import SelfdriveError  # noqa: E402
from selfdrive_dagster.orchestration.instance import opened, prepare_dagster_home  # noqa: E402
from selfdrive_dagster.rollout.observed import Observed  # noqa: E402

BOARD = "issues/ranking"
READS = {
    "patches/diagnosis": {BOARD},
    "patches/reproducer": {"patches/diagnosis"},
    "patches/candidates": {"patches/diagnosis", "patches/reproducer"},
    "validation/report": {"patches/reproducer", "patches/candidates"},
    "rollout/proposal": {
        BOARD,
        "patches/diagnosis",
        "patches/reproducer",
        "patches/candidates",
        "validation/report",
    },
    "rollout/approval": {"rollout/proposal", "validation/report"},
    "rollout/stage": {"rollout/proposal", "rollout/approval"},
    "validation/head": {"rollout/proposal", "patches/reproducer", "validation/report"},
    "audit/outcome": {"rollout/proposal"},
}
"""Each stage of a change, and what it must name as read."""

LATER = ("rollout/approval", "rollout/stage", "validation/head", "audit/outcome")
"""Stages that a home may not have come to: approved, met users, merged later on, weighed."""

Made = tuple[str, str, str]
"""Asset, run id, sha256."""


def main(home: Path) -> int:
    """Check, print the counts and every gap."""
    with open_database(home) as url:
        engine = connect(url)
        rows = Ledger(engine).entries()
        with opened(prepare_dagster_home(home, url)) as instance:
            evidence = Evidence(home)
            gaps = [
                *of_ledger(rows),
                *of_rollouts(rows, evidence),
                *of_lineage(instance, rows, evidence),
            ]
        engine.dispose()
    print("\n".join(gaps) or "no gap")
    return 1 if gaps else 0


def of_ledger(rows: tuple[Link, ...]) -> Iterator[str]:
    """Yield what is wrong with the ledger itself."""
    runs = sum(bool(row.entry.run_id) for row in rows)
    signed = sum(bool(row.entry.signature) for row in rows)
    print(f"ledger: {len(rows)} rows, {runs} name a run, {signed} a signature")
    if not rows:
        yield "the ledger has no row"
    if (fault := verify(rows)) is not None:
        yield f"the chain breaks: {fault}"
    for row in rows:
        if not (row.entry.run_id or row.entry.signature):
            yield f"row {row.seq} names neither a run nor a signature"


def of_rollouts(rows: tuple[Link, ...], evidence: Evidence) -> Iterator[str]:
    """Yield rows of a rollout whose live evidence is lost, or that act under no approval."""
    approved = {row.entry.signature for row in rows if row.entry.kind == "change.approve"}
    turns = [row for row in rows if row.entry.body.get(OBSERVED)]
    print(f"rollouts: {len(approved)} signatures approved, {len(turns)} rows name live evidence")
    for row in turns:
        try:
            evidence.get(str(row.entry.body[OBSERVED]), Observed)
        except SelfdriveError as fault:
            yield f"row {row.seq}: {fault.message}"
    for row in rows:
        entry = row.entry
        own = entry.kind in ("change.advance", "breaker.closed")
        if not (entry.run_id or own or entry.signature in approved):
            yield f"row {row.seq}, {entry.kind}, acts under a signature that approved nothing"


def of_lineage(
    instance: dg.DagsterInstance, rows: tuple[Link, ...], evidence: Evidence
) -> Iterator[str]:
    """Yield what is wrong between materializations, ledger and evidence."""
    body = [row.entry for row in rows if row.entry.kind == "evidence.made"]
    noted: set[Made] = {(e.body["asset"], e.run_id, e.body["sha256"]) for e in body}
    for asset, reads in READS.items():
        made = list(materializations(instance, asset))
        pins = [pin for _, _, told in made for pin in told["inputs"]]
        print(f"{asset}: {len(made)} materializations, {len(pins)} inputs named")
        if not made and asset not in LATER:
            yield f"{asset} was never materialized"
        for run_id, partition, told in made:
            here = f"{asset} of {partition}"
            if (asset, run_id, told["sha256"]) not in noted:
                yield f"{here}: the ledger knows no {told['sha256']} of run {run_id}"
            try:
                evidence.read(told["sha256"])
            except SelfdriveError as fault:
                yield f"{here}: {fault.message}"
            if {pin["asset"] for pin in told["inputs"]} != reads:
                yield f"{here}: reads {told['inputs']}, not {sorted(reads)}"
            for pin in told["inputs"]:
                own = None if pin["asset"] == BOARD else partition
                if (pin["asset"], pin["run_id"], pin["sha256"]) not in noted:
                    yield f"{here}: read a {pin['asset']} that the ledger does not know"
                if pin["partition"] != own:
                    yield f"{here}: read {pin['asset']} of partition {pin['partition']}"


def materializations(
    instance: dg.DagsterInstance, asset: str
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield run, partition and metadata of an asset's materializations."""
    wanted = dg.AssetRecordsFilter(asset_key=dg.AssetKey(asset.split("/")))
    for record in instance.fetch_materializations(wanted, limit=10_000).records:
        found = record.asset_materialization
        if found is not None:
            told = {name: value.value for name, value in found.metadata.items()}
            yield record.run_id, found.partition or "", told


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
