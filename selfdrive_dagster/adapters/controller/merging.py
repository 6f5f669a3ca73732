"""Merging: a change in the product's branch and out of it again, each as an effect done once.

Does not belong here: when that may be, which is the lifecycle's, and git itself
(`adapters.git.landing`).
"""

from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

from selfdrive_dagster.adapters.changes import Change
from selfdrive_dagster.adapters.controller.heads import Landing, ask, landing_on
from selfdrive_dagster.adapters.controller.tools import Tools
from selfdrive_dagster.adapters.git.landing import contains, is_out, land, take_back
from selfdrive_dagster.adapters.proposals import product_branch, released_head, remote_of
from selfdrive_dagster.rollout.effects import Kind, key_of
from selfdrive_dagster.rollout.lifecycle import Actor


class Landed(NamedTuple):
    """A commit that we put into the product's branch, on what was known at a moment."""

    commit: str
    at: datetime


class Merging:
    """The product's branch, seen and moved by one controller."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    def head(self) -> str:
        """Return the commit that the product's branch is at now."""
        return released_head(self._tools.stores.repository, self._tools.stores.settings.service)

    def holds(self, commit: str) -> bool:
        """Say whether a commit is part of the product's branch."""
        return contains(self._tools.stores.repository, self.head(), commit)

    def is_out(self, commit: str) -> bool:
        """Say whether the product's branch is without what a commit brought."""
        return is_out(self._tools.stores.repository, self.head(), commit)

    def is_in(self, change: Change, commit: str, revision: str) -> bool:
        """Say whether a revision has a change in it."""
        repository = self._tools.stores.repository
        return any(contains(repository, revision, one) for one in self.commits(change, commit))

    def fitting(self, change: Change, commit: str) -> Landing | None:
        """Return what may be merged on the branch as it is, None where nothing is proven there."""
        return landing_on(self._tools, change, commit, self.head())

    def ask(self, change: Change, now: datetime) -> None:
        """Ask for a proof on the branch as it is."""
        ask(self._tools, change, self.head(), now)

    def land(self, change: Change, commit: str, now: datetime) -> None:
        """Move the product's branch to what may be merged. Raises Refused when it went on."""
        landing = self.fitting(change, commit)
        if landing is None:
            return
        repository, expected = self._tools.stores.repository, landing.expected
        self._once(change, Kind.MERGE, landing.commit, now, lambda: land(
            repository, *self._branch(), landing.commit, expected,
        ))  # fmt: skip

    def landed(self, change: Change) -> Landed | None:
        """Return what we put into the branch for a change, None while that is not known."""
        effects = self._tools.effects.of(change.change_id)
        merged = [
            Landed(str(one.wanted["commit"]), one.at)
            for one in effects
            if one.kind is Kind.MERGE and one.done_at is not None and not one.given_up
        ]
        return merged[-1] if merged else None

    def commits(self, change: Change, commit: str) -> tuple[str, ...]:
        """Return a change as it was or may have been merged, newest last; the one users met first.

        They differ where it was merged on a later head.
        """
        effects = self._tools.effects.of(change.change_id)
        merged = (str(one.wanted["commit"]) for one in effects if one.kind is Kind.MERGE)
        return tuple(dict.fromkeys((commit, *merged)))

    def take_back(self, change: Change, commit: str, now: datetime) -> bool:
        """Undo a change wherever it is merged; say whether the branch is without it then."""
        repository, commits = self._tools.stores.repository, self.commits(change, commit)
        for one in commits:
            if not self.is_out(one):
                self._once(change, Kind.REVERT, one, now, lambda one=one: take_back(  # type: ignore[misc]
                    repository, *self._branch(), one, now,
                ))  # fmt: skip
        return all(self.is_out(one) for one in commits)

    def _branch(self) -> tuple[str | None, str]:
        """Return the remote and the branch that the product is released from."""
        repository, service = self._tools.stores.repository, self._tools.stores.settings.service
        return (
            remote_of(repository, service.repository),
            product_branch(repository, service.branch),
        )

    def _once(
        self, change: Change, kind: Kind, commit: str, now: datetime, work: Callable[[], object]
    ) -> None:
        effects, epoch = self._tools.effects, self._tools.epoch
        key = key_of(change.change_id, change.version, kind, commit[:12])
        effect = effects.intend(
            change.change_id, kind, key=key, stage=change.stage, wanted={"commit": commit},
            epoch=epoch, now=now,
        )  # fmt: skip
        if effect.is_open:
            result = {"result": str(work() or "")}
            by = self._tools.courses.by(change.change_id, Actor.CONTROLLER)
            effects.done(key, result, by=by, epoch=epoch, now=now)
