"""Whether the process namespace of a job is gone: its first process dies last."""

import time
from pathlib import Path

import msgspec

WAIT_SECONDS = 5.0


class _Status(msgspec.Struct):
    child: int = msgspec.field(name="child-pid", default=0)


def first_process(said: bytes) -> int:
    """Return the host's pid of the namespace's init, from bubblewrap's status; 0 if none began."""
    for line in said.splitlines():
        try:
            pid = msgspec.json.decode(line, type=_Status).child
        except msgspec.MsgspecError:
            continue
        if pid:
            return pid
    return 0


def ended(said: bytes) -> bool:
    """Wait until the namespace is gone. False: it lives on after five seconds."""
    pid = first_process(said)
    deadline = time.monotonic() + WAIT_SECONDS
    while pid and _is_alive_init(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.002)
    return True


def _is_alive_init(pid: int) -> bool:
    """Say whether `pid` is the first of a nested namespace; a zombie has lost all the others."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    rows = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    return rows["NSpid"].split()[-1] == "1" and not rows["State"].strip().startswith(("Z", "X"))
