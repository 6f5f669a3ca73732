"""Makes Dagster's home ready for a boot: `python -m selfdrive_dagster.orchestration.boot`.

A process of its own, because `selfdrive up` neither knows Dagster nor should carry its weight
for days. Reads the environment that `up` gives to all its processes, prints one line of JSON.
"""

import os
import sys
from datetime import UTC, datetime

import msgspec

from selfdrive_dagster.adapters.postgres.urls import VARIABLE
from selfdrive_dagster.config import home_path
from selfdrive_dagster.orchestration.instance import (
    fail_stale_runs,
    note_boot,
    prepare_dagster_home,
)


def main() -> int:
    """Prepare the home, note the time, fail the runs of an earlier boot, and print their ids."""
    home = home_path(os.environ)
    prepare_dagster_home(home, os.environ[VARIABLE])
    note_boot(home, datetime.now(UTC))
    print(msgspec.json.encode({"failed_runs": fail_stale_runs(home)}).decode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
