"""Templates: what might help, drafted without a model.

One family or a close group of families a file; `table` says which exception leads to which.
`generate` is the door: it yields drafts lazily, best first, no two alike, all of which
compile. It never touches tests or protected files and never brings in a forbidden call.
"""

from selfdrive_dagster.patches.drafts import Draft
from selfdrive_dagster.patches.templates.generate import generate
from selfdrive_dagster.patches.templates.table import FAMILIES, ROUTES, Family

__all__ = ["FAMILIES", "ROUTES", "Draft", "Family", "generate"]
