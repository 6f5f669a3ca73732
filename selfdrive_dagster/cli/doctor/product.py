"""What the product must bring: readable settings, code, an interpreter with pytest, commits."""

import ast
import os
import subprocess
import warnings
from os.path import relpath
from pathlib import Path
from tempfile import TemporaryDirectory

from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.proposals import remote_of, shown_remote
from selfdrive_dagster.adapters.recorded import recorded_calls
from selfdrive_dagster.adapters.signatures import ALLOWED_SIGNERS, MAKE_SIGNERS
from selfdrive_dagster.cli.doctor.findings import (
    Answer,
    Check,
    Patient,
    degraded,
    fine,
    missing,
    told_by,
)
from selfdrive_dagster.config import FILE_NAME, discover, not_acted_on
from selfdrive_dagster.errors import Refused, SelfdriveError

SHOWN = 5
DRIVING = ("L3", "L4")
"""Levels at which a signature leads to users."""

ASK = "import platform, pytest; print(platform.python_version(), 'with pytest', pytest.__version__)"


def settings(patient: Patient) -> Answer:
    """`selfdrive.toml` is read without a fault, or is not there."""
    if patient.fault:
        return missing(patient.fault.message, patient.fault.remedy or f"edit {FILE_NAME}")
    if not (patient.repo / FILE_NAME).exists():
        return degraded(f"no {FILE_NAME} here: defaults are used", "selfdrive init")
    return fine(f"{FILE_NAME} has no faults")


def unused(patient: Patient) -> Answer:
    """Every setting that somebody chose is acted on."""
    if patient.settings is None:
        return missing("unknown while the settings are at fault")
    waiting = not_acted_on(patient.settings)
    if not waiting:
        return fine("every setting that is set is acted on")
    return degraded(f"read but not acted on yet: {', '.join(waiting)}", "do not count on these")


def code(patient: Patient) -> Answer:
    """The product's own code was named or found."""
    if patient.settings is None:
        return missing("unknown while the settings are at fault")
    source = patient.settings.service.source
    if source:
        return fine(", ".join(source))
    return degraded("no product here", "run doctor in the product's folder, or name it")


def parsing(patient: Patient) -> Answer:
    """Every file of the product's code can be parsed; one that cannot is never repaired."""
    if patient.settings is None:
        return missing("unknown while the settings are at fault")
    places = [patient.repo / name for name in patient.settings.service.source]
    files = sorted({file for place in places for file in python_files(place)})
    faults = [(relpath(file, patient.repo), told) for file in files if (told := unread(file))]
    if not faults:
        return fine(f"{len(files)} parsed" if files else "none to parse")
    listed = ", ".join(f"{file} ({fault})" for file, fault in faults[:SHOWN])
    more = f" and {len(faults) - SHOWN} more" if len(faults) > SHOWN else ""
    return degraded(f"{len(faults)} of {len(files)} do not parse: {listed}{more}", "correct them")


def python_files(place: Path) -> list[Path]:
    """Return a module, or the modules in a folder at any depth."""
    return [file for file in (place, *place.rglob("*.py")) if file.is_file()]


def unread(file: Path) -> str:
    """Say why a file cannot be parsed, "" when it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(file.read_bytes())
    except SyntaxError as error:
        return f"line {error.lineno}: {error.msg}"
    except (OSError, ValueError, RecursionError, MemoryError) as error:
        return told_by(error) or type(error).__name__
    return ""


def tests(patient: Patient) -> Answer:
    """There are tests that a patch can be held against."""
    if not patient.repo.is_dir():
        return missing("unknown: there is no such folder")
    found = discover(patient.repo, patient.environ).tests
    if found:
        return fine(", ".join(found))
    return degraded("none found: a patch can hardly be proven without", "write a first test")


def interpreter(patient: Patient) -> Answer:
    """The product's interpreter starts and finds pytest, without the user's site."""
    if patient.settings is None:
        return missing("unknown while the settings are at fault")
    program = patient.settings.service.python
    try:
        told = subprocess.run(
            [program, "-I", "-c", ASK], capture_output=True, text=True, timeout=60, cwd="/"
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return missing(f"{program} does not start: {error}", "name another in [service] python")
    if told.returncode != 0:
        return missing(f"{program} has no pytest", f"{program} -m pip install pytest")
    return fine(f"{told.stdout.strip()} at {program}")


def interpreter_inside(patient: Patient) -> Answer:
    """The sandbox can show the interpreter to the user that it runs as."""
    from selfdrive_dagster.adapters.sandbox.interpreter import prefixes, unreadable_by_others

    if patient.settings is None:
        return missing("unknown while the settings are at fault")
    program = patient.settings.service.python
    folders = [str(prefix.source) for prefix in prefixes(program)]
    hidden = unreadable_by_others(program) if os.geteuid() == 0 else None
    if hidden is not None:
        return missing(f"other users may not read {hidden}", f"chmod -R go+rX {hidden}")
    return fine(f"{program} needs {', '.join(folders) or 'nothing beside /usr'}")


def history(patient: Patient) -> Answer:
    """Commits to start from; what is not committed is not seen."""
    repository = GitRepository.find(patient.repo) if patient.repo.is_dir() else None
    if repository is None:
        return degraded("no git history: no suspect commit, no branch to propose", "git init")
    if repository.is_empty():
        return missing("no commit yet", "git add -A && git commit")
    try:
        dirty = repository.dirty()
    except SelfdriveError:
        dirty = None
    branch = repository.default_branch() or "a detached head"
    if dirty is None:
        return degraded(f"{branch}; whether all is committed is unknown", "git status")
    if dirty:
        seen = "1 changed file is" if len(dirty) == 1 else f"{len(dirty)} changed files are"
        return degraded(f"{branch}; {seen} not seen", "git commit")
    shallow = " (shallow: older commits are unknown)" * repository.is_shallow()
    return fine(f"{branch}, all committed{shallow}")


def remote(patient: Patient) -> Answer:
    """Where proposals are pushed is a place that may be reached."""
    if patient.settings is None:
        return missing("unknown while the settings are at fault")
    repository = GitRepository.find(patient.repo) if patient.repo.is_dir() else None
    if repository is None:
        return degraded("no git repository, so no branch to push", "git init")
    chosen = remote_of(repository, patient.settings.service.repository)
    if chosen is None:
        return fine("no origin to push to: proposals stay branches of this repository")
    return fine(f"proposals are pushed to {shown_remote(chosen)}")


def approvals(patient: Patient) -> Answer:
    """The branch says whose key may approve, and that key proves a person where it must."""
    from selfdrive_dagster.adapters.approving import allowed_signers_at

    if patient.settings is None:
        return missing("unknown while the settings are at fault")
    level = patient.settings.autonomy.level
    repository = GitRepository.find(patient.repo) if patient.repo.is_dir() else None
    if repository is None or repository.is_empty():
        return degraded("no commit that could say whose key may approve", "git commit")
    head = repository.revision(patient.settings.service.branch or "HEAD")
    try:
        signers = allowed_signers_at(repository, head)
    except Refused:
        says = f"no {ALLOWED_SIGNERS} at {head[:12]}, so no signature can approve"
        if level not in DRIVING:
            return fine(f"{says}: at level {level} your merge does")
        return degraded(says, MAKE_SIGNERS)
    return key_at_hand(patient, signers, level)


def key_at_hand(patient: Patient, signers: str, level: str) -> Answer:
    """Say which key of this account may approve, and whether that proves a person."""
    from selfdrive_dagster.adapters.approving import choose_signer, own_keys
    from selfdrive_dagster.adapters.approving.keys import custody_of

    with TemporaryDirectory() as folder:
        keys = own_keys(patient.environ, patient.repo, Path(folder))
        try:
            signer = choose_signer(keys, signers)
        except Refused:
            return fine(f"{ALLOWED_SIGNERS} is committed; no key of this account stands in it")
        custody = custody_of(signer.key, patient.environ)
    says = f"{signer.principal} may approve with {signer.fingerprint}"
    told = f"{says}; {custody.says}"
    if custody.proves_person:
        return fine(told)
    mend = "use a hardware key, or one behind a passphrase that no agent holds"
    return degraded(told, mend) if level in DRIVING else fine(told)


def good_calls(patient: Patient) -> Answer:
    """The recorder of good calls, if the owner names its file, has written some."""
    if patient.settings is None:
        return missing("unknown while the settings are at fault")
    named = patient.settings.telemetry.good_calls
    if not named:
        return fine("none are recorded: the gate compares what your tests call")
    count = len(recorded_calls(patient.repo, patient.settings))
    if not count:
        says = f"{named} holds no call that can be sent again"
        return degraded(says, "put hooks/recorder.py around the application and name its file")
    return fine(f"{count} of {named} are sent to base and patch")


CHECKS = (
    Check("settings", settings),
    Check("unused settings", unused),
    Check("code", code),
    Check("source files", parsing),
    Check("tests", tests),
    Check("interpreter", interpreter),
    Check("in the sandbox", interpreter_inside),
    Check("history", history),
    Check("remote", remote),
    Check("approvals", approvals),
    Check("good calls", good_calls),
)
