"""Pins: which exact record a stage reads, decided before it reads.

Dagster's own input pointer of a partitioned asset names the last materialization of *any*
partition; it is a browsable hint, not evidence. A pin is resolved by partition, checked
against the ledger, and read by its digest.
"""

from collections.abc import Sequence

import dagster as dg
import msgspec

from selfdrive_dagster.adapters.ledger import MADE, Ledger


class Pin(msgspec.Struct, frozen=True, kw_only=True):
    """One upstream record. `storage_id` is a hint for the reconciler, the rest is evidence."""

    asset: str
    partition: str | None
    run_id: str
    sha256: str
    storage_id: int


def pin(
    instance: dg.DagsterInstance, ledger: Ledger, key: dg.AssetKey, partition: str | None
) -> Pin:
    """Return the newest record of an asset and partition that the ledger knows.

    An event that anybody reported to the web server carries no run of ours and is passed
    over. The ledger is asked for one row at a time: it grows for years, and the newest record
    is nearly always the one. Raises Failure when nothing is left.
    """
    asset = key.to_user_string()
    wanted = dg.AssetRecordsFilter(
        asset_key=key, asset_partitions=[partition] if partition else None
    )
    for record in instance.fetch_materializations(wanted, limit=20).records:
        made = record.asset_materialization
        value = made.metadata.get("sha256") if made else None
        sha256 = str(value.value) if value is not None else ""
        if not (record.run_id and sha256):
            continue
        told = {"asset": asset, "sha256": sha256}
        if ledger.find(MADE, partition or "", told, run_id=record.run_id):
            return Pin(
                asset=asset,
                partition=partition,
                run_id=record.run_id,
                sha256=sha256,
                storage_id=record.storage_id,
            )
    raise dg.Failure(f"{asset} has no record that the ledger knows (partition {partition}).")


def as_metadata(pins: Sequence[Pin]) -> dg.JsonMetadataValue:
    """Return the pins as the metadata entry `inputs`."""
    return dg.MetadataValue.json(msgspec.to_builtins(list(pins)))


def as_tags(pins: Sequence[Pin]) -> dict[str, str]:
    """Return a tag per pin; a tag holds 63 characters, so the digest is cut to 32."""
    return {f"selfdrive/in.{p.asset.replace('/', '.')}": p.sha256[:32] for p in pins}
