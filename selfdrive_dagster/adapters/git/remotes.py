"""Push and fetch, with the user's own git credentials and never the repository's config.

Credentials that stand in the repository's config alone (`http.extraHeader`,
`core.sshCommand`, a helper) are not used: they are commands or secrets of strangers. An
address is told to git by the shadow's config, never by a command line that others can list.

A remote on this machine is another repository whose hooks and configuration git would obey
*here*. So only the user's own git configuration may name one, never a file that was cloned; it
must lie outside the product; and what would run on receiving is switched off.
"""

import os
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from selfdrive_dagster.adapters.git.command import GitFailed, without_credentials
from selfdrive_dagster.adapters.git.shadow import Remote, Shadow
from selfdrive_dagster.errors import BadInput, Refused, SelfdriveError

RECEIVE_QUIETLY = (
    "git -c core.hooksPath=/dev/null -c core.alternateRefsCommand=true -c core.fsmonitor=false"
    " -c receive.denyCurrentBranch=refuse -c receive.autogc=false receive-pack"
)
"""How a repository on this machine receives: git hands it none of our own `-c` options."""


def remote_url(shadow: Shadow, remote: str) -> str:
    """Return the address of a remote's name, or of an address; it may hold credentials.

    Raises BadInput for a name that git does not know, Refused for a path in the settings or
    one that leads into the product.
    """
    if ":" not in remote and "/" not in remote:
        url = configured(shadow, remote)
        return outside(shadow, remote, local_path(url)) if is_local(url) else url
    if is_local(remote):
        raise Refused(
            f"[service] repository is a path of this machine, {without_credentials(remote)}.",
            remedy="name a remote that you added yourself: git remote add proposals <path>, "
            'then repository = "proposals"',
        )
    return remote


def configured(shadow: Shadow, name: str) -> str:
    """Return what the repository's own configuration says of a remote."""
    try:
        told = shadow.real("config", "--get", f"remote.{name}.url")
    except GitFailed as error:
        raise BadInput(
            f"The repository has no remote named {name!r}.",
            remedy=f"git remote add {name} <address>, or set [service] repository",
        ) from error
    return told.decode().removesuffix("\n")


def is_local(url: str) -> bool:
    """Say whether git would take an address for a place on this machine."""
    before, colon, _ = url.partition(":")
    return not colon or "/" in before or url.startswith("file://")


def local_path(url: str) -> str:
    """Return the path that a local address means; git reads escapes only in `file:`."""
    if url.startswith("file:"):
        return "/" + unquote(url[5:]).lstrip("/")
    return str(Path(url).expanduser()) if url.startswith("~/") else url


def outside(shadow: Shadow, remote: str, path: str) -> str:
    """Return a local path, absolute and without links; refuse one that leads into the product."""
    top = (shadow.place.top or shadow.place.git_dir).resolve()
    place = Path(os.path.realpath(top / path))
    if place.is_relative_to(top):
        raise Refused(
            f"The remote {remote} lies inside the product itself, at {place}.",
            remedy=f"move it out and tell git: git remote set-url {remote} <path>",
        )
    return str(place)


def push(shadow: Shadow, remote: str, branch: str, sha: str, expected: str | None) -> None:
    """Push a commit as a branch if the remote's is still at `expected` (None: not there)."""
    ref = f"refs/heads/{branch}"
    lease = f"--force-with-lease={ref}:{expected or ''}"
    url = remote_url(shadow, remote)
    receive = (f"--receive-pack={RECEIVE_QUIETLY}",) if is_local(url) else ()
    options = ("--no-verify", "--recurse-submodules=no", *receive, lease)
    try:
        shadow.over_network("push", options, reached(url), f"{sha}:{ref}")
    except GitFailed as error:
        if "failed to push" in error.says:
            raise Refused(
                f"{without_credentials(remote)} did not take the branch {branch}: {error.says}",
                remedy="somebody else moved it, or you may not write there: look at the remote",
            ) from error
        raise unreachable(remote, error) from error


def fetch(shadow: Shadow, remote: str, branch: str) -> str:
    """Fetch a remote's branch into the shadow only; return the ref that names it there."""
    ref = fetched_ref(branch)
    options = ("--no-tags", "--no-write-fetch-head", "--recurse-submodules=no")
    there = reached(remote_url(shadow, remote))
    try:
        shadow.over_network("fetch", options, there, f"+refs/heads/{branch}:{ref}")
    except GitFailed as error:
        raise unreachable(remote, error) from error
    return ref


def fetched_ref(branch: str) -> str:
    """Return the ref that names a remote's branch here, once it was fetched."""
    return f"refs/selfdrive/fetched/{branch}"


def tip(shadow: Shadow, remote: str, branch: str) -> str | None:
    """Return the commit a remote's branch is at, None when it is not there."""
    ref = f"refs/heads/{branch}"
    there = reached(remote_url(shadow, remote))
    try:
        told = shadow.over_network("ls-remote", (), there, ref)
    except GitFailed as error:
        raise unreachable(remote, error) from error
    rows = (row.split("\t", 1) for row in told.decode(errors="replace").splitlines())
    return next((row[0] for row in rows if row[1:] == [ref]), None)


def reached(url: str) -> Remote:
    """Return a remote with what it asks for kept apart: git lists an http address as it is."""
    try:
        parts = urlsplit(url)
        is_web = parts.scheme in ("http", "https")
        if is_web:
            _ = parts.port  # raises where a password with a / made half of itself the port
    except ValueError:  # not chained and not repeated: where its login stands is unknown
        raise BadInput(
            "The remote's address cannot be read.",
            remedy="write it as https://host/team/product.git, with %2F for a / in a password",
        ) from None
    login, at, host = parts.netloc.rpartition("@")
    if not is_web or not at:
        return Remote(url)
    user, _, password = map(unquote, login.partition(":"))
    bare = parts._replace(netloc=host).geturl()
    line = f"{parts.scheme}://{quote(user, safe='')}:{quote(password, safe='')}@{host}\n"
    return Remote(bare, user=user, secret=line if password else "")


def unreachable(remote: str, error: GitFailed) -> SelfdriveError:
    """Return the error for a remote that did not answer."""
    return SelfdriveError(
        f"{without_credentials(remote)} could not be read or written: {error.says}",
        remedy="check the address and your git credentials: git ls-remote must work unasked",
    )
