"""Whose key signs: the keys that a user has at hand, and who the allowed signers say they are.

Nothing private is read here: a key is known by its public half.
"""

import os
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from selfdrive_dagster.adapters.git import GitFailed
from selfdrive_dagster.adapters.git.command import network_environment, run_git
from selfdrive_dagster.adapters.signatures import (
    ALLOWED_SIGNERS,
    fingerprint,
    is_hardware,
    is_locked,
    is_readable_by_us,
    principals,
)
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.rollout.custody import Custody

FILES = ("id_ed25519", "id_ed25519_sk", "id_ecdsa", "id_ecdsa_sk", "id_rsa")
KINDS = ("ssh-", "ecdsa-", "sk-")
SECONDS = 10.0


class Signer(NamedTuple):
    """A key and the person it belongs to. `names` are all that the allowed signers give it."""

    key: Path
    principal: str
    fingerprint: str
    names: tuple[str, ...]

    @property
    def custody(self) -> Custody:
        """Where the private key lies, as our own account sees it now."""
        return custody_of(self.key, os.environ)


def custody_of(key: Path, environ: Mapping[str, str]) -> Custody:
    """Say where a private key lies: a hardware key first, then the agent, which signs unasked."""
    private = private_half(key)
    looks: tuple[tuple[Custody, Callable[[], bool]], ...] = (
        (Custody.HARDWARE, lambda: is_hardware(key)),
        (Custody.AGENT, lambda: is_held(key, environ)),
        (Custody.ELSEWHERE, lambda: not is_readable_by_us(private)),
        (Custody.LOCKED, lambda: is_locked(private)),
    )
    return next((custody for custody, is_so in looks if is_so()), Custody.FILE)


def is_held(key: Path, environ: Mapping[str, str]) -> bool:
    """Say whether an agent holds a key: then ssh-keygen lets it sign, wherever else it lies."""
    held = (line.split()[:2] for line in asked_agent("-l", environ))
    return fingerprint(key) in [name for _, name in held]


def private_half(key: Path) -> Path:
    """Return where the private half of a key lies, whichever half was named."""
    return key.with_suffix("") if key.suffix == ".pub" else key


def choose_signer(keys: Iterable[Path], signers: str, wanted: str = "") -> Signer:
    """Return the first key that may sign, as `wanted` or as the name that it is known by.

    Raises Refused that names the keys which were tried.
    """
    tried: list[str] = []
    for key in keys:
        print_of_key = fingerprint(key)
        names = principals(print_of_key, signers)
        plain = [name for name in names if not set(name) & set("*?!")]
        principal = wanted if wanted and names else next(iter(plain), "")
        if principal and (not wanted or wanted in names or len(plain) < len(names)):
            return Signer(key, principal, print_of_key, names)
        tried.append(f"{key} ({print_of_key})")
    what = ", ".join(tried) or "none was found"
    whose = f" as {wanted}" if wanted else ""
    raise Refused(
        f"No key of yours may approve{whose}: {what}.",
        remedy=f"name one with --key; it must stand in {ALLOWED_SIGNERS} at the base revision",
    )


def own_keys(environ: Mapping[str, str], repo: Path, folder: Path) -> Iterator[Path]:
    """Yield the keys that a user has at hand: git's signing key, ~/.ssh, then the agent's.

    A key that is known by its public half alone is written into `folder`.
    """
    named = told_by_git(repo)
    if named.removeprefix("key::").startswith(KINDS):
        yield written(named.removeprefix("key::"), folder / "git.pub")
    elif named and (path := Path(named).expanduser()).is_file():
        yield path
    home = Path(environ.get("HOME", "/nonexistent")) / ".ssh"
    for name in FILES:
        for path in (home / name, home / f"{name}.pub"):
            if path.is_file():
                yield path
                break
    for number, line in enumerate(held_by_agent(environ)):
        yield written(line, folder / f"agent{number}.pub")


def named_key(path: Path) -> Path:
    """Return a key that the user named. Raises BadInput when there is none."""
    if not path.expanduser().is_file():
        raise BadInput(f"There is no key {path}.", remedy="ssh-keygen -t ed25519")
    return path.expanduser()


def told_by_git(repo: Path) -> str:
    """Return `user.signingkey`, "" when git knows none."""
    asked = ["config", "--get", "user.signingkey"]
    try:
        return run_git(asked, cwd=repo, environ=network_environment()).decode().strip()
    except GitFailed:
        return ""


def held_by_agent(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the public keys that an agent holds, none when there is no agent."""
    return tuple(line for line in asked_agent("-L", environ) if line.startswith(KINDS))


def asked_agent(what: str, environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return what `ssh-add` lists of an agent, nothing when there is none or it holds no key."""
    if not environ.get("SSH_AUTH_SOCK"):
        return ()
    try:
        told = subprocess.run(
            ["ssh-add", what],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, **environ},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(told.stdout.splitlines()) if told.returncode == 0 else ()


def written(line: str, path: Path) -> Path:
    """Write a public key to a file of its own."""
    path.write_text(f"{line}\n", encoding="utf-8")
    return path
