"""One generated bug: mended by a tool from its failing tests, then held to the original.

Belongs here: what a row of `repair.py` says, the engine's run, and the judging that every tool
shares. Does not belong: figures over rows (`repair_tables.py`) and the peer's run (`peer.py`).
"""

import statistics
import tempfile
import time
import traceback
from pathlib import Path

import equal
import msgspec
from generated import Bug
from prepared import Passed, Prepared, opened, release

from selfdrive_dagster.adapters.sandbox import BwrapSandbox
from selfdrive_dagster.errors import SelfdriveError
from selfdrive_dagster.model import Product
from selfdrive_dagster.patches.suite import run_suite
from selfdrive_dagster.patches.text import apply_patch
from selfdrive_dagster.validation.repair import Budget, Repair, repair

ENGINE = "selfdrive"
COVERING = 60
"""Covering tests whose times and calls are looked at, at most."""


class Row(msgspec.Struct, kw_only=True):
    """What one tool made of one bug.

    `first` is seconds from the start to the first plausible patch, `searching` the seconds of the
    search alone on `cores` (the machine's, shared out over the runs at a time), `test_ms` the
    median time of the failing and covering tests on the original. `right` is text, syntax,
    bytecode, answers, different or unknown (`equal.py`), "" without a patch. `verdict` and
    `reason` are the gate's words on the best patch, `confidence` its number, 0 to 1; a peer has no
    gate, so its patches are `claimed`.
    """

    tool: str = ENGINE
    package: str
    blind: bool
    bug: str
    family: str
    verdict: str = "none"
    claim: str = ""
    template: str = ""
    plausible: int = 0
    right: str = ""
    differing: str = ""
    tried: int = 0
    searching: float = 0.0
    cores: float = 1.0
    seconds: float = 0.0
    first: float | None = None
    test_ms: float = 0.0
    patch: str = ""
    stopped: str = ""
    reason: str = ""
    confidence: float | None = None
    ended: str = ""


def row_of(prepared: Prepared, bug: Bug, tool: str) -> Row:
    """Return the row of a bug before anything was tried."""
    return Row(
        tool=tool,
        package=prepared.package.name,
        blind=prepared.package.blind,
        bug=bug.name,
        family=bug.family,
    )


def mend(prepared: Prepared, number: int, cache: Path, budget: Budget, cores: float) -> Row:
    """Repair one bug from its failing tests; an engine that breaks is told in `ended`."""
    bug = prepared.bugs[number]
    row = row_of(prepared, bug, ENGINE)
    row.cores = cores
    try:
        with tempfile.TemporaryDirectory() as folder:
            _mend(prepared, bug, row, Path(folder), cache, budget)
    except SelfdriveError as error:
        row.ended = error.message[:200]
    except Exception as error:  # a run of hours goes on; the row says that we broke
        last = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(last.filename).name}:{last.lineno}"
        row.ended = f"crashed: {type(error).__name__} in {where}: {error}"[:200]
    return row


def _mend(
    prepared: Prepared, bug: Bug, row: Row, folder: Path, cache: Path, budget: Budget
) -> None:
    source, python = release(prepared.package, cache)
    box = BwrapSandbox(cache / "sandbox")
    product, history = opened(prepared.package, source, folder / "bug", python, bug)
    start = time.monotonic()

    def hear(sentence: str) -> None:
        if row.first is None and sentence.endswith("is plausible"):
            row.first = round(time.monotonic() - start, 2)

    found = repair(product, history, box, crash=None, budget=budget, progress=hear)
    row.seconds = round(time.monotonic() - start, 1)
    fill(row, found)
    if found.reproduction.reproducer is not None:
        failing = found.reproduction.reproducer.node_ids
        row.test_ms = median_ms(prepared.passed, failing, bug.path)
    if found.best is not None:
        original, _ = opened(prepared.package, source, folder / "original", python)
        patched = apply_patch(product.read, found.best.patch)[found.best.path] or ""
        judge(row, original, prepared, bug, found.best.path, patched, box)


def fill(row: Row, found: Repair) -> None:
    """Put a repair's figures into its row."""
    row.tried, row.plausible = found.search.tried, len(found.search.plausible)
    row.searching, row.stopped = found.search.seconds, found.search.stopped
    row.verdict = found.verdict.value if found.verdict else "none"
    if found.reports:
        best = found.best.id if found.best else found.reports[0].candidate_id
        report = next(one for one in found.reports if one.candidate_id == best)
        row.reason = report.reason
        row.confidence = report.confidence.value if report.confidence else None
    if found.best is not None:
        row.claim, row.template = found.best.claim.value, found.best.family
        row.patch = found.best.patch


def median_ms(passed: tuple[Passed, ...], failing: tuple[str, ...], path: str) -> float:
    """Return the median of what the failing and the covering tests take on the original, in ms.

    Of covering tests the COVERING quickest count: what they take is what a candidate takes.
    """
    covering = sorted(t.seconds for t in passed if path in t.paths and t.node_id not in failing)
    own = [test.seconds for test in passed if test.node_id in failing]
    times = own + covering[:COVERING]
    return round(1000 * statistics.median(times), 2) if times else 0.0


def judge(
    row: Row,
    original: Product,
    prepared: Prepared,
    bug: Bug,
    path: str,
    patched: str,
    box: BwrapSandbox,
) -> None:
    """Hold a patched file to the original's; the whole suite comes first, for any tool alike.

    A patch in another file than the bug's leaves the bug in: different, whatever it answers.
    """
    if path != bug.path:
        row.right, row.differing = "different", "another file is patched"
        return
    named = (*bug.reached_by, *(t.node_id for t in prepared.passed if path in t.paths))
    held = equal.compare(original, path, patched, tuple(dict.fromkeys(named))[:COVERING], box)
    row.right, row.differing = held.how, held.differing
    if held.how in ("answers", "unknown"):
        wanted = {test.node_id for test in prepared.passed}
        broken = wanted - set(
            run_suite(original, box, overlay={path: patched}).with_outcome("passed")
        )
        if broken:
            row.right, row.differing = "different", f"breaks {min(broken)}"
