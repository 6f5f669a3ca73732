"""The code location: every asset of the loop, handed to the library's `build_definitions`."""

import os
from pathlib import Path

from assets import audit, issues, patches, rollout, telemetry, validation
from selfdrive_dagster.orchestration.build import build_definitions

SQL = Path(__file__).resolve().parent.parent / "sql"

defs = build_definitions(
    sql_dir=SQL,
    tables=[telemetry.step(SQL), issues.step(SQL)],
    stages=[
        patches.diagnosis,
        patches.reproducer,
        patches.candidates,
        validation.report,
        rollout.proposal,
    ],
    approval=rollout.approval,
    stage=rollout.stage,
    head=validation.head,
    outcome=audit.outcome,
    look_outside=rollout.look_outside,
    tidy=telemetry.tidy,
    observe=bool(os.environ.get("SELFDRIVE_OBSERVE")),
)
