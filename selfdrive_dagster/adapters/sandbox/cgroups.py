"""Memory and process limits of one job, kept by the kernel: cgroup v1 and v2.

RLIMIT_AS counts each process alone, so four processes hold four times its value; only a cgroup
counts them together, with the tmpfs pages they wrote. v2 is written after the kernel's
documentation (admin-guide/cgroup-v2); the probes decide whether it holds on a given machine.
"""

import os
import signal
import time
import uuid
from contextlib import suppress
from pathlib import Path

import msgspec

MOUNTS = Path("/sys/fs/cgroup")
PARENT = "selfdrive"
CLEAR_SECONDS = 5.0


class Groups(msgspec.Struct, frozen=True, kw_only=True):
    """The cgroup folders of one job: one in v2, one per controller in v1."""

    folders: tuple[Path, ...]

    def doors(self) -> list[str]:
        """Return the files that a process writes itself into to join."""
        return [str(folder / "cgroup.procs") for folder in self.folders]

    def kill(self) -> None:
        """Kill every member now."""
        for folder in self.folders:
            if (folder / "cgroup.kill").exists():
                (folder / "cgroup.kill").write_text("1")
                continue
            for pid in _members(folder):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, signal.SIGKILL)

    def clear(self) -> bool:
        """Kill until nobody is left, then remove the folders. False: somebody would not die."""
        deadline = time.monotonic() + CLEAR_SECONDS
        while any(_members(folder) for folder in self.folders):
            if time.monotonic() > deadline:
                return False
            self.kill()
            time.sleep(0.005)
        for folder in self.folders:
            _remove(folder)
        return True

    def killed_for_memory(self) -> int:
        """Return how many processes the kernel killed at the memory limit."""
        for folder in self.folders:
            for name in ("memory.events", "memory.oom_control"):
                with suppress(FileNotFoundError):
                    rows = dict(row.split() for row in (folder / name).read_text().splitlines())
                    return int(rows.get("oom_kill", 0))
        return 0


def create(memory_bytes: int, pids: int) -> Groups | None:
    """Make the groups of one job, or return None where cgroups cannot be written."""
    sweep()
    name = f"{_pid_namespace()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    try:
        return _create_v1(name, memory_bytes, pids) or _create_v2(name, memory_bytes, pids)
    except OSError:
        return None


def _create_v1(name: str, memory_bytes: int, pids: int) -> Groups | None:
    memory, processes = MOUNTS / "memory" / PARENT / name, MOUNTS / "pids" / PARENT / name
    if not (MOUNTS / "memory" / "cgroup.procs").exists():
        return None
    memory.mkdir(parents=True)
    processes.mkdir(parents=True)
    _set(memory / "memory.limit_in_bytes", memory_bytes)
    if (memory / "memory.memsw.limit_in_bytes").exists():
        _set(memory / "memory.memsw.limit_in_bytes", memory_bytes)
    _set(processes / "pids.max", pids)
    return Groups(folders=(memory, processes))


def _create_v2(name: str, memory_bytes: int, pids: int) -> Groups | None:
    controllers = MOUNTS / "cgroup.controllers"
    if not controllers.exists() or not {"memory", "pids"} <= set(controllers.read_text().split()):
        return None
    parent = MOUNTS / PARENT
    parent.mkdir(exist_ok=True)
    for folder in (MOUNTS, parent):
        (folder / "cgroup.subtree_control").write_text("+memory +pids")
    group = parent / name
    group.mkdir()
    _set(group / "memory.max", memory_bytes)
    _set(group / "memory.oom.group", 1)
    if (group / "memory.swap.max").exists():
        _set(group / "memory.swap.max", 0)
    _set(group / "pids.max", pids)
    return Groups(folders=(group,))


def sweep() -> None:
    """Clear the groups of supervisors that are gone.

    A supervisor that is killed while bubblewrap builds a box can leave bubblewrap's first child
    waiting for ever, before it has run anything: `--die-with-parent` holds only from later on.
    Process numbers of other containers mean nothing to us; their groups are left alone.
    """
    for parent in (MOUNTS / "memory" / PARENT, MOUNTS / "pids" / PARENT, MOUNTS / PARENT):
        for folder in parent.glob(f"{_pid_namespace()}-*-*"):
            if not Path(f"/proc/{folder.name.split('-')[1]}").exists():
                Groups(folders=(folder,)).clear()


def _pid_namespace() -> int:
    return Path("/proc/self/ns/pid").stat().st_ino


def _remove(folder: Path) -> None:
    for _attempt in range(50):  # a dying process may hold its group a moment longer
        try:
            folder.rmdir()
            return
        except FileNotFoundError:
            return
        except OSError:
            time.sleep(0.01)


def _members(folder: Path) -> list[int]:
    try:
        return [int(pid) for pid in (folder / "cgroup.procs").read_text().split()]
    except FileNotFoundError:
        return []


def _set(file: Path, value: int) -> None:
    file.write_text(str(value))
