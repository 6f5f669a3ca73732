"""What models took for each issue and each change.

Belongs here: reading it from the loop's book where that can be done at once. Does not belong: the
book in short (`spend`).
"""

import os
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import msgspec

from selfdrive_dagster.cli.loop_home import URL, loop_is_running, opened
from selfdrive_dagster.issues import RankedIssue
from selfdrive_dagster.patches.asking.money import MICROS

if TYPE_CHECKING:
    from sqlalchemy import Engine


class Costed(RankedIssue, frozen=True, kw_only=True):
    """A ranked issue; `cost_usd` is None where no model was asked or the book is not there."""

    cost_usd: float | None = None


def costed(ranked: Iterable[RankedIssue], spent: Mapping[str, int]) -> tuple[Costed, ...]:
    """Return issues with what models took; `spent` are micro-dollars by issue."""
    return tuple(
        Costed(
            **msgspec.structs.asdict(one),
            cost_usd=spent[one.issue_id] / MICROS if one.issue_id in spent else None,
        )
        for one in ranked
    )


def spent_on_issues() -> dict[str, int]:
    """Return the micro-dollars of each issue where that can be read at once, else nothing.

    A database that is not running is not started for it.
    """
    if not (os.environ.get(URL) or loop_is_running()):
        return {}
    from selfdrive_dagster.adapters.spending import Spending

    with opened() as (_, engine):
        return {name: one.micros for name, one in Spending(engine).by_issue().items()}


def spent_on_changes(engine: "Engine") -> dict[str, int]:
    """Return the micro-dollars that models took for each change."""
    from selfdrive_dagster.adapters.spending import Spending

    return {name: one.micros for name, one in Spending(engine).by_change().items()}
