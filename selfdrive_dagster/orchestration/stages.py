"""Change stages as assets: pin, read by digest, call, store, note in the ledger, materialize.

`change_asset` turns a plain function into such an asset. The function receives a `Bench` and
the records that its parameters name, and returns its record with what a reader wants to see.
"""

import inspect
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeAlias

import dagster as dg
import msgspec

from selfdrive_dagster.adapters.changes import Authority, Change
from selfdrive_dagster.adapters.decisions import Decision
from selfdrive_dagster.adapters.ledger import MADE
from selfdrive_dagster.adapters.outside import told_by
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import Crash, Diagnosis
from selfdrive_dagster.orchestration.pins import Pin, as_metadata, as_tags, pin
from selfdrive_dagster.orchestration.workshop import Workshop
from selfdrive_dagster.rollout.lifecycle import MAKING, Actor, Event, Fact, State

CHANGE = dg.DynamicPartitionsDefinition(name="change")
DIAGNOSIS = "patches/diagnosis"
OWNER = "team:selfdrive"
ACTOR = "selfdrive"

Metadata = Mapping[str, Any]
Result: TypeAlias = dg.MaterializeResult[None]


class Move(msgspec.Struct, frozen=True):
    """A move of the change that its record asks for, made once the record is stored.

    `decision` is the person's that it carries out, in their name and with their signature.
    """

    at: State
    event: Event
    role: Actor
    facts: frozenset[Fact]
    decision: Decision | None = None


class Made(msgspec.Struct, frozen=True):
    """What a stage function returns: the record, metadata for people, the move that follows."""

    record: Any
    metadata: dict[str, Any] = {}
    move: Move | None = None


class Bench:
    """A stage's place in the workshop: the change it works on, and how it speaks."""

    def __init__(self, context: dg.AssetExecutionContext, workshop: Workshop) -> None:
        self.workshop = workshop
        self.change_id = context.partition_key
        self.run_id = context.run.run_id
        self.say: Callable[[str], None] = context.log.info

    def change(self) -> Change:
        """Return the change as it stands. Raises Failure when it was never opened."""
        change = self.workshop.changes.get(self.change_id)
        if change is None:
            raise dg.Failure(f"{self.change_id} was never opened.")
        return change

    def open(self, issue_id: str, *, service: str, base_revision: str, body: Metadata) -> Change:
        """Open the change, or take it up when an earlier run of this stage opened it.

        The change keeps the base that it was opened on, whatever is handed in later.
        """
        known = self.workshop.changes.get(self.change_id)
        if known is not None:
            return self._take_up(known)
        return self.workshop.changes.open(
            self.change_id,
            issue_id,
            service=service,
            base_revision=base_revision,
            by=self.authority(Actor.LOOP),
            now=datetime.now(UTC),
            body=body,
        ).change

    def crash(self, sha256: str) -> Crash:
        """Return the change's crash: the stored one, unless it was diagnosed from one before.

        Whatever users met since, a change that is proven anew is proven by the same test.
        """
        rows = self.workshop.ledger.find(MADE, self.change_id, {"asset": DIAGNOSIS})
        told = [str(row.entry.body["sha256"]) for row in rows]
        known = self.workshop.evidence.get(told[-1], Diagnosis).crash if told else None
        return known or self.workshop.evidence.get(sha256, Crash)

    def _take_up(self, known: Change) -> Change:
        """Start the clock of an unfinished change anew; one that has gone on stays as it is."""
        if known.state not in MAKING:
            return known
        by, now = self.authority(Actor.LOOP), datetime.now(UTC)
        changes = self.workshop.changes
        return changes.move(self.change_id, Event.TAKEN_UP, by=by, now=now).change

    def take(self, move: Move, sha256: str) -> None:
        """Move the change on if it stands there; a repeated run finds it further already."""
        decision = move.decision
        if self.change().state is move.at:
            self.workshop.changes.move(
                self.change_id,
                move.event,
                by=in_the_name_of(decision, self.authority(move.role)),
                now=datetime.now(UTC),
                facts=move.facts,
                body={"sha256": sha256, **dict(told_by(decision) if decision else ())},
                decision_id=decision.decision_id if decision else None,
            )

    def authority(self, role: Actor) -> Authority:
        """Return this run as the one that acts."""
        return Authority(who=ACTOR, role=role, run_id=self.run_id)


def in_the_name_of(decision: Decision | None, by: Authority) -> Authority:
    """Return a run's authority, in the name of the person whose decision it carries out."""
    if decision is None:
        return by
    return msgspec.structs.replace(by, who=decision.actor, signature=decision.signature)


def change_asset(
    *, reads: Mapping[str, tuple[str, type]], kinds: set[str], version: str
) -> Callable[[Callable[..., Made]], dg.AssetsDefinition]:
    """Make an asset of a stage function.

    The asset is named after the function, its group after the module: `assets/patches.py`
    holds `patches/…`. `reads` maps parameters to (asset, record type).
    """

    def decorate(function: Callable[..., Made]) -> dg.AssetsDefinition:
        stage = function.__module__.rpartition(".")[2]
        key = dg.AssetKey([stage, function.__name__])

        @dg.asset(
            key=key,
            description=inspect.getdoc(function),
            deps=[dg.AssetKey(asset.split("/")) for asset, _ in reads.values()],
            partitions_def=CHANGE,
            group_name=stage,
            kinds=kinds,
            owners=[OWNER],
            code_version=version,
            required_resource_keys={"workshop"},
        )
        def stage_asset(context: dg.AssetExecutionContext) -> Result:
            bench = Bench(context, context.resources.workshop)
            pins = _pins(context, bench, reads)
            records: dict[str, Any] = {
                name: bench.workshop.evidence.get(pins[name].sha256, kind)
                for name, (_, kind) in reads.items()
            }
            made = _telling(lambda: function(bench, **records))
            return _result(key, bench, made, tuple(pins.values()))

        return stage_asset

    return decorate


def _pins(
    context: dg.AssetExecutionContext, bench: Bench, reads: Mapping[str, tuple[str, type]]
) -> dict[str, Pin]:
    """Pin every input before anything is read; tables are not partitioned by change."""
    ledger = bench.workshop.ledger
    return {
        name: pin(
            context.instance,
            ledger,
            dg.AssetKey(asset.split("/")),
            None if asset.startswith("issues/") else bench.change_id,
        )
        for name, (asset, _) in reads.items()
    }


def _telling(work: Callable[[], Made]) -> Made:
    """Turn our own errors into Dagster failures that keep the sentence and the remedy."""
    try:
        return work()
    except SelfdriveError as error:
        raise dg.Failure(description=str(error), allow_retries=False) from error


def _result(key: dg.AssetKey, bench: Bench, made: Made, pins: tuple[Pin, ...]) -> Result:
    sha256 = note(
        key,
        bench.workshop,
        made.record,
        pins,
        run_id=bench.run_id,
        change_id=bench.change_id,
        issue_id=bench.change().issue_id,
    )
    if made.move is not None:
        bench.take(made.move, sha256)
    return dg.MaterializeResult(
        metadata={**made.metadata, "sha256": sha256, "inputs": as_metadata(pins)},
        data_version=dg.DataVersion(sha256),
        tags=as_tags(pins),
    )


def note(
    key: dg.AssetKey,
    workshop: Workshop,
    record: Any,
    pins: tuple[Pin, ...],
    *,
    run_id: str,
    change_id: str = "",
    issue_id: str = "",
) -> str:
    """Store a record and tell the ledger of it; return its digest."""
    sha256 = workshop.evidence.put(record)
    body = {
        "asset": key.to_user_string(),
        "sha256": sha256,
        "inputs": [{"asset": p.asset, "run_id": p.run_id, "sha256": p.sha256} for p in pins],
    }
    workshop.ledger.append(
        Entry(
            at=datetime.now(UTC),
            actor=ACTOR,
            kind=MADE,
            change_id=change_id,
            issue_id=issue_id,
            body=body,
            run_id=run_id,
        )
    )
    return sha256
