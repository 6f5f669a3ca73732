"""What people do with a proposal: every way to merge it is noticed, and decisions are kept."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes import made_findings as found
from fakes.made_repository import MadeRepository
from msgspec.structs import replace
from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import Authority, Change, Changes, Moved, MoveRefused
from selfdrive_dagster.adapters.decisions import Decisions
from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.adapters.outside import (
    WAITING,
    Found,
    Seen,
    carry_out,
    look_outside,
    note_merge,
)
from selfdrive_dagster.adapters.proposals import propose
from selfdrive_dagster.audit import Link, verify
from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.rollout import (
    Destination,
    Findings,
    Proposal,
    branch_name,
    draw_proposal,
    message_of,
    page_path,
    write_page,
)
from selfdrive_dagster.rollout.lifecycle import Actor, Event, Fact, State

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)
BRANCH = branch_name(found.CHANGE)
SHOP = "services/shop/"
TEST_FILE = f"{SHOP}tests/test_selfdrive_1a2b3c4d.py"
PAGE_FILE = f"{SHOP}{page_path(found.CHANGE)}"


@pytest.fixture
def made(tmp_path: Path) -> MadeRepository:
    repository = MadeRepository(tmp_path / "repo")
    repository.write(f"{SHOP}shop/shipping.py", found.SOURCE)
    repository.write("README", "top\n")
    repository.commit("Begin")
    return repository


def put(made: MadeRepository, findings: Findings, remote: str | None = None) -> Proposal:
    """Propose what was found, on a product deep in its repository."""
    base = made.git("rev-parse", "main")
    diagnosis = replace(findings.diagnosis, revision=base)
    findings = replace(findings, diagnosis=diagnosis)
    destination = Destination(branch=BRANCH, into="main", remote=remote or "")
    page = write_page(findings, destination)
    told = propose(
        GitRepository(made.path / SHOP),
        remote=remote,
        branch=BRANCH,
        base=base,
        candidate=findings.proposed,
        reproducer=findings.reproduction.reproducer,
        page=page,
        page_path=page_path(found.CHANGE),
        message=message_of(findings),
        when=NOW,
    )
    return draw_proposal(findings, destination, commit=told.commit, page=page)


def waiting(state: State = State.AWAITING_APPROVAL) -> Change:
    return Change(
        change_id=found.CHANGE,
        issue_id=found.ISSUE,
        service="shop",
        base_revision="",
        state=state,
        since=NOW,
        deadline=NOW,
    )


def look(
    made: MadeRepository, proposal: Proposal, remote: str | None = None, branch: str = "main"
) -> Found | None:
    repository = GitRepository(made.path / SHOP)
    known = {found.CHANGE: proposal}
    all_found = look_outside(repository, [waiting()], known, remote=remote, branch=branch)
    return all_found[0] if all_found else None


def merge(made: MadeRepository) -> str:
    made.git("merge", "-q", "--no-ff", "-m", "Merge", BRANCH)
    return made.git("rev-parse", "HEAD")


def squash(made: MadeRepository) -> str:
    made.git("merge", "-q", "--squash", BRANCH)
    return made.commit("Squashed")


def cherry_pick(made: MadeRepository) -> str:
    made.git("cherry-pick", BRANCH)
    return made.git("rev-parse", "HEAD")


def fast_forward(made: MadeRepository) -> str:
    made.git("merge", "-q", "--ff-only", BRANCH)
    return made.git("rev-parse", "HEAD")


WAYS: dict[str, Callable[[MadeRepository], str]] = {
    "merge": merge,
    "squash": squash,
    "cherry_pick": cherry_pick,
    "fast_forward": fast_forward,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_merge_is_noticed_with_the_commit_that_brought_it(way: str, made: MadeRepository) -> None:
    proposal = put(made, found.certified())
    assert look(made, proposal) is None
    if way != "fast_forward":
        made.commit("Meanwhile", other__py="x = 1\n")
    brought = WAYS[way](made)
    made.commit("Later", third__py="y = 1\n")
    seen = look(made, proposal)
    assert seen is not None
    assert (seen.seen, seen.event, seen.commit) == (Seen.MERGED, Event.MERGED, brought)


def test_an_edit_nearby_does_not_make_it_another_patch(made: MadeRepository) -> None:
    proposal = put(made, found.certified())
    near = found.SOURCE.replace("'north': 4", "'north': 5")
    made.write(f"{SHOP}shop/shipping.py", near)
    made.commit("Near")
    brought = cherry_pick(made)
    seen = look(made, proposal)
    assert seen is not None
    assert (seen.seen, seen.commit) == (Seen.MERGED, brought)


def edit_in_the_squash(made: MadeRepository) -> str:
    made.git("merge", "-q", "--squash", BRANCH)
    made.write(f"{SHOP}shop/shipping.py", found.SOURCE.replace("RATES[zone]", "RATES.get(zone)"))
    return made.commit("Squashed and edited")


def leave_the_page_out(made: MadeRepository) -> str:
    made.git("merge", "-q", "--squash", BRANCH)
    made.git("rm", "-q", "-f", PAGE_FILE)
    return made.commit("Without the page")


def leave_the_test_out(made: MadeRepository) -> str:
    made.git("merge", "-q", "--squash", BRANCH)
    made.git("rm", "-q", "-f", TEST_FILE)
    return made.commit("Without the test")


def add_to_the_branch(made: MadeRepository) -> str:
    made.git("checkout", "-q", BRANCH)
    made.commit("And this", more__py="z = 1\n")
    made.git("checkout", "-q", "main")
    return merge(made)


EDITS = [edit_in_the_squash, leave_the_page_out, leave_the_test_out, add_to_the_branch]


@pytest.mark.parametrize("edit", EDITS, ids=lambda edit: edit.__name__)
def test_a_change_that_came_in_edited_is_amended(
    edit: Callable[[MadeRepository], str], made: MadeRepository
) -> None:
    proposal = put(made, found.certified())
    made.commit("Meanwhile", other__py="x = 1\n")
    brought = edit(made)
    made.commit("Later", third__py="y = 1\n")
    seen = look(made, proposal)
    assert seen is not None
    assert (seen.seen, seen.event, seen.commit) == (Seen.AMENDED, Event.MERGED, brought)


def test_a_base_that_moved_is_noted_with_the_files_that_matter(made: MadeRepository) -> None:
    proposal = put(made, found.certified())
    head = made.commit("Elsewhere", other__py="x = 1\n")
    seen = look(made, proposal)
    assert seen is not None
    assert (seen.seen, seen.event, seen.commit) == (Seen.BASE_MOVED, None, head)
    assert seen.touched == ()
    made.write(f"{SHOP}shop/shipping.py", found.SOURCE + "# more\n")
    made.commit("Here")
    seen = look(made, proposal)
    assert seen is not None
    assert seen.touched == (f"{SHOP}shop/shipping.py",)


def test_an_unproven_branch_that_was_merged_is_no_fix(made: MadeRepository) -> None:
    proposal = put(made, found.unproven())
    merge(made)
    seen = look(made, proposal)
    assert seen is not None
    assert seen.seen is Seen.BASE_MOVED


def test_a_fix_that_people_added_to_an_unproven_branch_is_one(made: MadeRepository) -> None:
    proposal = put(made, found.unproven())
    brought = add_to_the_branch(made)
    seen = look(made, proposal)
    assert seen is not None
    assert (seen.seen, seen.commit) == (Seen.AMENDED, brought)


def test_a_commit_that_is_gone_is_lost_not_unmerged(made: MadeRepository) -> None:
    proposal = replace(put(made, found.certified()), commit="d" * 40)
    seen = look(made, proposal)
    assert seen is not None
    assert (seen.seen, seen.event) == (Seen.LOST, None)


def test_the_remote_is_asked_not_the_checkout(made: MadeRepository, tmp_path: Path) -> None:
    made.git("clone", "-q", "--bare", ".", str(tmp_path / "origin.git"))
    made.git("remote", "add", "origin", str(tmp_path / "origin.git"))
    proposal = put(made, found.certified(), remote="origin")
    made.git("clone", "-q", str(tmp_path / "origin.git"), str(tmp_path / "theirs"))
    theirs = MadeRepository(tmp_path / "theirs")
    theirs.git("merge", "-q", "--no-ff", "-m", "Merge", f"origin/{BRANCH}")
    theirs.git("push", "-q", "origin", "main")
    brought = theirs.git("rev-parse", "HEAD")
    assert look(made, proposal) is None
    seen = look(made, proposal, remote="origin")
    assert seen is not None
    assert (seen.seen, seen.commit) == (Seen.MERGED, brought)


def test_a_remote_that_is_away_is_an_error_not_silence(
    made: MadeRepository, tmp_path: Path
) -> None:
    proposal = put(made, found.certified())
    made.git("remote", "add", "origin", str(tmp_path / "nowhere.git"))
    with pytest.raises(SelfdriveError, match="could not be read"):
        look(made, proposal, remote="origin")
    with pytest.raises(BadInput, match="no revision"):
        look(made, proposal, branch="live")


@pytest.mark.parametrize("state", [one for one in State if one not in WAITING])
def test_only_changes_that_wait_are_looked_at(state: State, made: MadeRepository) -> None:
    proposal = put(made, found.certified())
    merge(made)
    repository = GitRepository(made.path / SHOP)
    known = {found.CHANGE: proposal}
    assert look_outside(repository, [waiting(state)], known, remote=None, branch="main") == ()
    assert look_outside(repository, [waiting()], {}, remote=None, branch="main") == ()
    signed = [waiting(State.APPROVED)]
    assert (
        look_outside(repository, signed, known, remote=None, branch="main")[0].seen is Seen.MERGED
    )


# In the database

ALL = frozenset(Fact)
RUN = Authority(who="selfdrive", role=Actor.GUARD, run_id="run-7")


def opened(engine: Engine, *events: tuple[Event, Actor]) -> Changes:
    changes = Changes(engine)
    loop = Authority(who="selfdrive", role=Actor.LOOP, run_id="run-1")
    changes.open(found.CHANGE, found.ISSUE, service="shop", base_revision="abc", by=loop, now=NOW)
    for event, role in events:
        by = Authority(who="selfdrive", role=role, run_id="run-1")
        changes.move(found.CHANGE, event, by=by, now=NOW, facts=ALL)
    return changes


TO_PROPOSED = (
    (Event.START, Actor.LOOP),
    (Event.PROVEN, Actor.VALIDATOR),
    (Event.PROPOSE, Actor.LOOP),
)


def seen(what: Seen) -> Found:
    return Found(change_id=found.CHANGE, seen=what, commit="c" * 40, says="as proposed")


@pytest.mark.parametrize("what", [Seen.MERGED, Seen.AMENDED])
def test_a_merge_moves_the_change_and_names_the_commit(what: Seen, engine: Engine) -> None:
    changes = opened(engine, *TO_PROPOSED)
    moved = note_merge(seen(what), changes, by=RUN, now=NOW)
    assert moved.change.state is State.MERGED_OUTSIDE
    body = moved.row.entry.body
    assert (body["commit"], body["seen"]) == ("c" * 40, what.value)
    with pytest.raises(MoveRefused):
        note_merge(seen(what), changes, by=RUN, now=NOW)


def test_what_is_only_noted_moves_nothing(engine: Engine) -> None:
    changes = opened(engine, *TO_PROPOSED)
    with pytest.raises(BadInput, match="moves nothing"):
        note_merge(seen(Seen.BASE_MOVED), changes, by=RUN, now=NOW)


@pytest.mark.parametrize("events", [(), TO_PROPOSED[:1], TO_PROPOSED])
def test_a_rejection_is_carried_out_in_the_persons_name(
    events: tuple[tuple[Event, Actor], ...], engine: Engine
) -> None:
    changes = opened(engine, *events)
    decisions = Decisions(engine)
    noted = decisions.record(
        found.CHANGE, "reject", actor="ada", reason="wrong default", now=NOW,
        digests={"patch": "d" * 64},
    )  # fmt: skip
    moved = carry_out(noted, changes, engine, by=RUN, now=NOW)
    assert isinstance(moved, Moved)
    assert moved.change.state is State.REJECTED
    entry = moved.row.entry
    assert (entry.actor, entry.run_id, entry.kind) == ("ada", "run-7", "change.reject")
    assert entry.body["reason"] == "wrong default"
    assert entry.body["digests"] == {"patch": "d" * 64}
    assert decisions.waiting() == ()


def test_a_rejection_that_came_too_late_is_set_aside_not_kept_for_ever(engine: Engine) -> None:
    changes = opened(engine, *TO_PROPOSED)
    decisions = Decisions(engine)
    noted = decisions.record(found.CHANGE, "reject", actor="ada", reason="no", now=NOW)
    note_merge(seen(Seen.MERGED), changes, by=RUN, now=NOW)
    row = carry_out(noted, changes, engine, by=RUN, now=NOW)
    assert isinstance(row, Link)
    assert row.entry.kind == "decision.set_aside"
    assert "merged_outside" in row.entry.body["because"]
    assert changes.get(found.CHANGE).state is State.MERGED_OUTSIDE
    assert decisions.waiting() == ()
    assert verify(Ledger(engine).entries()) is None


def test_an_unknown_verdict_is_told(engine: Engine) -> None:
    changes = opened(engine)
    noted = Decisions(engine).record(found.CHANGE, "applaud", actor="ada", reason="!", now=NOW)
    with pytest.raises(BadInput, match="applaud"):
        carry_out(noted, changes, engine, by=RUN, now=NOW)
