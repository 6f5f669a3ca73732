"""Adapters: one file (or folder) per neighbour; the only rooms that touch the world outside."""
