"""The nouns of the loop: frozen records that every stage shares, and the ports they pass through.

Belongs here: what a thing *is*. Does not belong: how it is found, drawn, stored or judged.
"""

from selfdrive_dagster.model.asks import Ask, Result, Usage
from selfdrive_dagster.model.calls import GoodCall
from selfdrive_dagster.model.changes import (
    Attempt,
    Candidate,
    Check,
    Claim,
    Commit,
    Confidence,
    Diagnosis,
    FrameFinding,
    ObservedInput,
    Part,
    Report,
    Reproducer,
    Reproduction,
    Support,
    SuspectCommit,
    Suspicion,
    Verdict,
    Way,
)
from selfdrive_dagster.model.crashes import Crash, Frame, HttpRequest, RaisedException
from selfdrive_dagster.model.digests import canonical, digest, short_id
from selfdrive_dagster.model.ports import (
    Ending,
    History,
    Job,
    Progress,
    Ran,
    Sandbox,
    SandboxLevel,
    silent,
)
from selfdrive_dagster.model.product import Product

__all__ = [
    "Ask",
    "Attempt",
    "Candidate",
    "Check",
    "Claim",
    "Commit",
    "Confidence",
    "Crash",
    "Diagnosis",
    "Ending",
    "Frame",
    "FrameFinding",
    "GoodCall",
    "History",
    "HttpRequest",
    "Job",
    "ObservedInput",
    "Part",
    "Product",
    "Progress",
    "RaisedException",
    "Ran",
    "Report",
    "Reproducer",
    "Reproduction",
    "Result",
    "Sandbox",
    "SandboxLevel",
    "Support",
    "SuspectCommit",
    "Suspicion",
    "Usage",
    "Verdict",
    "Way",
    "canonical",
    "digest",
    "short_id",
    "silent",
]
