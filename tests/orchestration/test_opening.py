"""Which changes are opened: the worst issue first, one change for one raising place."""

from datetime import UTC, datetime

from selfdrive_dagster.issues import RankedIssue, crash_event, gather, rank
from selfdrive_dagster.issues.board import Board, make_board
from selfdrive_dagster.model import Crash, Frame, RaisedException
from selfdrive_dagster.orchestration.opening import change_id_of, issue_of, to_open

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def crash(event: int, caller: str, function: str = "price") -> Crash:
    frames = tuple(
        Frame(path=f"shop/{name}.py", function=name, line=3, module=f"shop.{name}", in_app=True)
        for name in (caller, function)
    )
    raised = RaisedException(type="KeyError", value="'US'", frames=frames)
    return Crash(
        event_id=f"{event:032x}",
        source="sentry",
        exceptions=(raised,),
        timestamp=NOW,
        service_name="shop",
    )


def board(*crashes: Crash) -> Board:
    events = [crash_event(each, NOW) for each in crashes]
    by_issue = {event.issue_id: each for event, each in zip(events, crashes, strict=True)}
    ranked: tuple[RankedIssue, ...] = rank(gather(events, NOW))
    return make_board(ranked, by_issue.get)


def test_two_ways_into_one_function_are_one_change() -> None:
    made = board(*(crash(n, "page") for n in range(3)), *(crash(n + 9, "cart") for n in range(2)))
    assert len(made.crashes) == 2
    opened = to_open(made, known=())
    assert opened == (change_id_of(made.issues[0].issue_id, 1),)
    other = change_id_of(made.issues[1].issue_id, 1)
    assert to_open(made, known=(other,)) == (), "the other issue's change serves both"


def test_other_functions_are_other_changes() -> None:
    made = board(
        *(crash(n, "page") for n in range(3)), *(crash(n + 9, "page", "tax") for n in range(2))
    )
    assert len(to_open(made, known=())) == 2


def test_a_change_finds_its_issue_again() -> None:
    made = board(*(crash(n, "page") for n in range(3)))
    (change_id,) = to_open(made, known=())
    issue, found = issue_of(made, change_id)
    assert issue.issue_id in made.crashes and found in made.crashes.values()
