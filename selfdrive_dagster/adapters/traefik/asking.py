"""What Traefik tells of itself: which share it gives, and which arms are up.

It answers None for "could not be asked", which is never the same as "nothing".
"""

import urllib.request
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit

import msgspec

from selfdrive_dagster.adapters.traefik.config import ROUTER, arm_service

SECONDS = 1.0
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks this machine itself, whatever proxy the user's environment names."""


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """The proxy's own word. `share` is that of the canary, `entry` the service of the router.

    An arm that is not routed is None. `stable_port` is where stable's process listens, 0 for none.
    """

    entry: str
    share: float
    stable_up: bool | None = None
    canary_up: bool | None = None
    stable_port: int = 0


def ask(api: int, change_id: str) -> Told | None:
    """Return what the Traefik with this API port does for a change, None when it is silent."""
    if not api:
        return None
    try:
        with DIRECT.open(f"http://127.0.0.1:{api}/api/rawdata", timeout=SECONDS) as page:
            told = msgspec.json.decode(page.read())
        return understood(told, change_id)
    except (OSError, HTTPException, msgspec.DecodeError, KeyError, TypeError, ValueError):
        return None  # an answer that we do not understand is none


def understood(told: dict[str, Any], change_id: str) -> Told:
    """Return the parts of an answer. Anything else than this change's stable counts as canary."""
    services = told.get("services") or {}
    router = (told.get("routers") or {}).get(f"{ROUTER}@file")
    if router is None:
        return Told(entry="", share=0.0)
    entry = str(router["service"])
    weighted = services[f"{entry}@file"].get("weighted")
    weights = (
        {one["name"]: float(one["weight"]) for one in weighted["services"]}
        if weighted
        else {entry: 1.0}
    )
    total = sum(weights.values())
    others = sum(part for name, part in weights.items() if not name.startswith("stable-"))
    return Told(
        entry=entry,
        share=others / total,
        stable_up=is_up(services, arm_service("stable", change_id)),
        canary_up=is_up(services, arm_service("canary", change_id)),
        stable_port=port_of(services, arm_service("stable", change_id)),
    )


def is_up(services: dict[str, Any], name: str) -> bool | None:
    """Say whether all servers of a service are up, None when there is no such service."""
    service = services.get(f"{name}@file")
    if service is None:
        return None
    states = service.get("serverStatus") or {}
    return bool(states) and all(state == "UP" for state in states.values())


def port_of(services: dict[str, Any], name: str) -> int:
    """Return the port of a service's one process, 0 when there is no such service."""
    service = services.get(f"{name}@file")
    if service is None:
        return 0
    (server,) = service["loadBalancer"]["servers"]
    return urlsplit(server["url"]).port or 0
