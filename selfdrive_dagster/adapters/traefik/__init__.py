"""Traefik: the proxy before the product, which shares sessions out between two revisions.

    static_config, dynamic_config   what it is told, as pure functions
    program, proxy                  where it is, and how it runs
    ask                             what it tells of itself
    AccessLog                       what it wrote of each request
    TraefikActuator                 the port that moves traffic

Four rules, each learned from a measurement: services are named after the change, for a sticky
cookie is a digest of that name; both arms have health checks; the dynamic file is written, never
deleted; requests without the sticky cookie stay outside the statistics.
"""

from selfdrive_dagster.adapters.traefik.access_log import AccessLog, Position, Request
from selfdrive_dagster.adapters.traefik.actuator import TraefikActuator
from selfdrive_dagster.adapters.traefik.asking import Told, ask
from selfdrive_dagster.adapters.traefik.config import dynamic_config, static_config

__all__ = [
    "AccessLog",
    "Position",
    "Request",
    "Told",
    "TraefikActuator",
    "ask",
    "dynamic_config",
    "static_config",
]
