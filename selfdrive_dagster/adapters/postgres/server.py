"""The embedded PostgreSQL: started by the first user of a home, stopped after the last.

A second starter joins, and a starter that finds a server stopping waits for its end: `locks`
has the protocol. Nothing listens on TCP; the socket lies in the data directory, which is 0700.
Does not belong here: what is stored, and real servers (`urls`).
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import psutil
import psycopg2

from selfdrive_dagster.adapters.postgres import keeper
from selfdrive_dagster.adapters.postgres.binaries import Owner, owner_of, programs
from selfdrive_dagster.adapters.postgres.locks import Place, enter, leave, locked, wait_until
from selfdrive_dagster.errors import BadInput, Busy, SelfdriveError
from selfdrive_dagster.model import Progress, digest, silent

ROLE = "selfdrive"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_BYTES = 103
"""The longest socket path that Linux (107) and macOS (103) both take."""

OPTIONS = {
    "listen_addresses": "",
    "unix_socket_directories": ".",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "512MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "fsync": "on",
    "synchronous_commit": "on",
    "jit": "off",
    "log_checkpoints": "off",
    "log_min_messages": "warning",
    "log_min_error_statement": "panic",  # statements hold what users sent
    "timezone": "UTC",
}


@contextmanager
def embedded(home: Path, *, progress: Progress = silent, seconds: float = 60.0) -> Iterator[str]:
    """Give the URL of this home's server, starting it or joining it, until the block ends.

    `seconds` bounds each wait: for a server that is stopping, and for one that recovers after
    a crash. Raises Busy when that passes, SelfdriveError when the server ends by itself.
    """
    place = Place(home.resolve())
    place.prepare()
    users = os.open(place.users, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        enter(users, place, progress, seconds)
        try:
            ensure_running(place, progress, seconds)
            yield url_of(socket_folder(place.data))
        finally:
            leave(users, place, seconds)
    finally:
        os.close(users)


def ensure_running(place: Place, progress: Progress, seconds: float) -> None:
    """Start the server unless one runs, and wait until it answers."""
    begun = False
    said = ""

    def answers() -> bool:
        nonlocal begun, said
        server = os.open(place.server, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if locked(server, fcntl.LOCK_EX):
                if begun:
                    raise ended_by_itself(place)
                begin(place, server)
                begun = True
        finally:
            os.close(server)
        said = refusal(place)
        return not said

    wait_until(
        answers,
        seconds,
        lambda waited: progress(f"waiting for the database ({waited:.0f} s): {said}"),
        lambda: Busy(
            f"The database of {place.home} does not answer after {seconds:.0f} s: {said}",
            remedy=f"Look at {place.log}; another run continues the recovery.",
        ),
    )


def begin(place: Place, server: int) -> None:
    """Make the data directory if there is none, and start its keeper. We hold `server`."""
    owner = owner_of(place.data)
    bin_folder = programs(place.data, owner)
    if not place.data.exists():
        initialise(place, owner, bin_folder)
    if not (place.data / "PG_VERSION").is_file():
        raise BadInput(
            f"{place.data} is not a PostgreSQL data directory.",
            remedy="Move it away, or choose another SELFDRIVE_HOME.",
        )
    forget_foreign_pids(place.data)
    options = [part for name, value in OPTIONS.items() for part in ("-c", f"{name}={value}")]
    spec = {
        "command": [str(bin_folder / "postgres"), "-D", inside(place.data, owner), *options],
        "data": str(place.data),
        "users": str(place.users),
        "server_fd": server,
        "identity": owner.identity(),
    }
    with place.log.open("ab") as log:
        subprocess.run(
            [sys.executable, "-I", "-S", keeper.__file__, json.dumps(spec)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[server],
            start_new_session=True,
            check=True,
        )


def initialise(place: Place, owner: Owner, bin_folder: Path) -> None:
    """Make a data directory under another name and rename it, so that it is whole or absent."""
    fresh = place.data.with_suffix(".new")
    if fresh.exists():
        shutil.rmtree(fresh)
    fresh.mkdir(mode=0o700)
    os.chown(fresh, owner.uid, owner.gid)
    done = subprocess.run(
        [
            str(bin_folder / "initdb"),
            *("-D", inside(fresh, owner)),
            f"--username={ROLE}",
            "--encoding=UTF8",
            "--locale=C",
            "--auth-local=trust",  # whoever reaches into a 0700 directory is its owner
            "--auth-host=reject",
            "--no-instructions",
        ],
        cwd=fresh,
        env={"LC_ALL": "C", "PATH": os.defpath},
        capture_output=True,
        text=True,
        check=False,
        **owner.identity(),
    )
    if done.returncode != 0:
        shutil.rmtree(fresh)
        nameless = "could not look up effective user ID" in done.stderr
        raise SelfdriveError(
            f"PostgreSQL could not make {place.data}:\n{done.stderr.strip()}",
            remedy="Give this account a line in /etc/passwd, or name a server in "
            "SELFDRIVE_DATABASE_URL."
            if nameless
            else "Free space on this disk, or choose another SELFDRIVE_HOME.",
        )
    fresh.rename(place.data)


def inside(data: Path, owner: Owner) -> str:
    """Name the data directory for a program that was started in it.

    Another account cannot walk the closed parents of a home, but needs not: this name is the
    directory it stands in.
    """
    return str(data) if os.geteuid() == owner.uid else "/proc/self/cwd"


def forget_foreign_pids(data: Path) -> None:
    """Remove the pid files whose number is no longer our server's.

    PostgreSQL removes the file of a dead process itself, but refuses to start when the number
    was given out again, or while a killed server waits to be buried by a slow `init`. The
    `server` lock is ours, so no server of ours lives; one that was started by hand stands in
    the directory, and is left alone.
    """
    for pid_file in (data / "postmaster.pid", data / f"{SOCKET_NAME}.lock"):
        first = pid_file.read_text().partition("\n")[0].strip() if pid_file.exists() else ""
        if not first.isdigit():
            continue
        if stands_in(data, int(first)):
            raise Busy(
                f"PostgreSQL (process {first}) was started by hand on {data}.",
                remedy=f"Stop it: kill -INT {first}",
            )
        pid_file.unlink()


def stands_in(data: Path, pid: int) -> bool:
    """Say whether a process is alive and works in the data directory, as its server would."""
    try:
        return psutil.Process(pid).cwd() == str(data)
    except psutil.Error:  # gone, dead but unburied, or another user's: not our server
        return False


def refusal(place: Place) -> str:
    """Return why the server takes no connection yet; empty when it does."""
    try:
        folder = str(socket_folder(place.data))
        psycopg2.connect(host=folder, user=ROLE, dbname="postgres", connect_timeout=2).close()
    except psycopg2.OperationalError as fault:
        first_line = str(fault).strip().partition("\n")[0]
        return first_line.rpartition("failed: ")[2].removeprefix("FATAL:").strip() or "no answer"
    return ""


def ended_by_itself(place: Place) -> SelfdriveError:
    """Say that the server we started is gone, with its last words."""
    words = place.log.read_text(errors="replace").splitlines()[-8:]
    return SelfdriveError(
        "PostgreSQL ended by itself. Its last words:\n" + "\n".join(f"  {line}" for line in words),
        remedy=f"Mend what {place.log} names, then run the command again.",
    )


def socket_folder(data: Path) -> Path:
    """Return a folder whose socket path is short enough to connect to.

    The server itself binds a relative name, so only clients meet the limit. A long home is
    reached over a symbolic link in the user's runtime (or temporary) directory.
    """
    if len(os.fsencode(data / SOCKET_NAME)) <= SOCKET_BYTES:
        return data
    base = Path(os.environ.get("XDG_RUNTIME_DIR") or tempfile.gettempdir())
    link = base / f"selfdrive-{os.geteuid()}-{digest(os.fsencode(data))[:12]}"
    try:
        link.symlink_to(data)
    except FileExistsError:
        if link.lstat().st_uid != os.geteuid() or link.readlink() != data:
            raise BadInput(
                f"{link} is in the way: it is not our link to {data}.",
                remedy="Remove it, or choose a shorter SELFDRIVE_HOME.",
            ) from None
    return link


def url_of(folder: Path) -> str:
    """Return the SQLAlchemy URL of the server whose socket lies in `folder`."""
    return f"postgresql+psycopg2://{ROLE}@/postgres?host={quote(str(folder), safe='')}"
