"""Rollout: dare we. The life of a change, from its draft to what was learned of it.

Belongs here: states and who may move a change between them; the page that a proposal shows.
Does not belong: where a change is stored, pushed or served.
"""
