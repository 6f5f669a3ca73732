"""`python -m selfdrive_dagster.adapters.controller`: looks every second until it is stopped."""

import os
import signal
import socket
import sys
import time
from datetime import UTC, datetime
from types import FrameType

from selfdrive_dagster.adapters.controller.control import Controller
from selfdrive_dagster.adapters.controller.stores import opened
from selfdrive_dagster.adapters.traefik import TraefikActuator

LOOK_SECONDS = 1.0


def main() -> int:
    """Look, act, tell; a fault of one look is told and the next one comes."""
    signal.signal(signal.SIGTERM, leave)
    with opened() as stores:
        holder = f"{socket.gethostname()}:{os.getpid()}"
        controller = Controller(stores, TraefikActuator(stores.home), holder, datetime.now(UTC))
        print(f"controller of {stores.settings.service.name}, epoch {controller.epoch}", flush=True)
        while True:
            for line in controller.tick(datetime.now(UTC)):
                if line:
                    print(line, flush=True)
            time.sleep(LOOK_SECONDS)


def leave(_number: int, _frame: FrameType | None) -> None:
    """End as asked."""
    raise SystemExit(0)


if __name__ == "__main__":
    sys.exit(main())
