"""Could the crashes be reproduced and mended? Tried in the sandbox, on the revision that crashed.

Belongs here: one try after the other within bounds. Does not belong: how a crash is reproduced
(`patches.reproduce`), and what the built-in engine makes of it (`proposing`).
"""

import re
import tempfile
import time
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path

import msgspec

from selfdrive_dagster.adapters.git import GitRepository
from selfdrive_dagster.adapters.product import open_product
from selfdrive_dagster.cli.backtest.proposing import Proposed, ask_price, propose
from selfdrive_dagster.config import Settings
from selfdrive_dagster.errors import BadInput
from selfdrive_dagster.model import Crash, History, Product, Progress, Sandbox, SandboxLevel
from selfdrive_dagster.patches import diagnose, reproduce
from selfdrive_dagster.patches.asking.projecting import Projection
from selfdrive_dagster.patches.diagnosis.localise import coverage_of
from selfdrive_dagster.patches.suite import SuiteRun
from selfdrive_dagster.validation.repair import measure_base

COMMIT = re.compile(r"[0-9a-f]{7,64}")
"""A release that may be the name of a commit. Anything else a stranger wrote is not asked for."""


NO_SANDBOX = "no full sandbox"
"""How a skipped try begins to tell its reason where nothing untrusted may run."""


class Outcome(Enum):
    """What came of one try. SKIPPED was not tried: that says nothing of the crash."""

    REPRODUCED = "reproduced"
    NOT_REPRODUCED = "not_reproduced"
    SKIPPED = "skipped"


class Try(msgspec.Struct, frozen=True, kw_only=True):
    """One issue's try. `revision` is "" and `seconds` 0 where it was skipped; `says` tells why.

    `proposed` is what the built-in engine would have put forward, None where it was not
    reproduced. `asking` is what asking a model about it would cost; None where nobody knows, and
    where it would not have been asked.
    """

    issue_id: str
    change_id: str
    outcome: Outcome
    revision: str
    says: str
    seconds: float
    proposed: Proposed | None = None
    asking: Projection | None = None


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """An issue to try; `crash` is None where no crash of it was kept."""

    issue_id: str
    change_id: str
    crash: Crash | None


def skip(wanted: Wanted, why: str) -> Try:
    """Return the try of an issue that was not tried."""
    return Try(
        issue_id=wanted.issue_id,
        change_id=wanted.change_id,
        outcome=Outcome.SKIPPED,
        revision="",
        says=why,
        seconds=0.0,
    )


def try_all(
    wanted: Sequence[Wanted],
    repo: Path,
    settings: Settings,
    sandbox: Sandbox,
    *,
    most: int,
    seconds: float,
    progress: Progress,
) -> tuple[Try, ...]:
    """Try one issue after the other; whom time or `most` does not reach is skipped by name."""
    if sandbox.level() is not SandboxLevel.FULL:
        why = f"{NO_SANDBOX}: it is {sandbox.level().value}, and nothing untrusted was run"
        return tuple(skip(each, why) for each in wanted)
    deadline = time.monotonic() + seconds
    tries: dict[str, Try] = {}
    for revision, group in by_revision(wanted[:most], repo).items():
        with tempfile.TemporaryDirectory() as folder:
            tries |= _try_revision(
                revision, group, repo, settings, sandbox, Path(folder), deadline, progress
            )
    late = {each.issue_id: skip(each, f"beyond the first {most} (--max)") for each in wanted[most:]}
    return tuple((tries | late)[each.issue_id] for each in wanted)


def by_revision(wanted: Sequence[Wanted], repo: Path) -> Mapping[str, list[Wanted]]:
    """Group issues by the commit that their crash names as release; "" is HEAD.

    HEAD stands in where the release is no commit of the repository.
    """
    repository = GitRepository.find(repo)
    groups: dict[str, list[Wanted]] = {}
    for each in wanted:
        release = each.crash.service_version if each.crash else ""
        named = repository is not None and COMMIT.fullmatch(release or "")
        commit = repository.lookup(release) if repository and named else None
        groups.setdefault(commit or "", []).append(each)
    return groups


def _try_revision(
    revision: str,
    group: Sequence[Wanted],
    repo: Path,
    settings: Settings,
    sandbox: Sandbox,
    folder: Path,
    deadline: float,
    progress: Progress,
) -> dict[str, Try]:
    """Try the issues of one revision, whose suite is run once."""
    if time.monotonic() >= deadline:
        return {each.issue_id: skip(each, "the time was up (--seconds)") for each in group}
    try:
        product, history = open_product(repo, settings, folder, revision or None, progress)
    except BadInput as fault:
        if not revision:
            raise
        return {each.issue_id: skip(each, fault.message) for each in group}
    base = measure_base(product, sandbox, progress)
    tries = {}
    for each in group:
        if each.crash is None:
            tries[each.issue_id] = skip(each, "no crash of it was kept")
        elif time.monotonic() >= deadline:
            tries[each.issue_id] = skip(each, "the time was up (--seconds)")
        else:
            tries[each.issue_id] = _try(
                each, each.crash, product, history, base, settings, sandbox, deadline, progress
            )
    return tries


def _try(
    wanted: Wanted,
    crash: Crash,
    product: Product,
    history: History,
    base: SuiteRun,
    settings: Settings,
    sandbox: Sandbox,
    deadline: float,
    progress: Progress,
) -> Try:
    """Take one issue as far as the loop would, without asking anybody."""
    start, coverage = time.monotonic(), coverage_of(base)
    diagnosis = diagnose(product, history, crash=crash, coverage=coverage)
    progress(diagnosis.sentence)
    made = reproduce(diagnosis, product, sandbox, progress, coverage=coverage)
    found = made.reproducer
    last = made.attempts[-1].outcome if made.attempts else "no way fits it"
    proposed = None
    if found is not None:
        left = deadline - time.monotonic()
        proposed = propose(diagnosis, made, base, product, sandbox, left, progress)
    return Try(
        issue_id=wanted.issue_id,
        change_id=wanted.change_id,
        outcome=Outcome.NOT_REPRODUCED if found is None else Outcome.REPRODUCED,
        revision=product.revision,
        says=last if found is None else f"by {found.way.value.replace('_', ' ')}",
        seconds=round(time.monotonic() - start, 3),
        proposed=proposed,
        asking=ask_price(diagnosis, made, proposed, product, settings.patches),
    )
