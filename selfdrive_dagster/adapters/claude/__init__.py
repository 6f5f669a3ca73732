"""Anthropic's API: the real SDK as a client, and a stand-in server to rehearse with.

    client     a question goes out, an answer with a named result comes back
    faults     each fault of the SDK and the service, by name
    capped     a transport that reads no more than it should
    standin/   a server that speaks the Messages API, with scripted answers and every fault

Belongs here: the wire. Does not belong: what is asked, and money (`patches.asking`).
"""

from selfdrive_dagster.adapters.claude.client import KEY, Client

__all__ = ["KEY", "Client"]
