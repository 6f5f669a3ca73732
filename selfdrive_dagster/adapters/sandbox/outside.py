"""The victims that the probes try to reach: files, sockets, a process, a leaked descriptor.

Set out before the probes run and looked over afterwards, since two acts can only be judged from
outside: a daemon that outlived its sandbox and a file left behind.
"""

import os
import secrets
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec


class Outside(msgspec.Struct, frozen=True, kw_only=True):
    """What has been set out; `spec` tells the acts inside where it is."""

    folder: Path
    secret: str
    orphan_mark: str
    places: tuple[Path, ...]
    spec: dict[str, Any]

    @property
    def tree(self) -> str:
        """The tree that the probing jobs get; it holds a symlink to a secret."""
        return str(self.folder / "tree")

    def planted(self) -> str:
        """Return the files that were left behind, and remove them."""
        found = [place for place in self.places if place.exists()]
        for place in found:
            place.unlink()
        return ", ".join(str(place) for place in found)

    def orphans(self) -> str:
        """Return the processes that outlived their sandbox, and kill them."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                if self.orphan_mark.encode() in (process / "cmdline").read_bytes():
                    os.kill(int(process.name), signal.SIGKILL)
                    found.append(process.name)
        return ", ".join(found)


@contextmanager
def set_out(shown: Sequence[Path], *, prefix: Path, harness: Path, tree: str) -> Iterator[Outside]:
    """Set the victims out. `shown` are host paths that are visible inside on purpose."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="selfdrive-probe-")))
        secret, mark = secrets.token_hex(16), f"planted-{secrets.token_hex(8)}"
        folder.chmod(0o755)
        _files(folder, secret)
        home, orphan_mark = Path.home(), f"orphan-{secrets.token_hex(8)}"
        yield Outside(
            folder=folder,
            secret=secret,
            orphan_mark=orphan_mark,
            places=(
                folder / "open" / "planted",
                *(place / mark for place in (Path("/usr"), prefix, harness, folder / "tree")),
            ),
            spec={
                "secret": secret,
                "mark": mark,
                "orphan_mark": orphan_mark,
                "public_file": str(folder / "public"),
                "private_file": str(folder / "private"),
                "open_folder": str(folder / "open"),
                "home": str(home),
                "home_names": _hidden_names(home, shown),
                "prefix": str(prefix),
                "tree": tree or str(folder / "tree"),
                **_servers(stack, folder),
                **_victim(stack, secret),
                "leak": _leak(stack, folder),
            },
        )


def _files(folder: Path, secret: str) -> None:
    for name, mode in (("public", 0o644), ("private", 0o600)):
        (folder / name).write_text(secret)
        (folder / name).chmod(mode)
    (folder / "open").mkdir()
    (folder / "open").chmod(0o777)
    (folder / "tree").mkdir()
    (folder / "tree" / "way-out").symlink_to(folder / "public")


def _hidden_names(home: Path, shown: Sequence[Path]) -> list[str]:
    """Return what lies in a home, except what leads to folders that are shown on purpose.

    A user without a home has `/` for one, whose names mean nothing.
    """
    if home == Path("/"):
        return []
    leading = {path.relative_to(home).parts[0] for path in shown if home in path.parents}
    try:
        return sorted({entry.name for entry in home.iterdir()} - leading)
    except OSError:
        return []


def _servers(stack: ExitStack, folder: Path) -> dict[str, Any]:
    """Listen on all addresses, on an abstract and on a path socket; answer datagrams."""
    tcp = stack.enter_context(socket.create_server(("0.0.0.0", 0)))  # noqa: S104  it is the bait
    udp = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    udp.bind(("0.0.0.0", 0))  # noqa: S104
    threading.Thread(target=_echo, args=(udp,), daemon=True).start()
    abstract_name = f"selfdrive-{secrets.token_hex(8)}"
    for address in ("\0" + abstract_name, str(folder / "socket")):
        server = stack.enter_context(socket.socket(socket.AF_UNIX))
        server.bind(address)
        server.listen()
    (folder / "socket").chmod(0o777)
    return {
        "tcp_port": tcp.getsockname()[1],
        "udp_port": udp.getsockname()[1],
        "host_address": _own_address(),
        "abstract_name": abstract_name,
        "socket_path": str(folder / "socket"),
    }


def _echo(udp: socket.socket) -> None:
    with suppress(OSError):  # closed when the probes are over
        while True:
            data, sender = udp.recvfrom(64)
            udp.sendto(data, sender)


def _own_address() -> str:
    """Return the address this machine would send from; nothing is sent. Loopback if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as talk:
        try:
            talk.connect(("192.0.2.1", 9))  # TEST-NET-1, RFC 5737
        except OSError:
            return "127.0.0.1"
        return str(talk.getsockname()[0])


def _victim(stack: ExitStack, secret: str) -> dict[str, Any]:
    """Start a process that holds the secret in its variables."""
    mark = f"victim-{secrets.token_hex(8)}"
    victim = subprocess.Popen(
        ["/bin/sh", "-c", "read line", mark], stdin=subprocess.PIPE, env={"SECRET": secret}
    )
    stack.enter_context(victim)
    stack.callback(victim.kill)
    return {"victim": victim.pid, "victim_mark": mark}


def _leak(stack: ExitStack, folder: Path) -> int:
    """Open the private file on a descriptor that an exec would pass on."""
    file = stack.enter_context((folder / "private").open("rb"))
    os.set_inheritable(file.fileno(), True)
    return file.fileno()
