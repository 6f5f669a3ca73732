"""What was not proven, in plain sentences: as much a part of a proposal as its proof.

An ordered table of rules; each looks at the findings and says what nobody knows. A check that
was never made is a doubt like one that failed. The last line is always there: no user has
met the patch.
"""

from collections.abc import Callable, Collection, Iterator

from selfdrive_dagster.model import Claim, Report, Way
from selfdrive_dagster.patches.authors import UNKNOWN
from selfdrive_dagster.rollout.markdown import code, prose
from selfdrive_dagster.rollout.proposal import Findings, invention

FULL = "full"


def doubts(findings: Findings, expected: Collection[str]) -> tuple[str, ...]:
    """Return every doubt as Markdown, the weightiest first; `expected` are the gate's checks."""
    report = findings.report
    told = [doubt for rule in RULES for doubt in rule(findings)]
    if report is None:
        return tuple(told)
    return (*told, *_undone(report, expected), ALWAYS)


ALWAYS = (
    "No user has met this patch: nothing was rolled out. Speed, types, style and other versions "
    "of Python were not looked at."
)


def _value(findings: Findings) -> Iterator[str]:
    shown = findings.shown
    if shown and shown.claim is Claim.MITIGATION:
        yield (
            f"**That the value is right.** It is invented: {prose(invention(shown))}. No test asks "
            "for that, and no other place in the project vouches for it."
        )


def _checks(findings: Findings) -> Iterator[str]:
    for check in findings.report.checks if findings.report else ():
        if check.passed is False:
            yield f"**Failed** {code(check.name)}: {prose(check.says)}"
        elif check.passed is None:
            yield f"**Unknown** {code(check.name)}: {prose(check.says)}"


def _judged(findings: Findings) -> Iterator[str]:
    if findings.report is None:
        yield "Anything about a patch: none was judged."


def _author(findings: Findings) -> Iterator[str]:
    if findings.shown and findings.shown.author == UNKNOWN:
        yield "Who made the patch: it names nobody, so its author may approve it unnoticed."


def _model(findings: Findings) -> Iterator[str]:
    shown, crash = findings.shown, findings.diagnosis.crash
    if crash and any(one.generator == shown.generator for one in findings.search.asks if shown):
        yield (
            "That nobody told the model what to write: it read the message and the arguments of "
            "the crash, which strangers send. Read the diff as a stranger's."
        )


def _sandbox(findings: Findings) -> Iterator[str]:
    report = findings.report
    if report and report.sandbox_level != FULL:
        yield f"That the run was isolated: the sandbox was {prose(report.sandbox_level)}, not full."


def _oracle(findings: Findings) -> Iterator[str]:
    shown = findings.shown
    if shown is None or shown.claim is not Claim.REPAIR:
        return
    kinds = sorted({support.kind for support in shown.supports})
    if len(kinds) < 2:
        only = prose(kinds[0].replace("_", " ")) if kinds else "the failing test"
        yield f"No second oracle: that the behaviour is right rests on one witness, {only}."


def _neighbours(findings: Findings) -> Iterator[str]:
    checks = findings.report.checks if findings.report else ()
    for check in checks:
        if check.name != "neighbours":
            continue
        skipped = check.numbers.get("skipped") or {}
        for reason, count in sorted(skipped.items()):
            yield f"{int(count)} neighbouring inputs could not be compared: {prose(str(reason))}."
        if check.passed:
            agreed = int(check.numbers.get("agreed", 0))
            yield f"Inputs beyond the {agreed} that were compared: they are a sample, not all."


def _reproducer(findings: Findings) -> Iterator[str]:
    made = findings.reproduction.reproducer
    if made is None:
        yield "That the crash was understood: it could not be made to happen again."
        return
    if made.way is Way.BORROWED_STATE:
        yield "That production had this state: the test borrows one from a passing test."
    if made.way is Way.WRITTEN_BY_MODEL:
        yield "That it happened like this: a model made up the test's state and arguments."
    for argument in made.arguments:
        if argument.expression is None or argument.unknown:
            yield (
                f"The argument {code(argument.name)} of {code(argument.function)} as it was: "
                f"{prose(argument.unknown)}."
            )


def _numbers(findings: Findings) -> Iterator[str]:
    unknown = [name for name in ("users", "sessions") if getattr(findings.issue, name) is None]
    if unknown:
        yield f"How many {' and '.join(unknown)} were hit: no event named any."


def _undone(report: Report, expected: Collection[str]) -> Iterator[str]:
    known = {check.name for check in report.checks}
    missing = [name for name in expected if name not in known]
    if missing:
        yield f"Not checked at all: {', '.join(code(name) for name in missing)}."


RULES: tuple[Callable[[Findings], Iterator[str]], ...] = (
    _value,
    _checks,
    _judged,
    _author,
    _model,
    _sandbox,
    _oracle,
    _neighbours,
    _reproducer,
    _numbers,
)
