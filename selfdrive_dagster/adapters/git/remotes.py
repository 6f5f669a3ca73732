"""Push and fetch, with the user's own git credentials and never the repository's config.

Credentials that stand in the repository's config alone (`http.extraHeader`,
`core.sshCommand`, a helper) are not used: they are commands or secrets of strangers.
"""

from selfdrive_dagster.adapters.git.command import GitFailed
from selfdrive_dagster.adapters.git.shadow import Shadow
from selfdrive_dagster.errors import BadInput, Refused, SelfdriveError


def remote_url(shadow: Shadow, remote: str) -> str:
    """Return a remote's address; an address stands for itself."""
    if ":" in remote or "/" in remote:
        return remote
    try:
        told = shadow.real("config", "--get", f"remote.{remote}.url")
    except GitFailed as error:
        raise BadInput(
            f"The repository has no remote named {remote!r}.",
            remedy=f"git remote add {remote} <address>, or set [service] repository",
        ) from error
    return told.decode().strip()


def push(shadow: Shadow, remote: str, branch: str, sha: str, expected: str | None) -> None:
    """Push a commit as a branch if the remote's is still at `expected` (None: not there)."""
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{expected or ''}"
    options = ("--no-verify", "--recurse-submodules=no", lease)
    url = remote_url(shadow, remote)
    try:
        shadow.over_network("push", *options, "--end-of-options", url, f"{sha}:{ref}")
    except GitFailed as error:
        if "failed to push" in error.says:
            raise Refused(
                f"{remote} did not take the branch {branch}: {error.says}",
                remedy="somebody else moved it, or you may not write there: look at the remote",
            ) from error
        raise unreachable(remote, error) from error


def fetch(shadow: Shadow, remote: str, branch: str) -> str:
    """Fetch a remote's branch into the shadow only; return the ref that names it there."""
    ref = f"refs/selfdrive/fetched/{branch}"
    options = ("--no-tags", "--no-write-fetch-head", "--recurse-submodules=no")
    url = remote_url(shadow, remote)
    try:
        shadow.over_network(
            *("fetch", *options, "--end-of-options", url, f"+refs/heads/{branch}:{ref}")
        )
    except GitFailed as error:
        raise unreachable(remote, error) from error
    return ref


def unreachable(remote: str, error: GitFailed) -> SelfdriveError:
    """Return the error for a remote that did not answer."""
    return SelfdriveError(
        f"{remote} could not be read or written: {error.says}",
        remedy="check the address and your git credentials: git ls-remote must work unasked",
    )
