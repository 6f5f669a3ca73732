"""`selfdrive improve`: a slow path to a proven improvement, or to the reason why there is none.

Takes an issue that the loop ranked, or alone a route with requests to send. Nothing is merged: what
holds is printed, or committed to a branch for a person to decide on. Belongs here: words for users.
Does not belong: any decision (`validation.improve`).
"""

import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfdrive_dagster.cli.endings import NO_PATCH, NO_REPRODUCER
from selfdrive_dagster.cli.improve.show import message_of, show
from selfdrive_dagster.cli.issues import find, pick
from selfdrive_dagster.cli.render import AsJson, clean, emit, progress
from selfdrive_dagster.cli.repair.start import unseen, writable
from selfdrive_dagster.config import load, open_home
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import HttpRequest, SandboxLevel

if TYPE_CHECKING:  # these rooms are entered only when an improvement really runs
    from selfdrive_dagster.adapters.git import GitRepository
    from selfdrive_dagster.patches.improve import SlowPath
    from selfdrive_dagster.validation.improve import Improvement

Issue = Annotated[
    str, typer.Argument(metavar="[ISSUE]", help="A slow path of `selfdrive issues`: iss_…")
]
Repo = Annotated[Path, typer.Option("--repo", help="The folder that holds the product's code.")]
Route = Annotated[
    str, typer.Option("--route", help="Without a loop: a route, such as 'GET /gifts/{euros:int}'.")
]
Request = Annotated[
    list[str] | None,
    typer.Option("--request", help="A path to send to the route; may be given several times."),
]


def improve(
    issue: Issue = "",
    repo: Repo = Path(),
    route: Route = "",
    request: Request = None,
    branch: Annotated[
        str, typer.Option("--branch", help="Commit the best patch to this new branch.")
    ] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of generated inputs.")] = 0,
    as_json: AsJson = False,
) -> int:
    """Find where a slow path spends its time, and prove a change that makes it faster.

    A change counts when it answers alike on recorded calls and is faster beyond doubt.
    """
    if bool(issue) == bool(route):
        raise BadInput(
            "Give either a slow path of the ranking or --route.",
            remedy="selfdrive improve iss_…, or --route 'GET /gifts' --request /gifts",
        )
    settings = load(repo)
    slow = _known(issue, repo) if issue else _given(route, request or [], settings.service.name)
    repository = writable(repo, branch) if branch else None
    for note in unseen(repo, ""):
        print(clean(f"Note: {note}"), file=sys.stderr)
    with progress("Opening the product") as say, tempfile.TemporaryDirectory() as folder:
        from selfdrive_dagster.adapters.product import open_product
        from selfdrive_dagster.adapters.sandbox import BwrapSandbox
        from selfdrive_dagster.validation.improve import improve as take_to_a_proof

        product, _ = open_product(repo, settings, Path(folder), None, say)
        sandbox = BwrapSandbox(open_home(os.environ) / "sandbox")
        if sandbox.level() is not SandboxLevel.FULL:
            findings = sandbox.findings()
            raise Refused(
                f"Nothing was run: the sandbox is {findings.level.value} ({findings.missing}).",
                remedy=findings.remedy,
            )
        found = take_to_a_proof(slow, product, sandbox, seed=seed, progress=say)
    emit(found, lambda console: show(found, console), as_json=as_json)
    if repository is not None:
        _commit(repository, found, branch, product.revision)
    if found.workload is None:
        return NO_REPRODUCER
    return 0 if found.best is not None else NO_PATCH


def _known(issue: str, repo: Path) -> "SlowPath":
    """Return a slow path of the loop's tables."""
    from selfdrive_dagster.adapters.warehouse import Warehouse
    from selfdrive_dagster.adapters.warehouse.slowness import slow_path_of

    ranked = pick(find(None, repo), issue)
    return slow_path_of(Warehouse(open_home(os.environ)), ranked)


def _given(route: str, requests: list[str], service: str) -> "SlowPath":
    """Return a slow path that somebody names, without telemetry: no effect can be stated."""
    from selfdrive_dagster.patches.improve import SlowPath, SlowRequest

    method = route.partition(" ")[0] if " " in route else "GET"
    return SlowPath(
        issue_id="",
        service_name=service,
        route=route,
        says="named on the command line",
        requests=tuple(
            SlowRequest(request=HttpRequest(method=method, url=one), status=None, duration_ms=None)
            for one in requests
        ),
        p95_ms=None,
        seen=0,
    )


def _commit(repository: "GitRepository", found: "Improvement", branch: str, revision: str) -> None:
    """Commit the best patch on top of the revision that was improved."""
    from selfdrive_dagster.patches.text import apply_patch

    if found.best is None:
        print("No change held, so nothing was written.", file=sys.stderr)
        return

    def read(path: str) -> str:
        text = repository.show(revision, path)
        if text is None:
            raise BadInput(f"{path} is not in {revision[:12]}.", remedy="commit it first")
        return text

    overlay = apply_patch(read, found.best.patch)
    words = message_of(found, found.best)
    sha = repository.commit_branch(branch, base=revision, overlay=overlay, message=words)
    print(clean(f"Committed {sha[:12]} to {branch}: a person decides on it."), file=sys.stderr)
