"""A hundred kill -9 of the receiver while clients send: is an acknowledged span ever lost?

`python -m bench.kill_nine [--kills 100] [--seed 1]`: one home all along, so that each start
recovers what the last kill left. Each round prints its seed, what was acknowledged and what the
segments hold; received = stored + duplicate + rejected is asked of each new process. Exit code 1
if a span is missing or stands there twice.
"""

import argparse
import http.client
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

from bench.payloads import request
from selfdrive_dagster.adapters.intake import read_deliveries
from selfdrive_dagster.adapters.segments import SegmentWriter, closed_segments

SPANS = 16
CLIENTS = 3


def main() -> int:
    """Kill and count; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    acknowledged: set[str] = set()
    with tempfile.TemporaryDirectory() as place:
        home = Path(place)
        for seed in range(told.seed, told.seed + told.kills):
            before = len(acknowledged)
            one_round(home, seed, acknowledged)
            print(f"seed {seed}: {len(acknowledged) - before} spans acknowledged", flush=True)
        SegmentWriter(home / "segments").close()
        stored = [
            row.span_id
            for path in closed_segments(home / "segments")
            for delivery in read_deliveries(path)
            for row in delivery.records.spans
        ]
    lost, twice = acknowledged - set(stored), len(stored) - len(set(stored))
    print(
        f"{told.kills} kills: {len(acknowledged):,} spans acknowledged, {len(stored):,} stored, "
        f"{len(lost)} lost, {twice} stored twice"
    )
    return 1 if lost or twice or not acknowledged else 0


def one_round(home: Path, seed: int, acknowledged: set[str]) -> None:
    """Start, send from several clients, kill at a moment that the seed draws."""
    chance = random.Random(seed)
    settings = {
        "directory": str(home / "segments"),
        "key_file": str(home / "key"),
        "port": 0,
        "segment_bytes": 30_000,
        "segment_seconds": 0.2,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "selfdrive_dagster.adapters.receiver", json.dumps(settings)],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    port = int(process.stdout.readline().split()[1])
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/stats") as answer:
        stats = json.load(answer)
    assert stats["received"] == stats["stored"] + stats["duplicate"] + stats["rejected"], stats
    assert stats["stored"] >= len(acknowledged), stats
    threads = [
        threading.Thread(target=send, args=(port, (seed * CLIENTS + client) * 10_000, acknowledged))
        for client in range(CLIENTS)
    ]
    for thread in threads:
        thread.start()
    wanted = len(acknowledged) + SPANS * chance.randint(2, 20)
    while len(acknowledged) < wanted:
        time.sleep(0.001)
    time.sleep(chance.random() / 50)
    process.kill()
    process.wait()
    for thread in threads:
        thread.join()


def send(port: int, number: int, acknowledged: set[str]) -> None:
    """Send new spans until the receiver is gone; note those that were answered 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        while True:
            number += 1
            made = request(SPANS, number)
            connection.request(
                "POST",
                "/v1/traces",
                made.SerializeToString(),
                {"content-type": "application/x-protobuf"},
            )
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                spans = made.resource_spans[0].scope_spans[0].spans
                acknowledged.update(span.span_id.hex() for span in spans)
    except (OSError, http.client.HTTPException):
        return


if __name__ == "__main__":
    sys.exit(main())
