"""Issues: what hurts. Groups crashes by cause, scores each, says what may be tried."""

from selfdrive_dagster.issues.events import (
    IssueEventRow,
    crash_event,
    grouping_version,
    issue_event,
    named_event,
)
from selfdrive_dagster.issues.fingerprint import (
    FINGERPRINT,
    CustomRule,
    Fingerprint,
    Grouping,
    fingerprint,
)
from selfdrive_dagster.issues.gather import gather
from selfdrive_dagster.issues.normalise import template, template_sql
from selfdrive_dagster.issues.rank import IssueSummary, RankedIssue, rank
from selfdrive_dagster.issues.score import FORMULA, IssueStats, Score, ScorePart, Weights, score
from selfdrive_dagster.issues.triage import (
    Decision,
    Triage,
    TriageFacts,
    TriageSettings,
    triage,
)

__all__ = [
    "FINGERPRINT",
    "FORMULA",
    "CustomRule",
    "Decision",
    "Fingerprint",
    "Grouping",
    "IssueEventRow",
    "IssueStats",
    "IssueSummary",
    "RankedIssue",
    "Score",
    "ScorePart",
    "Triage",
    "TriageFacts",
    "TriageSettings",
    "Weights",
    "crash_event",
    "fingerprint",
    "gather",
    "grouping_version",
    "issue_event",
    "named_event",
    "rank",
    "score",
    "template",
    "template_sql",
    "triage",
]
