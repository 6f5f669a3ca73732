"""What every command needs of the machine: Python, git, the sandbox, a private home, room."""

import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from selfdrive_dagster.cli.doctor.findings import Answer, Check, Patient, degraded, fine, missing
from selfdrive_dagster.config.home import privacy_fault, privacy_remedy

OLDEST_GIT = (2, 31)
ROOM_NEEDED, ROOM_WANTED = 512 * 2**20, 4 * 2**30


def python(_patient: Patient) -> Answer:
    """The interpreter that runs Selfdrive; pip has already refused an older one."""
    return fine(f"{platform.python_version()} at {sys.executable}")


def git(_patient: Patient) -> Answer:
    """git, not older than the options we use."""
    program = shutil.which("git")
    if program is None:
        return missing("git is not installed", "apt-get install git")
    told = subprocess.check_output([program, "--version"], text=True)
    numbers = re.search(r"(\d+)\.(\d+)", told)
    version = tuple(map(int, numbers.groups())) if numbers else (0, 0)
    if version < OLDEST_GIT:
        return missing(f"{told.strip()} is older than 2.31", "install a newer git")
    return fine(told.strip())


def sandbox(patient: Patient) -> Answer:
    """Whether untrusted code can be locked in: every probe is run, once per boot."""
    from selfdrive_dagster.adapters.sandbox import BwrapSandbox
    from selfdrive_dagster.model import SandboxLevel

    # A home that is not there yet, or is not ours alone, is not written to by looking.
    if patient.home.is_dir() and not privacy_fault(patient.home):
        found = BwrapSandbox(patient.home / "sandbox").findings()
    else:
        with tempfile.TemporaryDirectory(prefix="selfdrive-doctor-") as state:
            found = BwrapSandbox(Path(state) / "sandbox").findings()
    held = sum(probe.passed for probe in found.results)
    says = f"level {found.level.value}: {held} of {len(found.results)} probes were held"
    if found.level is SandboxLevel.FULL:
        return fine(says)
    failed = ", ".join(probe.name for probe in found.results if not probe.passed)
    reason = "; ".join(part for part in (found.missing, failed) if part)
    return missing(f"{says}; {reason}; nothing untrusted will run", found.remedy)


def ssh_keygen(_patient: Patient) -> Answer:
    """ssh-keygen signs and checks approvals."""
    if program := shutil.which("ssh-keygen"):
        return fine(program)
    return degraded(
        "ssh-keygen is not installed: approvals can not be signed or checked",
        "apt-get install openssh-client",
    )


def home(patient: Patient) -> Answer:
    """The home directory is ours alone and can be written."""
    place = patient.home
    if not place.exists():
        parent = next(folder for folder in place.parents if folder.exists())
        if os.access(parent, os.W_OK):
            return fine(f"{place} will be made when it is needed")
        return missing(f"{place} cannot be made", "set SELFDRIVE_HOME to a folder of yours")
    if fault := privacy_fault(place):
        return missing(f"{place} {fault}", privacy_remedy(place))
    if not os.access(place, os.W_OK):
        return missing(f"{place} cannot be written", "set SELFDRIVE_HOME to a folder of yours")
    return fine(f"{place}, mode 0700")


def room(patient: Patient) -> Answer:
    """Room on the disks of the home and of temporary files."""
    parent = next(p for p in (patient.home, *patient.home.parents) if p.exists())
    places = {parent, Path(tempfile.gettempdir())}
    free, place = min((shutil.disk_usage(place).free, str(place)) for place in places)
    says = f"{free / 2**30:.1f} GiB free at {place}"
    if free < ROOM_NEEDED:
        return missing(f"only {says}", "make room, or set SELFDRIVE_HOME and TMPDIR elsewhere")
    return fine(says) if free >= ROOM_WANTED else degraded(f"only {says}", "make room soon")


CHECKS = (
    Check("python", python),
    Check("git", git),
    Check("sandbox", sandbox),
    Check("ssh-keygen", ssh_keygen),
    Check("home", home),
    Check("disk", room),
)
