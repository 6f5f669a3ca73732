"""A rollout whose front is paper: the files that a front would write, visitors that a log tells of.

Database, git, signatures and the controller are real; the clock is the test's. Visitors that were
given the canary answer with an error at a rate of the test's choice.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

from fakes import made_findings as found
from fakes.signers import SignedProduct
from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.controller import Controller, Stores
from selfdrive_dagster.adapters.effects import Effect, Effects
from selfdrive_dagster.adapters.front_files import FrontFiles
from selfdrive_dagster.adapters.git.waiting import Waiting
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.adapters.traefik.config import arm_service, cookie_name, cookie_value
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.config import load
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.canary import Guardrail, Plan, Stage
from selfdrive_dagster.rollout.effects import Kind
from selfdrive_dagster.rollout.lifecycle import State
from selfdrive_dagster.rollout.traffic import Seen, Wanted, must_return

SETTINGS = """[service]
name = "shop"
branch = "main"
[rollout]
actuator = "traefik"
run = "python app.py {port}"
session_cookie = "visit"
"""
PLAN = Plan(
    stages=(
        Stage(share=0.2, margin=10.0, minimum=20, windows=2),
        Stage(share=0.5, margin=5.0, minimum=20, windows=2),
    ),
    bake_minutes=0.1,
    guardrails=(Guardrail("errors", tolerable=0.05),),
    window_seconds=2.0,
    warm_up_windows=1,
    longest_minutes=3.0,
    rests=False,
    lag_windows=3,
    stale_windows=4,
    fuse_share=1.0,
)
"""Guarded by the proxy alone, with two-second windows, and without the fuse."""


class Steered:
    """One change on its way, from its approval, and the means to look at it."""

    def __init__(
        self, folder: Path, url: str, engine: Engine, plan: Plan = PLAN, settings: str = SETTINGS
    ) -> None:
        self.shop = SignedProduct(folder, url, engine, settings)
        there = folder / "there.git"
        self.shop.product.git("init", "-q", "--bare", str(there))
        self.shop.product.git("remote", "add", "origin", str(there))
        self.shop.product.git("push", "-q", "origin", "main")
        self.plan, self.engine, self.home = plan, engine, self.shop.home
        self.now = datetime.now(UTC)
        self.files = FrontFiles(self.home)
        self.files.make()
        self.front = PaperFront(self.home, self.shop.base, lambda: self.now)
        self.crowd = Crowd(self.files, Random(7))
        self.said: list[str] = []
        self.controller = self.new_controller()

    def new_controller(
        self, engine: Engine | None = None, waiting: Waiting | None = None
    ) -> Controller:
        """Return a controller as a process would make it after a start."""
        repository = self.shop.desk.repository
        repository.shadow.waiting = waiting or Waiting()
        stores = Stores(
            self.home, load(self.shop.product.path), engine or self.engine, repository,
            Warehouse(self.home),
        )  # fmt: skip
        return Controller(stores, self.front.actuator, "test", self.now, self.plan)

    def approve(self, signed: timedelta = timedelta()) -> Proposal:
        """Propose the change and let Ada approve it, so long ago."""
        put = self.shop.propose()
        self.shop.carry_out(self.shop.sign(now=self.now - signed))
        return put

    @property
    def change(self) -> Change:
        change = self.shop.changes.get(found.CHANGE)
        assert change is not None
        return change

    @property
    def state(self) -> State:
        return self.change.state

    def tick(self, seconds: float = 2.0) -> list[str]:
        """Let two seconds pass: visitors come, the front looks, the controller looks."""
        self.now += timedelta(seconds=seconds)
        self.crowd.come(self.front.wanted, self.now)
        self.front.look()
        told = list(self.controller.tick(self.now))
        self.front.look()
        self.said += told
        return told

    def until(self, *states: State, ticks: int = 90) -> None:
        """Tick until the change is in one of these states."""
        for _ in range(ticks):
            if self.state in states:
                return
            self.tick()
        raise AssertionError(f"it stays {self.state.value}: {self.said[-8:]}")

    def kinds(self, change_id: str = found.CHANGE) -> list[str]:
        """Return the ledger's moves of the change, in order."""
        rows = (row.entry.kind for row in self.shop.ledger.entries(change_id))
        return [kind.removeprefix("change.") for kind in rows if kind.startswith("change.")]

    def effects(self) -> dict[Kind, list[Effect]]:
        """Return what was intended for the change, by its kind."""
        found_: dict[Kind, list[Effect]] = {}
        for effect in Effects(self.engine).of(found.CHANGE):
            found_.setdefault(effect.kind, []).append(effect)
        return found_

    def head(self) -> str:
        """Return where the product's branch is, at the remote."""
        told = self.shop.product.git("ls-remote", "origin", "refs/heads/main")
        return told.split("\t")[0]

    def others_push(self, **files: str) -> str:
        """Let somebody else merge a commit into the product's branch."""
        sha = self.shop.product.commit("Elsewhere", **files)
        self.shop.product.git("push", "-q", "origin", "main")
        return sha

    def decide(self, verdict: str, reason: str = "I say so") -> None:
        """Note what a person decided."""
        self.shop.decisions.record(
            found.CHANGE, verdict, actor="ada@example.com", reason=reason, now=self.now
        )


class PaperFront:
    """Puts into effect what is wanted, at once, by writing that it did. Its health is settable."""

    def __init__(self, home: Path, stable: str, clock: Callable[[], datetime]) -> None:
        self.actuator = TraefikActuator(home, clock=clock)
        self.files = self.actuator.files
        self.files.make()
        self._clock = clock
        self.canary_healthy = self.is_up = True
        self.share_told: float | None = None
        self.files.write(self.files.wanted_file, Wanted(generation=1, stable=stable))
        self.look()

    @property
    def wanted(self) -> Wanted:
        return self.files.wanted()

    def look(self) -> None:
        """Do what a front does in a tenth of a second."""
        if not self.is_up:
            return
        wanted = self.wanted
        if why := must_return(wanted, self._clock(), killed=self.files.is_killed()):
            wanted = self.actuator.to_stable(why[1], why[0]).wanted
        seen = Seen(
            generation=wanted.generation,
            at=self._clock(),
            change_id=wanted.change_id,
            stable=wanted.stable,
            canary=wanted.canary,
            share=wanted.share if self.share_told is None else self.share_told,
            stable_healthy=True,
            canary_healthy=self.canary_healthy if wanted.canary else None,
        )
        self.files.write(self.files.seen_file, seen)


class Crowd:
    """Visitors: so many new sessions at each tick, as the proxy's log tells of them.

    Each asks twice, without cookies first. Who meets a failing landing page does not come back.
    """

    def __init__(self, files: FrontFiles, chance: Random, rate: int = 60) -> None:
        self.files, self.chance, self.rate = files, chance, rate
        self.canary_fails = self.stable_fails = self.canary_landing_fails = 0.0
        self._count = 0

    def come(self, wanted: Wanted, now: datetime) -> None:
        """Write them into the log."""
        lines = []
        for _ in range(self.rate):
            self._count += 1
            on_canary = bool(wanted.canary) and self.chance.random() < wanted.share
            arm = arm_service("canary" if on_canary else "stable", wanted.change_id)
            if on_canary and self.chance.random() < self.canary_landing_fails:
                lines.append(logged(arm, "", 502, now))
                continue
            fails = self.canary_fails if on_canary else self.stable_fails
            status = 500 if self.chance.random() < fails else 200
            sticky = f"{cookie_name(wanted.change_id)}={cookie_value(arm)}"
            lines.append(logged(arm, "", 200, now - timedelta(seconds=0.2)))
            lines.append(logged(arm, f"visit=v{self._count}; {sticky}", status, now))
        with self.files.access_log.open("a") as log:
            log.write("".join(lines))


def logged(arm: str, cookies: str, status: int, now: datetime) -> str:
    """Return a line of the proxy's log."""
    told = {
        "DownstreamStatus": status,
        "Duration": 10_000_000,
        "ServiceName": f"{arm}@file",
        "StartUTC": (now - timedelta(seconds=0.5)).isoformat().replace("+00:00", "Z"),
        **({"request_Cookie": cookies} if cookies else {}),
    }
    return json.dumps(told) + "\n"
