"""`selfdrive improve`: what hurts without a crash, to a proven change or the reason there is none.

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
from selfdrive_dagster.cli.improve.outcome import look_up
from selfdrive_dagster.cli.improve.show import show, show_asked
from selfdrive_dagster.cli.improve.write import commit, commit_asked
from selfdrive_dagster.cli.issues import find, pick
from selfdrive_dagster.cli.render import AsJson, clean, emit, progress
from selfdrive_dagster.cli.repair.drafting import Generator
from selfdrive_dagster.cli.repair.start import unseen, writable
from selfdrive_dagster.config import load, open_home
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import HttpRequest, SandboxLevel

if TYPE_CHECKING:  # these rooms are entered only when an improvement really runs
    from selfdrive_dagster.issues.rank import RankedIssue
    from selfdrive_dagster.patches.asking.hurting import Hurt
    from selfdrive_dagster.patches.improve import SlowPath
    from selfdrive_dagster.validation.improve import AskedImprovement, Improvement

SLOW = "slow_path"

Issue = Annotated[str, typer.Argument(metavar="[ISSUE]", help="An issue of `selfdrive issues`.")]
Repo = Annotated[Path, typer.Option("--repo", help="The folder that holds the product's code.")]
Route = Annotated[
    str, typer.Option("--route", help="Without a loop: a route, such as 'GET /gifts/{euros:int}'.")
]
Request = Annotated[
    list[str] | None,
    typer.Option("--request", help="A path to send to the route; may be given several times."),
]
By = Annotated[
    Generator, typer.Option("--generator", help="Who drafts. claude sends code and costs money.")
]
Budget = Annotated[
    float | None,
    typer.Option("--budget", min=0, metavar="USD", help="What claude may cost in this run."),
]


def improve(
    issue: Issue = "",
    repo: Repo = Path(),
    route: Route = "",
    request: Request = None,
    generator: By = Generator.BUILTIN,
    budget: Budget = None,
    branch: Annotated[
        str, typer.Option("--branch", help="Commit the best patch to this new branch.")
    ] = "",
    outcome: Annotated[
        Path | None,
        typer.Option("--outcome", help="The JSON of an earlier run: did its effect come true?"),
    ] = None,
    version: Annotated[
        str, typer.Option("--version", help="The release that --outcome looks at.")
    ] = "",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of generated inputs.")] = 0,
    as_json: AsJson = False,
) -> int:
    """Draft and prove an improvement of what hurts users without a crash.

    The built-in engine makes slow paths faster: equal answers on recorded calls, and a gain
    beyond doubt. Claude also drafts for friction, leaks and features that nobody uses.
    """
    if outcome is not None:
        return look_up(outcome, version, as_json=as_json)
    if bool(issue) == bool(route):
        raise BadInput(
            "Give either an issue of the ranking or --route.",
            remedy="selfdrive improve iss_…, or --route 'GET /gifts' --request /gifts",
        )
    settings = load(repo)
    ranked = pick(find(None, repo), issue) if issue else None
    slow = _slow(ranked, route, request or [], settings.service.name)
    hurt, model = None, None
    if generator is Generator.CLAUDE:
        from selfdrive_dagster.cli.repair.drafting import claude

        hurt, model = _hurt(ranked), claude(settings.patches, budget)
    elif slow is None:
        raise BadInput(
            "The built-in engine improves slow paths and nothing else.",
            remedy="--generator claude drafts for other kinds, if you let it",
        )
    repository = writable(repo, branch) if branch else None
    for note in unseen(repo, ""):
        print(clean(f"Note: {note}"), file=sys.stderr)
    with progress("Opening the product") as say, tempfile.TemporaryDirectory() as folder:
        from selfdrive_dagster.adapters.product import open_product
        from selfdrive_dagster.adapters.sandbox import BwrapSandbox
        from selfdrive_dagster.validation.improve import ask_about
        from selfdrive_dagster.validation.improve import improve as take_to_a_proof

        product, _ = open_product(repo, settings, Path(folder), None, say)
        sandbox = BwrapSandbox(open_home(os.environ) / "sandbox")
        if sandbox.level() is not SandboxLevel.FULL:
            findings = sandbox.findings()
            raise Refused(
                f"Nothing was run: the sandbox is {findings.level.value} ({findings.missing}).",
                remedy=findings.remedy,
            )
        if hurt is not None and model is not None:
            asked = ask_about(hurt, slow, model, product, sandbox, seed=seed, progress=say)
            emit(asked, lambda console: show_asked(asked, console), as_json=as_json)
            if repository is not None:
                commit_asked(repository, asked, branch, product.revision)
            return ended(asked)
        assert slow is not None  # the built-in engine has nothing else
        found = take_to_a_proof(slow, product, sandbox, seed=seed, progress=say)
    emit(found, lambda console: show(found, console), as_json=as_json)
    if repository is not None:
        commit(repository, found, branch, product.revision)
    return ended(found)


def ended(found: "Improvement | AskedImprovement") -> int:
    """Return the exit code."""
    if found.best is not None:
        return 0
    return NO_REPRODUCER if getattr(found, "workload", "") is None else NO_PATCH


def _hurt(ranked: "RankedIssue | None") -> "Hurt":
    """Return what a model is asked about. Raises BadInput for what has no signal."""
    from selfdrive_dagster.patches.asking.hurting import SIGNALS, hurt_of

    if ranked is None:
        raise BadInput(
            "Claude is asked about an issue of the ranking, since its effect is looked up there.",
            remedy="selfdrive improve iss_… --generator claude",
        )
    from selfdrive_dagster.adapters.warehouse import Warehouse
    from selfdrive_dagster.adapters.warehouse.slowness import signals_of

    p95_ms, uses = signals_of(Warehouse(open_home(os.environ)), ranked)
    hurt = hurt_of(ranked, p95_ms=p95_ms, uses_24h=uses)
    if hurt is None:
        raise BadInput(
            f"{ranked.issue_id} is a {ranked.kind.replace('_', ' ')}, which has no such signal.",
            remedy=f"kinds that can be improved: {', '.join(SIGNALS)}",
        )
    return hurt


def _slow(
    ranked: "RankedIssue | None", route: str, requests: list[str], service: str
) -> "SlowPath | None":
    """Return the slow path of an issue or of the command line, None for an issue of another kind.

    Without telemetry no effect can be stated.
    """
    from selfdrive_dagster.patches.improve import SlowPath, SlowRequest

    if ranked is not None:
        if ranked.kind != SLOW:
            return None
        from selfdrive_dagster.adapters.warehouse import Warehouse
        from selfdrive_dagster.adapters.warehouse.slowness import slow_path_of

        return slow_path_of(Warehouse(open_home(os.environ)), ranked)
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
