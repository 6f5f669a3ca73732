"""Members: which fingerprints are one issue, who said so, and why.

An issue is named by the first fingerprint it was known by. Every other one in it is a pointer with
a reason, and can be taken back: nothing is renamed, events keep their fingerprint. In this order,
the first that says something decides:

    person      somebody merged or split (`Verdict`), until it is undone
    version     an earlier version of the fingerprint, or other settings, had named it so
    alignment   the traces are alike (`align`)

What comes out depends on the traces, the verdicts and what was carried over, not on the order in
which they came in.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues.align import ALIGNMENT, MERGE, Suggestion, suggest
from selfdrive_dagster.issues.events import IssueEventRow
from selfdrive_dagster.issues.traces import Trace, earliest

PERSON, VERSION, BY_ALIGNMENT = "person", "version", f"alignment {ALIGNMENT}"

MERGED, SPLIT, UNDONE = "merge", "split", "undo"


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """What a person decided: `name` (an issue or a fingerprint) belongs to `issue_id`.

    A split points a name at itself. `undo` takes back the last verdict on the name.
    """

    verdict: str
    name: str
    issue_id: str
    actor: str
    reason: str
    at: datetime


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A pointer: events of `fingerprint` are in the issue `issue_id`, since `valid_from`."""

    fingerprint: str
    issue_id: str
    merged_by: str
    reason: str
    valid_from: datetime

    @property
    def is_personal(self) -> bool:
        """Say whether a person put it there."""
        return self.merged_by.startswith(f"{PERSON} ")


class Members:
    """The pointers of a moment: asked for the issue of a fingerprint."""

    def __init__(self, pointers: Iterable[Member] = (), verdicts: Iterable[Verdict] = ()) -> None:
        self._pointers = {each.fingerprint: each for each in pointers}
        self._verdicts = standing(verdicts)

    def issue_of(self, fingerprint: str) -> str:
        """Return the issue that a fingerprint is in: its own where nobody said otherwise."""
        return self.pointer(fingerprint)[0]

    def pointer(self, fingerprint: str) -> tuple[str, Member | Verdict | None]:
        """Return the issue, and who put the fingerprint there last."""
        said = self._verdicts.get(fingerprint)
        if said is None and (known := self._pointers.get(fingerprint)):
            name, by = self._follow(known.issue_id)
            return name, by or known
        return self._follow(fingerprint)

    def _follow(self, name: str) -> tuple[str, Verdict | None]:
        seen, last = {name}, None
        while (said := self._verdicts.get(name)) and said.issue_id not in seen:
            name, last = said.issue_id, said
            seen.add(name)
        return name, last or (said if said and said.issue_id == name else None)


def standing(verdicts: Iterable[Verdict]) -> dict[str, Verdict]:
    """Return the verdict that stands on each name, after all that was undone."""
    said: dict[str, list[Verdict]] = defaultdict(list)
    for each in verdicts:
        if each.verdict != UNDONE:
            said[each.name].append(each)
        elif said[each.name]:
            said[each.name].pop()
    return {name: stack[-1] for name, stack in said.items() if stack}


def current(pointers: Iterable[Member], verdicts: Sequence[Verdict]) -> Members:
    """Return pointers that were decided earlier, without those of verdicts taken back since."""
    said = {(each.reason, each.at) for each in standing(verdicts).values()}
    stand = (m for m in pointers if not m.is_personal or (m.reason, m.valid_from) in said)
    return Members(stand, verdicts)


def merged(
    traces: Sequence[Trace],
    verdicts: Sequence[Verdict] = (),
    carried: Sequence[Member] = (),
    *,
    merges: bool = True,
) -> tuple[Member, ...]:
    """Return every pointer that is not a fingerprint's own id, in the order of fingerprints.

    `carried` tells which issue a fingerprint was in by an earlier version. `merges` says whether
    alignment may put together by itself what is alike enough.
    """
    before = {each.fingerprint: each for each in carried}
    aligned = _aligned(traces, verdicts, before) if merges else {}
    everyone = Members([*aligned.values(), *carried], verdicts)
    names = sorted({*before, *(trace.fingerprint for trace in traces)})
    shown = (_as_member(name, everyone) for name in names)
    return tuple(each for each in shown if each is not None)


def _as_member(name: str, members: Members) -> Member | None:
    issue_id, by = members.pointer(name)
    if isinstance(by, Member):
        return msgspec.structs.replace(by, issue_id=issue_id) if issue_id != name else None
    if by is None:
        return None
    return Member(
        fingerprint=name,
        issue_id=issue_id,
        merged_by=f"{PERSON} {by.actor}",
        reason=by.reason,
        valid_from=by.at,
    )


def _aligned(
    traces: Sequence[Trace], verdicts: Sequence[Verdict], carried: Mapping[str, Member]
) -> dict[str, Member]:
    """Return the pointers of traces that are alike, each at the earliest of its kind."""
    apart = {name for name, said in standing(verdicts).items() if said.verdict == SPLIT}
    apart |= {name for name, known in carried.items() if known.issue_id in apart}
    free = [trace for trace in traces if trace.fingerprint not in apart]
    first = {trace.fingerprint: (trace.first_seen, trace.fingerprint) for trace in free}
    leader = {name: name for name in first}
    why: dict[str, Suggestion] = {}

    def head(name: str) -> str:
        while leader[name] != name:
            name = leader[name]
        return name

    for each in suggest(free, MERGE):
        one, other = head(each.fingerprint), head(each.like)
        if one == other or (one in carried and other in carried):
            continue
        # What an earlier version had named leads, whenever it was seen: its id is known to people.
        early, late = sorted((one, other), key=lambda name: (name not in carried, first[name]))
        leader[late] = early
        why[late] = each
    return {
        name: Member(
            fingerprint=name,
            issue_id=carried[head(name)].issue_id if head(name) in carried else head(name),
            merged_by=BY_ALIGNMENT,
            reason=f"{why[name].score:.2f} alike: {why[name].says}",
            valid_from=first[name][0],
        )
        for name in leader
        if head(name) != name and name not in carried
    }


def placed(
    named: Iterable[tuple[IssueEventRow, Trace]],
    verdicts: Sequence[Verdict] = (),
    *,
    merges: bool = True,
) -> list[IssueEventRow]:
    """Return events in the issues that they belong to, known from these events alone."""
    pairs = list(named)
    traces = earliest(trace for _, trace in pairs)
    members = Members(merged(traces, verdicts, merges=merges), verdicts)
    return [
        msgspec.structs.replace(event, issue_id=members.issue_of(event.issue_id))
        for event, _ in pairs
    ]


def merging(
    members: Members, one: str, other: str, *, actor: str, reason: str, at: datetime
) -> Verdict:
    """Return the verdict that puts issue `other` into issue `one`.

    Raises BadInput where they are one already, or no reason is given.
    """
    into, name = members.issue_of(one), members.issue_of(other)
    if into == name:
        raise BadInput(
            f"{one} and {other} are one issue already: {into}.", remedy="selfdrive issues like"
        )
    return _said(MERGED, name, into, actor, reason, at)


def splitting(
    members: Members, issue_id: str, part: str, *, actor: str, reason: str, at: datetime
) -> Verdict:
    """Return the verdict that takes a fingerprint out of an issue and makes it one of its own."""
    if part == issue_id:
        raise BadInput(
            f"{issue_id} is named by this fingerprint: it cannot be taken out.",
            remedy="split off the others",
        )
    if members.issue_of(part) != issue_id:
        raise BadInput(f"{part} is not in {issue_id}.", remedy=f"selfdrive issue {issue_id}")
    return _said(SPLIT, part, part, actor, reason, at)


def undoing(
    verdicts: Sequence[Verdict], name: str, *, actor: str, reason: str, at: datetime
) -> Verdict:
    """Return the verdict that takes back the last one on a name."""
    last = standing(verdicts).get(name)
    if last is None:
        raise BadInput(f"Nobody merged or split {name}.", remedy="selfdrive issues merged")
    return _said(UNDONE, name, last.issue_id, actor, reason, at)


def _said(verdict: str, name: str, issue_id: str, actor: str, reason: str, at: datetime) -> Verdict:
    if not reason.strip():
        raise BadInput(f"A {verdict} needs a reason.", remedy='--reason "what you saw"')
    return Verdict(
        verdict=verdict, name=name, issue_id=issue_id, actor=actor, reason=reason.strip(), at=at
    )
