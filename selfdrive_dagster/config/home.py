"""Where Selfdrive keeps what it learns: one private directory.

`$SELFDRIVE_HOME`, else `selfdrive` in the XDG data directory. We make it with mode 0700 and
never change the mode of a directory that we did not make: a wrong one is told, not mended.
"""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

from selfdrive_dagster.errors import BadInput, Refused

KILL_SWITCH = "STOP"
"""A file of the home: while it is there, all traffic is stable's and no trial begins."""


def home_path(environ: Mapping[str, str]) -> Path:
    """Return where the home is or would be; touches nothing."""
    if chosen := environ.get("SELFDRIVE_HOME"):
        return Path(chosen).expanduser().absolute()
    data = environ.get("XDG_DATA_HOME", "")
    # The XDG specification says that a relative path is invalid and must be ignored.
    base = Path(data) if Path(data).is_absolute() else Path("~/.local/share").expanduser()
    return base / "selfdrive"


def open_home(environ: Mapping[str, str]) -> Path:
    """Return the home, made with mode 0700 if it was not there.

    Raises Refused when others may enter it, BadInput when it cannot be a directory.
    """
    home = home_path(environ)
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        try:
            home.mkdir(mode=0o700)
        except FileExistsError:
            pass  # made before: judged below
        fault = privacy_fault(home)
    except OSError as error:
        raise BadInput(
            f"The home directory {home} cannot be used: {error.strerror}.",
            remedy="set SELFDRIVE_HOME to a directory that you may write to",
        ) from error
    if fault:
        raise Refused(f"The home directory {home} {fault}.", remedy=privacy_remedy(home))
    return home


def privacy_fault(home: Path) -> str:
    """Say what keeps an existing home from being private, "" when it is."""
    facts = home.stat()
    if not stat.S_ISDIR(facts.st_mode):
        return "is not a directory"
    if facts.st_uid != os.getuid():
        return f"belongs to another user (uid {facts.st_uid})"
    if facts.st_mode & 0o077:
        return f"is open to others (mode {stat.S_IMODE(facts.st_mode):04o}; it holds evidence)"
    return ""


def privacy_remedy(home: Path) -> str:
    """Return what makes a home private; only its owner can close it."""
    facts = home.stat()
    elsewhere = "set SELFDRIVE_HOME to a folder of your own"
    if stat.S_ISDIR(facts.st_mode) and facts.st_uid == os.getuid():
        return f"chmod 700 {home}, or {elsewhere}"
    return elsewhere
