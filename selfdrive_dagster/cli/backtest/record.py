"""What a backtest found, as `--json` prints it."""

from datetime import datetime

import msgspec

from selfdrive_dagster.cli.backtest.reading import Unread
from selfdrive_dagster.cli.backtest.trying import Try
from selfdrive_dagster.issues.replay import ReplayedIssue


class Backtest(msgspec.Struct, frozen=True, kw_only=True):
    """The whole answer. `tries` is None where no repository was named: nobody knows.

    `issues` stand in the order in which they would have been known; `begin` and `end` are the
    times of the first and the last event.
    """

    files: int
    events: int
    undated: int
    begin: datetime | None
    end: datetime | None
    issues: tuple[ReplayedIssue, ...]
    tries: tuple[Try, ...] | None
    most_open: int
    unread: tuple[Unread, ...]
