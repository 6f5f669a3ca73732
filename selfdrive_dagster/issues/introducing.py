"""Which version brought an issue: the first that had it, if the service had run without it before.

Belongs here: the rule over first sightings. Does not belong: which commit (`patches.diagnosis`).
"""

from collections.abc import Mapping
from datetime import datetime


def introduced_with(
    seen: Mapping[tuple[str, str], datetime], released: Mapping[tuple[str, str], datetime]
) -> str:
    """Say with which version an issue came; "" where that is unknown.

    `seen` is when the issue was first seen and `released` when anything was first seen, both by
    (service, version). A service with one version proves nothing: there was no time without.
    """
    known = {key: when for key, when in seen.items() if key[1]}
    if not known:
        return ""
    service, version = min(known, key=lambda key: (known[key], key))
    came = released.get((service, version))
    before = [
        name
        for (where, name), when in released.items()
        if where == service and came is not None and when < came and (where, name) not in known
    ]
    if came is None or not before:
        return ""
    minutes = max(0, round((known[service, version] - came).total_seconds() / 60))
    after = f"{minutes} min" if minutes < 120 else f"{minutes // 60} h"
    last = max(before, key=lambda name: released[service, name])
    came_with = f"came with version {version} of {service}, {after} after its release"
    return f"{came_with}; {last} did not have it"
