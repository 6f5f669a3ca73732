"""Named crashes and how they must fall into issues: `tests/cases/issues/grouping/*.json`."""

import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from selfdrive_dagster.issues import FINGERPRINT, CustomRule, Grouping, fingerprint
from selfdrive_dagster.model import Crash, Frame, RaisedException

CASES = sorted((Path(__file__).parents[1] / "cases/issues/grouping").glob("*.json"))


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """`frames` are `path:function:line` texts, or whole frames where more must be said."""

    says: str
    crashes: dict[str, list[dict[str, Any]]]
    groups: list[list[str]]
    source: tuple[str, ...] = ()
    rules: tuple[CustomRule, ...] = ()

    def grouping(self) -> Grouping:
        return Grouping(source=self.source, rules=self.rules)


def crash_of(name: str, exceptions: list[dict[str, Any]]) -> Crash:
    return Crash(event_id=name, source="test", exceptions=tuple(map(raised_of, exceptions)))


def raised_of(told: dict[str, Any]) -> RaisedException:
    frames = tuple(map(frame_of, told["frames"]))
    return RaisedException(
        type=told["type"], value=told["value"], module=told.get("module", ""), frames=frames
    )


def frame_of(told: str | dict[str, Any]) -> Frame:
    if isinstance(told, str):
        path, function, line = told.rsplit(":", 2)
        return Frame(path=path, function=function, line=int(line))
    return msgspec.convert({"line": 1, **told}, Frame)


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_crashes_fall_into_the_stored_groups(path: Path) -> None:
    case = msgspec.json.decode(path.read_bytes(), type=Case)
    found: dict[str, list[str]] = {}
    for name, exceptions in case.crashes.items():
        issue = fingerprint(crash_of(name, exceptions), case.grouping()).issue_id
        found.setdefault(issue, []).append(name)
    assert sorted(found.values()) == sorted(case.groups), case.says


def test_issue_ids_of_this_version_never_change() -> None:
    """A changed id here means a new FINGERPRINT: old issues must keep their key."""
    told = {"type": "KeyError", "value": "'x'", "frames": ["/a/shop/cart.py:total:1"]}
    known = fingerprint(crash_of("one", [told]))
    assert (FINGERPRINT, known.issue_id, known.rule) == ("2026-11", "iss_aee5eade0cd61b76", "stack")
    assert re.fullmatch(r"iss_[0-9a-f]{16}", known.issue_id)
