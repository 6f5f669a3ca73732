"""`python -m selfdrive_dagster.adapters.front`: serve what the plan on stdin says, until told.

One line of JSON, a `FrontPlan`, comes on stdin. `selfdrive serve` starts it and keeps it running.
"""

import signal
import sys

import msgspec

from selfdrive_dagster.adapters.front.front import Front
from selfdrive_dagster.adapters.front.plan import FrontPlan
from selfdrive_dagster.errors import SelfdriveError


def main() -> int:
    """Run one front to its end and return the exit code."""
    plan = msgspec.json.decode(sys.stdin.buffer.readline(), type=FrontPlan)
    front = Front(plan, progress=lambda sentence: print(sentence, flush=True))
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: front.stop())
    try:
        front.run()
    except SelfdriveError as error:
        print(error, flush=True)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
