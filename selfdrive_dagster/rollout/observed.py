"""Observed: what a move of a rollout rested on, whole: plan, windows, and what they say."""

import msgspec

from selfdrive_dagster.rollout.canary import Judgement, Plan, Window, judge
from selfdrive_dagster.rollout.lifecycle import State

HEAD_MOVED = "rollout.head_moved"
"""The kind of the ledger row by which a baked change asks for a proof on the branch of today."""


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement with all that it was drawn from, so that anybody can judge again.

    `state` and `stage` are where the change stood, `canary` and `stable` the two commits;
    `windows_sha256` is the digest of the file that the windows were read from. `lost` says what
    is known to be missing of it, "" where it holds all that the ledger rests on.
    """

    change_id: str
    canary: str
    stable: str
    state: str
    stage: int
    plan: Plan
    windows: tuple[Window, ...]
    windows_sha256: str
    judgement: Judgement
    lost: str = ""


def judged_again(found: Observed) -> Judgement:
    """Judge the same windows by the same plan as of the same moment."""
    stage = found.plan.stages[found.stage - 1]
    if found.state == State.BAKING.value:
        stage = msgspec.structs.replace(stage, share=found.plan.bake_share)
    return judge(found.windows, stage, found.plan, found.judgement.at, found.lost)
