"""What the business holds dear: critical services, what they promise, what routes weigh.

An owner says it in `[issues]`. Belongs here: reading a weight off a route. Does not belong: how
it enters the score (`score`).
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

import msgspec

from selfdrive_dagster.config import Settings


class Business(msgspec.Struct, frozen=True, kw_only=True):
    """`criticality` tells `service.criticality` by service name.

    `slo` is the share of requests that must succeed, None where nobody promised one. `routes`
    maps shell patterns of routes (`POST /checkout`, `/admin*`) to weights from 0 to 1.
    """

    criticality: Mapping[str, str] = {}
    slo: float | None = None
    routes: Mapping[str, float] = {}

    def weight_of(self, route: str) -> float:
        """Return the greatest weight of the patterns that fit a route, with its method or without.

        1 where none fits: what nobody weighed may be dear.
        """
        path = route.rpartition(" ")[2]
        fitting = (
            weight
            for pattern, weight in self.routes.items()
            if fnmatchcase(route, pattern) or fnmatchcase(path, pattern)
        )
        return max(fitting, default=1.0)

    def worst_of(self, services: tuple[str, ...]) -> str | None:
        """Return the highest criticality of the services an issue was seen in.

        None when it is unknown: the service that nobody told of may be the most critical.
        """
        told = {self.criticality.get(name) for name in services or ("",)}
        worst = next((level for level in LEVELS if level in told), None)
        return worst if worst == LEVELS[0] or None not in told else None


def business_of(settings: Settings) -> Business:
    """Return what an owner said in `[issues]`; the promise counts once it was written down."""
    said = settings.issues
    told = {settings.service.name: said.criticality} if said.criticality else {}
    return Business(criticality=told, slo=said.slo or None, routes=said.routes)


LEVELS = ("critical", "high", "medium", "low")
