"""A change on its way to users and back, as the controller's rows, effects and files tell it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from fakes import made_findings as found
from fakes.signers import SignedProduct
from msgspec.structs import replace
from sqlalchemy import Engine

from selfdrive_dagster.adapters.canary import WindowStore
from selfdrive_dagster.adapters.canary.thresholds import Thresholds
from selfdrive_dagster.adapters.changes import Authority
from selfdrive_dagster.adapters.controller.journal import Adoption
from selfdrive_dagster.adapters.effects import Effects
from selfdrive_dagster.adapters.fencing import Controllers
from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.adapters.ledger import MADE
from selfdrive_dagster.audit import Entry
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.orchestration.instance import opened, prepare_dagster_home
from selfdrive_dagster.rollout.canary import Arms, Guardrail, Plan, Stage, judge
from selfdrive_dagster.rollout.canary.lines import Line, Source
from selfdrive_dagster.rollout.effects import Kind, key_of
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State
from selfdrive_dagster.rollout.observed import Observed
from selfdrive_dagster.rollout.traffic import Cause, Returned

SHARE = 0.1
PLAN = Plan(
    stages=(Stage(share=SHARE, margin=10.0, minimum=30, windows=2),),
    bake_minutes=0.5,
    guardrails=(Guardrail("errors"),),
    window_seconds=5.0,
    warm_up_windows=1,
)
USUAL = Thresholds(p50=0.01, p90=0.02, p99=0.05, sessions=400, window_seconds=5.0)
ALL = frozenset(Fact)


class DrivenProduct(SignedProduct):
    """A signed product whose change is rolled out; each step is a second after the one before."""

    def __init__(self, folder: Any, url: str, engine: Engine) -> None:
        super().__init__(folder, url, engine)
        self.url, self.now = url, datetime.now(UTC)
        self.effects, self.windows = Effects(engine), WindowStore(self.home, found.CHANGE)

    def note(self, asset: str, record: Any, change_id: str = found.CHANGE) -> str:
        """Note a record; a diagnosis reads the ranking, as it does in the loop."""
        if asset != "patches/diagnosis":
            return super().note(asset, record, change_id)
        issue = found.certified().issue
        board = super().note("issues/ranking", Board(issues=(issue,), crashes={}), "")
        pin = {"asset": "issues/ranking", "run_id": "run of issues/ranking", "sha256": board}
        sha256 = self.evidence.put(record)
        body = {"asset": asset, "sha256": sha256, "inputs": [pin]}
        self.ledger.append(Entry(at=self.now, actor="selfdrive", kind=MADE, change_id=change_id,
                                 body=body, run_id=f"run of {asset}"))  # fmt: skip
        return sha256

    def tick(self, seconds: float = 1.0) -> datetime:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)
        return self.now

    def begin(self) -> None:
        """Propose, approve, build and expose."""
        self.commit = self.propose().commit
        decision = self.sign()
        self.note("rollout/approval", self.approvals.examine(decision, decision.at))
        self.carry_out(decision)
        self.signature = decision.signature
        self.epoch = Controllers(self.engine).take_over("shop", "a test", self.tick())
        self.windows.freeze(USUAL)
        usual = self.evidence.put(USUAL)
        self.step(Event.BUILT, Actor.CONTROLLER, commit=self.commit, plan=PLAN, thresholds=usual)
        told = {"canary": self.commit, "stable": self.base}
        self.does(Kind.START_REVISION, 0, told)
        self.step(Event.EXPOSED, Actor.CONTROLLER)
        self.does(Kind.SET_WEIGHT, 1, {"share": SHARE})

    def step(self, event: Event, role: Actor, **body: Any) -> None:
        """Move the change as the controller does."""
        by = Authority(who="selfdrive", role=role, signature=self.signature)
        self.changes.move(
            found.CHANGE, event, by=by, now=self.tick(), facts=ALL, body=body,
            stages=len(PLAN.stages), epoch=self.epoch,
        )  # fmt: skip

    def does(self, kind: Kind, stage: int, wanted: dict[str, Any]) -> str:
        """Intend an effect and note it as done; return its key."""
        change = self.changes.get(found.CHANGE)
        key = key_of(found.CHANGE, change.version, kind)
        by = Authority(who="selfdrive", role=Actor.CONTROLLER, signature=self.signature)
        self.effects.intend(
            found.CHANGE, kind, key=key, stage=stage, wanted=wanted, epoch=self.epoch,
            now=self.tick(),
        )  # fmt: skip
        self.effects.done(key, {"result": ""}, by=by, epoch=self.epoch, now=self.tick())
        return key

    def sees(self, windows: int, affected: int) -> str:
        """Let sessions come, so many of the canary's with errors; return the look's digest."""
        change = self.changes.get(found.CHANGE)
        baking = change.state is State.BAKING
        share = PLAN.bake_share if baking else SHARE
        exposed = Arms(190, 10) if baking else Arms(20, 180)
        for _ in range(windows):
            line = Line(start=self.now, source=Source.PROXY, share=share, exposed=exposed,
                        affected={"errors": Arms(affected, 1)})  # fmt: skip
            self.windows.add([line])
            self.tick(PLAN.window_seconds)
        read, stage = self.windows.read(), replace(PLAN.stages[0], share=share)
        look = Observed(
            change_id=found.CHANGE, canary=self.commit, stable=self.base,
            state=change.state.value, stage=change.stage, plan=PLAN, windows=read,
            windows_sha256=self.windows.digest(), judgement=judge(read, stage, PLAN, self.now),
        )  # fmt: skip
        sha256 = self.evidence.put(look)
        body = {"verdict": look.judgement.verdict.value, "observed": sha256, "stage": change.stage}
        self.row("rollout.verdict", body)
        return sha256

    def row(self, kind: str, body: dict[str, Any]) -> None:
        """Write a row of the controller that is no move."""
        entry = Entry(at=self.tick(), actor="selfdrive", kind=kind, change_id=found.CHANGE,
                      body=body, signature=self.signature)  # fmt: skip
        self.ledger.append(entry)

    def harmed(self) -> None:
        """Begin, see harm, and come back."""
        self.begin()
        self.sees(2, 0)
        look = self.sees(4, 10)
        self.step(Event.HARM, Actor.ANALYST, observed=look, says="errors in half of the sessions")
        files = FrontFiles(self.home)
        files.make()
        files.note(Returned(at=self.now + timedelta(seconds=0.4), cause=Cause.HARM,
                            reason="errors", change_id=found.CHANGE, generation=4,
                            share=SHARE))  # fmt: skip
        assert list(Adoption(self.home, self.ledger, lambda _change: self.signature).look())
        self.step(Event.RESTORED, Actor.CONTROLLER, says="the proxy serves stable alone")
        self.step(Event.REVERTED, Actor.CONTROLLER, says="the branch is without it")
        self.tell_dagster()

    def promoted(self) -> None:
        """Begin, see no harm, bake, and be merged."""
        self.begin()
        self.step(Event.SAFE, Actor.ANALYST, observed=self.sees(6, 0), says="safe")
        self.does(Kind.SET_WEIGHT, 1, {"share": PLAN.bake_share})
        self.does(Kind.MERGE, 1, {"commit": self.commit})
        self.product.git("branch", "-f", "released", self.commit)
        self.step(Event.BAKED, Actor.CONTROLLER, observed=self.sees(2, 0), says="baked")
        self.tell_dagster()

    def tell_dagster(self) -> None:
        """Give Dagster the runs and materializations that the ledger tells of."""
        rows = self.ledger.entries(found.CHANGE)
        with opened(prepare_dagster_home(self.home, self.url)) as instance:
            for run in sorted({row.entry.run_id for row in rows} - {""}):
                instance.run_storage.add_run(dg.DagsterRun(job_name="propose", run_id=run))
            for row in rows:
                if row.entry.kind == MADE:
                    instance.store_event(materialized(row.entry))


def materialized(entry: Entry) -> EventLogEntry:
    """Return Dagster's event of a record."""
    asset, sha256 = entry.body["asset"], entry.body["sha256"]
    made = dg.AssetMaterialization(
        asset.split("/"), partition=entry.change_id, metadata={"sha256": sha256}
    )
    told = DagsterEvent("ASSET_MATERIALIZATION", "propose",
                        event_specific_data=StepMaterializationData(made))  # fmt: skip
    return EventLogEntry(
        error_info=None, level=20, user_message="", run_id=entry.run_id,
        timestamp=entry.at.timestamp(), job_name="propose", dagster_event=told,
    )  # fmt: skip
