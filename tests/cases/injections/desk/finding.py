"""Queries for tickets."""

COLUMNS = {"title": "title", "state": "state", "who": "customer"}
LATEST = "id DESC"


def condition(column, text):
    """Return SQL that compares a column, and the values that are bound."""
    name = COLUMNS[column]
    return f"{name} = ?", (text,)


def order(column):
    """Return SQL that sorts by a column; by age if there is no such column."""
    return COLUMNS.get(column, LATEST)
