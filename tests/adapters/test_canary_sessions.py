"""From requests to sessions to windows: each session once, and nothing unknown counted as calm."""

import json
import random
from datetime import timedelta

import pytest
from fakes.visiting import BEGIN, CHANGE, ask

from selfdrive_dagster.adapters.canary import SessionCounter, Thresholds, usual_slowness
from selfdrive_dagster.adapters.canary.requests import answered
from selfdrive_dagster.adapters.traefik import AccessLog, Position
from selfdrive_dagster.adapters.traefik.config import cookie_name, cookie_value
from selfdrive_dagster.rollout.canary import Arms, Line, Source, Step

WIDTH = 10.0
STEPS = (Step(BEGIN - timedelta(seconds=WIDTH), 0.1),)
USUAL = Thresholds(p50=0.1, p90=0.2, p99=0.5, sessions=500, window_seconds=WIDTH)
BEFORE = ask(-60, "before")
"""The log reaches back to before the rollout."""


def counter(**more) -> SessionCounter:
    return SessionCounter(CHANGE, BEGIN, WIDTH, USUAL, **more)


def read(counting: SessionCounter, steps=STEPS, source: Source = Source.PROXY) -> tuple[Line, ...]:
    """Return the closed windows' lines of one source."""
    return tuple(line for line in counting.closed(steps) if line.source is source)


def lines(*requests, steps=STEPS, until: float = 100.0, source=Source.PROXY, **more):
    """Return the lines of a log that goes on until a second, written in order."""
    counting = counter(**more)
    counting.take(sorted((BEFORE, *requests, ask(until, "the last")), key=answered))
    return read(counting, steps, source)


def errors(line: Line) -> Arms:
    return line.affected["errors"]


def test_a_session_counts_once_in_the_window_of_its_first_answer() -> None:
    told = lines(*(ask(second, "ada", "canary") for second in (3, 4, 9, 12, 25, 40)), ask(15, "bo"))
    assert [line.exposed for line in told[:5]] == [Arms(1, 0), Arms(0, 1), Arms(), Arms(), Arms()]


def test_it_is_followed_for_one_window_from_its_start() -> None:
    told = lines(ask(5, "ada", "canary"), ask(14.9, "ada", "canary", status=502))
    assert errors(told[0]) == Arms(1, 0)
    told = lines(ask(5, "ada", "canary"), ask(15.1, "ada", "canary", status=502))
    assert errors(told[0]) == Arms()


def test_many_errors_of_one_session_are_one_affected_session() -> None:
    told = lines(*(ask(second, "ada", status=500) for second in range(1, 9)), ask(2, "bo"))
    assert (told[0].exposed, errors(told[0])) == (Arms(0, 2), Arms(0, 1))


@pytest.mark.parametrize(("last", "closed"), [(19.9, 0), (20.0, 1), (39.9, 2)])
def test_a_window_closes_when_the_log_has_passed_its_follow_up(last: float, closed: int) -> None:
    assert len(lines(ask(1, "ada"), until=last)) == closed


def test_where_traffic_stops_windows_stop() -> None:
    counting = counter()
    counting.take([BEFORE, ask(1, "ada"), ask(21, "ada")])
    assert len(read(counting)) == 1
    assert counting.closed(STEPS) == ()


def test_who_has_no_arm_yet_or_no_session_is_no_session_and_is_told() -> None:
    (first, *_) = lines(
        ask(1, "ada", "canary", assigned="", status=500),
        ask(2, "", "canary", status=500),
        ask(3, "of another", change_id="chg_another"),
    )
    assert first.exposed == Arms()
    assert first.left_out == {"nameless": 1}


def come(second: float, arm: str, status: int = 200, **more):
    """Return a request that came without an arm and was drawn for this one."""
    return ask(second, "", arm, assigned="", status=status, **more)


def test_each_request_without_an_arm_counts_for_the_arm_that_it_was_drawn_for() -> None:
    told = lines(
        come(1, "canary", 500), come(2, "canary"), come(3, "canary", 404), come(4, "stable"),
        come(5, "stable", 502), ask(6, "ada", "canary", status=500),
        ask(7, "bo", "stable", assigned="", status=503), come(8, "canary", 500, change_id="chg_b"),
        come(19, "canary", 503, seconds=12), come(38, "stable"),
        source=Source.FIRST_REQUESTS,
    )  # fmt: skip
    assert [line.exposed for line in told[:4]] == [Arms(3, 3), Arms(1, 0), Arms(), Arms(0, 1)]
    assert [line.affected["first_requests"] for line in told[:2]] == [Arms(1, 2), Arms(1, 0)]


def test_first_requests_are_measured_where_sessions_could_not_be_held() -> None:
    crowd = [ask(1 + number / 100, f"s{number}") for number in range(20)]
    (first, *_) = lines(*crowd, come(2, "canary"), source=Source.FIRST_REQUESTS, most=10)
    assert (first.exposed, first.affected) == (Arms(1, 0), {"first_requests": Arms()})


def test_a_session_in_both_arms_counts_in_its_first_and_is_told() -> None:
    told = lines(
        ask(1, "ada", "canary"),
        *(ask(second, "ada", "stable", status=500) for second in (2, 3, 30, 31)),
        ask(4, "bo", "stable"),
        ask(32, "bo", "canary"),
        ask(33, "bo", "stable"),
    )
    assert (told[0].exposed, errors(told[0])) == (Arms(1, 1), Arms())
    assert sum(line.exposed.total for line in told) == 2
    assert told[-1].left_out == {"moved": 2}


def test_what_the_other_arm_answered_says_nothing_of_ones_own() -> None:
    """The proxy leaves out an arm that is down; its visitors go on in the other one."""
    (first, *_) = lines(
        ask(1, "ada", "canary"), ask(2, "ada", "stable", assigned="canary", status=500),
        ask(3, "bo", "stable", assigned="canary", status=500), ask(4, "bo", "canary"),
    )  # fmt: skip
    assert (first.exposed, errors(first)) == (Arms(2, 0), Arms())
    assert first.left_out == {"elsewhere": 2}


def test_slowness_is_the_slowest_request_against_what_was_usual() -> None:
    (first, *_) = lines(
        ask(1, "ada", "canary", seconds=0.05), ask(5, "ada", "canary", seconds=0.3),
        ask(2, "bo", seconds=0.15), ask(2, "cy", seconds=0.6), ask(3, "di", seconds=0.1),
    )  # fmt: skip
    assert first.affected["latency.p50"] == Arms(1, 2)
    assert first.affected["latency.p90"] == Arms(1, 1)
    assert first.affected["latency.p99"] == Arms(0, 1)


def test_a_session_that_hangs_at_once_is_counted_when_it_is_answered() -> None:
    told = lines(ask(35, "ada", "canary", seconds=30))
    assert [line.affected["latency.p99"] for line in told[:4]] == [
        Arms(), Arms(), Arms(), Arms(1, 0),
    ]  # fmt: skip


def test_without_thresholds_latency_is_not_measured() -> None:
    counting = SessionCounter(CHANGE, BEGIN, WIDTH, None)
    counting.take([BEFORE, ask(1, "ada"), ask(50, "bo")])
    assert set(read(counting)[0].affected) == {"errors"}


def test_what_the_log_no_longer_holds_is_unknown_and_no_empty_window() -> None:
    counting = counter()
    counting.take([ask(25, "ada"), come(26, "canary"), ask(60, "bo")])
    assert [line.start for line in read(counting)] == [
        BEGIN + timedelta(seconds=second) for second in (30, 40)
    ]
    assert counting.left_out == {"late": 2}


def test_more_sessions_than_are_held_leave_their_window_unmeasured() -> None:
    crowd = [ask(1 + number / 100, f"s{number}") for number in range(20)]
    told = lines(*crowd, ask(45, "later"), most=10)
    assert told[0].affected == {}
    assert errors(told[4]) == Arms()


def test_a_window_with_another_share_in_it_or_just_before_has_none() -> None:
    steps = (*STEPS, Step(BEGIN + timedelta(seconds=33), 0.1), Step(BEGIN + timedelta(45), 0.9))
    told = lines(ask(1, "ada"), steps=(*steps[:2], Step(BEGIN + timedelta(seconds=45), 0.5)))
    shares = [line.share for line in told]
    assert shares == [0.1, 0.1, 0.1, 0.1, None, None, 0.5, 0.5, 0.5]
    assert lines(ask(1, "ada"), steps=(Step(BEGIN, 0.1),))[0].share is None


def test_in_pieces_or_once_more_from_the_start_the_log_counts_the_same() -> None:
    chance = random.Random(3)
    log = [BEFORE]
    for number in range(2000):
        session = f"s{chance.randrange(400)}"
        arm = "canary" if session.endswith("7") else "stable"
        status = 500 if chance.random() < 0.02 else 200
        log.append(ask(number / 20, session, arm, status=status, seconds=chance.random()))
        log.append(come(number / 20, arm, status))
    log.sort(key=answered)
    whole = counter()
    whole.take(log)
    expected = whole.closed(STEPS)
    assert len(expected) == 16
    pieces, told = counter(), []
    for at in range(0, len(log), 70):
        pieces.take(log[at : at + 70])
        told += pieces.closed(STEPS)
    assert tuple(told) == expected


def history(sessions: int) -> list:
    """Return sessions with a quick request and one that gets slower from session to session."""
    made = []
    for number in range(sessions):
        second = -600 + number
        made += [ask(second, f"s{number}"), ask(second + 1, f"s{number}", seconds=number / 1000)]
    return made


def test_usual_slowness_is_that_of_sessions_before_the_rollout() -> None:
    usual = usual_slowness([*history(500), ask(5, "later", seconds=9.0)], WIDTH, BEGIN)
    assert usual is not None
    assert (usual.p50, usual.p90, usual.p99) == (0.249, 0.449, 0.494)
    assert usual.sessions == 500


def test_from_few_sessions_nothing_usual_can_be_told() -> None:
    assert usual_slowness(history(199), WIDTH, BEGIN) is None
    cut = [ask(-5, f"s{number}") for number in range(500)]  # nobody was followed for long enough
    assert usual_slowness(cut, WIDTH, BEGIN) is None


def test_the_proxy_s_log_is_counted_as_it_is_written(tmp_path) -> None:
    """Traefik's own lines: a visitor of each arm, the canary's with an error."""

    def line(second: float, arm: str, session: str, status: int = 200) -> str:
        at = BEGIN + timedelta(seconds=second)
        cookie = f"{cookie_name(CHANGE)}={cookie_value(f'{arm}-{CHANGE}')}; shop_session={session}"
        told = {
            "StartUTC": at.isoformat().replace("+00:00", "Z"), "DownstreamStatus": status,
            "Duration": 5_000_000, "ServiceName": f"{arm}-{CHANGE}@file",
            "request_Cookie": cookie,
        }  # fmt: skip
        return json.dumps(told) + "\n"

    path = tmp_path / "access.log"
    path.write_text(
        line(-5, "stable", "before") + line(1, "canary", "ada") + line(2, "stable", "bo")
        + line(3, "canary", "ada", 503) + line(21, "stable", "bo")
    )  # fmt: skip
    requests, _ = AccessLog(path, "shop_session", b"k" * 32).read(Position())
    counting = counter()
    counting.take(requests)
    (first,) = read(counting)
    assert (first.exposed, errors(first)) == (Arms(1, 1), Arms(1, 0))
