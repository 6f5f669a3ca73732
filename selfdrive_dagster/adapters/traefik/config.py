"""What Traefik is told: pure functions of addresses, ports and a share."""

import hashlib
from typing import Any

from selfdrive_dagster.adapters.front_files import FrontFiles, Routes

ENTRY = "product"
ROUTER = "product"
PARTS = 1000
"""Weights are whole numbers that add up to this, so that a share is exact to a thousandth."""

CHECK = "1s"
KEPT = ("ServiceName", "DownstreamStatus", "Duration", "StartUTC")


def arm_service(arm: str, change_id: str) -> str:
    """Return the name of an arm's service: never that of another change."""
    return f"{arm}-{change_id or 'none'}"


def split_service(change_id: str) -> str:
    """Return the name of the service that shares sessions out."""
    return f"split-{change_id}"


def cookie_name(change_id: str) -> str:
    """Return the name of the cookie that keeps a session in its arm: `selfdrive_<8 hex>`."""
    return f"selfdrive_{change_id.removeprefix('chg_')[:8]}"


def cookie_value(service: str) -> str:
    """Return what that cookie holds for a service, as Traefik 3 makes it."""
    return hashlib.sha256(service.encode()).hexdigest()[:16]


def static_config(files: FrontFiles, listen: str, api: int) -> dict[str, Any]:
    """Return what Traefik reads once: visitors come in at `listen`, questions at `api`.

    The API listens on loopback alone and changes nothing. A log line keeps the Cookie header,
    for it holds arm and session: whoever reads it hashes the session at once.
    """
    quiet = {"accessLogs": False, "metrics": False, "tracing": False}
    return {
        "global": {"checkNewVersion": False, "sendAnonymousUsage": False},
        "entryPoints": {
            ENTRY: {"address": listen, "transport": {"lifeCycle": {"graceTimeOut": "1s"}}},
            "traefik": {"address": f"127.0.0.1:{api}", "observability": quiet},
        },
        "api": {"insecure": True, "dashboard": False},
        "log": {"level": "WARN", "format": "json"},
        "providers": {
            "providersThrottleDuration": "100ms",
            "file": {"filename": str(files.dynamic), "watch": True},
        },
        "accessLog": {
            "filePath": str(files.access_log),
            "format": "json",
            "fields": {
                "defaultMode": "drop",
                "names": dict.fromkeys(KEPT, "keep"),
                "headers": {"defaultMode": "drop", "names": {"Cookie": "keep"}},
            },
        },
    }


def dynamic_config(routes: Routes) -> dict[str, Any]:
    """Return what Traefik watches: stable alone, or both arms and the share of the canary.

    Without a stable process nothing is routed yet: visitors get 404.
    """
    if not routes.stable:
        return {}
    stable = arm_service("stable", routes.change_id)
    services = {stable: balancer(routes.stable, routes.health)}
    entry = stable
    if routes.canary and routes.share > 0:
        canary = arm_service("canary", routes.change_id)
        entry = split_service(routes.change_id)
        services[canary] = balancer(routes.canary, routes.health)
        services[entry] = split(stable, canary, routes)
    router = {"rule": "PathPrefix(`/`)", "entryPoints": [ENTRY], "service": entry}
    return {"http": {"routers": {ROUTER: router}, "services": services}}


def balancer(port: int, health: str) -> dict[str, Any]:
    """Return the service of one process, looked at each second."""
    check = {"path": health, "interval": CHECK, "timeout": CHECK}
    servers = [{"url": f"http://127.0.0.1:{port}"}]
    return {"loadBalancer": {"servers": servers, "healthCheck": check}}


def split(stable: str, canary: str, routes: Routes) -> dict[str, Any]:
    """Return the service that shares new sessions out and keeps each where it was.

    `healthCheck` makes it leave out an arm that is down: a session moves rather than fails.
    """
    part = min(max(round(routes.share * PARTS), 1), PARTS - 1)
    cookie = {"name": cookie_name(routes.change_id), "httpOnly": True, "sameSite": "lax"}
    weights = ({"name": stable, "weight": PARTS - part}, {"name": canary, "weight": part})
    return {"weighted": {"services": weights, "sticky": {"cookie": cookie}, "healthCheck": {}}}
