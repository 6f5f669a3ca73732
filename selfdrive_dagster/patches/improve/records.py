"""The records of an improvement: what is slow, where the time goes, what a patch should do.

Belongs here: the nouns. Does not belong: finding, drafting and proving.
"""

import msgspec

from selfdrive_dagster.model import HttpRequest
from selfdrive_dagster.patches.drafts import Draft


class SlowRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request that production served, and with what. None where that is unknown."""

    request: HttpRequest
    status: int | None
    duration_ms: float | None


class SlowPath(msgspec.Struct, frozen=True, kw_only=True):
    """A slow-path issue as telemetry tells it; `route` is `GET /gifts/{euros:int}`.

    `requests` are recorded ones in the order in which they came. `p95_ms` is that of the route's
    spans in the hours looked at, over `seen` requests; None where no span told its duration.
    """

    issue_id: str
    service_name: str
    route: str
    says: str
    requests: tuple[SlowRequest, ...]
    p95_ms: float | None
    seen: int


class Handler(msgspec.Struct, frozen=True, kw_only=True):
    """The function that answers a route, found in the repository."""

    path: str
    function: str
    line: int
    how: str


class Workload(msgspec.Struct, frozen=True, kw_only=True):
    """Tests that do again what is slow. `source` is None where they are the product's own.

    `node_ids` run in this order and may repeat: the same request may have come again.
    """

    path: str
    source: str | None
    node_ids: tuple[str, ...]
    says: str

    @property
    def overlay(self) -> dict[str, str | None]:
        """What is laid over the tree so that the tests are there."""
        return {} if self.source is None else {self.path: self.source}


class Hot(msgspec.Struct, frozen=True, kw_only=True):
    """One function's share of the samples: `own` without, `total` with what it calls, of 1."""

    path: str
    function: str
    own: float
    total: float
    lines: dict[int, float]


class Profile(msgspec.Struct, frozen=True, kw_only=True):
    """Where a workload's time goes, hottest first; `missing` says why it is unknown."""

    hot: tuple[Hot, ...]
    samples: int
    missing: str = ""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """A function whose answers must stay equal.

    `keys` are parameters that become part of a cache's key, `elements` local names whose elements
    must be hashable: what calls show of their types must be of the plain kind.
    """

    path: str
    function: str
    keys: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    deterministic: bool = False


class Idea(msgspec.Struct, frozen=True, kw_only=True):
    """A draft of the built-in engine, and what has to be shown of it.

    `says` is the change in plain words, `assumes` what its proof rests on, for the reviewer.
    """

    draft: Draft
    target: Target
    says: str
    assumes: tuple[str, ...] = ()


class Effect(msgspec.Struct, frozen=True, kw_only=True):
    """What a change is expected to do to a signal, in a form that can be read later.

    `signal` is `p95_ms`; `before` is what telemetry told, `low` and `high` bound what is expected,
    all in `unit`. `fewest` observations are needed before silence or noise means anything.
    """

    signal: str
    service_name: str
    subject: str
    before: float
    low: float
    high: float
    unit: str = "ms"
    fewest: int = 60
    says: str = ""
