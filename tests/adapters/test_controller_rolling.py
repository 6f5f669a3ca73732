"""The controller over real database, git and signatures: a change on its way to users and back."""

import shutil
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from fakes import made_findings as found
from fakes.databases import database_gone
from fakes.rolling import TO_APPROVED, TO_CANARY, led
from fakes.signers import EVE, line
from fakes.steered import PLAN, Steered
from msgspec import to_builtins
from msgspec.structs import replace
from sqlalchemy import Engine

from selfdrive_dagster.adapters.approving.facts import newest
from selfdrive_dagster.adapters.canary import WindowStore
from selfdrive_dagster.adapters.controller.journal import RETURNED
from selfdrive_dagster.adapters.effects import Effects
from selfdrive_dagster.adapters.git.waiting import Waiting
from selfdrive_dagster.adapters.proposals import commit_on
from selfdrive_dagster.adapters.traefik import TraefikActuator
from selfdrive_dagster.audit import Link
from selfdrive_dagster.model import Reproduction, Verdict
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.approval import LIFETIMES
from selfdrive_dagster.rollout.canary import Guardrail, Measure
from selfdrive_dagster.rollout.effects import Kind, key_of
from selfdrive_dagster.rollout.lifecycle import State
from selfdrive_dagster.rollout.observed import HEAD_MOVED, Observed, judged_again
from selfdrive_dagster.rollout.traffic import Cause
from selfdrive_dagster.validation.head import HeadProof

pytestmark = pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="no ssh-keygen")


@pytest.fixture
def world(tmp_path: Path, database_url: str, engine: Engine) -> Iterator[Steered]:
    made = Steered(tmp_path, database_url, engine)
    yield made
    made.shop.workshop.close()


def at_canary(world: Steered) -> None:
    """Lead the change to its first users."""
    world.approve()
    world.until(State.CANARY)
    for _ in range(2):
        world.tick()
    assert world.front.wanted.share == 0.2


@pytest.mark.slow
def test_a_healthy_canary_is_promoted_and_called_back_by_a_person(world: Steered) -> None:
    put = world.approve()
    assert world.head() == world.shop.base
    world.until(State.PROMOTED)
    assert world.head() == put.commit
    assert world.kinds()[-5:] == ["built", "exposed", "safe", "safe", "baked"]
    for _ in range(2):
        world.tick()
    wanted = world.front.wanted
    assert (wanted.stable, wanted.canary, wanted.share) == (put.commit, "", 0.0)
    effects = world.effects()
    assert {kind: len(some) for kind, some in effects.items()} == {
        Kind.START_REVISION: 1, Kind.SET_WEIGHT: 3, Kind.MERGE: 1, Kind.MAKE_STABLE: 1,
    }  # fmt: skip
    assert not [one for some in effects.values() for one in some if one.is_open or one.given_up]

    world.decide("abort", "users complain")
    world.tick()
    assert world.front.wanted.stable == world.shop.base
    world.until(State.LEARNED)
    assert world.kinds()[-3:] == ["abort", "restored", "reverted"]
    world.shop.product.git("fetch", "-q", "origin")
    assert world.head() not in (put.commit, world.shop.base)
    assert not world.shop.product.git("diff", world.shop.base, world.head(), "--stat")
    assert [one.is_open for one in world.effects()[Kind.REVERT]] == [False]


def merged_not_served(world: Steered) -> str:
    """Lead the change into the product's branch while no front takes up what follows."""
    put = world.approve()
    world.until(State.BAKING)
    while world.head() == world.shop.base:
        world.tick()
    world.front.is_up = False
    for _ in range(4):
        world.tick()
    return put.commit


def test_promoted_is_what_everybody_is_served_and_not_what_is_merged(world: Steered) -> None:
    commit = merged_not_served(world)
    assert (world.state, world.head()) == (State.BAKING, commit)
    assert world.front.wanted.stable == commit  # ordered, and not seen
    [order] = world.effects()[Kind.MAKE_STABLE]
    assert order.is_open
    world.shop.product.git("fetch", "-q", "origin")
    world.shop.product.git("reset", "-q", "--hard", commit)
    world.others_push(README="they go on")
    world.front.is_up = True
    world.until(State.PROMOTED, ticks=6)
    for _ in range(2):
        world.tick()
    [order] = world.effects()[Kind.MAKE_STABLE]
    assert not order.is_open and not order.given_up
    [row] = world.shop.ledger.find("change.baked", found.CHANGE)
    look = world.shop.desk.evidence.get(str(row.entry.body["observed"]), Observed)
    assert look.judgement.verdict.value == "safe"


@pytest.mark.slow
def test_what_is_merged_and_not_served_yet_comes_back_on_the_kill_switch(world: Steered) -> None:
    merged_not_served(world)
    world.files.kill_switch.touch()
    world.tick()
    assert world.front.wanted.stable == world.shop.base
    world.front.is_up = True
    world.until(State.LEARNED)
    assert "baked" not in world.kinds()
    world.shop.product.git("fetch", "-q", "origin")
    assert not world.shop.product.git("diff", world.shop.base, world.head(), "--stat")


def test_a_promoted_change_that_was_taken_back_while_no_loop_ran_is_reverted(
    world: Steered,
) -> None:
    """All that tells of it is the front's journal: there was no database."""
    put = world.approve()
    world.until(State.PROMOTED)
    assert world.front.wanted.before == world.shop.base
    back = TraefikActuator(world.home, clock=lambda: world.now)
    assert back.to_stable("users complain").wanted.stable == world.shop.base
    world.controller = world.new_controller()
    world.until(State.LEARNED)
    assert world.kinds()[-3:] == ["abort", "restored", "reverted"]
    assert world.front.wanted.stable == world.shop.base
    world.shop.product.git("fetch", "-q", "origin")
    assert world.head() not in (put.commit, world.shop.base)
    assert not world.shop.product.git("diff", world.shop.base, world.head(), "--stat")


@pytest.mark.slow
def test_the_next_change_begins_after_our_own_revert_and_not_on_what_others_merged(
    world: Steered,
) -> None:
    world.approve()
    world.until(State.PROMOTED)
    world.decide("abort")
    world.until(State.LEARNED)
    assert world.front.wanted.stable == world.shop.base != world.head()
    world.shop.product.git("fetch", "-q", "origin")
    world.shop.product.git("reset", "-q", "--hard", "origin/main")
    following = next_change(world, "after our revert", world.head())
    world.tick()
    assert any("not known: approval_holds" in one for one in world.said[-3:]), world.said[-3:]
    assert not any("stable_restorable" in one for one in world.said)
    world.shop.decisions.record(
        following, "reject", actor="ada@example.com", reason="a test", now=world.now
    )
    moved = world.others_push(README="new")
    next_change(world, "on theirs", moved)
    for _ in range(4):
        world.tick()
    says = f"selfdrive serve --revision {moved}"
    assert any("stable_restorable" in one and says in one for one in world.said), world.said[-3:]


def next_change(world: Steered, name: str, base: str) -> str:
    """Let another change be approved on a base; nobody signed it, so it never begins."""
    change = led(world.engine, name, *TO_APPROVED, base=base, now=world.now)
    proposal, _ = newest(world.shop.desk, found.CHANGE, "rollout/proposal", Proposal)
    put = replace(proposal, change_id=change.change_id)
    world.shop.note("rollout/proposal", put, change.change_id)
    return change.change_id


def test_a_remote_that_does_not_answer_keeps_no_look_from_harm(
    world: Steered, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bake is over, its merge waits for a remote that hangs, and users are harmed meanwhile."""
    world.approve()
    world.until(State.BAKING)
    while world.front.wanted.share < PLAN.bake_share:  # each step forward asks the remote
        world.tick()
    world.controller = world.new_controller(waiting=Waiting(0.5, 2.0))
    monkeypatch.setenv("GIT_SSH_COMMAND", "sleep 60 #")
    world.shop.product.git("remote", "set-url", "origin", "ssh://nobody/there.git")
    slowest = 0.0
    for _ in range(8):
        begun = time.monotonic()
        world.tick()
        slowest = max(slowest, time.monotonic() - begun)
    assert (world.state, world.front.wanted.share) == (State.BAKING, PLAN.bake_share)
    assert any("no end after" in one for one in world.said), world.said
    world.crowd.canary_fails = 0.5
    for _ in range(12):
        begun = time.monotonic()
        world.tick()
        slowest = max(slowest, time.monotonic() - begun)
    assert world.front.files.journal()[-1].cause is Cause.HARM
    assert world.state in (State.ROLLING_BACK, State.ROLLED_BACK)
    assert slowest < 5.0  # half a second of it the remote's


def test_harm_is_answered_by_the_evidence(world: Steered) -> None:
    at_canary(world)
    world.crowd.canary_fails, world.crowd.stable_fails = 0.15, 0.01
    world.until(State.LEARNED)
    assert world.kinds()[-3:] == ["harm", "restored", "reverted"]
    assert world.front.files.journal()[-1].cause is Cause.HARM
    [row] = world.shop.ledger.find("change.harm", found.CHANGE)
    assert "errors" in str(row.entry.body["says"]) and row.entry.body["observed"]
    assert world.head() == world.shop.base and Kind.MERGE not in world.effects()


def test_a_landing_page_that_drives_everybody_away_is_answered(world: Steered) -> None:
    """Of the sessions none fails: there are none but those that came before."""
    first = Guardrail("first_requests", Measure.REQUEST, tolerable=0.05)
    world.plan = replace(PLAN, guardrails=(*PLAN.guardrails, first))
    world.controller = world.new_controller()
    at_canary(world)
    world.crowd.canary_landing_fails = 1.0
    world.until(State.LEARNED)
    assert world.kinds()[-3:] == ["harm", "restored", "reverted"]
    [row] = world.shop.ledger.find("change.harm", found.CHANGE)
    assert str(row.entry.body["says"]).startswith("first_requests in")


@pytest.mark.slow
def test_what_nobody_may_any_more_goes_no_further(world: Steered) -> None:
    """The branch is altered under way: neither the next stage nor the weight of this one."""
    put = world.approve()
    world.until(State.CANARY)
    world.shop.product.git("branch", "-f", put.branch, "main")
    for _ in range(5):
        world.tick()
    assert (world.state, world.front.wanted.share) == (State.CANARY, 0.0)
    assert any("gets no more users" in one for one in world.said)
    world.shop.product.git("branch", "-f", put.branch, put.commit)
    world.until(State.BAKING)
    world.tick()
    assert world.front.wanted.share == PLAN.bake_share
    world.shop.product.git("branch", "-f", put.branch, "main")
    for _ in range(8):
        world.tick()
    assert (world.state, world.head()) == (State.BAKING, world.shop.base)  # nothing is merged
    assert any("approval_holds" in one for one in world.said)


@pytest.mark.slow
def test_an_approval_that_expires_under_way_leads_no_further_and_then_back(world: Steered) -> None:
    world.approve(signed=LIFETIMES["approve"] - timedelta(seconds=14))
    world.until(State.CANARY)
    for _ in range(18):
        world.tick()
    assert (world.state, world.change.stage, world.front.wanted.share) == (State.CANARY, 1, 0.2)
    assert any("The approval expired" in one for one in world.said)
    kept = list((world.home / "evidence").rglob("*.json"))
    for _ in range(4):
        world.tick()
    assert list((world.home / "evidence").rglob("*.json")) == kept  # what is refused stores nothing
    world.until(State.LEARNED)  # the lease of a void approval is not renewed
    assert world.front.wanted.share == 0.0
    assert world.head() == world.shop.base


@pytest.mark.slow
def test_a_signer_who_is_taken_out_under_way_leads_no_further_and_then_back(world: Steered) -> None:
    at_canary(world)
    world.others_push(**{".selfdrive/allowed_signers": line(EVE, world.shop.eve)})
    world.until(State.LEARNED)
    assert any("no longer stands in .selfdrive/allowed_signers" in one for one in world.said)
    assert "safe" not in world.kinds() and world.front.wanted.share == 0.0


@pytest.mark.slow
def test_on_a_later_head_only_what_was_proven_there_is_merged(world: Steered) -> None:
    put = world.approve()
    world.until(State.BAKING)
    moved = world.others_push(README="new")
    for _ in range(8):
        world.tick()
    assert (world.state, world.head()) == (State.BAKING, moved)
    rows = world.shop.ledger.find(HEAD_MOVED, found.CHANGE, limit=9)
    assert [row.entry.body["head"] for row in rows] == [moved]  # asked once
    proof = proven_on(world, moved)
    forged = replace(proof, commit=world.shop.product.git("commit-tree", "-p", moved, "-m", "x",
                                                          f"{moved}^{{tree}}"))  # fmt: skip
    for wrong, says in (
        (forged, "another patch"),
        (replace(proof, report=replace(proof.report, sandbox_level="none")), "full sandbox"),
        (replace(proof, report=replace(proof.report, verdict=Verdict.CONTAINED)), "its proof"),
    ):
        world.shop.note("validation/head", wrong)
        for _ in range(4):
            world.tick()
        assert (world.state, world.head()) == (State.BAKING, moved)
        assert any(says in one for one in world.said), world.said[-3:]
    world.shop.note("validation/head", proof)
    world.until(State.PROMOTED)
    for _ in range(2):
        world.tick()
    assert world.head() == proof.commit != put.commit
    assert world.front.wanted.stable == put.commit  # what others pushed is theirs to serve
    [merge] = world.effects()[Kind.MERGE]
    assert merge.wanted == {"commit": proof.commit} and not merge.is_open
    world.decide("abort")
    world.until(State.LEARNED)
    world.shop.product.git("fetch", "-q", "origin")
    assert not world.shop.product.git("diff", moved, world.head(), "--stat")
    assert world.front.wanted.stable == world.shop.base


def proven_on(world: Steered, head: str) -> HeadProof:
    """The change's patch on top of a head, with a proof like the one that was signed."""
    proof = world.shop.findings(found.certified()).proof
    best, signed = proof.best, proof.reports[0]
    desk = world.shop.desk
    put, _ = newest(desk, found.CHANGE, "rollout/proposal", Proposal)
    made, _ = newest(desk, found.CHANGE, "patches/reproducer", Reproduction)
    commit = commit_on(
        desk.repository, head, candidate=best, reproducer=made.reproducer, page=put.page,
        page_path=put.page_path, message=put.title, when=world.now,
    )  # fmt: skip
    report = replace(signed, base_revision=head)
    return HeadProof(change_id=found.CHANGE, head=head, commit=commit, signed=signed, report=report)


def test_a_base_that_moved_before_the_start_is_proven_anew(world: Steered) -> None:
    world.approve()
    moved = world.others_push(README="new")
    world.tick()
    assert (world.state, world.change.base_revision) == (State.VALIDATING, moved)


def rests_on(world: Steered) -> Link:
    """Tick until a row of the ledger rests on windows, and return it."""
    for _ in range(60):
        for row in world.shop.ledger.entries(found.CHANGE):
            sha256 = str(row.entry.body.get("observed") or "")
            if sha256 and world.shop.evidence.get(sha256, Observed).windows:
                return row
        world.tick()
    raise AssertionError(world.said[-8:])


def test_deleted_windows_hold_a_canary_for_good(world: Steered) -> None:
    """Also after a restart, and though what comes in anew looks well."""
    at_canary(world)
    rests_on(world)
    WindowStore(world.home, found.CHANGE).path.unlink()
    world.until(State.HOLD)
    assert world.kinds()[-1] == "no_data"
    [row] = world.shop.ledger.find("change.no_data", found.CHANGE)
    assert "windows.jsonl does not begin with" in str(row.entry.body["says"])
    world.controller = world.new_controller()
    for _ in range(12):
        world.tick()
    assert (world.state, world.kinds()[-1]) == (State.HOLD, "no_data")
    kept = world.shop.evidence.get(str(row.entry.body["observed"]), Observed)
    assert judged_again(kept).verdict is kept.judgement.verdict


@pytest.mark.slow
def test_evidence_that_a_row_rests_on_and_nobody_has_holds_a_canary(world: Steered) -> None:
    at_canary(world)
    row = rests_on(world)
    world.shop.evidence.path(str(row.entry.body["observed"])).unlink()
    world.controller = world.new_controller()
    world.until(State.HOLD)
    [held] = world.shop.ledger.find("change.no_data", found.CHANGE)
    assert f"what row {row.seq} of the ledger rests on" in str(held.entry.body["says"])


def test_lost_windows_keep_nobody_from_acting_on_harm(world: Steered) -> None:
    at_canary(world)
    rests_on(world)
    WindowStore(world.home, found.CHANGE).path.unlink()
    world.crowd.canary_fails = 0.5
    world.until(State.LEARNED)
    assert "harm" in world.kinds()


def test_paused_resumed_aborted(world: Steered) -> None:
    at_canary(world)
    world.decide("pause")
    world.tick()
    assert (world.state, world.front.wanted.share) == (State.HOLD, 0.2)
    for _ in range(10):
        world.tick()  # it is safe long since, and waits for whoever paused it
    assert (world.state, world.front.wanted.share) == (State.HOLD, 0.2)
    world.decide("resume")
    world.decide("pause", "no, wait")
    world.tick()
    assert world.kinds()[-2:] == ["resume", "pause"]
    world.decide("abort")
    world.tick()
    assert (world.front.wanted.share, world.front.files.journal()[-1].cause) == (0.0, Cause.COMMAND)
    world.until(State.LEARNED)
    assert world.kinds()[-3:] == ["abort", "restored", "reverted"]


@pytest.mark.slow
def test_data_that_come_and_go_give_a_stage_no_more_time_and_a_person_does(
    world: Steered,
) -> None:
    """Visitors come while it is held and stay away while it is not: a stage of a minute."""
    endless = replace(PLAN.stages[0], minimum=10**6)
    world.plan = replace(PLAN, stages=(endless,), longest_minutes=1.0)
    world.controller = world.new_controller()
    at_canary(world)
    [exposed] = world.shop.ledger.find("change.exposed", found.CHANGE)
    while world.now < exposed.entry.at + timedelta(seconds=150):
        world.crowd.rate = 60 if world.state is State.HOLD else 0
        world.tick()
    back = world.shop.ledger.find("change.data_back", found.CHANGE, limit=9)
    assert back and all(row.entry.at - exposed.entry.at < timedelta(seconds=61) for row in back)
    assert world.state is State.HOLD
    world.decide("resume")
    for _ in range(12):
        world.tick()
    assert (world.state, world.kinds()[-1]) == (State.CANARY, "resume")


@pytest.mark.slow
def test_drift_is_held_and_a_moment_of_it_is_not(world: Steered) -> None:
    at_canary(world)
    world.front.share_told = 0.0
    world.tick()
    assert world.state is State.CANARY
    for _ in range(4):
        world.tick()
    assert (world.state, world.kinds()[-1]) == (State.HOLD, "drift")
    assert world.front.wanted.share == 0.2


def test_the_kill_switch_ends_it_though_no_front_looks(world: Steered) -> None:
    at_canary(world)
    world.front.is_up = False
    world.files.kill_switch.touch()
    world.tick()
    assert (world.state, world.front.wanted.share) == (State.ROLLING_BACK, 0.0)
    for _ in range(4):
        world.tick()
    assert world.state is State.ROLLING_BACK  # nobody has seen that stable serves
    world.front.is_up = True
    world.until(State.LEARNED)


@pytest.mark.slow
def test_old_looks_of_a_front_allow_nothing(world: Steered) -> None:
    at_canary(world)
    world.front.is_up = False
    for _ in range(12):
        world.tick()
    assert (world.state, world.change.stage) == (State.CANARY, 1)


@pytest.mark.slow
def test_a_lease_that_ran_out_is_told_once_it_can_be(world: Steered) -> None:
    at_canary(world)
    world.now += timedelta(seconds=61)
    world.front.look()
    world.until(State.LEARNED)
    assert world.kinds()[-3:] == ["lease_lost", "restored", "reverted"]
    rows = world.shop.ledger.find(RETURNED, found.CHANGE, limit=9)
    assert [row.entry.body["cause"] for row in rows] == ["lease"]


def test_with_the_database_gone_harm_is_answered_and_nothing_goes_forward(world: Steered) -> None:
    at_canary(world)
    rows = len(world.shop.ledger.entries())
    world.crowd.canary_fails = 0.3
    with database_gone(world.engine):
        for _ in range(20):
            world.tick()
            if not world.front.wanted.canary:
                break
        world.tick()
    assert world.front.files.journal()[-1].cause is Cause.HARM
    assert len(world.shop.ledger.entries()) == rows
    world.until(State.LEARNED)
    assert world.kinds()[-3:] == ["harm", "restored", "reverted"]
    told = world.shop.ledger.find(RETURNED, found.CHANGE, limit=9)
    assert [row.entry.body["cause"] for row in told] == ["harm"]


@pytest.mark.slow
def test_with_the_database_gone_a_safe_canary_stays_where_it_is(world: Steered) -> None:
    at_canary(world)
    with database_gone(world.engine):
        for _ in range(20):
            world.tick()
        assert world.front.wanted.share == 0.2
        for _ in range(15):
            world.tick()
    assert world.front.files.journal()[-1].cause is Cause.LEASE  # nobody renewed it
    world.until(State.LEARNED)
    assert "safe" not in world.kinds()


@pytest.mark.slow
def test_evidence_that_is_damaged_calls_it_back(world: Steered) -> None:
    at_canary(world)
    path = WindowStore(world.home, found.CHANGE).path
    path.write_bytes(b"{}\n" + path.read_bytes())
    world.tick()
    assert world.front.files.journal()[-1].cause is Cause.FAULT
    assert (world.state, world.kinds()[-1]) == (State.ROLLING_BACK, "stop")


@pytest.mark.slow
def test_a_controller_that_another_took_over_from_does_nothing(world: Steered) -> None:
    at_canary(world)
    old, before = world.controller, world.kinds()
    world.new_controller()
    for _ in range(12):
        world.tick()
    assert world.kinds() == before
    assert old.tick(world.now) == ()


@pytest.mark.slow
def test_settings_that_changed_under_way_change_nothing_for_it(world: Steered) -> None:
    at_canary(world)
    one = replace(PLAN, stages=PLAN.stages[:1], bake_share=0.3)
    world.plan = one
    world.controller = world.new_controller()
    world.until(State.BAKING)
    for _ in range(2):
        world.tick()
    assert (world.change.stage, world.front.wanted.share) == (2, PLAN.bake_share)


@pytest.mark.slow
def test_another_service_is_not_ours(world: Steered) -> None:
    at_canary(world)
    other = led(world.engine, "theirs", *TO_CANARY, service="billing")
    world.shop.decisions.record(
        other.change_id, "abort", actor="eve@example.com", reason="ours", now=world.now
    )
    world.tick()
    assert world.front.wanted.share == 0.2
    [waits] = world.shop.decisions.waiting()
    assert waits.change_id == other.change_id


CRASHES = {
    "merged, and died before it said so": (Kind.MERGE, True, "done"),
    "meant to merge, and died": (Kind.MERGE, False, "given up"),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CRASHES)
def test_an_intent_that_a_crash_left_is_settled(world: Steered, name: str) -> None:
    kind, is_done, fate = CRASHES[name]
    put = world.approve()
    world.until(State.BAKING)
    version = world.change.version
    Effects(world.engine).intend(
        found.CHANGE, kind, key=key_of(found.CHANGE, version, kind), stage=2,
        wanted={"commit": put.commit}, epoch=world.controller.epoch, now=world.now,
    )  # fmt: skip
    if is_done:
        world.shop.product.git("push", "-q", "origin", f"{put.commit}:refs/heads/main")
    world.decide("abort")
    world.controller = world.new_controller()
    world.until(State.LEARNED)
    [effect] = world.effects()[kind]
    assert (not effect.is_open, bool(effect.given_up)) == (True, fate == "given up")
    world.shop.product.git("fetch", "-q", "origin")
    assert not world.shop.product.git("diff", world.shop.base, world.head(), "--stat")
    assert (Kind.REVERT in world.effects()) == is_done


@pytest.mark.slow
def test_what_stands_on_a_change_that_is_called_back_goes_back_with_it(world: Steered) -> None:
    """Another change meets users, on top of one that was promoted and turns out to harm."""
    put = world.approve()
    world.until(State.PROMOTED)
    for _ in range(2):
        world.tick()
    world.shop.product.git("fetch", "-q", "origin")
    world.shop.product.git("reset", "-q", "--hard", put.commit)
    above = world.shop.product.commit("Above", other__py="x = 1\n")
    other = led(
        world.engine, "above", *TO_CANARY, base=put.commit, now=world.now,
        body={"commit": above, "plan": to_builtins(PLAN)},
    )  # fmt: skip
    generation = world.front.wanted.generation
    world.front.actuator.stage(
        generation=generation, stable=put.commit, change_id=other.change_id, canary=above
    )
    world.front.look()
    world.front.actuator.set(0.2, generation + 1)
    world.decide("abort", "it harms after all")
    for _ in range(6):
        world.tick()
    wanted = world.front.wanted
    assert (wanted.stable, wanted.canary) == (world.shop.base, "")
    assert world.kinds()[-3:] == ["abort", "restored", "reverted"]
    assert world.kinds(other.change_id)[-3:] == ["stop", "restored", "reverted"]
