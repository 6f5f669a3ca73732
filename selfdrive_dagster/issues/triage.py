"""Triage: may the loop try to fix an issue, only explain it, or leave it alone, and why.

One ordered table of named rules; the first that holds decides, every other reason that holds is
told too. Belongs here: the rules. Does not belong: how much an issue hurts (`score`).
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from enum import Enum

import msgspec

from selfdrive_dagster.issues.kinds import EXCEPTION
from selfdrive_dagster.issues.score import level_of
from selfdrive_dagster.issues.skips import Skip
from selfdrive_dagster.model.product import is_protected


class Decision(Enum):
    """What may be tried."""

    AUTOFIX = "autofix"
    ROOT_CAUSE_ONLY = "root_cause_only"
    SKIP = "skip"


class TriageSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's limits; `protected` are patterns as `model.product.protecting` reads them.

    `on_trial` are revisions that some users met and that were not kept: they are not the product.
    `skips` are those that stand, by issue.
    """

    min_events: int = 2
    max_age: timedelta = timedelta(days=14)
    protected: tuple[str, ...] = ()
    on_trial: frozenset[str] = frozenset()
    skips: Mapping[str, Skip] = {}


class TriageFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules look at. `in_app_paths` are files of in-app frames, nearest the raise first.

    `raised_in_app` says whether the innermost frame is the product's own; None without frames.
    """

    issue_id: str = ""
    kind: str = EXCEPTION
    exception_type: str
    level: str
    events_total: int
    last_seen: datetime
    now: datetime
    in_app_paths: tuple[str, ...] = ()
    raised_in_app: bool | None = None
    culprit: str = ""
    versions: tuple[str, ...] = ()


class Triage(msgspec.Struct, frozen=True, kw_only=True):
    """The decision; `reasons` are names from the table, the deciding one first.

    `skip` is an operator's word that stands, `says` explains the decision.
    """

    decision: Decision
    reasons: tuple[str, ...]
    says: str
    skip: Skip | None = None


TRANSIENT = frozenset(
    {
        "TimeoutError", "ConnectTimeout", "ReadTimeout", "WriteTimeout", "PoolTimeout", "Timeout",
        "ConnectionError", "ConnectionResetError", "ConnectionRefusedError",
        "ConnectionAbortedError", "BrokenPipeError", "ConnectError", "ReadError",
        "RemoteProtocolError", "ServiceUnavailable", "TooManyRequests", "OperationalError",
        "InterfaceError", "CancelledError", "gaierror", "SSLError", "IncompleteRead",
    }
)  # fmt: skip
"""The neighbour or the network failed; the next try may pass."""

CONFIG = frozenset(
    {
        "ImportError", "ModuleNotFoundError", "ImproperlyConfigured", "PermissionError",
        "NoSectionError", "NoOptionError", "ProgrammingError", "MemoryError", "EnvironmentError",
    }
)  # fmt: skip
"""The installation is wrong, not the code."""

DATA = frozenset({"IntegrityError", "DataError", "CorruptDataError", "BadGzipFile", "BadZipFile"})
"""A stored record is wrong; code alone does not mend it."""

BELOW = ("warning", "info", "debug")
"""Levels at which nobody reports an error."""

STOPS = frozenset({"KeyboardInterrupt", "SystemExit", "GeneratorExit"})

_Holds = Callable[[TriageFacts, TriageSettings], bool]


class Rule(msgspec.Struct, frozen=True):
    """One row of the table."""

    name: str
    decision: Decision
    says: str
    holds: _Holds


def skip_of(facts: TriageFacts, settings: TriageSettings) -> Skip | None:
    """Return the operator's skip of an issue while it lasts."""
    skip = settings.skips.get(facts.issue_id)
    return skip if skip and skip.until and facts.now < skip.until else None


RULES: tuple[Rule, ...] = (
    Rule(
        "skipped",
        Decision.SKIP,
        "an operator leaves it alone until a time",
        lambda facts, settings: skip_of(facts, settings) is not None,
    ),
    Rule(
        "stopped",
        Decision.SKIP,
        "somebody ended the program: that is no fault",
        lambda facts, _: facts.exception_type in STOPS,
    ),
    Rule(
        "not_an_error",
        Decision.SKIP,
        "reported below the level error",
        lambda facts, _: facts.kind == EXCEPTION and level_of(facts.level) in BELOW,
    ),
    Rule(
        "on_trial",
        Decision.SKIP,
        "seen only on a revision that was tried on some users and not kept",
        lambda facts, settings: bool(facts.versions) and settings.on_trial >= set(facts.versions),
    ),
    Rule(
        "too_old",
        Decision.SKIP,
        "not seen within the time that counts",
        lambda facts, settings: facts.now - facts.last_seen > settings.max_age,
    ),
    Rule(
        "too_few_events",
        Decision.SKIP,
        "seen too seldom to act on",
        lambda facts, settings: facts.events_total < settings.min_events,
    ),
    Rule(
        "no_exception",
        Decision.ROOT_CAUSE_ONLY,
        "what hurts is no exception: there is no raising place to mend",
        lambda facts, _: facts.kind != EXCEPTION,
    ),
    Rule(
        "no_stack",
        Decision.ROOT_CAUSE_ONLY,
        "no frame was reported, so there is no place to look",
        lambda facts, _: facts.kind == EXCEPTION and facts.raised_in_app is None,
    ),
    Rule(
        "transient",
        Decision.ROOT_CAUSE_ONLY,
        "a neighbour or the network failed",
        lambda facts, _: facts.exception_type in TRANSIENT,
    ),
    Rule(
        "config",
        Decision.ROOT_CAUSE_ONLY,
        "the installation or its settings are wrong",
        lambda facts, _: facts.exception_type in CONFIG,
    ),
    Rule(
        "data",
        Decision.ROOT_CAUSE_ONLY,
        "a stored record is wrong",
        lambda facts, _: facts.exception_type in DATA,
    ),
    Rule(
        "third_party",
        Decision.ROOT_CAUSE_ONLY,
        "no frame is the product's own",
        lambda facts, _: facts.kind == EXCEPTION and not facts.in_app_paths,
    ),
    Rule(
        "protected_path",
        Decision.ROOT_CAUSE_ONLY,
        "it was raised in a path that the loop must not touch",
        lambda facts, settings: any(
            is_protected(path, settings.protected) for path in facts.in_app_paths[:1]
        ),
    ),
    Rule("code", Decision.AUTOFIX, "raised through the product's own code", lambda *_: True),
)


def triage(facts: TriageFacts, settings: TriageSettings | None = None) -> Triage:
    """Return what may be tried and every reason that holds, the deciding one first."""
    settings = settings or TriageSettings()
    holding = [rule for rule in RULES if rule.holds(facts, settings)]
    reasons = [rule.name for rule in holding if rule.name != "code"] or ["code"]
    skip = skip_of(facts, settings)
    return Triage(
        decision=holding[0].decision,
        reasons=tuple(reasons),
        says=skip.says if skip else holding[0].says,
        skip=skip,
    )
