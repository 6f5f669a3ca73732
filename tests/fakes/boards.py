"""A ranking as the loop keeps it: crashes of named functions, stored, on a board of their own."""

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
from msgspec.structs import replace

from selfdrive_dagster.issues import crash_event, gather, rank
from selfdrive_dagster.issues.board import Board, make_board
from selfdrive_dagster.model import Crash, Frame, RaisedException
from selfdrive_dagster.orchestration.stages import note
from selfdrive_dagster.orchestration.tables import RANKING
from selfdrive_dagster.orchestration.workshop import Workshop

NOW = datetime(2026, 11, 23, 8, tzinfo=UTC)


def crash(function: str, event: int = 0) -> Crash:
    """A crash raised in one function of the shop."""
    frame = Frame(path="shop/rates.py", function=function, line=2, module="shop.rates", in_app=True)
    raised = RaisedException(type="KeyError", value="'US'", frames=(frame,))
    return Crash(
        event_id=f"{event:032x}",
        source="sentry",
        exceptions=(raised,),
        timestamp=NOW,
        service_name="shop",
    )


def board_of(put: Callable[[Crash], str], *functions: str) -> Board:
    """A board with an issue per function, in this order."""
    crashes = [crash(name, place * 10 + n) for place, name in enumerate(functions) for n in (0, 1)]
    events = [crash_event(each, NOW) for each in crashes]
    digests = {event.issue_id: put(each) for event, each in zip(events, crashes, strict=True)}
    order = {event.issue_id: place for place, event in enumerate(events)}
    ranked = sorted(rank(gather(events, NOW)), key=lambda issue: order[issue.issue_id])
    placed = tuple(replace(issue, rank=n) for n, issue in enumerate(ranked, start=1))
    return make_board(placed, digests)


def materialize(
    instance: dg.DagsterInstance,
    workshop: Workshop,
    *functions: str,
    tell: Callable[[Crash], Crash] = lambda crash: crash,
) -> Board:
    """Store a board and materialize the ranking, as a batch does; `tell` adds to each crash."""
    board = board_of(lambda crash: workshop.evidence.put(tell(crash)), *functions)

    @dg.asset(key=RANKING)
    def ranking(context: dg.AssetExecutionContext) -> dg.MaterializeResult[None]:
        sha256 = note(RANKING, workshop, board, (), run_id=context.run.run_id)
        return dg.MaterializeResult(metadata={"sha256": sha256})

    assert dg.materialize([ranking], instance=instance).success
    return board
