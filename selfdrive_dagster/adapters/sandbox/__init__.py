"""Where untrusted code runs: bubblewrap, seccomp and a memory fence, proven by probes before use.

Belongs here: how a job is locked in and what came out of it. Does not belong: what the
output means; it is testimony, and `validation` cross-examines it.
"""

from selfdrive_dagster.adapters.sandbox.bwrap import BwrapSandbox
from selfdrive_dagster.adapters.sandbox.probes import Findings, ProbeResult

__all__ = ["BwrapSandbox", "Findings", "ProbeResult"]
