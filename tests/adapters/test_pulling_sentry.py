"""Sentry's events, pulled: all of them, each once, through limits, faults and interruptions."""

import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from fakes import sentry_api as fake
from fakes.selfdrive_program import environment, selfdrive
from fakes.sentry_api import event, sentry_api

from selfdrive_dagster.adapters.handing import HANDED
from selfdrive_dagster.adapters.intake import Intake, read_deliveries
from selfdrive_dagster.adapters.pulling.asking import Asker, next_cursor, seconds_of, wait_of
from selfdrive_dagster.adapters.pulling.places import Places
from selfdrive_dagster.adapters.pulling.sentry import SentrySource, pull_sentry
from selfdrive_dagster.adapters.pulling.taking import Taker
from selfdrive_dagster.adapters.segments import SegmentWriter, closed_segments
from selfdrive_dagster.errors import BadInput, Busy, Refused, SelfdriveError
from selfdrive_dagster.model import silent
from selfdrive_dagster.telemetry import Redactor, read_records
from selfdrive_dagster.telemetry.arrivals import Arrival

TOKEN = {"SENTRY_AUTH_TOKEN": "secret-token"}


class Pulled:
    """One home into which is pulled, and every wait that was kept."""

    def __init__(self, home):
        self.home = home
        self.waits = []

    def pull(self, api, since="30d", later=timedelta(0)):
        source = SentrySource.parse(f"sentry://acme/shop?since={since}&host={api.url}", TOKEN)
        writer = SegmentWriter(self.home / HANDED)
        taker = Taker(Intake(writer), Redactor(b"k"), "shop", source.shown, silent)
        asker = Asker(source.host, source.token, self.waits.append)
        now = datetime.now(UTC) + timedelta(seconds=1) + later
        try:
            pull_sentry(source, taker, Places(self.home / "pulls"), now, asker)
        finally:
            writer.close()
        return taker.tally

    def deliveries(self):
        for segment in closed_segments(self.home / HANDED):
            yield from read_deliveries(segment)

    def rows(self):
        """What a warehouse would hold: one row of each name."""
        found = [row for delivery in self.deliveries() for row in delivery.records.exceptions]
        return list({row.event_id: row for row in found}.values())

    def messages(self):
        return Counter(row.exception_message for row in self.rows())


def numbered(count):
    return Counter(f"'n{number}'" for number in range(count))


@pytest.fixture
def pulled(tmp_path):
    return Pulled(tmp_path)


def test_every_event_of_every_page_is_a_row(pulled):
    with sentry_api([event(number) for number in range(95)]) as api:
        tally = pulled.pull(api)
        assert pulled.messages() == numbered(95)
        assert (tally.stored, tally.duplicate, tally.rejected) == (95, 0, 0)
        assert len(api.asked) == 5
        assert {query["full"] for _, query, _ in api.asked} == {"true"}
    row = pulled.rows()[0]
    assert (row.service_name, row.service_version, row.source) == ("shop", "shop@2", "sentry")
    assert row.frames[-1].code_function_name == "pay"
    assert "ada@example.com" not in str(list(pulled.deliveries()))


def test_what_was_received_here_is_the_same_row_when_it_is_pulled(pulled):
    with sentry_api([event(7)]) as api:
        pulled.pull(api)
    sent = (
        b'{"event_id": "%032x", "platform": "python", "exception": {"values": [{"type": "E"}]}}' % 7
    )
    (received,) = read_records(sent, "f", Arrival.now(Redactor(b"k"))).exceptions
    assert received.event_id == pulled.rows()[0].event_id


def test_the_next_pull_takes_what_is_new_and_an_hour_of_overlap(pulled):
    with sentry_api([event(number) for number in range(50, 90)]) as api:
        pulled.pull(api)
        api.asked.clear()
        late = event(1, minutes_ago=30)  # happened before the last pull, known to Sentry after it
        api.events += [late, event(2, minutes_ago=0)]
        tally = pulled.pull(api, later=timedelta(minutes=1))
        assert tally.stored == 2
        assert len(pulled.rows()) == 42
        begin = datetime.fromisoformat(api.asked[0][1]["start"]).replace(tzinfo=UTC)
        assert timedelta(minutes=59) <= datetime.now(UTC) - begin < timedelta(hours=1, minutes=5)


def test_more_of_the_past_can_be_asked_for_later(pulled):
    with sentry_api([event(1), event(2, minutes_ago=60 * 24 * 20)]) as api:
        assert pulled.pull(api, since="1d").stored == 1
        assert pulled.pull(api, since="30d").stored == 1
        assert pulled.pull(api, since="30d").stored == 0


# ---- limits and faults

FAULTS = {
    "a limit in seconds": (fake.fault(429, Retry_After="7"), [7.0]),
    "a limit without a word": (fake.fault(429), [1.0]),
    "Sentry's own word, gone by": (fake.fault(429, X_Sentry_Rate_Limit_Reset="1"), [1.0]),
    "a server's error": (fake.fault(502), [1.0]),
    "a busy server that says when": (fake.fault(503, Retry_After="3"), [3.0]),
    "a body that is cut": (fake.cut, [1.0]),
    "a hang-up": (fake.hang_up, [1.0]),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_waited_out_and_nothing_is_lost_or_doubled(pulled, name):
    fault, waits = FAULTS[name]
    with sentry_api([event(number) for number in range(45)]) as api:
        api.on_page = lambda number: api.faults.append(fault) if number == 1 else None
        tally = pulled.pull(api)
        assert pulled.messages() == numbered(45)
        assert (tally.stored, tally.duplicate) == (45, 0)
        assert pulled.waits == waits


REFUSALS = {
    "no valid token": (fake.fault(401), Refused, "does not accept the token"),
    "a scope too small": (fake.fault(403), Refused, "does not allow it"),
    "no such project": (fake.fault(404), BadInput, "no such organisation or project"),
    "a redirect": (fake.fault(302, Location="http://127.0.0.1:1/"), SelfdriveError, "elsewhere"),
    "too long a wait": (fake.fault(429, Retry_After="3600"), Busy, "3,600 seconds"),
    "no Link header": (fake.fault(200), SelfdriveError, "without a Link header"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_waiting_does_not_mend_is_told_at_once(pulled, name):
    fault, kind, says = REFUSALS[name]
    with sentry_api([event(1)]) as api:
        api.faults.append(fault)
        with pytest.raises(kind, match=says) as told:
            pulled.pull(api)
        assert "secret-token" not in str(told.value)
        assert (pulled.waits, len(api.asked)) == ([], 1)
        assert pulled.pull(api).stored == 1


def test_a_server_that_stays_broken_is_given_up_with_a_way_to_go_on(pulled):
    with sentry_api([event(number) for number in range(45)]) as api:
        api.on_page = lambda number: api.faults.extend([fake.fault(500)] * 6) if number == 1 else 0
        with pytest.raises(SelfdriveError, match="goes on where it stopped"):
            pulled.pull(api)
        assert len(pulled.rows()) == 20
        api.asked.clear()
        api.on_page = lambda number: None
        assert pulled.pull(api).stored == 25
        assert pulled.messages() == numbered(45)
        assert api.asked[0][1]["cursor"] == "0:20:0"


@pytest.mark.parametrize("page", range(1, 6))
def test_events_that_come_meanwhile_neither_hide_nor_double_others(pulled, page):
    """The listing is by offset: without a fixed end, a new event would move all others."""
    with sentry_api([event(number) for number in range(95)]) as api:
        fresh = event(999, minutes_ago=-5)
        api.on_page = lambda number: api.events.append(fresh) if number == page else None
        pulled.pull(api)
        assert pulled.messages() == numbered(95)
        assert pulled.pull(api, later=timedelta(minutes=10)).stored == 1


def test_a_cursor_that_is_forgotten_begins_the_window_anew(pulled):
    with sentry_api([event(number) for number in range(45)]) as api:
        api.on_page = lambda number: api.faults.append(fake.fault(400)) if number == 1 else None
        tally = pulled.pull(api)
        assert pulled.messages() == numbered(45)
        assert (tally.stored, tally.duplicate) == (45, 20)


def test_an_event_that_cannot_be_read_keeps_no_other_out(pulled):
    deep = event(3)
    for _ in range(70):
        deep["context"] = {"a": deep.get("context", 1)}
    with sentry_api([event(1), deep, event(2)]) as api:
        tally = pulled.pull(api)
    assert (tally.stored, tally.rejected) == (2, 1)


# ---- the address

ADDRESSES = {
    "sentry://acme": "organisation and project",
    "sentry:///shop": "organisation and project",
    "sentry://acme/shop/more": "organisation and project",
    "sentry://acme/shop?sinc=30d": "'sinc', which we do not know",
    "sentry://acme/shop?since=30": "no time that has been",
    "sentry://acme/shop?since=tomorrow": "no time that has been",
    "sentry://acme/shop?since=2999-01-01": "no time that has been",
    "sentry://acme/shop?host=ftp://x": "no address of Sentry",
    "sentry://acme/shop?host=http://sentry.example": "not encrypted",
    "sentry://acme/shop?host=https://:hunter22@sentry.example": "no address of Sentry",
    "sentry://[acme/shop": "cannot be read",
}


@pytest.mark.parametrize("text", ADDRESSES)
def test_an_address_that_cannot_be_read_is_refused(text):
    with pytest.raises(SelfdriveError, match=ADDRESSES[text]) as told:
        SentrySource.parse(text, TOKEN)
    assert "hunter22" not in str(told.value)


def test_no_text_of_a_source_holds_its_token():
    assert "secret-token" not in repr(SentrySource.parse("sentry://acme/shop", TOKEN))


def test_without_a_token_the_variable_is_named():
    with pytest.raises(BadInput, match="SENTRY_AUTH_TOKEN"):
        SentrySource.parse("sentry://acme/shop", {})


@pytest.mark.parametrize(
    ("since", "ago"), [("2w", 14 * 86_400), ("30d", 30 * 86_400), ("90m", 5_400), ("5s", 5)]
)
def test_a_span_of_time_is_read(since, ago):
    now = datetime.now(UTC)
    source = SentrySource.parse(f"sentry://acme/shop?since={since}", TOKEN)
    assert now - source.begin(now) == timedelta(seconds=ago)
    assert source.host == "https://sentry.io"


def test_a_server_of_ones_own_is_named_by_the_variable_too():
    source = SentrySource.parse("sentry://a/b", {**TOKEN, "SENTRY_URL": "https://s.example/base/"})
    assert source.host == "https://s.example/base"


LINKS = {
    '<https://x>; rel="next"; results="true"; cursor="0:20:0"': "0:20:0",
    '<https://x>; cursor="0:20:0"; results="true"; rel="next"': "0:20:0",
    '<https://x>; rel="next"; results="false"; cursor="0:20:0"': "",
    '<https://x,y;z>; rel="previous"; results="true"; cursor="0:0:1"': "",
    '<a>; rel="previous"; results="true"; cursor="p", <b>; rel="next"; results="true"; cursor="n"':
        "n",
    "": "",
}  # fmt: skip


@pytest.mark.parametrize("link", LINKS)
def test_the_next_cursor_is_that_of_a_page_with_results(link):
    assert next_cursor(link) == LINKS[link]


def test_sentrys_own_limit_names_the_second_when_it_ends():
    assert 99 < wait_of({"X-Sentry-Rate-Limit-Reset": str(int(time.time()) + 100)}) <= 100
    assert wait_of({"X-Sentry-Rate-Limit-Reset": "soon"}) is None


def test_a_wait_may_be_a_date():
    assert seconds_of("Fri, 27 Nov 1970 00:00:00 GMT") == 0.0
    assert seconds_of("soon") is None


# ---- the command


def test_the_command_pulls_and_says_how_much(tmp_path):
    with sentry_api([event(number) for number in range(25)]) as api:
        arguments = ("ingest", f"sentry://acme/shop?since=30d&host={api.url}", "--json")
        given = {"SELFDRIVE_HOME": str(tmp_path / "home"), **TOKEN}
        first = selfdrive(*arguments, cwd=tmp_path, **given)
        again = selfdrive(*arguments, cwd=tmp_path, **given)
        wrong = selfdrive(*arguments, cwd=tmp_path, **{**given, "SENTRY_AUTH_TOKEN": "wrong"})
    (told,), (none,), (refused,) = first.json(), again.json(), wrong.json()
    assert (first.code, told["path"], told["stored"]) == (0, "sentry://acme/shop", 25)
    assert (again.code, none["stored"], none["duplicate"]) == (0, 0, 25)
    assert (wrong.code, refused["stored"]) == (2, 0)
    assert "SENTRY_AUTH_TOKEN" in refused["fault"]
    everything = b"".join(
        path.read_bytes() for path in (tmp_path / "home").rglob("*") if path.is_file()
    )
    assert b"secret-token" not in everything
    assert (tmp_path / "home" / "pulls").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("page", [1, 3, 5])
def test_a_pull_that_is_killed_goes_on_and_has_everything_once(tmp_path, page):
    pulled = Pulled(tmp_path / "home")
    with sentry_api([event(number) for number in range(95)]) as api:
        command = [sys.executable, "-m", "selfdrive_dagster", "ingest",
                   f"sentry://acme/shop?since=30d&host={api.url}"]  # fmt: skip
        environ = environment(tmp_path, SELFDRIVE_HOME=str(pulled.home), **TOKEN)
        running = subprocess.Popen(command, cwd=tmp_path, env=environ)
        api.on_page = lambda number: running.kill() if number == page else None
        assert running.wait(60) == -9
        api.on_page = lambda number: None
        subprocess.run(command, cwd=tmp_path, env=environ, check=True, timeout=60)
    SegmentWriter(pulled.home / HANDED).close()
    assert pulled.messages() == numbered(95)
