"""The Traefik program: where it is, and how a front runs it."""

import os
import shutil
import signal
import sysconfig
from pathlib import Path

import psutil

from selfdrive_dagster.adapters.durable import write_whole
from selfdrive_dagster.adapters.front_files import FrontFiles, as_yaml
from selfdrive_dagster.adapters.processes import Service, leftovers
from selfdrive_dagster.adapters.traefik.asking import ask
from selfdrive_dagster.adapters.traefik.config import static_config
from selfdrive_dagster.errors import MissingTool

NAME = "traefik"
FULL_BYTES = 64 * 2**20
"""An access log of this size is turned; one older is kept."""


def program() -> Path:
    """Return where Traefik is: in our environment, or on the path. Raises MissingTool."""
    ours = Path(sysconfig.get_path("scripts")) / NAME
    found = str(ours) if os.access(ours, os.X_OK) else shutil.which(NAME)
    if found is None:
        raise MissingTool(
            "Traefik is not installed: without it no traffic can be moved.",
            remedy="pip install 'selfdrive-dagster[traffic]'",
        )
    return Path(found)


def proxy(files: FrontFiles, listen: str, api: int) -> Service:
    """Return Traefik before the product; writes what it reads once. It gets no environment."""
    write_whole(files.static, as_yaml(static_config(files, listen, api)))
    make_log(files.access_log)
    return Service(
        name=NAME,
        command=(str(program()), f"--configFile={files.static}"),
        environ={"PATH": os.environ.get("PATH", "")},
        is_ready=lambda: ask(api, "") is not None,
        grace_seconds=3.0,
    )


def make_log(path: Path) -> None:
    """Make the access log before Traefik does: it holds cookies and is the owner's alone."""
    path.touch(mode=0o600)
    path.chmod(0o600)


def turn_log(path: Path, served: Path, full_bytes: int = FULL_BYTES) -> None:
    """Keep a full access log as the older one, and tell Traefik to begin a new one."""
    if not path.exists() or path.stat().st_size < full_bytes:
        return
    path.replace(path.with_name(f"{path.name}.1"))
    make_log(path)
    for process in leftovers(served, NAME):
        try:
            if process.name() == NAME:
                process.send_signal(signal.SIGUSR1)
        except psutil.Error:
            continue  # it has just ended: the next one begins with the new log
