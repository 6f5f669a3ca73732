"""What a doctor's check is given, what it answers, and how one is run."""

from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from subprocess import SubprocessError

import msgspec

from selfdrive_dagster.config import Settings, home_path, load
from selfdrive_dagster.errors import BadInput, SelfdriveError


class State(Enum):
    """How it stands with one need. Degraded: it works, with less."""

    FINE = "fine"
    DEGRADED = "degraded"
    MISSING = "missing"


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One line of the doctor's answer; `mend` is a command or the next thing to do."""

    need: str
    state: State
    says: str
    mend: str = ""


class Answer(msgspec.Struct, frozen=True):
    """What a check says of its need."""

    state: State
    says: str
    mend: str = ""


def fine(says: str) -> Answer:
    """The need is met."""
    return Answer(State.FINE, says)


def degraded(says: str, mend: str = "") -> Answer:
    """It works, with less."""
    return Answer(State.DEGRADED, says, mend)


def missing(says: str, mend: str = "") -> Answer:
    """It does not work."""
    return Answer(State.MISSING, says, mend)


class Patient(msgspec.Struct, frozen=True, kw_only=True):
    """What is looked at. `settings` is None when they are at fault: then `fault` says how."""

    repo: Path
    home: Path
    environ: Mapping[str, str]
    settings: Settings | None
    fault: SelfdriveError | None = None

    @classmethod
    def of(cls, repo: Path, environ: Mapping[str, str]) -> "Patient":
        """Read what there is to look at."""
        settings, fault = None, None
        try:
            settings = load(repo, environ)
        except SelfdriveError as error:
            fault = error
        except OSError as error:
            fault = BadInput(
                f"{repo} cannot be looked at: {told_by(error)}.",
                remedy="name a folder that you may read",
            )
        home = home_path(environ)
        return cls(repo=repo, home=home, environ=environ, settings=settings, fault=fault)


class Check(msgspec.Struct, frozen=True):
    """A need and the function that looks at it."""

    need: str
    look: Callable[[Patient], Answer]


def examine(check: Check, patient: Patient) -> Finding:
    """Run one check; an error of ours or of the system is its answer too."""
    try:
        answer = check.look(patient)
    except SelfdriveError as error:
        answer = missing(error.message, error.remedy)
    except (OSError, SubprocessError) as error:
        answer = missing(f"unknown: {told_by(error)}", "see to it and run doctor again")
    return Finding(need=check.need, state=answer.state, says=answer.says, mend=answer.mend)


def told_by(error: Exception) -> str:
    """Return what the system said, with the file that it said it of."""
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror}: {error.filename}" if error.filename else error.strerror
    return str(error)
