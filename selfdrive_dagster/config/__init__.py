"""What the user chose: `selfdrive.toml`, read once at the edge into one frozen value.

Belongs here: the sections and their defaults, the reading of the file with every fault told
at once, what a repository tells about itself, and where the home directory is. Does not
belong: anything that acts on a setting.
"""

from selfdrive_dagster.config.detecting import Detect
from selfdrive_dagster.config.discover import Found, discover, find_python
from selfdrive_dagster.config.home import KILL_SWITCH, home_path, open_home
from selfdrive_dagster.config.reading import FILE_NAME, load, parse
from selfdrive_dagster.config.settings import (
    Autonomy,
    Issues,
    Notify,
    Patches,
    Rollout,
    Service,
    Settings,
    Telemetry,
    not_acted_on,
)

__all__ = [
    "FILE_NAME",
    "KILL_SWITCH",
    "Autonomy",
    "Detect",
    "Found",
    "Issues",
    "Notify",
    "Patches",
    "Rollout",
    "Service",
    "Settings",
    "Telemetry",
    "discover",
    "find_python",
    "home_path",
    "load",
    "not_acted_on",
    "open_home",
    "parse",
]
