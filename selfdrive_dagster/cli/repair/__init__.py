"""`selfdrive repair`: one crash, or one failing suite, to a proven patch. Nothing is sent.

The product's folder is only read, unless --apply or --branch says otherwise.
"""

import os
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from selfdrive_dagster.cli.endings import NO_PATCH, NO_REPRODUCER
from selfdrive_dagster.cli.render import AsJson, Repo, clean, emit, progress
from selfdrive_dagster.cli.repair.show import show
from selfdrive_dagster.config import load, open_home
from selfdrive_dagster.errors import BadInput, Refused
from selfdrive_dagster.model import Crash, History, Product, SandboxLevel

if TYPE_CHECKING:  # these rooms are entered only when a repair really runs
    from selfdrive_dagster.adapters.git import GitRepository
    from selfdrive_dagster.adapters.sandbox import BwrapSandbox
    from selfdrive_dagster.telemetry import Redactor
    from selfdrive_dagster.validation.repair import Repair

NO_TIME = datetime.min.replace(tzinfo=UTC)

Trace = Annotated[
    Path | None,
    typer.Option(
        "--trace",
        help="A Sentry event or envelope, OTLP JSON lines, or a log with tracebacks; - for stdin. "
        "Of several crashes the newest is taken.",
    ),
]
FailingTests = Annotated[
    bool, typer.Option("--failing-tests", help="Start from the tests that fail now.")
]
Apply = Annotated[bool, typer.Option("--apply", help="Apply the best patch to the working tree.")]
Branch = Annotated[
    str, typer.Option("--branch", help="Commit the best patch and its test to this new branch.")
]
Seconds = Annotated[
    float | None, typer.Option("--seconds", min=1, help="Stop searching after this long.")
]
MaxCandidates = Annotated[
    int | None, typer.Option("--max-candidates", min=1, help="Patches to try at most.")
]


def repair(
    repo: Repo = Path(),
    trace: Trace = None,
    failing_tests: FailingTests = False,
    revision: Annotated[str, typer.Option("--revision", help="The commit that crashed.")] = "",
    seconds: Seconds = None,
    max_candidates: MaxCandidates = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of generated inputs.")] = 0,
    apply: Apply = False,
    branch: Branch = "",
    as_json: AsJson = False,
) -> int:
    """Diagnose a crash, reproduce it, search for a patch and prove it in a sandbox."""
    if (trace is None) == (not failing_tests):
        raise BadInput(
            "Give either --trace FILE or --failing-tests.",
            remedy="selfdrive repair . --trace crash.json",
        )
    settings = load(repo)
    from selfdrive_dagster.telemetry import Redactor

    redactor = Redactor(keeps_variables=settings.telemetry.capture_arguments)
    crash = read_trace(trace, redactor) if trace is not None else None
    limits = settings.patches
    repository = writable(repo) if apply or branch else None
    with progress("Opening the product") as say, tempfile.TemporaryDirectory() as folder:
        from selfdrive_dagster.adapters.product import open_product
        from selfdrive_dagster.adapters.sandbox import BwrapSandbox
        from selfdrive_dagster.validation.repair import Budget
        from selfdrive_dagster.validation.repair import repair as take_to_a_proof

        product, history = open_product(repo, settings, Path(folder), revision or None, say)
        sandbox = BwrapSandbox(open_home(os.environ) / "sandbox")
        say("Probing the sandbox")
        if sandbox.level() is not SandboxLevel.FULL:
            end_without_sandbox(product, history, sandbox, crash, as_json=as_json)
        found = take_to_a_proof(
            product,
            history,
            sandbox,
            crash=crash,
            budget=Budget(
                max_candidates=max_candidates or limits.max_candidates,
                seconds=seconds or limits.seconds,
                seed=seed,
            ),
            progress=say,
        )
    answer(found, repository, apply=apply, branch=branch, as_json=as_json)
    if found.reproduction.reproducer is None:
        return NO_REPRODUCER
    return 0 if found.best is not None else NO_PATCH


def read_trace(path: Path, redactor: "Redactor") -> Crash:
    """Return the newest crash of a file, the last of those without a time if none has one.

    Raises BadInput for anything else.
    """
    from selfdrive_dagster.telemetry import read_crashes

    try:
        data = sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as error:
        raise BadInput(
            f"{path} cannot be read: {error.strerror}.", remedy="name a file with one crash"
        ) from error
    return newest(read_crashes(data, str(path), redactor))


def newest(crashes: Sequence[Crash]) -> Crash:
    """Return the crash with the latest time; of equals, and where no time is known, the last."""
    return max(reversed(crashes), key=lambda crash: crash.timestamp or NO_TIME)


def end_without_sandbox(
    product: Product,
    history: History,
    sandbox: "BwrapSandbox",
    crash: Crash | None,
    *,
    as_json: bool,
) -> None:
    """Print the diagnosis, which runs nothing, and refuse the rest."""
    if crash is not None:
        from selfdrive_dagster.cli.repair.show import show_diagnosis
        from selfdrive_dagster.patches import diagnose

        diagnosis = diagnose(product, history, crash=crash)
        emit(diagnosis, lambda console: show_diagnosis(diagnosis, console), as_json=as_json)
    findings = sandbox.findings()
    raise Refused(
        f"Nothing was run: the sandbox is {findings.level.value}, and untrusted code runs only "
        f"in a full one ({findings.missing}).",
        remedy=findings.remedy,
    )


def writable(repo: Path) -> "GitRepository":
    """Return the repository that a patch is written to. Raises Refused for a plain folder."""
    from selfdrive_dagster.adapters.git import GitRepository

    repository = GitRepository.find(repo)
    if repository is None:
        raise Refused(
            f"{repo} is no git repository, so nothing was run or written.",
            remedy="leave --apply and --branch out: the patch is printed",
        )
    return repository


def answer(
    found: "Repair", repository: "GitRepository | None", *, apply: bool, branch: str, as_json: bool
) -> None:
    """Print what was found, then write what was asked for."""
    emit(found, lambda console: show(found, console), as_json=as_json)
    if repository is not None and (apply or branch):
        put_down(repository, found, apply=apply, branch=branch)


def put_down(repository: "GitRepository", found: "Repair", *, apply: bool, branch: str) -> None:
    """Commit the best patch with its reproducer to a branch of its own, or apply it, or both.

    What is asked for is written whole or not at all. Tells on stderr: stdout is the answer's.
    """
    from selfdrive_dagster.adapters.proposals import overlay_of

    best, reproducer = found.best, found.reproduction.reproducer
    if best is None or reproducer is None:
        print("No patch held, so nothing was written.", file=sys.stderr)
        return
    if apply:
        repository.check_worktree(best.patch)
    if branch:
        base = found.diagnosis.revision
        overlay = overlay_of(repository, base, best, reproducer, {})
        words = found.diagnosis.sentence
        sha = repository.commit_branch(branch, base=base, overlay=overlay, message=words)
        print(clean(f"Committed {sha[:12]} to {branch}"), file=sys.stderr)
    if apply:
        repository.apply_to_worktree(best.patch)
        print(clean(f"Applied to {repository.path}: {best.path}"), file=sys.stderr)
