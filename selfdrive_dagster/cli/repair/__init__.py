"""`selfdrive repair`: one crash, or one failing suite, to a proven patch.

Nothing is sent anywhere, unless --generator claude asks for it.
The product's folder is only read, unless --apply or --branch says otherwise.
"""

import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from selfdrive_dagster.cli.endings import NO_PATCH, NO_REPRODUCER
from selfdrive_dagster.cli.render import AsJson, Repo, clean, emit, progress
from selfdrive_dagster.cli.repair.contract import answer_of
from selfdrive_dagster.cli.repair.drafting import Generator, drafting
from selfdrive_dagster.cli.repair.show import NO_VARIABLES, lacks_variables, show
from selfdrive_dagster.cli.repair.start import root_hint, unseen, writable
from selfdrive_dagster.cli.repair.write import put_down
from selfdrive_dagster.config import Settings, load, open_home
from selfdrive_dagster.config.settings import pytest_arguments
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
    bool, typer.Option("--failing-tests", help="Start from the tests that fail at HEAD.")
]
Apply = Annotated[bool, typer.Option("--apply", help="Apply the best patch to the working tree.")]
Branch = Annotated[
    str, typer.Option("--branch", help="Commit the best patch and its test to this new branch.")
]
Tests = Annotated[
    str,
    typer.Option(
        "--tests", metavar="CMD", help='How its tests run: "python -m unittest", "pytest"'
    ),
]
Source = Annotated[
    list[str] | None,
    typer.Option("--source", metavar="DIR", help="The product's own code; may be given again."),
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
    revision: Annotated[
        str, typer.Option("--revision", help="The commit to repair: HEAD if none.")
    ] = "",
    tests: Tests = "",
    source: Source = None,
    seconds: Seconds = None,
    max_candidates: MaxCandidates = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of generated inputs.")] = 0,
    apply: Apply = False,
    branch: Branch = "",
    generator: Annotated[
        list[Generator],
        typer.Option("--generator", help="Who drafts; may be given twice. claude sends code."),
    ] = [Generator.BUILTIN],  # noqa: B006  typer wants a list
    budget: Annotated[
        float | None,
        typer.Option("--budget", min=0, metavar="USD", help="What claude may cost in this run."),
    ] = None,
    verbose: Annotated[
        bool, typer.Option("--verbose", help="Print every check of every candidate.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Diagnose a crash, reproduce it, search for a patch and prove it in a sandbox.

    HEAD, or the commit of --revision, is what is repaired: uncommitted changes are not seen.
    """
    if (trace is None) == (not failing_tests):
        raise BadInput(
            "Give either --trace FILE or --failing-tests.",
            remedy="selfdrive repair . --trace crash.json",
        )
    settings = told_by(load(repo), tests, tuple(source or ()))
    from selfdrive_dagster.telemetry import Redactor

    redactor = Redactor(keeps_variables=settings.telemetry.capture_arguments)
    crash = read_trace(trace, redactor) if trace is not None else None
    limits = settings.patches
    proposers = drafting(tuple(dict.fromkeys(generator)), limits, budget)
    repository = writable(repo, branch, apply=apply) if apply or branch else None
    notes = unseen(repo, revision)
    for note in notes:
        print(clean(f"Note: {note}"), file=sys.stderr)
    with (
        knowing_the_root(repo),
        progress("Opening the product") as say,
        tempfile.TemporaryDirectory() as folder,
    ):
        from selfdrive_dagster.adapters.product import open_product
        from selfdrive_dagster.adapters.recorded import recorded_calls
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
                confidence=limits.confidence,
            ),
            progress=say,
            proposers=proposers,
            calls=recorded_calls(repo, settings),
        )
    found = msgspec.structs.replace(found, notes=notes)
    answer(found, repository, apply=apply, branch=branch, as_json=as_json, verbose=verbose)
    for remedy in remedies(found, repo):
        print(clean(f"Remedy: {remedy}"), file=sys.stderr)
    if found.reproduction.reproducer is None:
        return NO_REPRODUCER
    return 0 if found.best is not None else NO_PATCH


def told_by(settings: Settings, tests: str, source: tuple[str, ...]) -> Settings:
    """Put what the command line says of tests and code before the settings.

    Raises BadInput for a test command that is neither pytest's nor unittest's.
    """
    replace, service = msgspec.structs.replace, settings.service
    if tests:
        if pytest_arguments(tests) is None:
            raise BadInput(
                f"--tests {tests!r} is no command of pytest or unittest that is understood.",
                remedy='--tests "pytest -q", or --tests "python -m unittest discover -s tests"',
            )
        service = replace(service, tests=tests, tests_isolated="")
    if source:
        service = replace(service, source=tuple(one.rstrip("/") for one in source))
    return replace(settings, service=service)


@contextmanager
def knowing_the_root(repo: Path) -> Iterator[None]:
    """Add to an error's remedy where the repository's root is, when `repo` lies below it."""
    try:
        yield
    except BadInput as error:
        if hint := root_hint(repo):
            error.remedy = f"{error.remedy}; {hint}" if error.remedy else hint
        raise


def remedies(found: "Repair", repo: Path) -> tuple[str, ...]:
    """Return what the user can do where the crash was not reproduced."""
    crash = found.diagnosis.crash
    if crash is None or found.reproduction.reproducer is not None:
        return ()
    lost = "" if found.diagnosis.frames else root_hint(repo)
    lacking = NO_VARIABLES if lacks_variables(crash) else ""
    return tuple(told for told in (lost, lacking) if told)


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


def answer(
    found: "Repair",
    repository: "GitRepository | None",
    *,
    apply: bool,
    branch: str,
    as_json: bool,
    verbose: bool = False,
) -> None:
    """Print what was found, then write what was asked for."""
    told = answer_of(found) if as_json else found
    emit(told, lambda console: show(found, console, verbose=verbose), as_json=as_json)
    if repository is not None and (apply or branch):
        put_down(repository, found, apply=apply, branch=branch)
