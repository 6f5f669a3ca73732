"""Record the crashes of the cases beside this file, with the real Sentry SDK.

    python tests/cases/reproduce/capture.py [CASE ...]

Each case is a small product: its code, its tests, and `production.py`, which does what users
did until it raises. It runs in a process of its own, below a folder that becomes `/srv/app`,
with the unmodified SDK; a transport that keeps envelopes stands in for the network. What the
SDK sent is kept beside it as `crash.envelope`.
"""

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SERVER = "/srv/app"
VENV = "/srv/venv"

PROGRAM = """
import runpy, sys
import sentry_sdk
from sentry_sdk.transport import Transport

class Keep(Transport):
    def capture_envelope(self, envelope):
        if envelope.get_event() is not None:
            sys.stdout.buffer.write(envelope.serialize())
            sys.stdout.flush()

sentry_sdk.init(dsn="https://key@sentry.invalid/1", transport=Keep, release="shop@1.4",
                server_name="web-1", max_request_body_size="always")
try:
    runpy.run_path("production.py", run_name="production")
except Exception as error:
    sentry_sdk.capture_exception(error)
"""


def record(case: Path) -> bytes:
    """Run one case's production and return the envelope of its crash."""
    with tempfile.TemporaryDirectory() as folder:
        server = Path(folder) / "app"
        shutil.copytree(case, server)
        command = [sys.executable, "-B", "-c", PROGRAM]
        ran = subprocess.run(command, cwd=server, env={"PYTHONPATH": ".", "PYTHONHASHSEED": "0"}, capture_output=True)
        if not ran.stdout:
            raise SystemExit(f"{case.name} did not crash:\n{ran.stderr.decode()}")
        sent = ran.stdout
        for ours, theirs in ((str(server), SERVER), (sys.prefix, VENV), (sys.base_prefix, "/usr")):
            sent = sent.replace(ours.encode(), theirs.encode())
        return _same_length(sent)


def _same_length(envelope: bytes) -> bytes:
    """Mend the item's byte count after the folder was renamed; the payload is one line."""
    header, item, payload = envelope.rstrip(b"\n").split(b"\n")[:3]
    told = {**json.loads(item), "length": len(payload)}
    return b"\n".join([header, json.dumps(told).encode(), payload, b""])


def main(names: list[str]) -> None:
    """Record the named cases, or all of them."""
    for case in sorted(path.parent for path in HERE.glob("*/production.py")):
        if not names or case.name in names:
            (case / "crash.envelope").write_bytes(record(case))
            print(case.name)


if __name__ == "__main__":
    main(sys.argv[1:])
