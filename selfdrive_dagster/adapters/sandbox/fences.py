"""Who keeps the memory limit: cgroups of our own, a systemd scope, or the watchdog.

Chosen once for a sandbox, by trying. Which one it was is told by `doctor`.
"""

import os
import subprocess
from enum import Enum
from pathlib import Path

from selfdrive_dagster.adapters.sandbox import cgroups
from selfdrive_dagster.adapters.sandbox.launch import in_a_scope

PASSED_ON = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
TRY_BYTES, TRY_PIDS = 64 * 2**20, 32


class Fence(Enum):
    """What counts the memory of a job."""

    CGROUP = "cgroup"
    SCOPE = "systemd scope"
    WATCHDOG = "watchdog"


def find_fence() -> Fence:
    """Return the strongest fence that works here."""
    if os.geteuid() == 0:
        groups = cgroups.create(TRY_BYTES, TRY_PIDS)
        return Fence.CGROUP if groups and groups.clear() else Fence.WATCHDOG
    return Fence.SCOPE if _scope_works() else Fence.WATCHDOG


def launcher_environment() -> dict[str, str]:
    """Return the variables of the launching programs; nothing of them is seen inside."""
    kept = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
    return {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", **kept}


def _scope_works() -> bool:
    if not (Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent")) / "bus").exists():
        return False
    try:
        command = [*in_a_scope(TRY_BYTES, TRY_PIDS), "true"]
        tried = subprocess.run(
            command, env=launcher_environment(), capture_output=True, timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0
