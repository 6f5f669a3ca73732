"""The suite program, in a real process with a real product tree."""

import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

from fakes.plain_sandbox import PlainSandbox

from selfdrive_dagster.model import Job

SHOP = """
    def price(item):
        return item["price"]

    class Cart:
        def total(self, items):
            return sum(price(item) for item in items)
"""


def run(tree: Path, tests: str, **spec: Any) -> dict[str, Any]:
    (tree / "shop.py").write_text(dedent(SHOP))
    (tree / "test_shop.py").write_text("import pytest, shop, time\n" + dedent(tests))
    job = Job(program="suite", tree=str(tree), python=sys.executable, spec=spec)
    ran = PlainSandbox().run(job)
    by_kind: dict[str, Any] = {"test": {}, "lines": {}, "stderr": ran.stderr, "count": 0}
    for line in ran.lines:
        if line["kind"] in ("test", "lines"):
            by_kind[line["kind"]][line["id"].partition("::")[2]] = line
            by_kind["count"] += line["kind"] == "test"
        else:
            by_kind[line["kind"]] = line
    by_kind["outcomes"] = {name: test["outcome"] for name, test in by_kind["test"].items()}
    return by_kind


def test_every_outcome_is_told_once(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        """
        @pytest.fixture
        def broken(): raise ValueError("no database")
        @pytest.fixture
        def dirty():
            yield
            raise ValueError("left dirty")
        def test_passed(): pass
        def test_failed(): assert 1 == 2
        def test_error(broken): pass
        def test_teardown(dirty): pass
        @pytest.mark.skip
        def test_skipped(): pass
        @pytest.mark.xfail
        def test_xfailed(): assert False
        @pytest.mark.xfail
        def test_xpassed(): pass
        """,
    )
    assert told["outcomes"] == {
        "test_passed": "passed",
        "test_failed": "failed",
        "test_error": "error",
        "test_teardown": "error",
        "test_skipped": "skipped",
        "test_xfailed": "xfailed",
        "test_xpassed": "xpassed",
    }
    assert told["count"] == 7
    assert told["end"] == {"kind": "end", "exit": 1}
    assert len(told["collected"]["node_ids"]) == 7


def test_an_exception_names_its_type_and_every_frame(tmp_path: Path) -> None:
    told = run(tmp_path, "def test_total(): shop.Cart().total([{'price': 1}, {}])")
    exception = told["test"]["test_total"]["exception"]
    assert exception["type"] == "KeyError"
    assert exception["mro"] == ["KeyError", "LookupError", "Exception", "BaseException"]
    ours = [
        (f["path"], f["function"]) for f in exception["frames"] if not f["path"].startswith("/")
    ]
    assert ours == [
        ("test_shop.py", "test_total"),
        ("shop.py", "Cart.total"),
        ("shop.py", "Cart.total.<locals>.<genexpr>"),
        ("shop.py", "price"),
    ]


def test_causes_and_group_members_are_told(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        """
        def test_group():
            try:
                shop.price({})
            except KeyError as error:
                raise ExceptionGroup("several", [ZeroDivisionError()]) from error
        """,
    )
    exception = told["test"]["test_group"]["exception"]
    assert exception["type"] == "ExceptionGroup"
    assert [one["type"] for one in exception["chain"]] == ["KeyError", "ZeroDivisionError"]


def test_a_hanging_test_fails_with_our_deadline_and_the_next_one_runs(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        """
        def test_hangs():
            while True:
                try:
                    time.sleep(60)
                except Exception:
                    pass
        def test_after(): pass
        """,
        deadline_seconds=0.2,
    )
    assert told["outcomes"] == {"test_hangs": "failed", "test_after": "passed"}
    kind = told["test"]["test_hangs"]["exception"]["type"]
    assert kind == "selfdrive_harness.session.SelfdriveDeadline"


def test_after_three_hangs_nobody_watches_lines_and_all_tests_still_run(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        """
        @pytest.mark.parametrize("number", range(4))
        def test_hangs(number):
            while True: pass
        def test_after(): shop.price({"price": 1})
        """,
        lines=True,
        sources=["shop.py"],
        deadline_seconds=0.1,
    )
    names = [f"test_hangs[{number}]" for number in range(4)]
    assert told["outcomes"] == {**dict.fromkeys(names, "failed"), "test_after": "passed"}
    assert list(told["lines"]) == names[:3]


def test_only_the_wanted_node_ids_run(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        "def test_one(): pass\ndef test_two(): pass",
        args=["-q", "-x"],
        node_ids=["test_shop.py::test_two", "test_shop.py::test_gone", "gone.py::test_x"],
    )
    assert told["outcomes"] == {"test_two": "passed"}
    assert told["collected"]["node_ids"] == ["test_shop.py::test_two"]


def test_a_module_that_cannot_be_imported_is_an_error_and_the_rest_runs(tmp_path: Path) -> None:
    (tmp_path / "test_broken.py").write_text("import nowhere_to_be_found\n")
    told = run(tmp_path, "def test_one(): pass")
    assert told["outcomes"] == {"test_one": "passed"}
    [error] = told["collected"]["errors"]
    assert error["path"] == "test_broken.py"
    assert "nowhere_to_be_found" in error["message"]


def test_lines_are_kept_for_each_test_and_in_threads(tmp_path: Path) -> None:
    told = run(
        tmp_path,
        """
        import threading
        def test_direct(): shop.price({"price": 1})
        def test_thread():
            thread = threading.Thread(target=shop.Cart().total, args=([],))
            thread.start(); thread.join()
        def test_nothing(): pass
        """,
        lines=True,
        sources=["shop.py"],
    )
    assert told["lines"]["test_direct"]["files"] == {"shop.py": [3]}
    assert told["lines"]["test_thread"]["files"] == {"shop.py": [7]}
    assert told["lines"]["test_nothing"]["files"] == {}


def test_the_canary_fails_through_the_same_hooks(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("")
    canary = {"name": "f00d", "message": "must fail 123"}
    told = run(tmp_path, "def test_one(): pass", extra_canary=canary)
    assert told["outcomes"] == {"test_one": "passed", "f00d": "failed"}
    assert told["test"]["f00d"]["exception"]["message"] == "must fail 123"


def test_a_conftest_that_paints_everything_green_is_seen_by_the_canary(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(
        dedent("""
        import pytest
        @pytest.hookimpl(hookwrapper=True)
        def pytest_pyfunc_call(pyfuncitem):
            outcome = yield
            outcome.force_result(True)
        @pytest.hookimpl(tryfirst=True)
        def pytest_runtest_makereport(item, call):
            call.excinfo = None
        """)
    )
    canary = {"name": "f00d", "message": "must fail 123"}
    told = run(tmp_path, "def test_one(): assert False", extra_canary=canary)
    assert told["outcomes"]["f00d"] == "passed"


def test_settings_that_stop_early_or_leave_traces_are_undone(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -x --ff\ntimeout = 1\n")
    told = run(tmp_path, "def test_one(): assert False\ndef test_two(): pass")
    assert told["outcomes"] == {"test_one": "failed", "test_two": "passed"}
    assert not list(tmp_path.rglob("*.pyc")) and not (tmp_path / ".pytest_cache").exists()


def test_a_broken_conftest_is_told_by_the_exit_code(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("import nowhere_to_be_found\n")
    told = run(tmp_path, "def test_one(): pass")
    assert told["end"]["exit"] == 4
    assert told["collected"]["node_ids"] == []
    assert "nowhere_to_be_found" in told["stderr"]
