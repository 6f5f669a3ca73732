"""How many spans one receiver process takes durably: 200 means synced to the disk.

`python -m bench.receive [--runs 5] [--requests 200] [--clients 4] [--dir DIR]`: payloads of 512
spans made beforehand, sent over kept connections; the median of the runs, each with a receiver of
its own. Counts are checked: received = stored. Then the stock OpenTelemetry exporter alone, whose
own speed is the limit. In the same run, what the machine allows: syncs of a file, bare protobuf.
"""

import argparse
import contextlib
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.payloads import as_json, request

SPANS = 512
HEADERS = {"content-type": "application/x-protobuf"}
JSON_HEADERS = {"content-type": "application/json"}

STOCK_CLIENT = """
import sys, time
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
provider = TracerProvider(resource=Resource.create({"service.name": "shop"}))
provider.add_span_processor(BatchSpanProcessor(
    OTLPSpanExporter(endpoint=sys.argv[1]), max_queue_size=200_000, max_export_batch_size=512))
tracer = provider.get_tracer("bench")
began = time.monotonic()
for number in range(int(sys.argv[2])):
    with tracer.start_as_current_span("GET /orders/{id}", attributes={
            "http.request.method": "GET", "http.route": "/orders/{id}",
            "url.path": f"/orders/{number}", "http.response.status_code": 200}):
        pass
provider.force_flush(600_000)
print(time.monotonic() - began)
"""


def main() -> None:
    """Print one line per way of sending, then the limits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--dir", type=Path, default=None, help="where segments go: a real disk")
    told = parser.parse_args()
    made = [request(SPANS, seed) for seed in range(told.requests)]
    protobuf = [one.SerializeToString() for one in made]
    as_text = [json.dumps(as_json(one)).encode() for one in made]
    print(f"{told.requests} requests of {SPANS} spans, {len(protobuf[0]):,} bytes each")
    for name, bodies, headers, attributes in (
        ("protobuf, allow-list", protobuf, HEADERS, "listed"),
        ("protobuf, all attributes past all detectors", protobuf, HEADERS, "all"),
        ("JSON, allow-list", as_text, JSON_HEADERS, "listed"),
    ):
        runs = [durable(bodies, headers, attributes, told) for _ in range(told.runs)]
        rates, peaks, cpus = zip(*runs, strict=True)
        print(
            f"{name}: {statistics.median(rates):,.0f} spans/s durable (least {min(rates):,.0f}, "
            f"most {max(rates):,.0f} of {told.runs}), peak memory {max(peaks) >> 20} MiB, "
            f"the receiver's CPU {statistics.median(cpus) * 1e6:.1f} us a span"
        )
    print(f"stock OpenTelemetry exporter, end to end: {stock(told.dir):,.0f} spans/s")
    print(f"the machine: {syncs(told.dir):,.0f} syncs/s of 128 KiB, {bare(protobuf):,.0f} spans/s")
    print("of bare protobuf on one core; clients and receiver share", os.cpu_count(), "cores")


@contextlib.contextmanager
def receiver(directory: Path | None, attributes: str) -> Iterator[tuple[int, int]]:
    """Run a receiver as a process; yields (port, pid)."""
    with tempfile.TemporaryDirectory(dir=directory) as home:
        settings = {
            "directory": f"{home}/segments",
            "key_file": f"{home}/key",
            "port": 0,
            "attributes": attributes,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "selfdrive_dagster.adapters.receiver", json.dumps(settings)],
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline().split()[1]), process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def durable(
    bodies: Sequence[bytes], headers: dict[str, str], attributes: str, told: argparse.Namespace
) -> tuple[float, int, float]:
    """Return (spans per second of the clock, the receiver's peak bytes, its CPU s per span)."""
    with receiver(told.dir, attributes) as (port, pid):
        before = cpu_seconds(pid)
        parts = [bodies[number :: told.clients] for number in range(told.clients)]
        threads = [threading.Thread(target=send, args=(port, part, headers)) for part in parts]
        began = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        seconds = time.monotonic() - began
        stats = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/stats"))
        wanted = len(bodies) * SPANS
        assert (stats["received"], stats["stored"]) == (wanted, wanted), stats
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
        spent = cpu_seconds(pid) - before
    return wanted / seconds, peak * 1024, spent / wanted


def cpu_seconds(pid: int) -> float:
    """Return what a process has spent, in user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def send(port: int, bodies: Sequence[bytes], headers: dict[str, str]) -> None:
    """Send one after the other over one connection, each acknowledged before the next."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    for body in bodies:
        connection.request("POST", "/v1/traces", body, headers)
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200, answer.status


def stock(directory: Path | None) -> float:
    """Return spans per second of an unmodified SDK, from the first span to the last 200."""
    count = 20_000
    with receiver(directory, "listed") as (port, _pid):
        told = subprocess.run(
            [sys.executable, "-c", STOCK_CLIENT, f"http://127.0.0.1:{port}/v1/traces", str(count)],
            capture_output=True,
            text=True,
            check=True,
        )
        stats = json.load(urllib.request.urlopen(f"http://127.0.0.1:{port}/stats"))
        assert stats["stored"] == count, stats
    return count / float(told.stdout)


def syncs(directory: Path | None) -> float:
    """Return how often a second a file can be written and synced here."""
    with tempfile.TemporaryFile(dir=directory) as file:
        began = time.monotonic()
        for _ in range(100):
            os.write(file.fileno(), bytes(128 * 1024))
            os.fdatasync(file.fileno())
        return 100 / (time.monotonic() - began)


def bare(bodies: Sequence[bytes]) -> float:
    """Return spans per CPU second of protobuf's own parsing."""
    began = time.process_time()
    for body in bodies:
        ExportTraceServiceRequest.FromString(body)
    return len(bodies) * SPANS / (time.process_time() - began)


if __name__ == "__main__":
    main()
