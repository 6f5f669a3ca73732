"""How fast one core turns OTLP traces into typed, redacted rows: protobuf and JSON.

`python -m bench.decode [--runs 5] [--requests 60]`: 512 spans a request, made beforehand, no
request decoded twice; the median of the runs in CPU seconds of one thread. Beside it, in the same
run: bare protobuf, and the speed of an empty Python loop, since shared machines differ by half.
"""

import argparse
import json
import resource
import statistics
import time
from collections.abc import Callable, Sequence

import msgspec
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.payloads import as_json, request
from selfdrive_dagster.telemetry import Arrival, Redactor, otlp

SPANS = 512
KEY = b"k" * 32


def main() -> None:
    """Print one line per way of reading."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--requests", type=int, default=60)
    told = parser.parse_args()
    listed = Arrival.now(Redactor(KEY, only_listed=True))
    everything = Arrival.now(Redactor(KEY))
    ways: dict[str, tuple[str, Callable[[bytes], object]]] = {
        "bare protobuf": ("protobuf", ExportTraceServiceRequest.FromString),
        "protobuf to rows, allow-list": ("protobuf", reader(listed)),
        "protobuf to rows, all attributes": ("protobuf", reader(everything)),
        "bare msgspec JSON": ("json", msgspec.json.decode),
        "JSON to rows, allow-list": ("json", json_reader(listed)),
        "JSON to rows, all attributes": ("json", json_reader(everything)),
    }
    print(f"empty loop: {1e6 / loop_seconds():,.0f} steps/s")
    for name, (kind, read) in ways.items():
        rates = [rate(read, bodies(kind, told.requests, run)) for run in range(told.runs)]
        print(
            f"{name}: {statistics.median(rates):,.0f} spans/s "
            f"(least {min(rates):,.0f}, most {max(rates):,.0f} of {told.runs})"
        )
    print(f"peak memory: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def reader(arrival: Arrival) -> Callable[[bytes], object]:
    """Return a decoder of protobuf traces."""
    return lambda body: otlp.decode_protobuf("traces", body, "The body", arrival)


def json_reader(arrival: Arrival) -> Callable[[bytes], object]:
    """Return a decoder of OTLP/JSON traces."""
    return lambda body: otlp.decode_json_body(body, "The body", arrival)


def bodies(kind: str, count: int, run: int) -> list[bytes]:
    """Return requests that no other run sees."""
    made = [request(SPANS, run * count + number) for number in range(count)]
    if kind == "protobuf":
        return [one.SerializeToString() for one in made]
    return [json.dumps(as_json(one)).encode() for one in made]


def rate(read: Callable[[bytes], object], sent: Sequence[bytes]) -> float:
    """Return spans per CPU second."""
    began = time.process_time()
    for body in sent:
        read(body)
    return len(sent) * SPANS / (time.process_time() - began)


def loop_seconds() -> float:
    """Return how long a million empty steps take: the measure of this machine at this moment."""
    began = time.process_time()
    for _ in range(1_000_000):
        pass
    return time.process_time() - began


if __name__ == "__main__":
    main()
