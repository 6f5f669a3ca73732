"""How a box is entered: as an ordinary user at once, as root by way of a lesser user.

bubblewrap started by root maps its inner user to the real root, so that /proc/sys opens for
writing: root gives its identity away *before* bubblewrap starts. But a lesser user cannot see an
interpreter below root's home, nor a tree with mode 0700. So a private mount namespace is made
first, in which the folders are bound (the tree: copied) below one staging point; nothing outside
it changes, and it vanishes with the process.
"""

from collections.abc import Sequence
from pathlib import Path

from selfdrive_dagster.adapters.sandbox.box import Bind

STAGE = Path("/run/selfdrive")
"""An empty folder, mode 0711, that serves root as a mount point."""

SCRIPT = r"""
set -eu
umask 022
stage=$1 size=$2 tree=$3; shift 3
mount -t tmpfs -o "mode=0711,size=$size" selfdrive "$stage"
mkdir "$stage/tree"
if [ -n "$tree" ]; then
    cp -R -P -- "$tree/." "$stage/tree"
    chmod -R u+rwX,go+rX -- "$stage/tree"
fi
number=0
while [ "$1" != -- ]; do
    mkdir "$stage/$number"
    mount --bind -- "$1" "$stage/$number"
    number=$((number + 1)); shift
done
shift
while [ "$1" != -- ]; do
    echo 0 > "$1"; shift
done
shift
exec setpriv "$@"
"""
"""stage, size, tree, folders to bind, `--`, cgroup doors, `--`, what setpriv is to do."""


def staged(binds: Sequence[Bind]) -> list[Bind]:
    """Return the binds as the lesser user will find them, in the order that the script makes."""
    return [
        Bind(source=str(STAGE / str(number)), path=bind.path) for number, bind in enumerate(binds)
    ]


def as_lesser_user(
    uid: int, binds: Sequence[Bind], tree: str, tree_bytes: int, doors: Sequence[str]
) -> list[str]:
    """Return the command prefix that stages, joins the cgroups and gives root away."""
    STAGE.mkdir(mode=0o711, exist_ok=True)
    return [
        *("unshare", "--mount", "--propagation", "private", "--", "/bin/sh", "-c", SCRIPT, "sh"),
        *(str(STAGE), str(tree_bytes), tree),
        *(bind.source for bind in binds),
        *("--", *doors, "--"),
        *("--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--no-new-privs"),
        *("--bounding-set=-all", "--inh-caps=-all", "--"),
    ]


def in_a_scope(memory_bytes: int, pids: int) -> list[str]:
    """Return the command prefix that puts an ordinary user's job into a cgroup of systemd's."""
    return [
        *("systemd-run", "--user", "--scope", "--quiet", "--collect"),
        *("-p", f"MemoryMax={memory_bytes}", "-p", "MemorySwapMax=0", "-p", f"TasksMax={pids}"),
        "--",
    ]
