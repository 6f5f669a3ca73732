"""The clock of the recorded crash, for drafts whose functions ask what time it is.

A test that reads the real clock fails today and may pass tomorrow. Where a function of the trace
asks for the time, a draft is tried first with the clock stopped at the moment of the crash, and
the test says so. Knows `datetime`, `date` and `time.time`, however they are imported. Other
clocks (a database's, `monotonic`) are not stopped.
"""

import ast
import re
import sys
from collections.abc import Iterator
from datetime import UTC

import msgspec

from selfdrive_dagster.model import Crash, Way
from selfdrive_dagster.patches.diagnosis.frames import Placed
from selfdrive_dagster.patches.reproduce import writing
from selfdrive_dagster.patches.reproduce.draft import Draft
from selfdrive_dagster.patches.reproduce.pruning import CannotBorrowError, with_imports
from selfdrive_dagster.patches.syntax import FunctionNode, Module, Tree, dotted
from selfdrive_dagster.patches.values import Import

READS = {
    ("datetime", "datetime", "now"): "Then",
    ("datetime", "datetime", "utcnow"): "Then",
    ("datetime", "datetime", "today"): "Then",
    ("datetime", "date", "today"): "ThatDay",
    ("time", "time", ""): "lambda: NOW.timestamp()",
}
"""Calls that read a clock: module, name in it, method; and what stands in for the name."""

HELPERS = {
    "Then": '''class Then(datetime):
    """The clock of the recorded call."""

    @classmethod
    def now(cls, tz=None):
        return NOW.astimezone(tz) if tz else NOW.replace(tzinfo=None)

    utcnow = today = now


''',
    "ThatDay": '''class ThatDay(date):
    """The day of the recorded call."""

    @classmethod
    def today(cls):
        return NOW.date()


''',
}


def stopped(draft: Draft, tree: Tree, placed: tuple[Placed, ...], crash: Crash) -> Draft | None:
    """Return the draft with the clock stopped at the crash; None where nothing reads a clock.

    None too where the moment is unknown, or the test can take no fixture (`unittest`).
    """
    inside = placed if draft.way is Way.HTTP_REPLAY else placed[: draft.target.depth]
    reads = clocks_of(tree, inside)
    if not reads or crash.timestamp is None:
        return None
    source = _with_clock(draft.source, reads, _moment(crash))
    if source is None:
        return None
    told = f"{draft.tried}, the clock stopped at that time"
    path = draft.path.replace(".py", "_then.py")
    return msgspec.structs.replace(draft, path=path, source=source, tried=told)


def clocks_of(tree: Tree, placed: tuple[Placed, ...]) -> dict[str, str]:
    """Return the dotted names that the functions of a trace read a clock by, with stand-ins."""
    found: dict[str, str] = {}
    for _, finding in placed:
        module = tree.module(finding.path)
        function = module.function(finding.function) if module else None
        if module is not None and function is not None:
            found |= _clocks(module, function.node)
    return dict(sorted(found.items()))


def called_in(tree: Tree, placed: tuple[Placed, ...]) -> Iterator[str]:
    """Yield the dotted names of what the functions of a trace call, as their modules import it."""
    for _, finding in placed:
        module = tree.module(finding.path)
        function = module.function(finding.function) if module else None
        if module is None or function is None:
            continue
        names = dict(_imported(module.tree))
        for call in ast.walk(function.node):
            called = dotted(call.func) if isinstance(call, ast.Call) else ""
            first, dot, rest = called.partition(".")
            if first in names:
                yield f"{names[first]}{dot}{rest}"


def _clocks(module: Module, node: FunctionNode) -> dict[str, str]:
    names = dict(_imported(module.tree))
    found = {}
    for call in ast.walk(node):
        called = dotted(call.func) if isinstance(call, ast.Call) else ""
        first, _, rest = called.partition(".")
        whole = f"{names[first]}.{rest}".strip(".") if first in names else ""
        for (owner, name, method), stand_in in READS.items():
            if whole == f"{owner}.{name}.{method}".strip("."):
                local = f"{module.name}.{first}" if names[first] != owner else f"{owner}.{name}"
                found[local] = stand_in
    return found


def _imported(module: ast.Module) -> list[tuple[str, str]]:
    """Return what a module's names stand for: `datetime` or `datetime.datetime`, `time.time`."""
    found = []
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            found += [(one.asname or one.name, one.name) for one in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found += [(one.asname or one.name, f"{node.module}.{one.name}") for one in node.names]
    return found


def _moment(crash: Crash) -> str:
    assert crash.timestamp is not None
    when = crash.timestamp.astimezone(UTC)
    parts = (when.year, when.month, when.day, when.hour, when.minute, when.second)
    return f"NOW = datetime({', '.join(map(str, parts))}, tzinfo=timezone.utc)\n"


def _with_clock(source: str, reads: dict[str, str], moment: str) -> str | None:
    """Write the stopped clock into a test file: imports, helpers, one line for each name."""
    if re.search(r"\b(NOW|Then|ThatDay)\b", source):
        return None  # the test means something else by these names
    helpers = [text for name, text in HELPERS.items() if name in reads.values()]
    names = sorted({"datetime", "timezone"} | ({"date"} if "ThatDay" in reads.values() else set()))
    try:
        whole = with_imports(source, frozenset(Import("datetime", name) for name in names))
    except CannotBorrowError:
        return None  # the test calls something else by these names
    line = f"from datetime import {', '.join(names)}"
    source = importing(source, line) if "datetime" not in source else whole
    above = [*f"{moment}\n\n{''.join(helpers)}".rstrip("\n").split("\n"), "", ""]
    stopping = [f'monkeypatch.setattr("{name}", {made})' for name, made in reads.items()]
    written = _stopping(source, stopping, above)
    note = ("the clock is stopped at the moment of the recorded call",)
    return writing.finished(written, frozenset(), note, writing.WIDTH) if written else None


def _stopping(source: str, stopping: list[str], above: list[str]) -> str:
    """Write statements into the first test and lines above it; "" where it takes no fixture."""
    test = first_test(ast.parse(source))
    if test is None:
        return ""
    lines = source.split("\n")
    pad, at = " " * test.body[0].col_offset, test.body[0].lineno - 1
    lines[at:at] = [f"{pad}{one}" for one in stopping]
    lines[test.lineno - 1] = _asking(lines[test.lineno - 1])
    if "monkeypatch" not in lines[test.lineno - 1]:
        return ""  # the signature takes several lines
    top = min([test.lineno, *(one.lineno for one in test.decorator_list)]) - 1
    lines[top:top] = above
    return "\n".join(lines)


def importing(source: str, line: str) -> str:
    """Write an import of the standard library before all others, apart from those of others."""
    module = ast.parse(source)
    imports = [one for one in module.body if isinstance(one, ast.Import | ast.ImportFrom)]
    lines = source.split("\n")
    if not imports:
        at = module.body[0].end_lineno or 1
        return "\n".join([*lines[:at], "", line, *lines[at:]])
    first = imports[0]
    top = first.names[0].name if isinstance(first, ast.Import) else str(first.module)
    gap = [] if top.partition(".")[0] in sys.stdlib_module_names else [""]
    lines[first.lineno - 1 : first.lineno - 1] = [line, *gap]
    return "\n".join(lines)


def first_test(module: ast.Module) -> FunctionNode | None:
    """Return the first test function of a file; None where its tests are methods."""
    found = (one for one in module.body if isinstance(one, FunctionNode))
    return next((one for one in found if one.name.startswith("test")), None)


def _asking(line: str) -> str:
    """Let a test's first line ask for `monkeypatch`."""
    if "monkeypatch" in line or not line.rstrip().endswith("):"):
        return line
    opened = line.rstrip().removesuffix("):")
    return f"{opened}{'' if opened.endswith('(') else ', '}monkeypatch):"
