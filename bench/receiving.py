"""A real receiver as a process, and a product that crashes under the real Sentry SDK.

Nothing is handed over by hand: the SDK sends over HTTP, the receiver writes a segment, and
the crash is read back from there.
"""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.intake import read_deliveries
from selfdrive_dagster.adapters.segments import SegmentWriter, closed_segments
from selfdrive_dagster.hooks import state
from selfdrive_dagster.model import Crash

HOOK_INIT = (
    "import sentry_sdk, selfdrive_state\n"
    "sentry_sdk.init(dsn={dsn!r}, release={release!r}, before_send=selfdrive_state.before_send)\n"
)
STOCK_INIT = "import sentry_sdk\nsentry_sdk.init(dsn={dsn!r}, release={release!r})\n"


@contextlib.contextmanager
def receiver(home: Path, service: str) -> Iterator[str]:
    """Run a receiver that stores into `home/segments`; yield a DSN for it."""
    told = {
        "directory": str(home / "segments"),
        "key_file": str(home / "key"),
        "port": 0,
        "service_name": service,
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "selfdrive_dagster.adapters.receiver", json.dumps(told)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        yield f"http://bench@127.0.0.1:{int(process.stdout.readline().split()[1])}/1"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(15)


def stored_crashes(home: Path) -> list[Crash]:
    """Return the crashes in the segments of a home whose receiver has ended."""
    SegmentWriter(home / "segments").close()  # as the next start would: closes what is open
    return [
        msgspec.json.decode(row.crash_json, type=Crash)
        for path in closed_segments(home / "segments")
        for delivery in read_deliveries(path)
        for row in delivery.records.exceptions
    ]


def lay_hook(folder: Path) -> None:
    """Copy the opt-in hook into a folder, as a product's team would."""
    shutil.copy(state.__file__, folder / "selfdrive_state.py")


def crash_of(
    trigger: str,
    product: Path,
    roots: tuple[str, ...],
    python: str,
    home: Path,
    *,
    hook: bool = False,
) -> Crash:
    """Run a few lines against a product until they crash; return what came out of the segment.

    With `hook` the product's team has added the opt-in hook to the SDK.
    """
    program = home / "trigger.py"
    lay_hook(home)
    init = HOOK_INIT if hook else STOCK_INIT
    with receiver(home, product.name) as dsn:
        program.write_text(init.format(dsn=dsn, release=product.name) + trigger)
        subprocess.run(
            [python, "-B", str(program)],
            cwd=product,
            env={"PYTHONPATH": ":".join(str(product / root) for root in roots)},
            stderr=subprocess.DEVNULL,
            timeout=60,
            check=False,
        )
    [crash] = stored_crashes(home)
    return crash
