"""Asking a model for drafts: what it is shown, what its answer becomes, and what it may cost.

The model has no tools and no say: it gets code and a few facts, and what it returns are edits
that the same gates judge as any template's. Belongs here: prompt, answer, money, records. Does
not belong: the service's wire (`adapters.claude`) and where money is kept.
"""
