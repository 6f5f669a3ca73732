"""The replay opens what the loop would open, had it ranked the whole board at each moment."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from selfdrive_dagster.issues import IssueEventRow, TriageSettings, crash_event, gather, rank
from selfdrive_dagster.issues.board import make_board
from selfdrive_dagster.issues.opening import to_open
from selfdrive_dagster.issues.replay import MOMENT, replay
from selfdrive_dagster.model import Crash, Frame, RaisedException

BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
LIMITS = TriageSettings(min_events=3, max_age=timedelta(days=2), protected=("shop/auth.py",))
PLACES = ("page", "cart", "auth", "lib")
TYPES = ("KeyError", "TimeoutError", "ValueError")


def issue_row(number: int, minute: int, place: str, kind: str, level: str) -> IssueEventRow:
    own = place != "lib"
    frame = Frame(
        path=f"shop/{place}.py", function=place, line=3, module=f"shop.{place}", in_app=own
    )
    crash = Crash(
        event_id=f"{number:032x}",
        source="sentry",
        exceptions=(RaisedException(type=kind, value="x", frames=(frame,)),),
        timestamp=BEGIN + timedelta(minutes=minute),
        level=level,
    )
    return crash_event(crash, BEGIN)


rows = st.lists(
    st.tuples(
        st.integers(0, 4_000),
        st.sampled_from(PLACES),
        st.sampled_from(TYPES),
        st.sampled_from(["error", "warning", "fatal"]),
    ),
    min_size=1,
    max_size=40,
).map(lambda cells: [issue_row(n, *cell) for n, cell in enumerate(cells)])


def openings(events: list[IssueEventRow]) -> dict[str, datetime]:
    """Return when each change opens, by asking the whole board after each single batch."""
    step = MOMENT.total_seconds()
    ends = {int(each.timestamp.timestamp() // step) + 1 for each in events}
    opened: dict[str, datetime] = {}
    for end in sorted(ends):
        moment = datetime.fromtimestamp(end * step, UTC)
        seen = [each for each in events if each.timestamp < moment]
        ranked = rank(gather(seen, moment), settings=LIMITS)
        board = make_board(ranked, {each.issue_id: "crash" for each in ranked})
        opened |= dict.fromkeys(to_open(board, opened), moment)
    return opened


@settings(max_examples=60, deadline=None)
@given(rows)
def test_it_opens_what_the_rule_opens_at_each_moment(events: list[IssueEventRow]) -> None:
    told = replay(events, LIMITS)
    tried = {each.tried.change_id: each.tried.at for each in told.issues if each.tried}
    assert tried == openings(events)
    assert all(bool(each.why_not) == (each.tried is None) for each in told.issues)


@settings(max_examples=30, deadline=None)
@given(rows, st.randoms())
def test_any_order_and_copies_give_the_same(events: list[IssueEventRow], chance) -> None:
    mixed = events * 2
    chance.shuffle(mixed)
    assert replay(mixed, LIMITS) == replay(events, LIMITS)


def test_nothing_is_no_history() -> None:
    told = replay([])
    assert (told.begin, told.end, told.events, told.issues) == (None, None, 0, ())


def test_one_beyond_the_first_fifty_waits_until_it_is_among_them() -> None:
    """Fifty-one places of two events each: the least severe one is not opened, and says so."""
    template = issue_row(0, 0, "page", "KeyError", "fatal")
    events = [
        replace(
            template,
            event_id=f"{place}-{copy}",
            issue_id=f"iss_{place:016x}",
            culprit=f"shop.page.f{place}",
            timestamp=BEGIN + timedelta(minutes=place),
            severity_text="fatal" if place < 50 else "error",
        )
        for place in range(51)
        for copy in range(3)
    ]
    told = replay(events, LIMITS)
    (left,) = [each for each in told.issues if each.tried is None]
    assert left.issue.issue_id == f"iss_{50:016x}"
    assert "first 50" in left.why_not
