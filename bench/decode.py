"""How fast one core turns OTLP traces into typed, redacted rows: protobuf and JSON.

`python -m bench.decode [--runs 5] [--requests 60] [--profile]`: 512 spans a request, made
beforehand, no request decoded twice; the median of the runs in CPU seconds of one thread, each way
in a process of its own, whose peak memory is told before and after the first request is decoded.
Beside it, in the same run: bare protobuf, and the speed of an empty Python loop, since shared
machines differ by half. `--profile` says instead where the time goes.
"""

import argparse
import json
import multiprocessing
import resource
import signal
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from types import FrameType

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.payloads import as_json, request
from selfdrive_dagster.telemetry import Arrival, Redactor, otlp

SPANS = 512
KEY = b"k" * 32
LISTED = Redactor(KEY, only_listed=True)
Read = Callable[[bytes], object]


def reader(redactor: Redactor) -> Read:
    """Return a decoder of protobuf traces."""
    arrival = Arrival.now(redactor)
    return lambda body: otlp.decode_protobuf("traces", body, "The body", arrival)


def json_reader(redactor: Redactor) -> Read:
    """Return a decoder of OTLP/JSON traces."""
    arrival = Arrival.now(redactor)
    return lambda body: otlp.decode_json_body(body, "The body", arrival)


WAYS: dict[str, tuple[str, Read]] = {
    "bare protobuf": ("protobuf", ExportTraceServiceRequest.FromString),
    "protobuf to rows, allow-list": ("protobuf", reader(LISTED)),
    "protobuf to rows, all attributes": ("protobuf", reader(Redactor(KEY))),
    "bare msgspec JSON": ("json", msgspec.json.decode),
    "JSON to rows, allow-list": ("json", json_reader(LISTED)),
    "JSON to rows, all attributes": ("json", json_reader(Redactor(KEY))),
}

STEPS = {
    "count_spans": "count the spans before parsing",
    "by_field": "take the fields of each span",
    "_columns": "ids to hex, attributes by their bytes",
    "read_traces": "typed JSON",
    "_learn": "attributes not seen before: read, redact, pseudonyms",
    "_put_together": "sets of attributes not seen before: put together",
    "read": "sets of attributes seen before: look up",
    "_told_by_span": "event ids (sha256), times, names",
    "_told_by_attributes": "columns of attributes",
    "_rows": "make the rows",
    "decode_protobuf": "parse protobuf, and what is left",
    "decode_json_body": "what is left",
    "rate": "free the rows, which the bench drops",
}
"""Function → what it does for a row; the innermost one that stands here takes the sample."""


def main() -> None:
    """Print one line per way of reading, or one table per format."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--profile", action="store_true")
    told = parser.parse_args()
    print(f"empty loop: {1e6 / loop_seconds():,.0f} steps/s")
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=fresh, max_tasks_per_child=1) as each:
        for name in WAYS:
            if not told.profile:
                print(each.submit(measured, name, told.runs, told.requests).result())
            elif name.endswith("allow-list"):
                print(each.submit(profiled, name, told.runs, told.requests).result())


def measured(name: str, runs: int, requests: int) -> str:
    """Return the line of one way."""
    kind, read = WAYS[name]
    [first] = bodies(kind, 1, -1)
    before = peak_mib()
    read(first)  # loads what is loaded on first use
    after = peak_mib()
    rates = [rate(read, bodies(kind, requests, run)) for run in range(runs)]
    return (
        f"{name}: {statistics.median(rates):,.0f} spans/s (least {min(rates):,.0f}, "
        f"most {max(rates):,.0f} of {runs}), peak memory {before:.0f} MiB before the first "
        f"request, {after:.0f} after it, {peak_mib():.0f} with all {requests} requests at hand"
    )


def profiled(name: str, runs: int, requests: int) -> str:
    """Return the share of each step in the CPU time, by a look every millisecond of it."""
    kind, read = WAYS[name]
    seen: Counter[str] = Counter()

    def look(_number: int, frame: FrameType | None) -> None:
        while frame is not None and frame.f_code.co_name not in STEPS:
            frame = frame.f_back
        seen[STEPS[frame.f_code.co_name] if frame else "the rest"] += 1

    signal.signal(signal.SIGPROF, look)
    for run in range(runs):
        sent = bodies(kind, requests, run)
        signal.setitimer(signal.ITIMER_PROF, 0.001, 0.001)
        rate(read, sent)
        signal.setitimer(signal.ITIMER_PROF, 0)
    lines = [f"| {step} | {count / seen.total():.0%} |" for step, count in seen.most_common()]
    return "\n".join([f"| {name}: {seen.total()} looks | |", "|---|---|", *lines])


def bodies(kind: str, count: int, run: int) -> list[bytes]:
    """Return requests that no other run sees."""
    made = [request(SPANS, run * count + number) for number in range(count)]
    if kind == "protobuf":
        return [one.SerializeToString() for one in made]
    return [json.dumps(as_json(one)).encode() for one in made]


def rate(read: Read, sent: Sequence[bytes]) -> float:
    """Return spans per CPU second."""
    began = time.process_time()
    for body in sent:
        read(body)
    return len(sent) * SPANS / (time.process_time() - began)


def peak_mib() -> float:
    """Return the most memory that this process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def loop_seconds() -> float:
    """Return how long a million empty steps take: the measure of this machine at this moment."""
    began = time.process_time()
    for _ in range(1_000_000):
        pass
    return time.process_time() - began


if __name__ == "__main__":
    main()
