"""A front as it runs: Traefik, processes of two revisions, visitors that keep their cookies."""

import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from fakes.fronts import DIES, DIES_AT_ONCE, SICKENS, SOUND, MadeFront, Visitor, kill_hard

from selfdrive_dagster.adapters.traefik import AccessLog, TraefikActuator
from selfdrive_dagster.adapters.traefik.access_log import Position
from selfdrive_dagster.adapters.traefik.program import turn_log
from selfdrive_dagster.errors import Refused
from selfdrive_dagster.rollout.traffic import Cause


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MadeFront]:
    """One front for the tests that leave it as they found it: nothing on trial."""
    made = MadeFront(tmp_path_factory.mktemp("front"))
    made.start()
    yield made
    made.close()


@pytest.fixture
def own(tmp_path: Path) -> Iterator[MadeFront]:
    """A front of one test's own, not yet started, with a short lease."""
    made = MadeFront(tmp_path)
    yield made
    made.close()


def change(number: int) -> str:
    return f"chg_{number:08x}00000000"


def log_of(front: MadeFront) -> AccessLog:
    return AccessLog(front.files.access_log, "visit", b"key")


def test_sessions_stay_where_they_are_and_all_go_back(front: MadeFront) -> None:
    canary = front.commit(SOUND)
    process_before = front.named("stable").pid
    front.stage(change(1), canary)
    assert front.named(f"stable-{change(1)}").pid != process_before
    assert front.answers(front.crowd(20)) == {front.stable: 20}
    front.set(0.05)
    first = front.crowd(100)
    assert 3 <= front.answers(first)[canary] <= 7
    where = {visitor: visitor.visit() for visitor in first}
    front.set(0.25)
    assert {visitor: visitor.visit() for visitor in first} == where
    second = front.crowd(100)
    assert 21 <= front.answers(second)[canary] <= 29
    requests = [one for one in log_of(front).read(Position())[0] if one.assigned]
    assert {one.session for one in requests if one.arm != one.assigned} == set()
    sessions = {one.session: one.arm for one in requests}
    assert len(sessions) == 200
    assert 24 <= list(sessions.values()).count("canary") <= 36
    traffic = front.actuator.to_stable("a test")
    assert traffic.seen and traffic.seen.share == 0.0
    assert front.answers(first + second) == {front.stable: 200}
    assert front.files.journal()[-1].share == 0.25


@pytest.mark.slow
def test_old_cookies_do_not_enter_the_next_canary(front: MadeFront) -> None:
    front.stage(change(2), front.commit(SOUND))
    front.set(0.5)
    old = [visitor for visitor in front.crowd(40) if visitor.visit() != front.stable]
    assert len(old) >= 15
    front.actuator.to_stable("over")
    following = front.commit(SOUND)
    front.stage(change(3), following)
    front.set(0.05)
    assert front.answers(old)[following] <= 2
    front.actuator.to_stable("over")


def test_only_who_has_read_the_current_generation_may_write(front: MadeFront) -> None:
    staged = front.stage(change(4), front.commit(SOUND))
    read = front.actuator.read().wanted.generation
    assert read == staged.wanted.generation
    front.set(0.05)
    with pytest.raises(Refused, match=f"generation {read + 1}, not {read}"):
        front.actuator.set(0.1, read)
    with pytest.raises(Refused, match="under way"):
        front.actuator.stage(
            generation=read + 1, stable=front.stable, change_id=change(5), canary=front.stable
        )
    assert front.actuator.read().wanted.share == 0.05
    zombie = front.actuator.to_stable("over").wanted.generation
    with pytest.raises(Refused, match="no canary"):
        front.actuator.set(0.05, zombie)


def test_without_a_controller_the_lease_ends_the_trial(front: MadeFront) -> None:
    canary = front.commit(SOUND)
    front.stage(change(6), canary)
    short = TraefikActuator(front.home, lease_seconds=1.5)
    read = short.read().wanted.generation
    wanted = short.set(0.5, read).wanted
    front.wait_seen(lambda seen: seen.share == 0.5)
    crowd = front.crowd(20)
    assert front.answers(crowd)[canary] >= 8
    front.wait(lambda: front.answers(crowd[:10]) == {front.stable: 10}, 4)
    assert (datetime.now(UTC) - wanted.lease_until).total_seconds() < 3  # 0.3 s when idle
    front.wait(lambda: front.files.journal()[-1].cause is Cause.LEASE)
    entry = front.files.journal()[-1]
    assert (entry.generation, entry.share) == (read + 2, 0.5)
    assert front.files.dynamic.is_file()
    with pytest.raises(Refused, match=f"not {read + 1}"):
        short.set(0.5, read + 1)


def test_the_kill_switch_is_a_file(front: MadeFront) -> None:
    canary = front.commit(SOUND)
    front.stage(change(7), canary)
    front.set(0.5)
    crowd = front.crowd(10)
    front.files.kill_switch.touch()
    try:
        front.wait(lambda: front.answers(crowd) == {front.stable: 10}, 4)
        front.wait(lambda: front.files.journal()[-1].cause is Cause.KILL_SWITCH)
        generation = front.actuator.read().wanted.generation
        with pytest.raises(Refused, match=r"kill switch is thrown: .*STOP"):
            front.actuator.stage(
                generation=generation, stable=front.stable, change_id=change(8), canary=canary
            )
    finally:
        front.files.kill_switch.unlink()


@pytest.mark.slow
def test_a_canary_that_dies_is_taken_out_and_visitors_hardly_notice(own: MadeFront) -> None:
    own.start()
    canary = own.commit(DIES)
    own.stage(change(1), canary)
    own.set(0.5)
    own.crowd(10)
    own.wait(lambda: own.crowd(2) and own.files.journal(), 30)
    (entry,) = own.files.journal()
    assert (entry.cause, entry.change_id) == (Cause.CANARY, change(1))
    assert "died 3 times" in entry.reason
    own.wait_seen(lambda seen: seen.canary_healthy is None and seen.share == 0.0)
    assert own.answers(own.crowd(20)) == {own.stable: 20}
    requests, _ = log_of(own).read(Position())
    first = [one.status for one in requests if (one.arm, one.assigned) == ("canary", "")]
    assert first and set(first) == {502}  # the proxy answered, and the log names the arm


@pytest.mark.slow
def test_a_sick_canary_is_left_out_and_then_given_up(own: MadeFront) -> None:
    own.start()
    canary = own.commit(SICKENS)
    own.stage(change(1), canary)
    own.set(0.5)
    crowd = own.crowd(20)
    position = log_of(own).read(Position())[1]
    next(one for one in crowd if one.visit() == canary).visit("/sicken")
    own.wait(lambda: own.answers(crowd) == {own.stable: 20})
    assert own.files.journal() == ()  # the proxy was quicker than we
    requests, _ = log_of(own).read(position)
    assert {(one.arm, one.assigned) for one in requests[-20:]} == {
        ("stable", "stable"),
        ("stable", "canary"),
    }
    own.wait(own.files.journal, 15)
    assert "health checks in a row" in own.files.journal()[-1].reason


@pytest.mark.slow
def test_a_full_access_log_is_turned_and_no_request_is_lost(own: MadeFront) -> None:
    own.start()
    own.crowd(10)
    requests, position = log_of(own).read(Position())
    assert len(requests) >= 10
    own.crowd(5)
    turn_log(own.files.access_log, own.files.folder / "served", full_bytes=1)
    later = []
    own.wait(lambda: later.extend(own.crowd(1)) or own.files.access_log.stat().st_size)
    assert own.files.access_log.stat().st_mode & 0o077 == 0
    found = []
    for _ in range(3):
        requests, position = log_of(own).read(position)
        found += requests
    assert len(found) == 5 + len(later)


@pytest.mark.slow
def test_a_canary_that_never_starts_gets_no_visitor(own: MadeFront) -> None:
    own.start()
    generation = own.actuator.read().wanted.generation
    staged = own.actuator.stage(
        generation=generation,
        stable=own.stable,
        change_id=change(1),
        canary=own.commit(DIES_AT_ONCE),
    )
    with pytest.raises(Refused, match="not"):
        own.actuator.set(0.05, staged.wanted.generation)
    own.wait(own.files.journal, 20)
    assert own.actuator.read().wanted.canary == ""
    assert own.answers(own.crowd(10)) == {own.stable: 10}


@pytest.mark.slow
def test_a_killed_front_takes_all_along_and_a_new_one_exposes_no_more(own: MadeFront) -> None:
    own.start()
    canary = own.commit(SOUND)
    own.stage(change(1), canary)
    own.set(0.25)
    crowd = own.crowd(40)
    share = own.answers(crowd)
    own.kill()
    own.wait(lambda: not own.processes(), 10)
    assert Visitor(own.port).visit() == ""
    own.start()
    own.wait_seen(lambda seen: seen.share == 0.25)
    assert own.answers(crowd) == share
    own.kill()
    begun = time.monotonic()
    traffic = own.actuator.to_stable("the front is dead")
    assert time.monotonic() - begun < 1
    assert traffic.wanted.share == 0.0
    own.wait(lambda: not own.processes(), 10)
    own.start()
    assert own.answers(crowd) == {own.stable: 40}


@pytest.mark.slow
def test_a_lease_that_ran_out_while_no_front_ran_is_not_taken_up(own: MadeFront) -> None:
    own.start()
    own.stage(change(1), own.commit(SOUND))
    own.set(0.5)
    short = TraefikActuator(own.home, lease_seconds=0.1)
    short.set(0.5, short.read().wanted.generation)
    own.kill()
    own.wait(lambda: not own.processes(), 10)
    own.start()
    assert own.answers(own.crowd(10)) == {own.stable: 10}
    assert own.files.journal()[-1].cause is Cause.LEASE
    with pytest.raises(AssertionError, match="no process of canary"):
        own.named("canary")


@pytest.mark.slow
def test_who_hangs_with_the_lock_keeps_nobody_from_stable(own: MadeFront) -> None:
    own.start()
    own.stage(change(1), own.commit(SOUND))
    own.set(0.5)
    crowd = own.crowd(20)
    with own.files.locked():
        traffic = own.actuator.to_stable("the holder hangs")
        assert traffic.seen and traffic.seen.share == 0.0
        assert own.answers(crowd) == {own.stable: 20}
    own.wait_seen(lambda seen: seen.generation == traffic.wanted.generation)
    assert own.answers(crowd) == {own.stable: 20}


@pytest.mark.slow
def test_a_hung_front_does_not_keep_sessions_from_stable(own: MadeFront) -> None:
    own.start()
    canary = own.commit(SOUND)
    own.stage(change(1), canary)
    own.set(0.5)
    crowd = own.crowd(20)
    own.process.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    traffic = own.actuator.to_stable("the front hangs")
    assert time.monotonic() - begun < 3
    assert traffic.seen and traffic.seen.share == 0.0
    assert own.answers(crowd) == {own.stable: 20}
    own.process.send_signal(signal.SIGCONT)
    own.wait_seen(lambda seen: seen.generation == traffic.wanted.generation)
    assert own.answers(crowd) == {own.stable: 20}


@pytest.mark.slow
def test_a_killed_proxy_comes_back_with_the_share_it_had(own: MadeFront) -> None:
    own.start()
    canary = own.commit(SOUND)
    own.stage(change(1), canary)
    own.set(0.25)
    crowd = own.crowd(40)
    share = own.answers(crowd)
    kill_hard(own.named("traefik"))
    own.wait(lambda: Visitor(own.port).visit(), 10)
    assert own.answers(crowd) == share
    own.wait_seen(lambda seen: seen.share == 0.25)


@pytest.mark.slow
def test_a_broken_file_of_wishes_means_stable(own: MadeFront) -> None:
    own.start()
    own.stage(change(1), own.commit(SOUND))
    own.set(0.5)
    crowd = own.crowd(20)
    own.files.wanted_file.write_bytes(b"{")
    own.wait(lambda: own.answers(crowd) == {own.stable: 20}, 5)
    own.wait(lambda: own.files.journal()[-1].cause is Cause.FAULT)
    assert own.actuator.read().wanted.stable == own.stable
