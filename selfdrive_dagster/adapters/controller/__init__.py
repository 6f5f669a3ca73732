"""The controller: drives a service's one rollout, from its approval to users and back.

A process of `selfdrive up`, the only one that raises exposure. It looks every second, judges from
the evidence on the disk, and asks the lifecycle's table for each move. What it wants of the
traffic follows from the change's state alone, so a crash between any two lines is mended by the
next look. Belongs here: looking, asking, acting. Does not belong: what follows from what is seen
(`rollout.steering`), counting (`adapters.canary`), the proxy (`adapters.traefik`).
"""

from selfdrive_dagster.adapters.controller.control import Controller
from selfdrive_dagster.adapters.controller.stores import Stores, opened

__all__ = ["Controller", "Stores", "opened"]
