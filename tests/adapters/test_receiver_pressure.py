"""Too much at once, too much of one source, no room: the sender waits, and nothing is lost."""

import subprocess
import sys
import time

import httpx2
import pytest
from fakes.full_disks import fill, make_room, tiny_disk
from fakes.receiving import receiving

from bench.payloads import request
from selfdrive_dagster.adapters.receiver.quotas import MAX_SOURCES, OverQuota, Quotas

PROTOBUF = {"content-type": "application/x-protobuf"}

PATIENT_CLIENT = """
import sys
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(endpoint=sys.argv[1])))
tracer = provider.get_tracer("t")
for number in range(int(sys.argv[2])):
    tracer.start_span(f"work {number}").end()
provider.shutdown()
"""


def body(spans, seed):
    return request(spans, seed).SerializeToString()


def send(receiver, content):
    return httpx2.post(receiver.url + "/v1/traces", content=content, headers=PROTOBUF)


def metrics(receiver):
    lines = httpx2.get(receiver.url + "/metrics").text.splitlines()
    assert lines[-1] == "# EOF"
    return dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))


def test_metrics_tell_events_and_answers(tmp_path):
    with receiving(tmp_path) as receiver:
        assert send(receiver, body(8, 1)).status_code == 200
        assert send(receiver, body(8, 1)).status_code == 200
        assert send(receiver, b"\xff").status_code == 400
        told = metrics(receiver)
    assert told['selfdrive_receiver_events_total{result="stored"}'] == "8"
    assert told['selfdrive_receiver_events_total{result="duplicate"}'] == "8"
    assert told['selfdrive_receiver_events_total{result="rejected"}'] == "1"
    assert told['selfdrive_receiver_answers_total{status="200"}'] == "2"
    assert told["selfdrive_receiver_held_bytes"] == "0"


def test_over_its_quota_a_source_waits_and_its_neighbour_does_not(tmp_path):
    with receiving(tmp_path, quota_per_minute=20) as receiver:
        assert send(receiver, body(64, 1)).status_code == 200
        again = send(receiver, body(64, 2))
        assert again.status_code == 429
        assert int(again.headers["retry-after"]) >= 1
        neighbour = body(8, 3).replace(b"shop", b"shoq")
        assert send(receiver, neighbour).status_code == 200
        assert receiver.stats()["received"] == 72, "what was sent back is not received"
        told = metrics(receiver)
    assert told['selfdrive_receiver_over_quota_total{service_name="shop"}'] == "1"


def test_the_opentelemetry_sdk_sends_again_after_429(tmp_path):
    with receiving(tmp_path, quota_per_minute=30) as receiver:
        assert send(receiver, body(31, 1)).status_code == 200
        subprocess.run(
            [sys.executable, "-c", PATIENT_CLIENT, receiver.url + "/v1/traces", "1"],
            check=True,
            timeout=50,
        )
        told = metrics(receiver)
        assert receiver.stats()["stored"] == 32
    assert int(told['selfdrive_receiver_answers_total{status="429"}']) >= 1


@pytest.mark.slow
def test_a_full_disk_answers_503_and_takes_again_once_there_is_room(tmp_path):
    with (
        tiny_disk(tmp_path / "disk", size="2m") as disk,
        receiving(disk, segment_seconds=0.2) as receiver,
    ):
        assert send(receiver, body(64, 1)).status_code == 200
        fill(disk)
        refused = send(receiver, body(64, 2))
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        time.sleep(0.5)  # the segment is due, and cannot be turned
        assert send(receiver, body(64, 2)).status_code == 503
        make_room(disk)
        assert send(receiver, body(64, 2)).status_code == 200
        assert receiver.stats()["stored"] == 128
        receiver.stop()
        assert len(receiver.rows("spans")) == 128


def test_a_bucket_fills_evenly_and_a_large_delivery_is_paid_off():
    now = [0.0]
    quotas = Quotas(60, clock=lambda: now[0])
    quotas.spend({"shop": 90})
    with pytest.raises(OverQuota) as over:
        quotas.spend({"shop": 1})
    assert over.value.seconds == 31
    now[0] = 31.0
    quotas.spend({"shop": 1})


def test_invented_names_share_one_bucket_when_there_are_many():
    quotas = Quotas(10, clock=lambda: 0.0)
    for number in range(MAX_SOURCES):
        quotas.spend({f"s{number}": 1})
    quotas.spend({"new": 10})
    with pytest.raises(OverQuota):
        quotas.spend({"newer": 1})
