"""From a crash to where it stands in the tree, who brought it, and what went in.

Nothing is run here. A trace may come from a machine with other folders, from another
revision, without variables, or hold no frame of ours: each of these ends in a diagnosis with
an honest note, never in an error.
"""

from datetime import datetime

from selfdrive_dagster.model import (
    Crash,
    Diagnosis,
    FrameFinding,
    History,
    Product,
    RaisedException,
    SuspectCommit,
    Suspicion,
)
from selfdrive_dagster.patches.diagnosis import localise
from selfdrive_dagster.patches.diagnosis.blame import moment, suspect_commit
from selfdrive_dagster.patches.diagnosis.frames import place, plain
from selfdrive_dagster.patches.diagnosis.inputs import observe
from selfdrive_dagster.patches.diagnosis.localise import Coverage
from selfdrive_dagster.patches.syntax import Tree


def diagnose(
    product: Product,
    history: History,
    *,
    crash: Crash | None,
    failing_tests: tuple[str, ...] = (),
    coverage: Coverage | None = None,
    since: datetime | None = None,
) -> Diagnosis:
    """Say what is known of a crash, or of failing tests, at the product's revision.

    `since` is when the issue was first seen: what was written later did not bring it.
    """
    tree = Tree(product)
    if crash is None:
        return _of_tests(product, tree, history, failing_tests, coverage)
    raised, placed, notes = place(tree, crash)
    frames = tuple(finding for _, finding in placed)
    inputs, more = observe(tree, placed)
    when = min((one for one in (since, crash.timestamp) if one), default=None, key=moment)
    suspect = suspect_commit(tree, history, frames[0], when) if frames else None
    return Diagnosis(
        revision=product.revision,
        sentence=_sentence(raised, frames),
        crash=crash,
        failing_tests=failing_tests,
        frames=frames,
        suspicions=_weighed(localise.from_trace(tree, frames, coverage), history, suspect),
        inputs=inputs,
        suspect=suspect,
        exception_type=type_of(raised),
        notes=(*notes, *more, *_watching(coverage)),
    )


def _watching(coverage: Coverage | None) -> tuple[str, ...]:
    note = localise.unwatched_note(coverage or ())
    return (note,) if note else ()


def _weighed(
    suspicions: tuple[Suspicion, ...], history: History, suspect: SuspectCommit | None
) -> tuple[Suspicion, ...]:
    if suspect is None:
        return suspicions

    def written_by(path: str, line: int) -> str:
        commit = history.blame(path, line)
        return commit.sha if commit else ""

    return localise.weigh_commit(suspicions, written_by, suspect.commit.sha)


def type_of(raised: RaisedException) -> str:
    """Return the exception's type as Python prints it: builtins bare, others with their module."""
    bare = raised.module in ("", "builtins", "exceptions") or "." in raised.type
    return raised.type if bare else f"{raised.module}.{raised.type}"


def _of_tests(
    product: Product,
    tree: Tree,
    history: History,
    failing_tests: tuple[str, ...],
    coverage: Coverage | None,
) -> Diagnosis:
    suspicions = localise.from_tests(tree, coverage) if coverage else ()
    raised, message = localise.raised_by(coverage or ())
    notes = [] if suspicions else ["No line of the product was seen while the failing tests ran."]
    top = suspicions[0] if suspicions else None
    frames = (
        (FrameFinding(path=top.path, line=top.line, function=top.function, depth=1),) if top else ()
    )
    count = len(failing_tests)
    sentence = f"{count} test{'s' * (count != 1)} of {product.name} fail{'s' * (count == 1)}"
    return Diagnosis(
        revision=product.revision,
        sentence=f"{sentence}: {plain(', '.join(failing_tests))}",
        crash=None,
        failing_tests=failing_tests,
        frames=(),
        suspicions=suspicions,
        inputs=(),
        suspect=suspect_commit(tree, history, frames[0], None) if frames else None,
        exception_type=raised,
        message=message,
        notes=(*notes, *_watching(coverage)),
    )


def _sentence(raised: RaisedException, frames: tuple[FrameFinding, ...]) -> str:
    what = plain(raised.type + (f": {raised.value}" if raised.value else ""))
    if not frames:
        return f"{what}, raised outside of the product's own code"
    inner = frames[0]
    place = f"{what} in {inner.function} ({inner.path}:{inner.line})"
    if len(frames) == 1:
        return place
    outer = frames[-1]
    return f"{place}, reached through {outer.function} ({outer.path}:{outer.line})"
