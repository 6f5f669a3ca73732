"""Plain tracebacks: real ones, printed by CPython 3.11, as they stand in logs."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from selfdrive_dagster.telemetry.stacktrace import find_tracebacks

CASES = Path(__file__).parent.parent / "cases" / "telemetry" / "tracebacks"


def read(name):
    return find_tracebacks((CASES / name).read_text())


def told(traceback):
    """The chain as (type, message, functions)."""
    return [
        (one.type, one.value, [frame.function for frame in one.frames])
        for one in traceback.exceptions
    ]


KEY = ("KeyError", "'visa'", ["pay", "charge"])
VALUE = ("ValueError", "no gateway\nfor this card", ["retry", "pay"])
ZERO = ("ZeroDivisionError", "division by zero", ["retry"])


def test_a_cause_comes_before_the_exception_it_caused():
    (found,) = read("direct_cause.txt")
    assert [one[0] for one in told(found)] == ["KeyError", "ValueError"]
    assert told(found)[0] == KEY


def test_during_handling_is_a_chain_with_whole_messages():
    (found,) = read("during_handling.txt")
    assert told(found) == [KEY, VALUE, ZERO]


def test_frames_hold_path_line_and_source():
    (found,) = read("during_handling.txt")
    frame = found.exceptions[-1].frames[-1]
    assert (frame.path, frame.line, frame.source) == ("/srv/shop/shop/pay.py", 16, "return 1 / 0")


def test_repeated_frames_are_written_out_and_bounded():
    (found,) = read("recursion.txt")
    frames = found.exceptions[-1].frames
    assert found.exceptions[-1].type == "RecursionError"
    assert 500 < len(frames) <= 512
    assert {frame.function for frame in frames} == {"down"}


def test_members_of_a_group_come_before_the_group():
    (found,) = read("exception_group.txt")
    types = [one.type for one in found.exceptions]
    assert types[-1] == "ExceptionGroup"
    assert found.exceptions[-1].value == "many (3 sub-exceptions)"
    assert sorted(types[:-1]) == sorted(
        ["KeyError", "ValueError", "KeyError", "ValueError", "TypeError", "ExceptionGroup"]
    )


def test_a_syntax_error_ends_at_the_broken_line():
    (found,) = read("syntax_error.txt")
    last = found.exceptions[-1]
    assert last.type == "SyntaxError"
    assert (last.frames[-1].path, last.frames[-1].line) == ("shop/rules.py", 1)


def test_a_log_holds_several_tracebacks_with_their_times():
    first, second = read("log_prefix_first_line.log")
    assert first.when == datetime(2026, 3, 1, 10, 0, 1, 250_000, UTC)
    assert second.when == datetime(2026, 3, 1, 10, 0, 3, 500_000, UTC)
    assert told(first) == told(second) == [("KeyError", "'visa'", ["charge"])]
    assert (first.line, second.line) == (3, 10)


def test_a_prefix_on_every_line_is_taken_off():
    (found,) = read("log_prefix_every_line.log")
    assert told(found) == [KEY, VALUE, ZERO]


def test_installed_packages_are_not_the_products_own():
    (found,) = read("library_frames.txt")
    raised = found.exceptions[-1]
    assert (raised.module, raised.type) == ("jinja2.exceptions", "UndefinedError")
    assert [frame.in_app for frame in raised.frames] == [None, False]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Traceback (most recent call last):",
        "Traceback (most recent call last):\n" * 50,
        "| " * 2_000,
        '  File "x", line 99999999999999999999, in f',
    ],
)
def test_what_is_no_traceback_gives_none(text):
    assert find_tracebacks(text) == ()


PIECES = st.sampled_from(
    [
        "Traceback (most recent call last):",
        "  + Exception Group Traceback (most recent call last):",
        '  File "a.py", line 3, in f',
        '  |   File "a.py", line 3, in f',
        "    x = 1",
        "  [Previous line repeated 99 more times]",
        "ValueError: x",
        "  | ExceptionGroup: x (1 sub-exception)",
        "  +-+---------------- 1 ----------------",
        "    +------------------------------------",
        "",
        "During handling of the above exception, another exception occurred:",
        "2026-01-01 00:00:00 INFO x",
    ]
)


@given(st.lists(PIECES, max_size=30))
def test_any_order_of_lines_ends_and_every_traceback_has_an_exception(lines):
    for found in find_tracebacks("\n".join(lines)):
        assert found.exceptions
        assert all(one.type for one in found.exceptions)
