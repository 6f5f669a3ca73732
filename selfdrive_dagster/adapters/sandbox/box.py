"""The bubblewrap command line: what exists inside, and nothing else.

Inside, the host's filesystem is /usr, the interpreter, the harness and the tree, all read-only;
three sized tmpfs are writable; there is no network, no capability, no variable, no other process.
Nothing written inside is ever read back: output is one pipe.
"""

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

TREE, WORK, TEMPORARY = "/sandbox/tree", "/sandbox/work", "/tmp"  # noqa: S108  paths inside
INNER_ID = "65534"
READABLE = ("ld.so.cache", "alternatives", "mime.types", "ssl/certs", "ssl/openssl.cnf")
"""What of /etc is shown inside, if the host has it."""

ETC = {
    "passwd": "root:x:0:0:root:/nonexistent:/bin/sh\nproduct:x:65534:65534::/tmp:/bin/sh\n",
    "group": "root:x:0:\nproduct:x:65534:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
"""Files made up for the inside, so that `localhost` and the user's name resolve."""


class Sizes(msgspec.Struct, frozen=True, kw_only=True):
    """Sizes of the writable places, in bytes."""

    work: int = 256 * 2**20
    temporary: int = 256 * 2**20
    shared_memory: int = 64 * 2**20


class Bind(msgspec.Struct, frozen=True, kw_only=True):
    """A folder shown read-only: `source` outside, `path` inside."""

    source: str
    path: str


def box(
    binds: Sequence[Bind],
    environment: dict[str, str],
    sizes: Sizes,
    *,
    seccomp: int,
    status: int,
    etc: dict[str, int],
) -> list[str]:
    """Return the command up to `--`. `seccomp`, `status` and `etc` are open descriptors."""
    return [
        *_walls(seccomp, status),
        *_system(),
        *(part for name, file in etc.items() for part in ("--file", str(file), f"/etc/{name}")),
        *("--proc", "/proc", "--dev", "/dev"),
        *_tmpfs("/dev/shm", sizes.shared_memory),  # noqa: S108
        *("--remount-ro", "/dev"),
        *_tmpfs(TEMPORARY, sizes.temporary),
        *_tmpfs(WORK, sizes.work),
        # After the tmpfs: one mounted over a bind would hide it.
        *(part for bind in binds for part in ("--ro-bind", bind.source, bind.path)),
        *("--remount-ro", "/", "--chdir", WORK, "--clearenv"),
        *(part for name, value in environment.items() for part in ("--setenv", name, value)),
        "--",
    ]


def _walls(seccomp: int, status: int) -> list[str]:
    # Whatever bubblewrap inherits can be read inside, as the variables of process 1.
    return [
        *("env", "-i", "PATH=/usr/local/bin:/usr/bin:/bin", "bwrap"),
        *("--unshare-all", "--unshare-user", "--disable-userns"),
        *("--uid", INNER_ID, "--gid", INNER_ID, "--cap-drop", "ALL"),
        *("--die-with-parent", "--new-session", "--hostname", "sandbox"),
        *("--seccomp", str(seccomp), "--json-status-fd", str(status)),
    ]


def _system() -> list[str]:
    """Show /usr, the top-level links into it, and the harmless part of /etc."""
    shown = ["--ro-bind", "/usr", "/usr"]
    for name in ("bin", "sbin", "lib", "lib32", "lib64"):
        top = Path("/") / name
        if top.is_symlink():
            shown += ["--symlink", str(top.readlink()), str(top)]
        elif top.is_dir():
            shown += ["--ro-bind", str(top), str(top)]
    for name in READABLE:
        shown += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    return shown


def _tmpfs(path: str, size: int) -> list[str]:
    return ["--size", str(size), "--tmpfs", path]


def in_memory(name: str, content: bytes) -> int:
    """Return a descriptor that holds `content`, read from its beginning."""
    file = os.memfd_create(name)
    os.write(file, content)
    os.lseek(file, 0, os.SEEK_SET)
    return file
