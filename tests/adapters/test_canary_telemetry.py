"""Sessions of a rollout in the warehouse: whose they were, and when they may be counted."""

from datetime import timedelta
from zlib import crc32

import pytest
from fakes.visiting import BEGIN
from issue_rows import NOW, crash_of, row_of, span_of
from msgspec.structs import replace

from selfdrive_dagster.adapters.canary import Watched, count_telemetry
from selfdrive_dagster.adapters.warehouse import Warehouse
from selfdrive_dagster.adapters.warehouse.refresh import refresh
from selfdrive_dagster.issues import Grouping
from selfdrive_dagster.rollout.canary import Arms, Source, Window

OLD, NEW = "1" * 40, "2" * 40
WIDTH = 10.0
KNOWN, FRESH = "total", "checkout"


def windows(*exposed: int) -> list[Window]:
    return [
        Window(start=BEGIN + timedelta(seconds=WIDTH * number), share=0.1, exposed=Arms(*exposed),
               measured={})
        for number in range(6)
    ]  # fmt: skip


def visit(second: float, session: str | None, version: str = OLD, late: float = 0.0):
    at = BEGIN + timedelta(seconds=second)
    span = span_of(at, round(second * 1000) + 10**6 + crc32(repr(session).encode()) % 10**6)
    received = at + timedelta(seconds=late)
    return replace(span, service_version=version, session_id=session, received_at=received)


def stay(second: float, session: str, version: str = OLD):
    """A visit of two requests, half a second apart."""
    return visit(second, session, version), visit(second + 0.5, session, version)


def crash(second: float, session: str, version: str = OLD, function: str = KNOWN):
    ago = NOW - BEGIN - timedelta(seconds=second)
    made = crash_of(function, ago=ago, session=session, ordinal=1)
    return replace(row_of(made), service_version=version)


class Telling:
    """A warehouse that knew one issue before the rollout."""

    def __init__(self, home) -> None:
        self.warehouse = Warehouse(home)
        self.warehouse.append("exceptions", [crash(-300, "long ago")])
        self.refresh()
        (known,) = self.warehouse.query("SELECT issue_id FROM issue_events").to_dicts()
        self.watched = Watched(
            service="shop", issue_id=known["issue_id"], canary=NEW, stable=OLD, begin=BEGIN,
            window_seconds=WIDTH,
        )  # fmt: skip

    def refresh(self) -> None:
        refresh(self.warehouse, (), Grouping())

    def hear(self, *rows) -> "Telling":
        for table, kind in (("spans", "SpanRow"), ("exceptions", "ExceptionRow")):
            self.warehouse.append(table, [row for row in rows if type(row).__name__ == kind])
        return self

    def count(self, *exposed: int):
        asked = windows(*(exposed or (5, 45)))
        return count_telemetry(self.warehouse, self.watched, asked)


@pytest.fixture
def telling(tmp_path) -> Telling:
    return Telling(tmp_path)


def until(second: float):
    """Both arms go on telling until a second."""
    return visit(second, "s", OLD), visit(second, "c", NEW)


def test_sessions_count_in_the_window_where_they_were_first_seen(telling: Telling) -> None:
    telling.hear(
        *stay(1, "ada", NEW), visit(15, "ada", NEW), *stay(2, "bo"), *stay(12, "cy"),
        *stay(-50, "di"), *stay(3, "of another", "3" * 40), *until(45),
    )  # fmt: skip
    first, second = telling.count()[:2]
    assert (first.start, first.source) == (BEGIN, Source.TELEMETRY)
    assert (first.exposed, second.exposed) == (Arms(1, 1), Arms(0, 1))


def test_the_issue_and_crashes_that_are_new_are_met_in_the_follow_up(telling: Telling) -> None:
    telling.hear(
        *stay(1, "ada", NEW), crash(10.5, "ada", NEW, FRESH), crash(5, "ada", NEW, FRESH),
        *stay(2, "bo"), crash(3, "bo"), crash(4, "bo"),
        *stay(3, "cy"), crash(14, "cy"),
        *until(45),
    )  # fmt: skip
    telling.refresh()
    first = telling.count()[0]
    assert first.exposed == Arms(1, 2)
    assert first.affected == {"issue": Arms(0, 1), "new_crashes": Arms(1, 0)}


def test_who_asks_once_and_who_only_crashes_is_nobody_there(telling: Telling) -> None:
    """Health checks and robots begin a session with each request; a second one comes too late."""
    checks = [visit(second / 2, f"check {second}", NEW) for second in range(18)]
    slow = visit(1, "slow"), visit(11.5, "slow")
    both_sdks = replace(visit(3, "one request"), source="sentry"), visit(3.01, "one request")
    telling.hear(
        *checks, *slow, *both_sdks, crash(2, "unseen"), crash(3, "unseen"), *stay(4, "bo"),
        *until(45),
    )  # fmt: skip
    telling.refresh()
    assert telling.count()[0].exposed == Arms(0, 1)


@pytest.mark.parametrize(
    ("canary", "stable", "told"), [(25, 25, 1), (24, 24, 0), (45, 45, 3), (1, 34, 0), (1, 35, 1)]
)
def test_a_window_waits_for_both_arms_and_not_for_ever(telling, canary, stable, told) -> None:
    """Its end, its follow-up and 5 s to settle; for one arm that is silent 10 s more."""
    telling.hear(visit(canary, "c", NEW), visit(stable, "s"))
    assert len(telling.count()) == told


def test_a_time_in_the_future_does_not_make_anything_pass(telling: Telling) -> None:
    telling.hear(visit(900, "c", NEW, late=-899), visit(900, "s", late=-899))
    assert telling.count() == ()


def test_a_window_waits_until_its_exceptions_have_their_issues(telling: Telling) -> None:
    telling.hear(*stay(2, "bo"), crash(3, "bo"), *until(45))
    assert telling.count() == ()
    telling.refresh()
    assert telling.count()[0].affected["issue"] == Arms(0, 1)


def test_events_that_name_no_session_measure_nothing(telling: Telling) -> None:
    telling.hear(*(visit(second, None, version) for second in range(60) for version in (OLD, NEW)))
    assert [line.affected for line in telling.count()[:2]] == [{}, {}]


def test_where_nobody_came_nobody_was_affected(telling: Telling) -> None:
    telling.hear(visit(1, None), visit(14, None), *until(55))
    quiet = telling.count(0, 0)
    assert quiet[0].affected == {"issue": Arms(), "new_crashes": Arms()}


def test_without_telemetry_nothing_is_told(telling: Telling) -> None:
    assert telling.count() == ()
    assert count_telemetry(telling.warehouse, telling.watched, []) == ()
