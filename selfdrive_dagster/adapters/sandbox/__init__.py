"""Where untrusted code runs: bubblewrap, seccomp and cgroups, proven by probes before use.

Belongs here: how a job is locked in and what came out of it. Does not belong: what the
output means; it is testimony, and `validation` cross-examines it.
"""
