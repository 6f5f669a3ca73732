"""The past, looked at as the loop would have looked: which issue when, and what would be tried.

Events are taken in the order of their own times, in batches as the loop makes them. After each
the issues are known, and where one of them may be tried the whole board is ranked as of that
moment and asked by the loop's own rule (`opening`). What an answer would have changed is not
imagined: a change once opened stands, no fix arrives, and the owner's limit of open changes is
not applied. Belongs here: the order of things. Does not belong: reading files, running anything.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

import msgspec

from selfdrive_dagster.issues.board import MOST, Board, make_board
from selfdrive_dagster.issues.events import IssueEventRow
from selfdrive_dagster.issues.gather import gather
from selfdrive_dagster.issues.opening import change_id_of, to_open
from selfdrive_dagster.issues.rank import RankedIssue, rank
from selfdrive_dagster.issues.score import RANKS
from selfdrive_dagster.issues.triage import Decision, TriageFacts, TriageSettings, triage
from selfdrive_dagster.model import Progress, silent

MOMENT = timedelta(seconds=15)
"""The loop makes a batch of what came in that time."""

AGAIN = timedelta(hours=1)
"""How often one that may be tried and is not opened (its place in the ranking, or another change
for the same raising place) is looked at again: the loop ranks at least each hour."""


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The moment at which a change would have been opened, and how the issue stood then."""

    at: datetime
    change_id: str
    rank: int
    score: float
    events: int
    users: int | None


class ReplayedIssue(msgspec.Struct, frozen=True, kw_only=True):
    """One issue: when it was known first, how it stands at the end, whether it would be tried.

    `why_not` is "" where `tried` is told.
    """

    known_at: datetime
    issue: RankedIssue
    tried: Tried | None
    why_not: str


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """A history gone through; `issues` in the order in which they would have been known.

    `begin` and `end` are None where nothing happened.
    """

    begin: datetime | None
    end: datetime | None
    events: int
    issues: tuple[ReplayedIssue, ...]


def replay(
    events: Iterable[IssueEventRow],
    settings: TriageSettings | None = None,
    progress: Progress = silent,
) -> Replay:
    """Go through events in the order of their times; the order given and copies do not matter."""
    unique = {event.event_id: event for event in events}
    ordered = sorted(unique.values(), key=lambda event: (event.timestamp, event.event_id))
    if not ordered:
        return Replay(begin=None, end=None, events=0, issues=())
    past = _Past(ordered, settings or TriageSettings())
    for count, moment in past.moments():
        progress(f"{count:,} of {len(ordered):,} events, {moment:%Y-%m-%d}")
    return past.told()


class _Life:
    """What the rules of triage ask of one issue, counted on as its events come."""

    def __init__(self, known_at: datetime) -> None:
        self.known_at = known_at
        self.look_again = known_at
        self._counts: Counter[str] = Counter()
        self._versions: set[str] = set()
        self._level = "debug"
        self._newest: IssueEventRow | None = None

    def add(self, event: IssueEventRow) -> None:
        """Count a further event; they come in the order of time."""
        self._counts[event.source] += 1
        self._versions |= {event.service_version} if event.service_version else set()
        self._level = max(self._level, event.severity_text, key=RANKS.__getitem__)
        self._newest = event

    def may_be_tried(self, now: datetime, settings: TriageSettings) -> bool:
        """Say whether triage answers `autofix` now."""
        newest = self._newest
        if newest is None:
            return False
        facts = TriageFacts(
            exception_type=newest.exception_type,
            level=self._level,
            events_total=max(self._counts.values()),
            last_seen=newest.timestamp,
            now=now,
            in_app_paths=newest.in_app_paths,
            raised_in_app=newest.raised_in_app,
            culprit=newest.culprit,
            versions=tuple(sorted(self._versions)),
        )
        return triage(facts, settings).decision is Decision.AUTOFIX


class _Past:
    """One walk through a history."""

    def __init__(self, ordered: Sequence[IssueEventRow], settings: TriageSettings) -> None:
        self._ordered = ordered
        self._settings = settings
        self._lives: dict[str, _Life] = {}
        self._tried: dict[str, Tried] = {}

    def moments(self) -> Iterator[tuple[int, datetime]]:
        """Go on batch by batch; yields how many events are behind and the moment."""
        count = 0
        for moment, batch in _batches(self._ordered):
            touched = dict.fromkeys(event.issue_id for event in batch)
            for event in batch:
                self._lives.setdefault(event.issue_id, _Life(moment)).add(event)
            count += len(batch)
            if waiting := [name for name in touched if self._waits(name, moment)]:
                self._open(count, moment)
                for name in waiting:
                    self._lives[name].look_again = moment + AGAIN
            yield count, moment

    def _waits(self, name: str, moment: datetime) -> bool:
        life = self._lives[name]
        due = name not in self._tried and moment >= life.look_again
        return due and life.may_be_tried(moment, self._settings)

    def _board(self, count: int, moment: datetime) -> Board:
        summaries = gather(self._ordered[:count], moment)
        ranked = rank(summaries, settings=self._settings)
        return make_board(ranked, {issue.issue_id: issue.sample_event_id for issue in ranked})

    def _open(self, count: int, moment: datetime) -> None:
        board = self._board(count, moment)
        fresh = to_open(board, {tried.change_id for tried in self._tried.values()})
        for issue in board.issues:
            if (change_id := change_id_of(issue.issue_id, 1)) in fresh:
                self._tried[issue.issue_id] = Tried(
                    at=moment,
                    change_id=change_id,
                    rank=issue.rank,
                    score=issue.score.total,
                    events=issue.events_total,
                    users=issue.users,
                )

    def told(self) -> Replay:
        """Return what came of it, with the ranking at the end."""
        begin, end = self._ordered[0].timestamp, self._ordered[-1].timestamp
        ranked = rank(gather(self._ordered, end), settings=self._settings)
        places = {issue.issue_id: (issue.exception_type, issue.culprit) for issue in ranked}
        changed: dict[tuple[str, str], list[str]] = defaultdict(list)
        for name in self._tried:
            changed[places[name]].append(name)
        issues = [
            ReplayedIssue(
                known_at=self._lives[issue.issue_id].known_at,
                issue=issue,
                tried=(tried := self._tried.get(issue.issue_id)),
                why_not="" if tried else why_not(issue, changed[places[issue.issue_id]]),
            )
            for issue in ranked
        ]
        issues.sort(key=lambda each: (each.known_at, each.issue.issue_id))
        return Replay(begin=begin, end=end, events=len(self._ordered), issues=tuple(issues))


def why_not(issue: RankedIssue, same_place: Sequence[str]) -> str:
    """Say why no change would have been opened; `same_place` are tried issues raised there."""
    if issue.triage.decision is not Decision.AUTOFIX:
        return issue.triage.says
    if same_place:
        return f"raised where {same_place[0]} is raised: one change serves both"
    return f"never among the first {MOST} of the ranking while it could be tried"


def _batches(
    ordered: Sequence[IssueEventRow],
) -> Iterator[tuple[datetime, list[IssueEventRow]]]:
    """Yield the events of each batch with the moment at which it ends."""
    step = MOMENT.total_seconds()
    for number, batch in groupby(ordered, lambda event: int(event.timestamp.timestamp() // step)):
        yield datetime.fromtimestamp((number + 1) * step, UTC), list(batch)
