"""Traefik's access log, read while it grows, is turned, cut, and lied into by visitors."""

import json
from pathlib import Path

import pytest

from selfdrive_dagster.adapters.traefik.access_log import AccessLog, Position, Request, cookies_of
from selfdrive_dagster.adapters.traefik.config import cookie_value

CHANGE = "chg_0123456789abcdef"
ARM = f"selfdrive_01234567={cookie_value(f'canary-{CHANGE}')}"


def line(service: str = f"canary-{CHANGE}@file", cookie: str = "", **more: object) -> str:
    told = {
        "DownstreamStatus": 200,
        "Duration": 6_672_511,
        "ServiceName": service,
        "StartUTC": "2026-11-27T04:07:55.652175614Z",
        "level": "info",
        "msg": "",
        "time": "2026-11-27T04:07:55Z",
        **({"request_Cookie": cookie} if cookie else {}),
        **more,
    }
    return json.dumps(told) + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "access.log"


def reader(path: Path) -> AccessLog:
    return AccessLog(path, "shop_session", b"k" * 32)


def read(path: Path) -> tuple[Request, ...]:
    return reader(path).read(Position())[0]


def test_a_request_is_told_with_arm_and_a_digest_of_its_session(path: Path) -> None:
    path.write_text(line(cookie=f"a=b; shop_session=s3cret==; {ARM}", DownstreamStatus=503))
    (request,) = read(path)
    assert (request.arm, request.change_id, request.status) == ("canary", CHANGE, 503)
    assert request.has_arm_cookie
    assert request.seconds == pytest.approx(0.006672511)
    assert request.at.isoformat().startswith("2026-11-27T04:07:55.65217")
    assert len(request.session) == 24
    assert "s3cret" not in repr(request)
    path.write_text(line(f"stable-{CHANGE}@file", cookie="shop_session=s3cret=="))
    (other,) = read(path)
    assert (other.arm, other.session, other.has_arm_cookie) == ("stable", request.session, False)


def test_who_was_given_an_arm_that_is_down_is_told_by_the_cookie(path: Path) -> None:
    path.write_text(line(f"stable-{CHANGE}@file", cookie=ARM))
    assert [(one.arm, one.assigned) for one in read(path)] == [("stable", "canary")]


def test_who_brings_no_session_or_another_change_s_cookie_is_told_so(path: Path) -> None:
    path.write_text(line() + line(cookie=ARM.replace("0123", "ffff") + "; shop_session="))
    with path.open("a") as file:
        file.write(line(cookie="selfdrive_01234567=made-up"))
    assert [(one.session, one.has_arm_cookie) for one in read(path)] == [("", False)] * 3


def test_what_no_arm_served_is_no_request(path: Path) -> None:
    lines = (line(""), line("api@internal"), "not json\n", '{"ServiceName": "canary-x@file"}\n')
    path.write_text("".join(lines) + line("stable-none@file"))
    assert [(one.arm, one.change_id) for one in read(path)] == [("stable", "")]


def test_a_torn_line_waits_for_its_end(path: Path) -> None:
    whole = line(DownstreamStatus=201)
    path.write_text(line() + whole[:40])
    requests, position = reader(path).read(Position())
    assert [one.status for one in requests] == [200]
    assert reader(path).read(position) == ((), position)
    with path.open("a") as file:
        file.write(whole[40:])
    requests, position = reader(path).read(position)
    assert [one.status for one in requests] == [201]
    assert reader(path).read(position) == ((), position)


def test_a_turned_log_is_read_to_its_end_before_the_new_one(path: Path) -> None:
    path.write_text(line(DownstreamStatus=201))
    _, position = reader(path).read(Position())
    with path.open("a") as file:
        file.write(line(DownstreamStatus=202))
    path.rename(path.with_name("access.log.1"))
    path.write_text(line(DownstreamStatus=203))
    seen = []
    for _ in range(3):
        requests, position = reader(path).read(position)
        seen += [one.status for one in requests]
    assert seen == [202, 203]


def test_a_log_that_was_cut_is_read_from_its_beginning(path: Path) -> None:
    path.write_text(line() * 3)
    _, position = reader(path).read(Position())
    path.write_text(line(DownstreamStatus=204))
    requests, _ = reader(path).read(position)
    assert [one.status for one in requests] == [204]


def test_no_log_is_no_request_and_no_progress(path: Path) -> None:
    assert reader(path).read(Position()) == ((), Position())


def test_of_two_cookies_with_one_name_the_first_counts() -> None:
    assert cookies_of("a=1; a=2;b; c=x=y ;") == {"a": "1", "c": "x=y"}
