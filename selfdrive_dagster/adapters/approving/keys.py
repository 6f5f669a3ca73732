"""Whose key signs: the keys that a user has at hand, and who the allowed signers say they are.

Nothing private is read here: a key is known by its public half.
"""

import os
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from selfdrive_dagster.adapters.git import GitFailed
from selfdrive_dagster.adapters.git.command import network_environment, run_git
from selfdrive_dagster.adapters.signatures import (
    ALLOWED_SIGNERS,
    fingerprint,
    is_readable_by_us,
    principals,
)
from selfdrive_dagster.errors import BadInput, Refused

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
    def is_key_readable(self) -> bool:
        """Whether our own account can read the private key."""
        return is_readable_by_us(private_half(self.key))


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
    if not environ.get("SSH_AUTH_SOCK"):
        return ()
    try:
        told = subprocess.run(
            ["ssh-add", "-L"],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env={**os.environ, **environ},
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(line for line in told.stdout.splitlines() if line.startswith(KINDS))


def written(line: str, path: Path) -> Path:
    """Write a public key to a file of its own."""
    path.write_text(f"{line}\n", encoding="utf-8")
    return path
