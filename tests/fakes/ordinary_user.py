"""Starts Python as an ordinary user, from a test that runs as root.

Where the interpreter lies below a closed home (pyenv under /root), a private mount namespace shows
the user an empty home with nothing but the interpreter in it, as on a machine where it is theirs;
there the account has a name too, which PostgreSQL asks for.
Nothing outside that namespace changes.
"""

import os
import subprocess
import sys
from pathlib import Path

from selfdrive_dagster.adapters.sandbox.interpreter import prefixes

REPOSITORY = Path(__file__).resolve().parents[2]
UID = 64_321

SCRIPT = r"""
set -eu
count=$1; shift
stage=$(mktemp -d -p /run)
mount -t tmpfs -o mode=0755 stage "$stage"
number=0
for place in "$@"; do
    [ "$number" -lt "$count" ] || break
    mkdir "$stage/$number"; mount --rbind "$place" "$stage/$number"; number=$((number + 1))
done
number=0
while [ "$number" -lt "$count" ]; do
    top=$1; while [ "$top" != / ] && [ -z "$(find "$top" -maxdepth 0 ! -perm -005)" ]; do
        top=$(dirname "$top")
    done
    [ "$top" = / ] || mount -t tmpfs -o mode=0755 open "$top"
    mkdir -p "$1"; mount --rbind "$stage/$number" "$1" 2>/dev/null || true
    number=$((number + 1)); shift
done
{ cat /etc/passwd; echo "ordinary:x:$UID_TO_BE:$UID_TO_BE::$HOME:/bin/sh"; } >"$stage/passwd"
mount --bind "$stage/passwd" /etc/passwd
umount -l "$stage"; rmdir "$stage"
exec setpriv --reuid "$UID_TO_BE" --regid "$UID_TO_BE" --clear-groups -- \
    /bin/sh -c 'exec "$@"' sh "$@"
"""
"""count, that many folders to show, then the command. The second shell execs as the user."""

# The prelude's shell becomes Python, so the crowd has a session of its own and ends by time.
CROWD = "setsid sh -c 'for i in $(seq 320); do sleep {seconds} & done' </dev/null >/dev/null 2>&1"
"""A prelude: 320 tasks more for this user, as any desktop has them."""

SWITCH_OFF = "echo 0 > /proc/sys/user/max_user_namespaces"
WITHOUT_NAMESPACES = {
    "as a user": (
        "exec unshare --user --map-current-user --keep-caps sh -c "
        f"""'{SWITCH_OFF}; exec setpriv --ambient-caps=-all --inh-caps=-all "$@"' sh "$@" """
    ),
    "as root of a container": (
        f"""exec unshare --user --map-root-user sh -c '{SWITCH_OFF}; exec "$@"' sh "$@" """
    ),
}
"""Preludes after which nobody may make a user namespace."""


def as_user(
    *arguments: str, home: Path, uid: int = UID, prelude: str = "", timeout: float = 60
) -> "subprocess.CompletedProcess[str]":
    """Run this interpreter with `arguments` as `uid`; `prelude` is shell run before, as it."""
    process = start_as_user(*arguments, home=home, uid=uid, prelude=prelude)
    with process:
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def start_as_user(
    *arguments: str, home: Path, uid: int = UID, prelude: str = ""
) -> "subprocess.Popen[str]":
    """Start this interpreter as `uid`, with a home of its own and our library on its path."""
    shown = [str(one.path) for one in prefixes(sys.executable)] + [str(REPOSITORY)]
    command = [sys.executable, *arguments]
    if prelude:
        command = ["/bin/sh", "-c", f'{prelude}\nexec "$@"', "sh", *command]
    if os.geteuid() == 0:
        home.mkdir(exist_ok=True)
        os.chown(home, uid, uid)
        command = [
            *("unshare", "--mount", "--propagation", "private", "/bin/sh", "-c", SCRIPT, "sh"),
            *(str(len(shown)), *shown, *command),
        ]
    return subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "PYTHONPATH": str(REPOSITORY),
            "UID_TO_BE": str(uid),
        },
    )
