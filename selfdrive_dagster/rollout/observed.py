"""Observed: what a move of a rollout rested on, whole: plan, windows, and what they say."""

import msgspec

from selfdrive_dagster.rollout.canary import Judgement, Plan, Window


class Observed(msgspec.Struct, frozen=True, kw_only=True):
    """One judgement with all that it was drawn from, so that anybody can judge again.

    `state` and `stage` are where the change stood, `canary` and `stable` the two commits;
    `windows_sha256` is the digest of the file that the windows were read from.
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
