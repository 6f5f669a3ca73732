"""A real receiver as a process of its own, and a real upstream that remembers."""

import contextlib
import http.server
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from selfdrive_dagster.adapters.intake import read_deliveries
from selfdrive_dagster.adapters.segments import SegmentWriter, closed_segments


class ReceiverProcess:
    """`python -m selfdrive_dagster.adapters.receiver` on a free port."""

    def __init__(self, home: Path, **settings):
        self.home = home
        self.directory = home / "segments"
        told = {
            "directory": str(self.directory),
            "key_file": str(home / "key"),
            "port": 0,
            "service_name": "shop",
            **settings,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "selfdrive_dagster.adapters.receiver", json.dumps(told)],
            stdout=subprocess.PIPE,
            text=True,
        )
        line = self._process.stdout.readline()
        self.port = int(line.split()[1])
        self.pid = self._process.pid

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    @property
    def dsn(self):
        return f"http://anykey@127.0.0.1:{self.port}/1"

    def stats(self):
        with urllib.request.urlopen(self.url + "/stats", timeout=10) as answer:
            return json.load(answer)

    def wait_for(self, **counts):
        """Wait until the counts are as told, and return all of them."""
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            stats = self.stats()
            if all(stats[name] == count for name, count in counts.items()):
                return stats
            time.sleep(0.02)
        raise AssertionError(f"wanted {counts}, found {stats}")

    def peak_bytes(self):
        status = Path(f"/proc/{self.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def stop(self):
        self._process.send_signal(signal.SIGTERM)
        status = self._process.wait(15)
        self._process.stdout.close()
        return status

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        self._process.wait(15)
        self._process.stdout.close()

    def records(self):
        """Everything stored, after `stop` or `kill`: as Records in order."""
        SegmentWriter(self.directory).close()  # what a restart would do first
        return [
            delivery.records
            for path in closed_segments(self.directory)
            for delivery in read_deliveries(path)
        ]

    def rows(self, table):
        return [row for records in self.records() for row in getattr(records, table)]


@contextlib.contextmanager
def receiving(home, **settings):
    """Run a receiver for a while."""
    receiver = ReceiverProcess(home, **settings)
    try:
        yield receiver
    finally:
        if receiver._process.poll() is None:
            receiver.stop()


@contextlib.contextmanager
def upstream(delay_seconds=0.0, status=200):
    """Run a server that stands where the old DSN pointed; yields (port, taken requests)."""
    taken = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            time.sleep(delay_seconds)
            taken.append((self.path, dict(self.headers), body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Stay quiet."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server.server_address[1], taken
    finally:
        server.shutdown()
        server.server_close()
