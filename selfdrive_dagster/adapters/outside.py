"""What people did with a proposal: merged it in git, or decided on it at the terminal.

A merge is told by commit and patch-id, so a squash or a rebase counts as well; the page, which
bears the change's id, tells of a change that came in edited. Nothing is judged here, and
nothing moves but by the lifecycle's table.
"""

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from enum import Enum

import msgspec
from sqlalchemy import Engine

from selfdrive_dagster.adapters.changes import (
    Authority,
    Change,
    Changes,
    Moved,
    MoveRefused,
    settle,
)
from selfdrive_dagster.adapters.decisions import Decision
from selfdrive_dagster.adapters.git import GitFailed, GitRepository
from selfdrive_dagster.adapters.ledger import Ledger
from selfdrive_dagster.audit import Entry, Link
from selfdrive_dagster.errors import BadInput, SelfdriveError
from selfdrive_dagster.rollout import Proposal
from selfdrive_dagster.rollout.lifecycle import IN_FLIGHT, Actor, Event, Fact, State

WAITING = (State.AWAITING_APPROVAL, State.APPROVED)

LOOK_BACK = 2_000
"""How many of the newest commits are compared."""


class Seen(Enum):
    """What was seen outside."""

    MERGED = "merged"
    AMENDED = "amended"
    BASE_MOVED = "base_moved"
    LOST = "lost"
    UNKNOWN = "unknown"


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One thing seen. `commit` brought the change into the product's branch, or is its head.

    `touched` are files of the proposal that others changed since its base.
    """

    change_id: str
    seen: Seen
    commit: str
    says: str
    touched: tuple[str, ...] = ()

    @property
    def event(self) -> Event | None:
        """The move that follows, None for what is only noted."""
        return Event.MERGED if self.seen in (Seen.MERGED, Seen.AMENDED) else None


def look_outside(
    repository: GitRepository,
    changes: Iterable[Change],
    proposals: Mapping[str, Proposal],
    *,
    remote: str | None,
    branch: str,
) -> tuple[Found, ...]:
    """Say which waiting proposals others merged into `branch`, and where the base moved.

    Asks the remote once, or the repository itself without one. `proposals` are by change id.
    A proposal that git fails on is UNKNOWN and keeps no other from being looked at. Raises
    SelfdriveError when the remote cannot be reached, BadInput when it has no such branch.
    """
    waiting = [c for c in changes if c.state in WAITING and c.change_id in proposals]
    if not waiting:
        return ()
    repository.refresh()
    head = repository.fetch(remote, branch) if remote else repository.revision(f"heads/{branch}")
    found = (look_safely(repository, proposals[change.change_id], head) for change in waiting)
    return tuple(one for one in found if one is not None)


def look_safely(repository: GitRepository, proposal: Proposal, head: str) -> Found | None:
    """Do what `look_at` does, and say UNKNOWN where git fails: that is not "not merged"."""
    try:
        return look_at(repository, proposal, head)
    except SelfdriveError as fault:
        says = f"git could not tell: {fault}"
        return Found(change_id=proposal.change_id, seen=Seen.UNKNOWN, commit=head, says=says)


def look_at(repository: GitRepository, proposal: Proposal, head: str) -> Found | None:
    """Say what became of one proposal, None while nothing happened."""
    tip = proposal.commit

    def seen(what: Seen, commit: str, says: str, touched: tuple[str, ...] = ()) -> Found:
        return Found(
            change_id=proposal.change_id, seen=what, commit=commit, says=says, touched=touched
        )

    if repository.lookup(tip) is None:
        return seen(Seen.LOST, head, f"commit {tip[:12]} of {proposal.branch} is no longer here")
    fork = fork_of(repository, tip, head)
    if fork is None:
        return seen(Seen.LOST, head, "the product's branch shares no history with the proposal")
    equal = merged(repository, tip, head) if fork == tip else taken(repository, tip, fork, head)
    if equal is not None and (proposal.patch is not None or equal[0] is Seen.AMENDED):
        return seen(*equal)
    if equal is None and (edited := edited_in(repository, proposal, fork, head)):
        return seen(Seen.AMENDED, edited, "it came in with other edits")
    if head == proposal.base_revision:
        return None
    touched = touched_by_others(repository, proposal, head)
    count = f"{len(touched)} of its files" if touched else "none of its files"
    says = f"the product's branch went on to {head[:12]}, which changed {count}"
    return seen(Seen.BASE_MOVED, head, says, touched)


Equal = tuple[Seen, str, str]


def merged(repository: GitRepository, tip: str, head: str) -> Equal:
    """Return how a commit that is part of the branch got there: the merge, or itself."""
    line = revisions(repository, "--first-parent", f"{tip}..{head}")
    after = set(revisions(repository, "--ancestry-path", f"{tip}..{head}"))
    entry = next((sha for sha in reversed(line) if sha in after), None)
    if entry is None or repository.revision(f"{entry}^1") == tip:
        return Seen.MERGED, tip, "the commit itself is part of the branch"
    before = repository.revision(f"{entry}^1")
    if patch_between(repository, before, entry) == patch_of(repository, tip):
        return Seen.MERGED, entry, "merged as it was proposed"
    return Seen.AMENDED, entry, "merged together with other edits"


def taken(repository: GitRepository, tip: str, fork: str, head: str) -> Equal | None:
    """Return the commit of equal patch-id: a squash, a rebase or a cherry-pick."""
    commits = revisions(repository, "--no-merges", f"--max-count={LOOK_BACK}", f"{fork}..{head}")
    wanted = patch_of(repository, tip)
    told = "\n".join(commits).encode()
    diffs = repository.shadow.git("diff-tree", "--stdin", "-p", "-U0", "-r", stdin=told)
    rows = repository.shadow.git("patch-id", "--stable", stdin=diffs).decode().splitlines()
    found = next((sha for patch, sha in map(str.split, rows) if patch == wanted), None)
    return (Seen.MERGED, found, "an equal patch is part of the branch") if found else None


def edited_in(repository: GitRepository, proposal: Proposal, fork: str, head: str) -> str | None:
    """Return the first commit that brought the proposal's page or test: nobody else has them."""
    prefix = repository.shadow.place.prefix
    names = [proposal.page_path, proposal.reproducer_path]
    own = [f"{prefix}{name}" for name in names if name]
    new = [path for path in own if not is_file(repository, fork, path)]
    if not new:
        return None
    commits = revisions(repository, "--no-merges", f"{fork}..{head}", "--", *new)
    return commits[-1] if commits else None


def touched_by_others(repository: GitRepository, proposal: Proposal, head: str) -> tuple[str, ...]:
    """Return the proposal's files that differ between its base and the branch's head."""
    base = proposal.base_revision
    own = names_between(repository, base, proposal.commit)
    return tuple(name for name in names_between(repository, base, head) if name in own)


def names_between(repository: GitRepository, one: str, other: str) -> tuple[str, ...]:
    """Return the files that differ between two commits, from the repository's top."""
    told = repository.shadow.git("diff-tree", "-r", "-z", "--name-only", one, other)
    return tuple(name for name in told.decode(errors="replace").split("\0") if name)


def fork_of(repository: GitRepository, one: str, other: str) -> str | None:
    """Return where two histories part, None when they share nothing."""
    try:
        return repository.shadow.git("merge-base", one, other).decode().strip()
    except GitFailed:
        return None


def revisions(repository: GitRepository, *arguments: str) -> tuple[str, ...]:
    """Return what `git rev-list` lists, newest first."""
    return tuple(repository.shadow.git("rev-list", *arguments).decode().split())


def is_file(repository: GitRepository, revision: str, full_path: str) -> bool:
    """Say whether a path was there at a revision."""
    return bool(repository.shadow.git("ls-tree", "--full-tree", revision, "--", full_path))


def patch_of(repository: GitRepository, tip: str) -> str:
    """Return the patch-id of a proposal's one commit."""
    return patch_between(repository, repository.revision(f"{tip}^1"), tip)


def patch_between(repository: GitRepository, one: str, other: str) -> str:
    """Return the patch-id of what lies between two commits, lines around it left out.

    Without context an edit of others nearby does not make it another patch.
    """
    diff = repository.shadow.git("diff-tree", "-p", "-U0", "-r", one, other)
    return repository.shadow.git("patch-id", "--stable", stdin=diff).decode().partition(" ")[0]


def note_merge(found: Found, changes: Changes, *, by: Authority, now: datetime) -> Moved:
    """Move a change that others merged; `by` is the guard's run. Raises MoveRefused."""
    if found.event is None:
        raise BadInput(f"{found.change_id}: {found.seen.value} is noted, it moves nothing.")
    body = {"commit": found.commit, "seen": found.seen.value, "says": found.says}
    facts = {Fact.MERGE_SEEN_IN_GIT}
    return changes.move(found.change_id, found.event, by=by, now=now, facts=facts, body=body)


REASONED = frozenset({Fact.REASON_GIVEN})

VERDICTS: dict[str, tuple[Event, Actor, frozenset[Fact]]] = {
    "reject": (Event.REJECT, Actor.HUMAN, REASONED),
    "abort": (Event.ABORT, Actor.HUMAN, REASONED),
    "pause": (Event.PAUSE, Actor.HUMAN, REASONED),
    "resume": (Event.RESUME, Actor.OPERATOR, REASONED),
    "amend": (Event.PATCH_EDITED, Actor.GUARD, REASONED),
}
"""What can be decided, the move and the role it asks for, and what the decision makes known."""

SIGNED = {"approve": State.AWAITING_APPROVAL, "advance_on_weak_evidence": State.HOLD}
"""What is decided by signature, and where a change waits for it: others carry that out."""

ROLLED_OUT = frozenset({"abort", "pause", "resume"})
"""What the controller carries out, which looks every second and knows the traffic."""


def is_left_to_others(decision: Decision, changes: Changes, now: datetime) -> bool:
    """Say whether a decision waits where somebody else carries it out."""
    change = changes.get(decision.change_id)
    if change is not None and decision.verdict in ROLLED_OUT:
        return change.state in (*IN_FLIGHT, State.PROMOTED)
    if change is None or change.state is not SIGNED.get(decision.verdict):
        return False
    return change.deadline is None or now < change.deadline


def carry_out(
    decision: Decision,
    changes: Changes,
    engine: Engine,
    *,
    by: Authority,
    now: datetime,
    known: frozenset[Fact] = frozenset(),
) -> Moved | Link:
    """Carry out a person's decision in their name; `by` is who does it, `known` what they know.

    A decision that came too late is answered with a ledger row that says why, so that it does
    not wait for ever. Raises BadInput for a verdict that nobody knows.
    """
    if decision.verdict in SIGNED:
        late = f"the change does not wait for {decision.verdict.replace('_', ' ')} any more"
        return set_aside(decision, engine, late, by=by, now=now)
    if decision.verdict not in VERDICTS:
        names = ", ".join(VERDICTS)
        raise BadInput(f"Nobody can carry out {decision.verdict!r}.", remedy=f"known: {names}")
    event, role, facts = VERDICTS[decision.verdict]
    signature = decision.signature or by.signature
    person = Authority(who=decision.actor, role=role, run_id=by.run_id, signature=signature)
    body = dict(told_by(decision))
    try:
        return changes.move(
            decision.change_id,
            event,
            by=person,
            now=now,
            facts=facts | known,
            body=body,
            decision_id=decision.decision_id,
        )
    except MoveRefused as refused:
        return set_aside(decision, engine, refused.refusal.reason, by=by, now=now)


def told_by(decision: Decision) -> Iterator[tuple[str, object]]:
    """Yield what a ledger row says of a decision."""
    yield "decision_id", decision.decision_id
    yield "reason", decision.reason
    yield "digests", decision.digests
    yield "decided_at", decision.at.isoformat()


def set_aside(
    decision: Decision, engine: Engine, because: str, *, by: Authority, now: datetime
) -> Link:
    """Note why a decision cannot be carried out, and let it rest."""
    entry = Entry(
        at=now,
        actor=by.who,
        kind="decision.set_aside",
        change_id=decision.change_id,
        body={"by": decision.actor, "because": because, **dict(told_by(decision))},
        run_id=by.run_id,
        signature=by.signature,
    )
    with engine.begin() as connection:
        row = Ledger(engine).append(entry, connection)
        settle(connection, decision.decision_id, decision.change_id, row.seq)
    return row
