"""Gives these tests a real PostgreSQL."""

from fakes.databases import database_server, database_url, engine

__all__ = ["database_server", "database_url", "engine"]
