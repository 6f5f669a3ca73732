"""Orchestration: the only rooms that say "dagster".

Belongs here: how assets, checks, sensors and the Dagster instance are built from the library's
plain functions. Does not belong: what those functions decide, and the app's own definitions.
"""
