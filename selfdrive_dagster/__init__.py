"""Selfdrive: from what hurts users in production to a change that is proven to help.

The rooms follow the loop: telemetry, issues, patches, validation, rollout, audit.
ARCHITECTURE.md draws the house and says which way imports run.
"""

__version__ = "0.1.0"
