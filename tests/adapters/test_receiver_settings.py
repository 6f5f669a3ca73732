"""Who may send, where the receiver may listen, and files that are ingested by hand."""

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from fakes.receiving import receiving

from selfdrive_dagster.adapters.intake import Intake, ingest_file, read_deliveries
from selfdrive_dagster.adapters.receiver import ReceiverSettings, read_key, serve
from selfdrive_dagster.adapters.segments import Limits, SegmentWriter, Tally, closed_segments
from selfdrive_dagster.errors import BadInput, Busy, Refused
from selfdrive_dagster.telemetry import Redactor

TRACEBACK = Path(__file__).parent.parent / "cases/telemetry/tracebacks/during_handling.txt"


def settings_in(home, **more):
    return ReceiverSettings(directory=str(home / "segments"), key_file=str(home / "key"), **more)


def test_the_network_needs_keys(tmp_path):
    with pytest.raises(Refused, match="without keys"):
        serve(settings_in(tmp_path, host="0.0.0.0"))


def test_a_used_port_is_named(tmp_path):
    with socket.socket() as used:
        used.bind(("127.0.0.1", 0))
        used.listen()
        port = used.getsockname()[1]
        with pytest.raises(Busy, match=f"127.0.0.1:{port}"):
            serve(settings_in(tmp_path, port=port))


@pytest.mark.parametrize("dsn", ["nonsense", "ftp://k@host/1", "https://host/1", "http://k@[::1/1"])
def test_a_wrong_dsn_is_told_without_showing_it(tmp_path, dsn):
    with pytest.raises(BadInput, match="forward is no DSN") as fault:
        serve(settings_in(tmp_path, forward=dsn))
    assert dsn not in str(fault.value)


def test_forwarding_to_oneself_is_refused(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(Refused, match="points at this receiver"):
        serve(settings_in(tmp_path, port=port, forward=f"http://k@localhost:{port}/1"))


def test_with_keys_only_their_holders_get_in(tmp_path):
    body = b'{}\n{"type":"event"}\n{"message":"x","level":"info"}\n'
    with receiving(tmp_path, keys=["right"]) as receiver:
        url = receiver.url + "/api/1/envelope/"

        def status(**request):
            return httpx2.post(url, content=body, **request).status_code

        assert status() == 401
        assert status(headers={"x-sentry-auth": "Sentry sentry_key=wrong"}) == 401
        assert status(headers={"x-sentry-auth": "Sentry sentry_version=7, sentry_key=right"}) == 200
        assert status(headers={"authorization": "Bearer right"}) == 200
        assert status(params={"sentry_key": "right"}) == 200


EXCEPTION = {
    "exception": {
        "values": [
            {
                "type": "KeyError",
                "value": "'visa'",
                "stacktrace": {"frames": [{"filename": "a.py", "vars": {"card": "'visa'"}}]},
            }
        ]
    }
}


@pytest.mark.parametrize("captures", [True, False])
def test_variables_of_frames_are_kept_only_where_they_may_be(tmp_path, captures):
    with receiving(tmp_path, capture_arguments=captures) as receiver:
        answer = httpx2.post(receiver.url + "/api/1/store/", json=EXCEPTION)
        assert answer.status_code == 200
        receiver.stop()
        (row,) = receiver.rows("exceptions")
    (frame,) = json.loads(row.crash_json)["exceptions"][0]["frames"]
    assert frame.get("variables") == ({"card": "'visa'"} if captures else None)
    assert row.exception_message == "'visa'"
    kept = "".join(path.read_text(errors="replace") for path in receiver.directory.iterdir())
    assert ('"card' in kept or 'card\\"' in kept) == captures


ACCEPTED = {
    "both": (["otlp", "sentry", "events"], 200, 200),
    "OTLP alone": (["otlp"], 200, 404),
    "Sentry alone": (["sentry"], 404, 200),
    "nothing": ([], 404, 404),
}


@pytest.mark.parametrize(("accept", "otlp", "sentry"), ACCEPTED.values(), ids=ACCEPTED)
def test_a_format_that_is_not_accepted_is_told_and_counted(tmp_path, accept, otlp, sentry):
    with receiving(tmp_path, accept=accept) as receiver:
        answers = (
            httpx2.post(receiver.url + "/v1/traces", json={"resourceSpans": []}),
            httpx2.post(receiver.url + "/api/1/store/", json=EXCEPTION),
        )
        assert tuple(answer.status_code for answer in answers) == (otlp, sentry)
        refused = [answer for answer in answers if answer.status_code == 404]
        assert all("[telemetry] accept" in answer.json()["message"] for answer in refused)
        receiver.wait_for(rejected=len(refused))


def test_the_key_is_made_once_and_for_the_owner(tmp_path):
    key = read_key(tmp_path / "key")
    assert read_key(tmp_path / "key") == key
    assert len(key) == 32
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "key").write_bytes(b"short")
    with pytest.raises(Refused, match="holds 5 bytes"):
        read_key(tmp_path / "key")


def test_a_file_is_ingested_once_by_the_same_code(tmp_path):
    writer = SegmentWriter(tmp_path / "segments", Limits(max_seconds=60))
    intake = Intake(writer)
    redactor = Redactor(b"k")
    assert ingest_file(TRACEBACK, intake, redactor, "shop") == Tally(stored=1)
    assert ingest_file(TRACEBACK, intake, redactor, "shop") == Tally(duplicate=1)
    with pytest.raises(BadInput, match="cannot be read"):
        ingest_file(tmp_path / "absent.log", intake, redactor, "shop")
    writer.close()
    (path,) = closed_segments(tmp_path / "segments")
    (delivery,) = read_deliveries(path)
    (row,) = delivery.records.exceptions
    assert (delivery.source, row.source, row.service_name) == ("file", "file", "shop")
    assert row.exception_type == "ZeroDivisionError"


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from selfdrive_dagster.adapters.segments import Limits, SegmentWriter, Tally

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000, resource.RLIM_INFINITY))
writer = SegmentWriter(Path(sys.argv[1]), Limits(max_seconds=60))
writer.append(b"first", Tally(stored=1)).result()
try:
    writer.append(b"x" * 5_000, Tally(stored=1)).result()
except OSError as error:
    print("refused", error.errno)
writer.append(b"third", Tally(stored=1)).result()
writer.close()
"""


def test_a_disk_without_room_fails_one_append_and_spoils_nothing(tmp_path):
    ran = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path)], capture_output=True, text=True, timeout=30
    )
    assert ran.stdout.startswith("refused"), ran.stderr
    again = SegmentWriter(tmp_path)
    assert again.total == Tally(stored=2)
    again.close()


def test_a_full_disk_answers_503_and_counts_nothing(tmp_path):
    event = json.dumps({"message": "x" * 6_000, "level": "info"})
    body = b'{}\n{"type":"event"}\n' + event.encode() + b"\n"
    with receiving(tmp_path) as receiver:
        resource.prlimit(receiver.pid, resource.RLIMIT_FSIZE, (4_000, resource.RLIM_INFINITY))
        answer = httpx2.post(receiver.url + "/api/1/envelope/", content=body)
        assert answer.status_code == 503
        assert "could not be stored" in answer.json()["message"]
        assert receiver.stats()["received"] == 0
        resource.prlimit(receiver.pid, resource.RLIMIT_FSIZE, (-1, resource.RLIM_INFINITY))
        assert httpx2.post(receiver.url + "/api/1/envelope/", content=body).status_code == 200


def test_ctrl_c_closes_the_segment(tmp_path):
    with receiving(tmp_path) as receiver:
        httpx2.post(receiver.url + "/api/1/store/", json={"message": "x", "level": "info"})
        os.kill(receiver.pid, signal.SIGINT)
        assert receiver.stop() == 0
    assert len(closed_segments(receiver.directory)) == 1
