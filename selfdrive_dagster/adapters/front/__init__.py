"""The front: one product served to its users, as two revisions when a change is on trial.

    FrontPlan   what is served, how a process of it starts, where visitors arrive
    Front       the loop: keeps processes and proxy as `wanted.json` says, falls back by itself
    service     the front as a service, for who keeps it running

Exposure grows through the actuator's `set` alone. Whatever the front does by itself leads to
stable, and is in the journal. Does not belong here: evidence, verdicts, the ledger.
"""

from selfdrive_dagster.adapters.front.front import Front
from selfdrive_dagster.adapters.front.plan import FrontPlan, service

__all__ = ["Front", "FrontPlan", "service"]
