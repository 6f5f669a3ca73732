"""Rollout: dare we. The life of a change, from its draft to what was learned of it.

Belongs here: states and who may move a change between them; the page that a proposal shows.
Does not belong: where a change is stored, pushed or served.
"""

from selfdrive_dagster.rollout.page import write_page
from selfdrive_dagster.rollout.proposal import (
    Destination,
    Findings,
    Form,
    Proposal,
    branch_name,
    draw_proposal,
    message_of,
    page_path,
    title_of,
)

__all__ = [
    "Destination",
    "Findings",
    "Form",
    "Proposal",
    "branch_name",
    "draw_proposal",
    "message_of",
    "page_path",
    "title_of",
    "write_page",
]
