"""Ways to run a simple test without pytest's protocol, which takes longer than most tests do.

A test goes a short way only where pytest would add nothing to it: no foreign hook, no mark that
decides anything, only fixtures of the product's own. All others go pytest's way. What holds here
is run by pytest in a process of its own before anybody believes it.

Belongs here: which way a test may go, and the ways. Does not belong: alarms, and which tests run.
"""

from __future__ import annotations

import functools
import inspect
import os
import unittest
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

Way = Callable[[Any, "pytest.Item | None"], "list[BaseException]"]
"""Runs a test, given the next one that needs fixtures; returns what went wrong."""

RUNNING = (
    "pytest_runtest_setup", "pytest_runtest_call", "pytest_runtest_teardown", "pytest_pyfunc_call",
)  # fmt: skip
OWN = ("_pytest", "_hypothesis_pytestplugin", "anyio", "pytest_asyncio")
"""Plugins that add nothing to a test that awaits nothing. Others may: then pytest runs all."""

MARKS = frozenset(("parametrize", "usefixtures"))
"""Marks that are done with when a test is collected."""

PYTESTS = frozenset(("monkeypatch", "request"))
"""Fixtures of pytest that need nothing of its protocol."""


@functools.cache
def way_of(item: pytest.Item) -> Way | None:
    """Return the short way that a test may go, None for pytest's.

    Asked once before a process forks, it costs the children nothing.
    """
    if not _is_unhooked(item) or any(mark.name not in MARKS for mark in item.iter_markers()):
        return None
    names = set(getattr(item, "fixturenames", ()))
    if type(item).__name__ == "TestCaseFunction":
        return case if _is_simple_case(item, names) else None
    if type(item) is not pytest.Function or inspect.iscoroutinefunction(item.obj):
        return None
    if not names:
        return bare
    return filled if _can_be_filled(item, names) else None


@contextmanager
def warnings_as_set(config: Any) -> Iterator[None]:
    """Treat warnings as the product's settings say, by which some become errors."""
    from _pytest.config import apply_warning_filters

    settings = config.getini("filterwarnings") if config.pluginmanager.hasplugin("warnings") else ()
    words = getattr(config.known_args_namespace, "pythonwarnings", None) or []
    if not settings and not words:
        yield
        return
    with warnings.catch_warnings():
        apply_warning_filters(settings, words)
        yield


def bare(item: Any, _following: pytest.Item | None) -> list[BaseException]:
    """Call a test that is no more than its function."""
    return _raised(item.obj)


def case(item: Any, _following: pytest.Item | None) -> list[BaseException]:
    """Run a method of a `unittest.TestCase` as unittest does."""
    noted = Noted()
    return _raised(lambda: item.parent.obj(item.name).run(noted)) or noted.raised


def filled(item: Any, following: pytest.Item | None) -> list[BaseException]:
    """Call a test with its fixtures, which are torn down as far as the next one needs it."""

    def call() -> None:
        state.setup(item)
        item.obj(**{name: item.funcargs[name] for name in item._fixtureinfo.argnames})

    state = item.session._setupstate
    item._initrequest()
    raised = _raised(call)
    return raised + _raised(lambda: state.teardown_exact(following))


def unmake(item: Any) -> None:
    """Tear down all fixtures that are left where tests end before their time."""
    _raised(lambda: item.session._setupstate.teardown_exact(None))


def needs_fixtures(item: pytest.Item) -> bool:
    """Say whether fixtures are made and unmade for a test, by whichever way it goes."""
    return way_of(item) not in (bare, case)


class Noted(unittest.TestResult):
    """A result that keeps what was raised, and writes no words about it."""

    def __init__(self) -> None:
        super().__init__()
        self.raised: list[BaseException] = []

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        """Keep an error; a skip or a success that nobody expected is none of pytest's passes."""
        self.raised.append(err[1])

    addFailure = addError

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        """Keep what a part of a test raised."""
        self.raised += [] if err is None else [err[1]]

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        """Keep that it was skipped."""
        self.raised.append(unittest.SkipTest(reason))

    def addExpectedFailure(self, test: unittest.TestCase, err: Any) -> None:
        """Keep that it failed as it was expected to."""
        self.raised.append(err[1])

    def addUnexpectedSuccess(self, test: unittest.TestCase) -> None:
        """Keep that it should have failed."""
        self.raised.append(AssertionError("unexpected success"))


def _raised(work: Callable[[], object]) -> list[BaseException]:
    try:
        work()
    except BaseException as error:  # SystemExit and a skip are no pass either
        return [error]
    return []


def _is_unhooked(item: pytest.Item) -> bool:
    hooks = (impl for name in RUNNING for impl in getattr(item.ihook, name).get_hookimpls())
    return all(impl.function.__module__.partition(".")[0] in OWN for impl in hooks)


def _is_simple_case(item: Any, names: set[str]) -> bool:
    """Say whether unittest would do for a case what pytest does: nothing is set up for its class
    or module, and nothing awaited."""
    kind = item.parent.obj
    return (
        _is_unchanged(kind, "setUpClass")
        and _is_unchanged(kind, "tearDownClass")
        and kind.run is unittest.TestCase.run
        and not inspect.iscoroutinefunction(getattr(kind, item.name))
        and names <= {"request", f"_unittest_setUpClass_fixture_{kind.__qualname__}"}
    )


def _is_unchanged(kind: type[unittest.TestCase], name: str) -> bool:
    """Say whether a class method is still that of `unittest.TestCase`."""
    return inspect.getattr_static(kind, name) is inspect.getattr_static(unittest.TestCase, name)


def _can_be_filled(item: Any, names: Iterable[str]) -> bool:
    """Say whether all fixtures are the product's own, parameters, or ones that need no protocol."""
    state = getattr(item.session, "_setupstate", None)
    if not hasattr(item, "_initrequest") or not hasattr(state, "teardown_exact"):
        return False  # an older pytest
    known = item._fixtureinfo.name2fixturedefs
    return all(name in PYTESTS or _is_own(known.get(name, ())) for name in names)


def _is_own(definitions: Any) -> bool:
    """Say whether a fixture stands below the product's root, calls what its class or module has to
    be set up (`setup_method`), or is a test's parameter."""
    return bool(definitions) and all(
        "xunit_setup" in one.argname or _stands_here(one.func) for one in definitions
    )


def _stands_here(function: Any) -> bool:
    if getattr(function, "__name__", "") == "get_direct_param_fixture_func":
        return True
    code = getattr(inspect.unwrap(function), "__code__", None)
    return code is not None and code.co_filename.startswith(os.getcwd() + os.sep)
