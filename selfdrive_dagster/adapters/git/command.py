"""Run one git command with a clean environment, no prompts and an end.

The environment is built from nothing: variables such as GIT_DIR, which git sets for hooks,
never leak in.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from selfdrive_dagster.errors import MissingTool, SelfdriveError

HARDENED = (
    "--no-optional-locks",
    *("-c", "core.fsmonitor=false"),
    *("-c", "core.hooksPath=/dev/null"),
    *("-c", "protocol.ext.allow=never"),
    # Of no use to an attacker here: we never run what a repository's config names.
    *("-c", "safe.directory=*"),
)

LOCAL = {
    "LC_ALL": "C",
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_LITERAL_PATHSPECS": "1",
    "GIT_ALLOW_PROTOCOL": "",
    "GIT_COMMITTER_NAME": "Selfdrive",
    "GIT_COMMITTER_EMAIL": "selfdrive@localhost",
}

# What a push or fetch needs of its user: credential helpers, ssh agent, proxies, authorities.
FROM_THE_USER = (
    *("HOME", "XDG_CONFIG_HOME", "USER", "LOGNAME"),
    *("SSH_AUTH_SOCK", "GIT_SSH_COMMAND", "GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR"),
    *("http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"),
)
NETWORK = {
    "LC_ALL": "C",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ASKPASS": "/bin/false",
    "SSH_ASKPASS_REQUIRE": "never",
    "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
}

CREDENTIALS = re.compile(r"://[^/\s]*@")
"""Up to the last `@`: a password may hold others."""


class GitFailed(SelfdriveError):
    """git said no; `says` is the last of its own words, without credentials."""

    def __init__(self, arguments: Sequence[str], says: str) -> None:
        self.says = without_credentials(says.strip()) or "it gave no reason"
        verb = next((word for word in arguments if not word.startswith("-")), "")
        super().__init__(f"git {verb} failed: {self.says}")


def without_credentials(text: str) -> str:
    """Return text in which no address tells a user or a password."""
    return CREDENTIALS.sub("://", text)


def local_environment() -> dict[str, str]:
    """Return the environment of commands that touch no network."""
    return LOCAL | {"PATH": os.environ.get("PATH", os.defpath)}


def network_environment() -> dict[str, str]:
    """Return the environment of push and fetch: the user's own git settings, no prompts."""
    lent = {name: os.environ[name] for name in FROM_THE_USER if name in os.environ}
    return NETWORK | lent | {"PATH": os.environ.get("PATH", os.defpath)}


def run_git(
    arguments: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    stdin: bytes = b"",
    seconds: float = 120.0,
) -> bytes:
    """Return what git printed. Raises GitFailed, also after `seconds`, or MissingTool."""
    process = start_git(arguments, cwd=cwd, environ=environ, stdin=subprocess.PIPE)
    with process:
        try:
            out, err = process.communicate(stdin, timeout=seconds)
        except subprocess.TimeoutExpired as error:
            kill_group(process)
            raise GitFailed(arguments, f"no end after {seconds:.0f} seconds") from error
        except BaseException:  # Ctrl-C does not reach a session of its own: end it ourselves
            kill_group(process)
            raise
    if process.returncode != 0:
        raise GitFailed(arguments, err.decode(errors="replace"))
    return out


def start_git(
    arguments: Sequence[str],
    *,
    cwd: Path,
    environ: Mapping[str, str],
    stdin: int | IO[bytes],
    stderr: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.Popen[bytes]:
    """Start git in a session of its own, so that no helper of it can ask at the terminal."""
    try:
        return subprocess.Popen(
            ["git", *HARDENED, *arguments],
            cwd=cwd,
            env=dict(environ),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    except FileNotFoundError as error:
        if not cwd.is_dir():
            raise SelfdriveError(f"The folder {cwd} is gone.") from error
        raise MissingTool("git is not installed.", remedy="apt-get install git") from error


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """End git and its helpers; the group is theirs alone."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it ended by itself in between
    process.wait()
