"""Which changes are opened: the worst issue first, one change for one raising place."""

from datetime import UTC, datetime, timedelta

import pytest

from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.issues import RankedIssue, crash_event, gather, rank
from selfdrive_dagster.issues.board import Board, make_board
from selfdrive_dagster.issues.opening import ATTEMPTS, change_id_of, ids_of, issue_of, to_open
from selfdrive_dagster.model import Crash, Frame, RaisedException, digest
from selfdrive_dagster.orchestration.opening import Past, is_due, is_given_up

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
    return make_board(ranked, {name: digest(each) for name, each in by_issue.items()})


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
    issue = issue_of(made, change_id)
    assert issue == made.issues[0]
    second = change_id_of(issue.issue_id, 2)
    assert issue_of(made, second) == issue
    with pytest.raises(BadInput, match="belongs to"):
        issue_of(made, change_id_of(issue.issue_id, ATTEMPTS + 1))


def test_what_failed_by_our_own_fault_is_begun_anew_three_times_at_most() -> None:
    made = board(*(crash(n, "page") for n in range(3)))
    first, second, third = ids_of(made.issues[0].issue_id)
    assert to_open(made, known={first}) == (), "refused, unanswered or still on its way"
    assert to_open(made, known={first}, again={first}) == (second,)
    assert to_open(made, known={first, second}, again={first}) == ()
    assert to_open(made, known={first, second}, again={first, second}) == (third,)
    assert to_open(made, known={first, second, third}, again={first, second, third}) == ()


MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("failed", "is_open", "waits"),
    [
        (0, True, timedelta()),
        (1, True, MINUTE),
        (2, True, 5 * MINUTE),
        (3, True, 15 * MINUTE),
        (1, False, MINUTE),
        (9, False, 15 * MINUTE),
    ],
)
def test_each_failure_is_followed_by_a_longer_pause(
    failed: int, is_open: bool, waits: timedelta
) -> None:
    past = Past(runs=failed, begun=NOW, ended=(NOW,) * failed)
    assert is_due(past, is_open=is_open, now=NOW + waits)
    assert not is_due(past, is_open=is_open, now=NOW + waits - timedelta(seconds=1)) or not failed
    busy = Past(runs=failed + 1, begun=NOW, ended=(NOW,) * failed, is_busy=True)
    assert not is_due(busy, is_open=is_open, now=NOW + waits)


def test_after_the_last_pause_a_person_must_look() -> None:
    past = Past(runs=4, begun=NOW, ended=(NOW,) * 4)
    assert not is_due(past, is_open=True, now=NOW + timedelta(days=9))


def test_what_could_not_be_opened_for_a_day_is_given_up() -> None:
    past = Past(runs=9, begun=NOW, ended=(NOW,) * 9)
    day = NOW + timedelta(days=1)
    assert is_due(past, is_open=False, now=day - MINUTE)
    assert not is_given_up(past, day - MINUTE)
    assert not is_due(past, is_open=False, now=day)
    assert is_given_up(past, day)
