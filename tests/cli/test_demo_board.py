"""The demo's table: what each issue came to, and how the demo ends when it came to nothing."""

import pytest

from selfdrive_dagster.cli.demo import complain
from selfdrive_dagster.cli.demo.board import Row, rows_of
from selfdrive_dagster.cli.demo.preflight import Ending, Found
from selfdrive_dagster.errors import Refused, SelfdriveError

ISSUE = {
    "issue_id": "iss_1",
    "exception_type": "KeyError",
    "culprit": "shop.cart in total",
    "title": "KeyError: 'EU'",
    "users": None,
    "triage": {"decision": "autofix"},
}
CHANGE = {"issue_id": "iss_1", "change_id": "chg_1", "state": "validating", "seconds": None}
WHOLE = Found(ending=Ending.DRIVE)
WITHOUT = Found(ending=Ending.OBSERVE, missing="user namespaces are off", remedy="sysctl")


@pytest.mark.parametrize(
    ("issue", "change", "expected"),
    [
        ({}, {"verdict": "certified", "state": "awaiting_approval"}, "certified"),
        ({}, {"state": "awaiting_approval"}, "diagnosis only"),
        ({}, {"state": "validating"}, "in the making"),
        ({}, None, "not tried"),
        ({"triage": {"decision": "root_cause_only"}}, None, "root cause only"),
    ],
)
def test_each_issue_says_what_came_of_it(issue, change, expected) -> None:
    changes = [] if change is None else [{**CHANGE, **change}]
    (row,) = rows_of([{**ISSUE, **issue}], changes)
    assert row.came_of_it == expected


def test_one_change_serves_all_issues_of_its_cause() -> None:
    other = {**ISSUE, "issue_id": "iss_2"}
    assert [row.change for row in rows_of([ISSUE, other], [CHANGE])] == ["chg_1", "chg_1"]


def test_users_that_nobody_counted_are_unknown() -> None:
    assert [row.users for row in rows_of([ISSUE, {**ISSUE, "users": 0}], [])] == ["unknown", "0"]


@pytest.mark.parametrize(
    ("rows", "found", "fault", "says"),
    [
        ([Row(issue="a", triage="autofix")], WHOLE, SelfdriveError, "1 of 1 issues were still"),
        ([], WHOLE, SelfdriveError, "0 of 0"),
        ([Row(issue="a", triage="autofix")], WITHOUT, Refused, "user namespaces are off"),
    ],
)
def test_an_end_that_shows_less_than_all_is_no_success(rows, found, fault, says) -> None:
    with pytest.raises(fault, match=says):
        complain(rows, found, 560)


def test_an_end_that_shows_all_is_one() -> None:
    done = Row(issue="a", triage="autofix", state="awaiting_approval", change="chg_1")
    complain([done, Row(issue="b", triage="skip")], WHOLE, 560)
