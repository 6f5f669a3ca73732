"""Run the product's tests in the sandbox and read what came back.

Belongs here: turning the suite program's lines into records. Does not belong: judging them.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from selfdrive_dagster.model import Ending, Job, Product, Sandbox

DEADLINE_SECONDS = 20.0
SUITE_SECONDS = 600.0

Lines = dict[str, tuple[int, ...]]


class RaisedFrame(msgspec.Struct, frozen=True):
    """One frame of a traceback inside the sandbox; `path` is relative to the tree."""

    path: str
    line: int
    function: str


class TestResult(msgspec.Struct, frozen=True, kw_only=True):
    """How one test ended; the exception's frames run from the outermost to the raise."""

    __test__ = False  # not for pytest to collect

    outcome: str
    seconds: float = 0.0
    exception_type: str = ""
    mro: tuple[str, ...] = ()
    message: str = ""
    frames: tuple[RaisedFrame, ...] = ()

    @property
    def hung(self) -> bool:
        """Say whether it ran into its deadline: how long it took tells nothing then."""
        return self.exception_type.endswith("SelfdriveDeadline")


class SuiteRun(msgspec.Struct, frozen=True, kw_only=True):
    """One session. `repeated` names tests that were told of more than once."""

    ending: Ending
    exit: int | None
    collected: tuple[str, ...]
    errors: tuple[str, ...]
    tests: dict[str, TestResult]
    lines: dict[str, Lines]
    repeated: tuple[str, ...]
    stderr: str
    seconds: float

    @property
    def complete(self) -> bool:
        """Say whether the session ended by itself and told of every collected test."""
        ended = self.ending is Ending.EXITED and self.exit is not None
        return ended and set(self.collected) == set(self.tests) and not self.repeated

    def with_outcome(self, *outcomes: str) -> tuple[str, ...]:
        """Return the node ids whose tests ended so, in the order of collection."""
        return tuple(
            i for i in self.collected if i in self.tests and self.tests[i].outcome in outcomes
        )


def run_suite(
    product: Product,
    sandbox: Sandbox,
    *,
    node_ids: tuple[str, ...] | None = None,
    overlay: dict[str, str | None] | None = None,
    lines: bool = False,
    canary: dict[str, str] | None = None,
    plain: bool = False,
    hash_seed: int = 0,
    seconds: float = SUITE_SECONDS,
    deadline_seconds: float = DEADLINE_SECONDS,
    on_test: Callable[[str], None] | None = None,
) -> SuiteRun:
    """Run all tests, or only `node_ids`, on the product with `overlay` laid over it.

    With `plain` asserts say nothing of what they compared, which is quicker.
    Raises Refused when the sandbox is below what is required.
    """
    job = Job(
        program="suite",
        tree=product.root,
        python=product.python,
        import_roots=product.import_roots(),
        overlay=overlay or {},
        seconds=seconds,
        hash_seed=hash_seed,
        spec={
            "args": list(product.tests),
            "node_ids": None if node_ids is None else list(node_ids),
            "lines": lines,
            "plain": plain,
            "sources": list(product.source) or ["."],
            "deadline_seconds": deadline_seconds,
            "extra_canary": canary,
        },
    )

    def tell(line: dict[str, Any]) -> None:
        if on_test is not None and line.get("kind") == "test":
            on_test(str(line.get("id")))

    ran = sandbox.run(job, tell)
    return _read(ran.lines, ran.ending, ran.stderr, ran.seconds)


def _read(
    lines: tuple[dict[str, Any], ...], ending: Ending, stderr: str, seconds: float
) -> SuiteRun:
    collected: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    tests: dict[str, TestResult] = {}
    covered: dict[str, Lines] = {}
    repeated: list[str] = []
    exit_code: int | None = None
    for line in lines:
        match line:
            case {"kind": "collected", "node_ids": ids, "errors": faults}:
                collected = tuple(ids)
                errors = tuple(f"{fault['path']}: {fault['message']}" for fault in faults)
            case {"kind": "test", "id": node_id}:
                if node_id in tests:
                    repeated.append(node_id)
                tests[node_id] = _result(line)
            case {"kind": "lines", "id": node_id, "files": files}:
                covered[node_id] = {path: tuple(numbers) for path, numbers in files.items()}
            case {"kind": "end", "exit": int(code)}:
                exit_code = code
    return SuiteRun(
        ending=ending,
        exit=exit_code,
        collected=collected,
        errors=errors,
        tests=tests,
        lines=covered,
        repeated=tuple(repeated),
        stderr=stderr,
        seconds=seconds,
    )


def _result(line: dict[str, Any]) -> TestResult:
    raised = line.get("exception") or {}
    return TestResult(
        outcome=str(line["outcome"]),
        seconds=float(line.get("seconds", 0.0)),
        exception_type=str(raised.get("type", "")),
        mro=tuple(raised.get("mro", ())),
        message=str(raised.get("message", "")),
        frames=tuple(
            RaisedFrame(f["path"], f["line"], f["function"]) for f in raised.get("frames", ())
        ),
    )
