"""Tables as assets: typed telemetry, the SQL models, and the ranking, in two steps a batch.

A model of `sql/` becomes an asset by itself, its dependencies read from the query, and each
`*.test.sql` becomes an asset check. One multi-asset a step keeps a micro-batch cheap: fifteen
assets of their own took ten times as long.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dagster as dg

from selfdrive_dagster.adapters.ingest import FILLED, Ingested
from selfdrive_dagster.adapters.skips import Skips
from selfdrive_dagster.adapters.verdicts import Verdicts
from selfdrive_dagster.adapters.warehouse.models import (
    DETECTED,
    DETECTED_FROM,
    SqlModel,
    SqlTest,
    load_models,
    load_tests,
)
from selfdrive_dagster.adapters.warehouse.naming import EVENTS, MEMBERS
from selfdrive_dagster.adapters.warehouse.portable import lineage_of
from selfdrive_dagster.adapters.warehouse.portable.lineage import Origin
from selfdrive_dagster.adapters.warehouse.refresh import Refreshed, check, refresh
from selfdrive_dagster.adapters.warehouse.tables import ROW_TYPES
from selfdrive_dagster.issues import Grouping
from selfdrive_dagster.issues.board import Board
from selfdrive_dagster.issues.usage import Usage
from selfdrive_dagster.orchestration.shown import ranked, trends_of, viewed
from selfdrive_dagster.orchestration.stages import ACTOR, OWNER, Result
from selfdrive_dagster.orchestration.workshop import Workshop

RANKING = dg.AssetKey(["issues", "ranking"])
USAGE = dg.AssetKey(["issues", "usage"])

HOURLY = dg.FreshnessPolicy.time_window(
    fail_window=timedelta(hours=3), warn_window=timedelta(minutes=90)
)
"""The schedule makes a batch each hour, and a batch materializes each typed table, also without a
row: so this tells that the loop reads, never that the product is quiet. Models have none: they
are made when touched."""

Ingest = Callable[[Workshop], Ingested]
MakeBoard = Callable[[Workshop], Board]
ViewUsage = Callable[[Workshop], Usage]


def telemetry_step(
    sql_dir: Path, ingest: Ingest, descriptions: Mapping[str, str]
) -> dg.AssetsDefinition:
    """Make the typed tables one step: closed segments in, rows out."""
    stages = dict.fromkeys(FILLED, "telemetry")
    tests = [test for test in load_tests(sql_dir) if test.table in stages]
    specs = [
        dg.AssetSpec(
            ["telemetry", name],
            description=descriptions[name],
            group_name="telemetry",
            kinds={"parquet"},
            owners=[OWNER],
            code_version="1",
            freshness_policy=HOURLY,
        )
        for name in FILLED
    ]

    @dg.multi_asset(
        name="telemetry",
        specs=specs,
        check_specs=[_check_spec(test, stages) for test in tests],
        can_subset=False,
        required_resource_keys={"workshop"},
    )
    def telemetry(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """Read closed segments into the typed tables."""
        workshop: Workshop = context.resources.workshop
        done = ingest(workshop)
        for name in FILLED:
            rows = sum(file.rows for file in workshop.warehouse.live(name).files)
            yield dg.MaterializeResult(
                asset_key=["telemetry", name],
                metadata={
                    "dagster/row_count": rows,
                    "stored": done.stored[name],
                    "duplicate": done.duplicate[name],
                    "segments": done.segments,
                    "unreadable": list(done.unreadable),
                },
            )
        yield from _checked(workshop, tests, stages)

    return telemetry


def issues_step(
    sql_dir: Path, make_board: MakeBoard, view: ViewUsage, descriptions: Mapping[str, str]
) -> dg.AssetsDefinition:
    """Make every SQL model, the ranking and the view of usage one step, with their checks."""
    models = load_models(sql_dir)
    tests = [test for test in load_tests(sql_dir) if test.table not in FILLED]
    stages = {**dict.fromkeys(FILLED, "telemetry"), **dict.fromkeys(MADE, "issues")}
    stages |= {model.name: model.stage for model in models}

    @dg.multi_asset(
        name="issues",
        specs=[
            *_specs(models, stages, descriptions),
            _made_spec(RANKING, RANKED_FROM, stages, descriptions),
            _made_spec(USAGE, USED_FROM, stages, descriptions, skippable=True),
        ],
        check_specs=[_check_spec(test, stages) for test in tests],
        can_subset=False,
        required_resource_keys={"workshop"},
    )
    def issues(context: dg.AssetExecutionContext) -> Iterator[Any]:
        """Name issues, refresh every model, rank, and check."""
        workshop: Workshop = context.resources.workshop
        grouping = Grouping(source=workshop.settings.service.source)
        is_new_hour = False
        decided = Verdicts(workshop.engine, workshop.warehouse.root)
        decided.adopt(actor=ACTOR, run_id=context.run.run_id, now=datetime.now(UTC))
        for done in refresh(
            workshop.warehouse, workshop.models, grouping, workshop.settings, workshop.answer
        ):
            if done.hours != 0:
                yield _refreshed(done, stages[done.table])
            is_new_hour = is_new_hour or (done.table == DETECTED and done.hours != 0)
        yield from _checked(workshop, tests, stages)
        board = make_board(workshop)
        skips = Skips(workshop.engine, workshop.warehouse.root)
        skips.adopt(actor=ACTOR, run_id=context.run.run_id, now=datetime.now(UTC))
        yield ranked(RANKING, board, workshop, context.run.run_id)
        if is_new_hour:
            yield viewed(USAGE, view(workshop), trends_of(board, workshop))

    return issues


def _specs(
    models: Sequence[SqlModel], stages: Mapping[str, str], descriptions: Mapping[str, str]
) -> Iterator[dg.AssetSpec]:
    for name, depends_on in MADE.items():
        yield dg.AssetSpec(
            ["issues", name],
            deps=[[stages[each], each] for each in depends_on],
            description=descriptions[name],
            group_name="issues",
            kinds={"parquet", "python"},
            owners=[OWNER],
            code_version="1",
            skippable=True,
        )
    columns = {name: kind.__struct_fields__ for name, kind in ROW_TYPES.items()}
    lineage = lineage_of(((model.name, model.sql) for model in models), columns)
    for model in models:
        yield dg.AssetSpec(
            [model.stage, model.name],
            deps=[[stages[name], name] for name in model.depends_on],
            description=f"{model.description}\n\n```sql\n{model.sql}\n```",
            group_name=model.stage,
            kinds={"duckdb", "sql"},
            owners=[OWNER],
            code_version="1",
            metadata={"dagster/column_lineage": _lineage(lineage[model.name], stages)},
            skippable=True,
        )


MADE = {EVENTS: ("exceptions",), MEMBERS: (EVENTS,), DETECTED: DETECTED_FROM}
"""Tables of issues that no SQL model makes, and what each is made from."""

RANKED_FROM = (
    "issue_stats",
    "issue_newest",
    "issue_hourly",
    "issue_releases",
    "occurrences",
    "active_hourly",
    "releases",
    "requests",
)
USED_FROM = ("usage_daily", "journeys_daily", "occurrences")


def _lineage(
    columns: Mapping[str, Sequence[Origin]], stages: Mapping[str, str]
) -> dg.TableColumnLineage:
    """Return a model's lineage; told with the definition, since each event would repeat it."""
    return dg.TableColumnLineage(
        {
            name: [
                dg.TableColumnDep(dg.AssetKey([stages[of], of]), column) for of, column in origins
            ]
            for name, origins in columns.items()
        }
    )


def _made_spec(
    key: dg.AssetKey,
    reads: Sequence[str],
    stages: Mapping[str, str],
    descriptions: Mapping[str, str],
    *,
    skippable: bool = False,
) -> dg.AssetSpec:
    return dg.AssetSpec(
        key,
        deps=[[stages[name], name] for name in reads],
        description=descriptions[key.path[-1]],
        group_name="issues",
        kinds={"python"},
        owners=[OWNER],
        code_version="1",
        skippable=skippable,
    )


def _check_spec(test: SqlTest, stages: Mapping[str, str]) -> dg.AssetCheckSpec:
    key = dg.AssetKey([stages[test.table], test.table])
    return dg.AssetCheckSpec(test.claim, asset=key, description=test.description)


def _checked(
    workshop: Workshop, tests: Sequence[SqlTest], stages: Mapping[str, str]
) -> Iterator[dg.AssetCheckResult]:
    for found in check(workshop.warehouse, tests, workshop.answer):
        yield dg.AssetCheckResult(
            asset_key=[stages[found.test.table], found.test.table],
            check_name=found.test.claim,
            passed=found.broken == 0,
            metadata={"broken_rows": found.broken, "query": found.test.sql},
        )


def _refreshed(done: Refreshed, stage: str) -> Result:
    hours = "all" if done.hours is None else done.hours
    return dg.MaterializeResult(
        asset_key=[stage, done.table],
        metadata={
            "dagster/row_count": done.rows,
            "hours_rebuilt": hours,
            "seconds": round(done.seconds, 3),
        },
    )
