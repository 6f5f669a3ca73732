"""What is missing when no box can be made, and the one command that mends it.

`doctor` and refusals say it; nothing here changes the system.
"""

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

INSTALLERS = (
    ("apt-get", "sudo apt-get install bubblewrap"),
    ("dnf", "sudo dnf install bubblewrap"),
    ("pacman", "sudo pacman -S bubblewrap"),
    ("zypper", "sudo zypper install bubblewrap"),
    ("apk", "sudo apk add bubblewrap"),
)
PROFILE = "/usr/share/apparmor/extra-profiles/bwrap-userns-restrict"


class Missing(msgspec.Struct, frozen=True, kw_only=True):
    """One missing piece and its remedy."""

    piece: str
    remedy: str


def _sysctl(name: str) -> str:
    """Return a kernel setting as text, empty when this kernel has none of that name."""
    try:
        return Path("/proc/sys", *name.split(".")).read_text().strip()
    except OSError:
        return ""


def _install() -> str:
    found = (line for program, line in INSTALLERS if shutil.which(program))
    return next(found, "install bubblewrap 0.8 or newer with your package manager")


def _in_container() -> bool:
    return any(Path(mark).exists() for mark in ("/.dockerenv", "/run/.containerenv"))


REASONS: tuple[tuple[Callable[[], bool], str, Callable[[], str]], ...] = (
    (
        lambda: sys.platform != "linux",
        "the sandbox needs Linux",
        lambda: "run Selfdrive in a Linux machine or virtual machine",
    ),
    (lambda: shutil.which("bwrap") is None, "bubblewrap is not installed", _install),
    (
        lambda: _sysctl("user.max_user_namespaces") == "0",
        "user namespaces are switched off (user.max_user_namespaces = 0)",
        lambda: "sudo sysctl -w user.max_user_namespaces=15000",
    ),
    (
        lambda: _sysctl("kernel.unprivileged_userns_clone") == "0",
        "user namespaces are refused to ordinary users (kernel.unprivileged_userns_clone = 0)",
        lambda: "sudo sysctl -w kernel.unprivileged_userns_clone=1",
    ),
    (
        lambda: _sysctl("kernel.apparmor_restrict_unprivileged_userns") == "1",
        "AppArmor refuses user namespaces to bubblewrap",
        lambda: (
            f"sudo apt-get install apparmor-profiles && sudo cp {PROFILE} /etc/apparmor.d/bwrap "
            "&& sudo apparmor_parser -r /etc/apparmor.d/bwrap"
        ),
    ),
    (
        _in_container,
        "this container does not let bubblewrap make namespaces",
        lambda: "start the container with --security-opt seccomp=unconfined, or run on the host",
    ),
)
"""In this order: does it hold, what is missing, what mends it."""


def find_missing(said: str) -> Missing:
    """Return the first reason that holds, else what bubblewrap itself `said`."""
    for holds, piece, remedy in REASONS:
        if holds():
            return Missing(piece=f"{piece}: {said}" if said else piece, remedy=remedy())
    return Missing(
        piece=f"bubblewrap could not make the box: {said or 'it gave no reason'}",
        remedy="run `bwrap --unshare-all --ro-bind / / true` and mend what it names",
    )
