"""Dagster's web server, asked over HTTP: whether it serves, whether the daemons live, runs.

A client of GraphQL on loopback. It answers None for "could not be asked", which is never the
same as "nothing". Starting the server does not belong here.
"""

import urllib.error
import urllib.request
from typing import Any

import msgspec

SECONDS = 5.0

INFO = "{ version }"
HEARTBEATS = """{ instance { daemonHealth { allDaemonStatuses {
  daemonType required healthy lastHeartbeatTime } } } }"""
LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries {
  name loadStatus locationOrLoadError { __typename } } } } }"""
UNFINISHED = """{ runsOrError(
  filter: {statuses: [NOT_STARTED, QUEUED, STARTING, STARTED, CANCELING]}
) { ... on Runs { results { runId } } } }"""
CANCEL = """mutation Cancel($ids: [String!]!) {
  terminateRuns(runIds: $ids, terminatePolicy: MARK_AS_CANCELED_IMMEDIATELY) { __typename } }"""


class Webserver:
    """A client of the server at one port of this machine."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def serves(self) -> bool:
        """Say whether it answers questions and has loaded every code location."""
        told = self._ask(LOCATIONS)
        found = told["workspaceOrError"].get("locationEntries", []) if told else []
        return bool(found) and all(
            entry["loadStatus"] == "LOADED"
            and entry["locationOrLoadError"]["__typename"] == "RepositoryLocation"
            for entry in found
        )

    def daemons_beat(self, since: float) -> bool:
        """Say whether every daemon that is needed was alive after `since` (Unix seconds).

        Dagster calls a heartbeat healthy for half an hour, so that of an earlier boot as well.
        """
        told = self._ask(HEARTBEATS)
        if not told:
            return False
        statuses = told["instance"]["daemonHealth"]["allDaemonStatuses"]
        needed = [status for status in statuses if status["required"]]
        return bool(needed) and all(
            status["healthy"] and (status["lastHeartbeatTime"] or 0) >= since for status in needed
        )

    def unfinished_runs(self) -> tuple[str, ...] | None:
        """Return the ids of runs that wait or work, None when it cannot be known."""
        told = self._ask(UNFINISHED)
        results = told["runsOrError"].get("results") if told else None
        return None if results is None else tuple(run["runId"] for run in results)

    def cancel_runs(self) -> int | None:
        """Mark all unfinished runs canceled and tell their processes; return how many."""
        runs = self.unfinished_runs()
        if runs and self._ask(CANCEL, {"ids": runs}) is None:
            return None
        return None if runs is None else len(runs)

    def _ask(self, query: str, variables: dict[str, Any] | None = None) -> dict[str, Any] | None:
        body = msgspec.json.encode({"query": query, "variables": variables or {}})
        request = urllib.request.Request(  # noqa: S310 - our own http:// address
            f"{self.url}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=SECONDS) as answer:  # noqa: S310
                told = msgspec.json.decode(answer.read())
        except (OSError, urllib.error.HTTPError, msgspec.DecodeError):
            return None
        return None if told.get("errors") else told["data"]


def answers(url: str) -> bool:
    """Say whether a GET of this address of ours ends with 200."""
    try:
        with urllib.request.urlopen(url, timeout=SECONDS) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False
