"""`[detect]`: the numbers by which the detectors tell what hurts, one field each.

`sql/` names them as `setting('name')`. The defaults are those of telemetry.md §5 and §6. Belongs
here: numbers that an owner may want to change. Does not belong: how a detector uses them.
"""

from typing import Annotated

import msgspec
from msgspec import Meta

Several = Annotated[int, Meta(ge=2, le=100, description="a whole number, 2 to 100")]
Count = Annotated[int, Meta(ge=1, le=1_000_000, description="a whole number, 1 or more")]
Short = Annotated[float, Meta(gt=0, le=1_800, description="seconds, more than 0, up to 1800")]
Minutes = Annotated[float, Meta(gt=0, le=60, description="minutes, more than 0, up to 60")]
Milliseconds = Annotated[float, Meta(ge=0, le=3.6e6, description="milliseconds, 0 to an hour")]
Share = Annotated[float, Meta(gt=0, le=1, description="a share, more than 0, up to 1")]
Sigmas = Annotated[float, Meta(gt=0, le=10, description="standard deviations, up to 10")]


class Detect(msgspec.Struct, frozen=True, kw_only=True):
    """`[detect]`: when a pattern counts.

    `timeout_ms` is how long a request of the product may take before it is cut off; 0 where
    nobody told. `templates_per_hour` and `issues_per_hour` bound how many issues one service may
    open: those told apart by words alone, and all that exceptions tell of.
    """

    rage_clicks: Several = 3
    rage_seconds: Short = 1.0
    dead_seconds: Short = 5.0
    error_click_seconds: Short = 1.0
    u_turn_seconds: Short = 10.0
    abandon_minutes: Minutes = 30.0
    retries: Several = 3
    retry_failures: Count = 2
    retry_seconds: Short = 60.0
    timeout_ms: Milliseconds = 0.0
    templates_per_hour: Count = 20
    issues_per_hour: Count = 200
    slow_share: Share = 0.2
    slow_ms: Milliseconds = 500.0
    change_share: Share = 0.1
    change_ms: Milliseconds = 50.0
    funnel_sigmas: Sigmas = 3.0
    saturation_share: Share = 0.9
    unused_days: Count = 14
