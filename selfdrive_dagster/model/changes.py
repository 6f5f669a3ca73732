"""A change on its way: diagnosis, reproducer, candidate, report.

Each record is stored as canonical JSON evidence, so fields are plain values. Unknown is
None and never an empty value.
"""

from enum import Enum
from typing import Any

import msgspec

from selfdrive_dagster.model.asks import Ask
from selfdrive_dagster.model.crashes import Crash


class Claim(Enum):
    """What a candidate says of itself; an unknown claim is a mitigation."""

    REPAIR = "repair"
    MITIGATION = "mitigation"
    IMPROVEMENT = "improvement"
    """It changes only a signal that was stated beforehand, such as how long a route takes."""


class Verdict(Enum):
    """What validation made of a claim.

    AMBIGUOUS: it holds, and so do others that behave otherwise; nothing tells which is right.
    """

    CERTIFIED = "certified"
    CONTAINED = "contained"
    AMBIGUOUS = "ambiguous"
    UNCERTIFIED = "uncertified"
    INCONCLUSIVE = "inconclusive"


class Way(Enum):
    """How a reproducer was made."""

    CAPTURED_ARGUMENTS = "captured_arguments"
    BORROWED_STATE = "borrowed_state"
    HTTP_REPLAY = "http_replay"
    FAILING_TEST = "failing_test"
    WRITTEN_BY_MODEL = "written_by_model"


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """One commit; `when` is ISO 8601, author date."""

    sha: str
    when: str
    author: str
    summary: str


class SuspectCommit(msgspec.Struct, frozen=True, kw_only=True):
    """The commit that most likely brought the crash, and why we think so."""

    commit: Commit
    reason: str


class FrameFinding(msgspec.Struct, frozen=True, kw_only=True):
    """A reported frame, found again in the tree. `function` is the qualified name there."""

    path: str
    line: int
    function: str
    depth: int
    drifted: bool = False


class Suspicion(msgspec.Struct, frozen=True, kw_only=True):
    """A line that may hold the fault; `score` in (0, 1], highest first."""

    path: str
    line: int
    function: str
    score: float
    why: str


class ObservedInput(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of a frame: `expression` rebuilds it, or `unknown` says why nothing can.

    Beside an expression `unknown` tells what the expression leaves out or makes up.
    """

    function: str
    name: str
    expression: str | None
    unknown: str = ""


class Diagnosis(msgspec.Struct, frozen=True, kw_only=True):
    """Where and why, reproduced or not. Every code issue gets one.

    `frames` are the in-app frames found in the tree, innermost first. `failing_tests` are
    node ids when the failing-test track brought us here; then `crash` may be None.
    `exception_type` is the crash's, or that of what the product raises in all failing tests, with
    `message`; "" where a test finds a wrong answer.
    """

    revision: str
    sentence: str
    crash: Crash | None
    failing_tests: tuple[str, ...]
    frames: tuple[FrameFinding, ...]
    suspicions: tuple[Suspicion, ...]
    inputs: tuple[ObservedInput, ...]
    suspect: SuspectCommit | None
    exception_type: str
    message: str = ""
    notes: tuple[str, ...] = ()

    @property
    def words(self) -> str:
        """What the exception says, "" where there is none."""
        return self.crash.raised.value if self.crash else self.message


class Reproducer(msgspec.Struct, frozen=True, kw_only=True):
    """A test that fails on the base revision for the recorded reason.

    `source` is None when the test is already in the tree (failing-test track). The failure
    is `exception_type` raised in `function` of `path` (empty in the failing-test track).
    """

    way: Way
    path: str
    source: str | None
    node_ids: tuple[str, ...]
    exception_type: str
    function: str
    target_path: str
    arguments: tuple[ObservedInput, ...] = ()
    production_values: tuple[str, ...] = ()


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try at a reproducer, and why it did not do."""

    way: Way
    target: str
    outcome: str


class Reproduction(msgspec.Struct, frozen=True, kw_only=True):
    """A reproducer, or the reasons there is none; `asks` are questions to a model about it."""

    reproducer: Reproducer | None
    attempts: tuple[Attempt, ...]
    asks: tuple[Ask, ...] = ()


class Support(msgspec.Struct, frozen=True, kw_only=True):
    """Evidence for the value a candidate chose: `failing_test`, `sibling_idiom`, `history` …"""

    kind: str
    where: str
    says: str


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """One patch: a unified diff against the base tree, and what it claims.

    `invented` tells a mitigation's made-up behaviour ("returns None where it raised
    IndexError"); a repair has none. `rank` counts from 1 in the engine's order. `author` is
    whoever made a patch that was handed in, "unknown" where it names nobody, "" for one that the
    generator drew. `bits` is how long it takes to say which of the generator's drafts it is.
    """

    id: str
    generator: str
    family: str
    path: str
    line: int
    function: str
    patch: str
    claim: Claim
    invented: str
    supports: tuple[Support, ...] = ()
    rank: int = 0
    author: str = ""
    bits: float = 0.0


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a report. `passed` None means it could not be known."""

    name: str
    passed: bool | None
    says: str
    numbers: dict[str, Any] = {}


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One part of a confidence: `value` from 0 to 1, None where it is not known."""

    name: str
    value: float | None
    says: str


class Confidence(msgspec.Struct, frozen=True, kw_only=True):
    """How likely a candidate behaves as its product wants: the product of its known parts."""

    value: float
    parts: tuple[Part, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What validation proved of one candidate. Digests are sha256 of canonical bytes."""

    candidate_id: str
    claim: Claim
    verdict: Verdict
    reason: str
    checks: tuple[Check, ...]
    base_revision: str
    patch_sha256: str
    reproducer_sha256: str
    sandbox_level: str
    seed: int
    seconds: float
    confidence: Confidence | None = None
